//! What a plain reader finds in the lake: every object of a table, line by line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The files of one table in the embedded S3 of `state`, wherever the prefix puts them.
pub fn objects(state: &Path, table: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&state.join("s3/finflow"), &mut found);
    let folder = format!("/{table}/");
    let is_object = |path: &str| path.contains(&folder) && !path.contains("/_claims/") && !path.contains("/_expired/");
    found.retain(|path| is_object(&path.to_string_lossy()));
    found.sort();
    found
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found);
        } else if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            found.push(path);
        }
    }
}

/// Rows as their text: numbers keep their digits.
pub fn lines(state: &Path, table: &str) -> Vec<String> {
    objects(state, table).iter().flat_map(|path| text(path).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

pub fn rows(state: &Path, table: &str) -> Vec<Value> {
    lines(state, table).iter().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

fn text(path: &Path) -> String {
    unpack(&path.to_string_lossy(), &std::fs::read(path).expect("the object is readable"))
}

pub fn unpack(key: &str, bytes: &[u8]) -> String {
    let table = ::lake::Table::ALL.into_iter().find_map(|table| key.rfind(&format!("/{}/", table.name())));
    let (prefix, _) = key.split_at(table.expect("an object of a table"));
    let mut text = String::new();
    let take = |line: &[u8]| {
        text += std::str::from_utf8(line).expect("a row is text");
        text.push('\n');
    };
    let bytes = bytes.to_vec().into();
    ::lake::read_object(&::lake::Paths::new(prefix), key.trim_start_matches('/'), bytes, take)
        .expect("the object is whole");
    text
}

/// Asserts that no offset of any partition is in two rows.
pub fn assert_once(rows: &[Value]) {
    let mut seen = BTreeMap::new();
    for row in rows {
        let place = (row["_topic"].to_string(), row["_partition"].as_i64(), row["_offset"].as_i64());
        assert!(place.1.is_some() && place.2.is_some(), "a row without coordinates: {row}");
        if let Some(first) = seen.insert(place.clone(), row) {
            panic!("{place:?} is stored twice: {first} and {row}");
        }
    }
}
