//! What the stage tells apart.

#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// Under the key of a rule of ours lies something that this program did not write, or that a newer one did.
    #[error("the state of {key:?} cannot be read")]
    State { key: String, source: serde_json::Error },
}
