//! A state folder on a disk that is full, or that takes no writes. Needs the right to mount; skipped, visibly, without.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::finflow::{State, assert_balanced, finflow, produced, summary};
use crate::index::write_index;
use crate::lake;

const DAYS: u32 = 8_000;
const ROWS: usize = 3 * DAYS as usize;
const DEADLINE: Duration = Duration::from_secs(60);

/// A small file system in memory, unmounted at the end.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount(options: &str) -> Option<Disk> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Disk(folder));
        }
        eprintln!("skipped: this user may not mount a file system");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_read_only_state_folder_is_named() {
    let Some(disk) = Disk::mount("ro,size=1m") else { return };
    let outside = State::new();
    let feed = outside.path().join("index.csv");
    write_index(&feed, 1);
    let output = finflow()
        .args(["up", "--once", "--http", "127.0.0.1:0", "--state"])
        .arg(disk.path())
        .arg("--feed")
        .arg(&feed)
        .output()
        .expect("finflow starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains(disk.path().to_str().expect("utf-8")) && errors.contains("Read-only"), "{errors}");
}

/// The disk is full for a while: it is said, nothing is acknowledged that is not kept, and with room again the run goes
/// to its end.
#[test]
fn a_full_disk_stops_nothing_for_good_and_loses_nothing() {
    let Some(disk) = Disk::mount("size=24m") else { return };
    let outside = State::new();
    let feed = outside.path().join("index.csv");
    write_index(&feed, DAYS);
    // Room for the folders and the first rows, not for all of them.
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![7u8; (24 << 20) - (600 << 10)]).expect("there is room for it");
    let child = finflow()
        .args(["up", "--once", "--json", "--speed", "max", "--http", "127.0.0.1:0", "--state"])
        .arg(disk.path())
        .arg("--feed")
        .arg(&feed)
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(outside.path().join("log")).expect("a log file"))
        .spawn()
        .expect("finflow starts");
    testkit::eventually(DEADLINE, "the full disk is said", || {
        let log = std::fs::read_to_string(outside.path().join("log")).unwrap_or_default();
        log.contains("No space left").then_some(())
    });
    std::fs::remove_file(&ballast).expect("room again");
    let output = child.wait_with_output().expect("finflow ends");
    let log = std::fs::read_to_string(outside.path().join("log")).unwrap_or_default();
    assert!(output.status.success(), "{log}");
    let summary = summary(&output);
    assert_eq!(produced(&summary, "raw-market-data"), ROWS as u64, "{summary}\n{log}");
    assert_balanced(&summary);
    let rows = lake::rows(disk.path(), "bars");
    assert_eq!(rows.len(), ROWS);
    lake::assert_once(&rows);
}
