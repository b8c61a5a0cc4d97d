//! An object back to its rows, whatever its format: each as the JSON object of its record on the topic, with its
//! coordinates.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use thiserror::Error;

use crate::format::{Format, parquet};
use crate::layout::Paths;

#[derive(Debug, Error)]
#[error("read object {key}: {why}")]
pub struct ReadError {
    pub key: String,
    pub why: String,
}

/// Calls `each` with every row of an object, in the order in which it has them.
///
/// The key's name says format and table. An empty object is one whose record Kafka dropped before it was stored.
pub fn read_object(paths: &Paths, key: &str, bytes: Bytes, mut each: impl FnMut(&[u8])) -> Result<(), ReadError> {
    let fail = |why: String| ReadError { key: key.to_owned(), why };
    let Some((dir, name)) = paths.parse(key) else { return Err(fail("its name is not one of the lake's".to_owned())) };
    let Some(format) = Format::from_extension(name.extension) else {
        return Err(fail(format!("the format `{}` is unknown to this program", name.extension)));
    };
    let mut text = Vec::new();
    match format {
        Format::Parquet => {
            return parquet::read(dir.table(), bytes, |cells| {
                for row in 0..cells.rows {
                    text.clear();
                    cells.write_json(row, &mut text);
                    each(&text);
                }
            })
            .map_err(|error| fail(error.to_string()));
        }
        Format::JsonlGz => {
            MultiGzDecoder::new(&*bytes).read_to_end(&mut text).map_err(|error| fail(error.to_string()))?;
        }
        Format::JsonlZst => text = zstd::decode_all(&*bytes).map_err(|error| fail(error.to_string()))?,
        Format::Json => text.extend_from_slice(&bytes),
    }
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).for_each(each);
    Ok(())
}
