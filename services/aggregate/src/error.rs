//! What the stage tells apart.

use std::path::PathBuf;

use market::window::{LayoutError, StateError};

#[derive(Debug, thiserror::Error)]
pub enum AggregateError {
    /// The settings ask for windows that cannot be served.
    #[error("the windows cannot be served")]
    Windows(#[from] LayoutError),
    /// A file of the settings is no calendar.
    #[error("{}: {why}", path.display())]
    Calendar { path: PathBuf, why: String },
    /// The changelog holds something that this program did not write, or a newer one did.
    #[error("the state of partition {partition} cannot be restored")]
    State { partition: i32, source: StateError },
}
