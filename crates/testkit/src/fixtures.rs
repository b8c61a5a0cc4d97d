//! Where recorded data lives.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file committed under `testdata/`.
pub fn testdata(path: &str) -> PathBuf {
    root().join("testdata").join(path)
}

/// A file of the larger data kept beside the project (`FINFLOW_SHARED`, else `../shared`), or `None`, said aloud, where
/// it is absent: the test that wanted it is then skipped, visibly.
pub fn shared(path: &str) -> Option<PathBuf> {
    let base = std::env::var_os("FINFLOW_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let file = base.join(path);
    if file.exists() {
        return Some(file);
    }
    eprintln!("skipped: {} is not here", file.display());
    None
}
