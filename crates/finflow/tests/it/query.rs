//! `finflow query` without the SQL engine, which has tests of its own.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// A finflow with nothing beside it, wherever the tests were built.
fn alone(dir: &Path) -> Command {
    let own = dir.join("finflow");
    std::fs::copy(env!("CARGO_BIN_EXE_finflow"), &own).expect("the folder is writable");
    let mut command = Command::new(own);
    command.env("PATH", dir.join("path")).current_dir(dir);
    command
}

/// Shows its words, one per line, and fails in a way of its own.
fn stand_in(path: &Path) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, "#!/bin/sh\necho \"$0\"\nfor word in \"$@\"; do echo \"$word\"; done\nexit 7\n")
        .expect("writable");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
}

#[test]
fn without_the_engine_it_says_how_to_build_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = alone(dir.path()).args(["query", "top_gainers"]).output().expect("finflow starts");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("finflow-query") && said.contains("`make query`"), "{said}");
    let makefile =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Makefile")).expect("there");
    assert!(makefile.contains("\nquery: ## "), "the Makefile has no `query`");
}

#[test]
fn the_engine_gets_every_word_and_its_exit_code_comes_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let words = ["--sql", "SELECT 1 AS \"a b\"", "--help", "-x", "--state"];
    let ask = || {
        let output = alone(dir.path()).arg("query").args(words).output().expect("finflow starts");
        assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let on_path = dir.path().join("path/finflow-query");
    stand_in(&on_path);
    assert_eq!(ask()[1..], words);
    assert_eq!(ask()[0], on_path.to_string_lossy());
    // What is installed together belongs together.
    let beside = dir.path().join("finflow-query");
    stand_in(&beside);
    assert_eq!(ask()[0], beside.to_string_lossy());
}
