//! What the stage tells apart.

/// The changelog holds something that this program did not write, or a newer one did.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    #[error("the key {0:?} of the state is not a rule and a symbol")]
    Key(String),
    #[error("the state of {key:?} cannot be read")]
    State { key: String, source: serde_json::Error },
}
