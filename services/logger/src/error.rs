//! What the loop tells apart.

use streams::StreamError;

#[derive(Debug, thiserror::Error)]
pub enum LoggerError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("write to standard output")]
    Output(#[from] std::io::Error),
}

impl LoggerError {
    /// `finflow logger | head`: nobody reads on, which is a reason to end and not a failure.
    pub fn is_reader_gone(&self) -> bool {
        matches!(self, LoggerError::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }

    pub fn is_stopped(&self) -> bool {
        matches!(self, LoggerError::Stream(StreamError::Stopped(_)))
    }
}
