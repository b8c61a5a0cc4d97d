//! What was once written is read forever: each `testdata/events/v<n>/<kind>*.json` gives its `.expected.json`.
//!
//! Never change a file here. A new form is a new file, or a new folder when `schema_version` grows. `UPDATE=1` writes
//! the expectations that are missing, and only those.

use std::path::Path;

use crate::{root, written_back};

fn check(path: &Path) {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let kind = match name.split('_').next().unwrap() {
        kind @ ("metrics" | "alert") => kind,
        _ => "event",
    };
    let text = std::fs::read_to_string(path).unwrap();
    let now = written_back(kind, &text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let expected = path.with_extension("expected.json");
    if std::env::var_os("UPDATE").is_some() && !expected.exists() {
        std::fs::write(&expected, format!("{now}\n")).unwrap();
    }
    let wanted = std::fs::read_to_string(&expected).unwrap_or_else(|error| panic!("{}: {error}", expected.display()));
    assert_eq!(now, wanted.trim_end(), "{}", path.display());
    // The new form is a form to be read, too.
    assert_eq!(written_back(kind, &now).as_deref(), Ok(wanted.trim_end()), "{}", path.display());
}

#[test]
fn every_form_that_was_ever_written_is_read() {
    let folder = root().join("testdata/events/v1");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".json") && !name.ends_with(".expected.json") {
            check(&path);
            seen += 1;
        }
    }
    assert!(seen >= 20, "only {seen} forms in {}", folder.display());
}
