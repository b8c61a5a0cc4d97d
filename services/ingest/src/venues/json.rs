//! Bits that all decoders of JSON venues share.

use std::borrow::Cow;

use market::{Price, Quantity};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::sources::{self, Bad};
use crate::times;

/// A text that may hold escapes.
pub type Text<'a> = Cow<'a, str>;

pub fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Bad> {
    serde_json::from_slice(text).map_err(|error| Bad::json(&error))
}

/// The digits of a number, also of one that is written as a text: numbers never pass through a binary float.
pub fn digits(value: &RawValue) -> &[u8] {
    let text = value.get();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).as_bytes()
}

pub fn price(what: &str, value: &RawValue) -> Result<Price, Bad> {
    sources::price(what, digits(value))
}

pub fn quantity(what: &str, value: &RawValue) -> Result<Quantity, Bad> {
    sources::quantity(what, digits(value))
}

/// An id, which may be a number or a text.
pub fn id(what: &str, value: &RawValue) -> Result<String, Bad> {
    let text = std::str::from_utf8(digits(value)).unwrap_or_default();
    let plain =
        !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !plain || text == "null" {
        return Err(Bad::new("missing_field", format!("{what} `{}` is not an id", sources::shown(text.as_bytes()))));
    }
    Ok(text.to_owned())
}

pub fn millis(what: &str, value: &RawValue) -> Result<i64, Bad> {
    times::count(digits(value), 1_000_000).ok_or_else(|| Bad::time(what, digits(value)))
}

pub fn rfc3339(what: &str, text: &str) -> Result<i64, Bad> {
    times::rfc3339(text.as_bytes()).ok_or_else(|| Bad::time(what, text.as_bytes()))
}

/// Condition codes, which are texts at one venue and numbers at another.
pub fn conditions(values: Option<Vec<&RawValue>>) -> Vec<String> {
    let texts = values.into_iter().flatten().map(|value| String::from_utf8_lossy(digits(value)).into_owned());
    texts.filter(|text| text != "null").collect()
}

/// Reads each item, and keeps on after a bad one: its neighbours are good. The first that was bad is told at the end.
pub fn each<'a>(items: &[&'a RawValue], mut read: impl FnMut(&'a [u8]) -> Result<(), Bad>) -> Result<(), Bad> {
    let mut first = Ok(());
    for item in items {
        let result = read(item.get().as_bytes());
        if first.is_ok() {
            first = result;
        }
    }
    first
}

/// Writes a message. What is sent is made of texts and lists, which serialise.
pub fn write(value: &serde_json::Value) -> String {
    value.to_string()
}
