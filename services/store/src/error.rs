//! What the loop decides on.

use lake::ChainError;
use streams::StreamError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Ends the process: going on would store a record twice or lose one.
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Streams(#[from] StreamError),
    /// Asked to stop while waiting for something; not a failure.
    #[error("stopped")]
    Stopped,
}
