//! Credentials that change on disk: the process takes them and goes on, and is the same process.

use std::path::{Path, PathBuf};

use crate::process::{Echo, eventually};

/// An `echo` whose password is in a file, looked at often; and the file.
fn start(dir: &Path, more: &[&str]) -> (Echo, PathBuf) {
    let (password, config) = (dir.join("password"), dir.join("echo.yaml"));
    std::fs::write(&password, "four").unwrap();
    let yaml = format!("password_file: {}\ncredentials_interval: 20ms\n", password.display());
    std::fs::write(&config, yaml).unwrap();
    let echo = Echo::start(&[&["--config", config.to_str().unwrap()], more].concat());
    echo.wait_ready();
    (echo, password)
}

/// Waits for the process that works with a password of so many characters.
fn works_with(echo: &Echo, characters: usize) {
    let said = format!("\"characters\":{characters}");
    eventually("it works with the password", || echo.log().contains(&said).then_some(()));
}

#[test]
fn a_renewed_secret_is_taken_by_the_same_process() {
    let dir = tempfile::tempdir().unwrap();
    let (mut echo, password) = start(dir.path(), &[]);
    for renewed in ["seven77", "a longer one"] {
        std::fs::write(&password, renewed).unwrap();
        works_with(&echo, renewed.len());
    }
    let log = echo.log();
    assert_eq!(log.matches("finished what was begun").count(), 2, "{log}");
    assert!(log.contains(&format!("renewed credentials: {}", password.display())), "{log}");
    assert!(!log.contains("seven77"), "{log}");
    assert!(echo.is_alive());
    echo.signal("TERM");
    assert_eq!(echo.wait().code(), Some(0));
}

#[test]
fn what_cannot_be_used_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (echo, password) = start(dir.path(), &[]);
    std::fs::remove_file(&password).unwrap();
    eventually("it says so", || echo.log().contains("the old ones stay").then_some(()));
    assert_eq!(echo.get("/ready").0, 200);
    std::fs::write(&password, "seven77").unwrap();
    works_with(&echo, 7);
}

/// A file that is written anew with what it held, or looked at never.
#[test]
fn what_did_not_change_is_not_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let (never, password) = start(dir.path(), &["--set", "credentials_interval=0s"]);
    let other = tempfile::tempdir().unwrap();
    let (echo, same) = start(other.path(), &[]);
    std::fs::write(&same, "four").unwrap();
    std::fs::write(&password, "seven77").unwrap();
    // A process that looks has looked some times by then.
    let dir = tempfile::tempdir().unwrap();
    let (witness, renewed) = start(dir.path(), &[]);
    std::fs::write(&renewed, "seven77").unwrap();
    works_with(&witness, 7);
    for echo in [never, echo] {
        assert_eq!(echo.log().matches("\"message\":\"working\"").count(), 1, "{}", echo.log());
    }
}

/// Kubernetes ends a pod while it takes a new certificate: it ends.
#[test]
fn who_is_told_to_end_meanwhile_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (mut echo, password) = start(dir.path(), &["--behave", "slow"]);
    std::fs::write(&password, "seven77").unwrap();
    eventually("it drains", || echo.get("/ready").1.contains("\"draining\":true").then_some(()));
    echo.signal("TERM");
    let status = echo.wait();
    assert_eq!(status.code(), Some(0), "{}", echo.log());
    assert_eq!(echo.log().matches("\"message\":\"working\"").count(), 1, "{}", echo.log());
}
