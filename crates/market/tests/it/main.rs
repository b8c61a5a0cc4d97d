//! The wire forms against what is written about them: `docs/topics.md` and the old forms in `testdata/events`.

mod any_bytes;
mod old_forms;
mod real;
mod topics;

use std::path::{Path, PathBuf};

use market::{Alert, Event, Metrics};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Reads a value as the record it is said to be, and writes it again.
fn written_back(kind: &str, value: &str) -> Result<String, String> {
    let mut out = Vec::new();
    match kind {
        "metrics" => Metrics::decode(value.as_bytes()).map_err(|error| error.to_string())?.encode(&mut out),
        "alert" => Alert::decode(value.as_bytes()).map_err(|error| error.to_string())?.encode(&mut out),
        kind => {
            let event = Event::decode(value.as_bytes()).map_err(|error| error.to_string())?;
            if kind != "event" && event.kind().as_str() != kind {
                return Err(format!("is a {} and not a {kind}", event.kind()));
            }
            event.encode(&mut out);
        }
    }
    String::from_utf8(out).map_err(|error| error.to_string())
}
