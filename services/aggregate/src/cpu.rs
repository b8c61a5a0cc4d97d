//! What this process has cost so far, for the summary of a finite run.

/// User and system CPU seconds of the whole process; 0 where `/proc` is not to be had.
pub fn seconds() -> f64 {
    /// Ticks per second of `/proc/self/stat`; fixed on Linux whatever the kernel's own rate.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field, the command, may hold spaces: count from its closing parenthesis.
    let Some((_, rest)) = stat.rsplit_once(')') else { return 0.0 };
    let mut fields = rest.split_whitespace().skip(11).map(|field| field.parse::<f64>().unwrap_or(0.0));
    (fields.next().unwrap_or(0.0) + fields.next().unwrap_or(0.0)) / TICKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_costs() {
        let before = seconds();
        let start = std::time::Instant::now();
        let mut x = 1u64;
        while seconds() <= before {
            for _ in 0..1_000_000 {
                x = std::hint::black_box(x.wrapping_mul(3));
            }
            assert!(start.elapsed().as_secs() < 30, "no CPU time after {x}");
        }
    }
}
