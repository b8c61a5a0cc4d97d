//! Whether a process of this machine has ended for sure, so that its place is taken at once.

use std::fs;

/// Names a process among all: the kernel's boot, its namespace of numbers, its number, and when it began. Empty where that
/// cannot be found out: then nobody draws conclusions from it.
pub fn own() -> String {
    named(std::process::id()).unwrap_or_default()
}

fn place() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbers = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}/{}", boot.trim(), numbers.display()))
}

fn named(pid: u32) -> Option<String> {
    Some(format!("{}/{pid}/{}", place()?, began(pid)?))
}

/// In ticks since the boot.
fn began(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    // A zombie has ended.
    fields.next().filter(|state| !matches!(*state, "Z" | "X"))?;
    fields.nth(18)?.parse().ok()
}

/// It ran in our namespace and is not there any more. `false`: it runs, or nobody here can know.
pub fn has_ended(process: &str) -> bool {
    let ended = || {
        let rest = process.strip_prefix(&place()?)?.strip_prefix('/')?;
        let (pid, start) = rest.split_once('/')?;
        Some(began(pid.parse().ok()?) != Some(start.parse().ok()?))
    };
    ended().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_ended_when_it_is_gone_from_this_very_machine() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let named = named(child.id()).unwrap();
        assert!(!has_ended(&own()) && !has_ended(&named), "{named}");
        let elsewhere = format!("other{named}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(has_ended(&named) && !has_ended(&elsewhere) && !has_ended(""));
        let (before, began) = own().rsplit_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert!(
            has_ended(&format!("{before}/{}", began.parse::<u64>().unwrap() + 1)),
            "its number was given to another"
        );
    }
}
