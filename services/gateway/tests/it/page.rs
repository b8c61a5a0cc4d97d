//! The page's own logic, by Node where there is one.

use std::path::Path;
use std::process::Command;

#[test]
fn the_pure_parts_of_the_page_do_what_they_say() {
    let Ok(version) = Command::new("node").arg("--version").output() else {
        eprintln!("skipped: there is no node");
        return;
    };
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let major: u32 = version.trim_start_matches('v').split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    if major < 18 {
        eprintln!("skipped: node {version} has no test runner");
        return;
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page.test.mjs");
    let run = Command::new("node").arg("--test").arg(tests).output().expect("node runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}
