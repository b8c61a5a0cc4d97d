//! A text that is never shown: not by `Debug`, not in a log, not by `--print-config`.

use std::cell::Cell;
use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MASK: &str = "***";

/// What a secret serialises to while the shape of a config is read, so that the shape knows which keys are secret.
pub(crate) const MARK: &str = "\u{0}secret";

thread_local! {
    static MARKING: Cell<bool> = const { Cell::new(false) };
}

/// A password or key. Empty means "not set": use `Secret`, not `Option<Secret>`, in a config.
///
/// Serialised it is masked, so a config that went through serde has lost its secrets: clone it instead.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn shown(&self) -> &'static str {
        if self.0.is_empty() { "" } else { MASK }
    }
}

/// Runs `f` while secrets serialise to [`MARK`].
pub(crate) fn marking<T>(f: impl FnOnce() -> T) -> T {
    MARKING.set(true);
    let result = f();
    MARKING.set(false);
    result
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if MARKING.get() { MARK } else { self.shown() })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

/// Its errors never repeat the value, and it takes text only: a number has already lost its leading zeros.
struct SecretVisitor;

impl Visitor<'_> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text (put quotes around it)")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        if text == MASK {
            return Err(E::custom("this is the mask that --print-config shows, not the secret itself"));
        }
        Ok(Secret(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
        Err(E::custom("a secret must be a text: put quotes around it"))
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Secret, E> {
        self.visit_u64(0)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        self.visit_u64(0)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        self.visit_u64(0)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
        self.visit_u64(0)
    }
}
