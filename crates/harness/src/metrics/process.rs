//! What the process itself uses, read from `/proc` when it is asked for, under the usual `process_` names.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, IntGauge, IntGaugeVec, Opts};

use super::Registry;

/// `USER_HZ`: fixed at 100 for user space on every Linux we can run on.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn register(registry: &Registry) {
    let build = registry.make_as("finflow_build_info".to_owned(), "gauge", |name| {
        IntGaugeVec::new(Opts::new(name, "Always 1; the labels say what is running."), &["service", "version"])
    });
    build.with_label_values(&[registry.service, env!("CARGO_PKG_VERSION")]).set(1);
    // One of the four is a counter; its name says so.
    registry.register("gauge", Box::new(Process::new()));
}

struct Process {
    cpu_seconds: Counter,
    resident_bytes: IntGauge,
    open_fds: IntGauge,
    threads: IntGauge,
}

impl Process {
    fn new() -> Self {
        let int = |name, help| IntGauge::new(name, help).expect("the name is well formed");
        Process {
            cpu_seconds: Counter::new("process_cpu_seconds_total", "User and system CPU time spent, in seconds.")
                .expect("the name is well formed"),
            resident_bytes: int("process_resident_memory_bytes", "Resident memory size in bytes."),
            open_fds: int("process_open_fds", "Open file descriptors."),
            threads: int("process_threads", "Threads."),
        }
    }

    fn gauges(&self) -> [&dyn Collector; 4] {
        [&self.cpu_seconds, &self.resident_bytes, &self.open_fds, &self.threads]
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if let Some(seconds) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds) {
            self.cpu_seconds.inc_by((seconds - self.cpu_seconds.get()).max(0.0));
        }
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            self.resident_bytes.set(field(&status, "VmRSS:").unwrap_or(0) * 1024);
            self.threads.set(field(&status, "Threads:").unwrap_or(0));
        }
        if let Ok(fds) = fs::read_dir("/proc/self/fd") {
            self.open_fds.set(i64::try_from(fds.count()).unwrap_or(i64::MAX));
        }
        self.gauges().into_iter().flat_map(Collector::collect).collect()
    }
}

/// User and system CPU time that this process has spent, in seconds, to a hundredth; 0 where nobody tells.
pub fn cpu_seconds_spent() -> f64 {
    fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds).unwrap_or(0.0)
}

/// Fields 14 and 15 of `/proc/self/stat`, counted behind the program's name, which may hold spaces and brackets.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn field(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_name_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 100 1000 10";
        assert_eq!(cpu_seconds(stat), Some(3.0));
    }

    #[test]
    fn a_field_of_status_is_found_by_its_whole_name() {
        let status = "VmRSSx:\t1 kB\nVmRSS:\t  2048 kB\nThreads:\t3\n";
        assert_eq!(field(status, "VmRSS:"), Some(2048));
        assert_eq!(field(status, "Threads:"), Some(3));
        assert_eq!(field(status, "FDSize:"), None);
    }
}
