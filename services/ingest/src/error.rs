//! How a run can fail as a whole. One bad row or one bad feed is no failure of the run while it goes on.

use crate::summary::Summary;

#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Nothing could be opened: there is nothing to do.
    #[error("no feed can be read: {}", .0.join("; "))]
    NoFeed(Vec<String>),
    /// The run is over, and these feeds were not read or not read to their end. The others were.
    #[error("{}", .summary.failures().join("; "))]
    FeedsFailed { summary: Box<Summary> },
}

impl IngestError {
    /// What was done all the same, if `error` is one of these.
    pub fn summary(error: &anyhow::Error) -> Option<&Summary> {
        match error.downcast_ref() {
            Some(IngestError::FeedsFailed { summary }) => Some(summary),
            _ => None,
        }
    }
}
