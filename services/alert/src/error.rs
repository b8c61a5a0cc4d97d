//! What the stage tells apart.

/// The changelog holds something that this program did not write, or a newer one did.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    #[error("the state of {key:?} cannot be read")]
    State { key: String, source: serde_json::Error },
}
