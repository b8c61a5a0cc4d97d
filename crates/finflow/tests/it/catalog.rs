//! `finflow catalog apply` from the command line: what it says where there is no catalog, and wrong words. What it does
//! to one is tested in `crates/lake`.

use crate::finflow::{State, finflow};

#[test]
fn wrong_words_and_a_catalog_that_is_not_there_have_their_exit_codes() {
    let state = State::new();
    std::fs::create_dir(state.path().join("s3")).expect("a folder");
    let run = |args: &[&str]| {
        let mut command = finflow();
        command.args(["catalog", "apply", "--dry-run", "--state"]).arg(state.path()).args(args);
        command.env("AWS_ACCESS_KEY_ID", "finflow").env("AWS_SECRET_ACCESS_KEY", "finflow-secret");
        let output = command.output().expect("finflow starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (args, said) in [
        (["--from", "2024-13-01"], "is no day"),
        (["--database", "Market-Data"], "lower-case"),
        (["--catalog", "\"x\""], "lower-case"),
    ] {
        let (code, errors) = run(&args);
        assert_eq!(code, Some(2), "{args:?}: {errors}");
        assert!(errors.contains(said), "{errors}");
    }
    let (code, errors) = run(&["--glue-endpoint", "http://127.0.0.1:1"]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("glue GetDatabase at http://127.0.0.1:1/"), "{errors}");
}
