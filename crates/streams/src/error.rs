//! What can go wrong, sorted by what the caller can do about it.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

pub type Result<T, E = StreamError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The settings are at fault; nothing was sent.
    #[error("{0}")]
    Settings(String),
    /// Worth another try: the broker was away or slow. Nothing is lost and nothing was skipped.
    #[error("{action}: {cause}")]
    Retry { action: String, cause: String },
    /// The group has moved on without us: what was in hand belongs to somebody else now. A `Lost` follows from `poll`.
    #[error("{action}: this member is no longer in the group as it was: {cause}")]
    Stale { action: String, cause: String },
    /// Records that were to be read next are gone, or the position is beyond the end of the topic.
    #[error("the position is not in the topic any more: {0}; choose a new one explicitly, nothing was skipped")]
    OutOfRange(String),
    /// This record cannot be written; others can.
    #[error("a record for {topic} is larger than Kafka takes ({bytes} bytes)")]
    TooLarge { topic: String, bytes: usize },
    /// The process must end and start again. librdkafka refuses further work after most of these.
    #[error("{action}: {cause}")]
    Fatal { action: String, cause: String },
    /// The stop was asked for while waiting.
    #[error("stopped while {0}")]
    Stopped(String),
}

impl StreamError {
    pub fn is_retry(&self) -> bool {
        matches!(self, StreamError::Retry { .. })
    }

    pub fn is_stopped(&self) -> bool {
        matches!(self, StreamError::Stopped(_))
    }

    pub fn is_fatal(&self) -> bool {
        matches!(self, StreamError::Fatal { .. })
    }

    pub(crate) fn fatal(action: impl Into<String>, cause: impl ToString) -> Self {
        StreamError::Fatal { action: action.into(), cause: cause.to_string() }
    }

    pub(crate) fn retry(action: impl Into<String>, cause: impl ToString) -> Self {
        StreamError::Retry { action: action.into(), cause: cause.to_string() }
    }

    /// Sorts an error of rdkafka.
    pub(crate) fn from_kafka(action: impl Into<String>, error: KafkaError) -> Self {
        let action = action.into();
        let cause = error.to_string();
        match error {
            KafkaError::Transaction(inner) if inner.is_fatal() => StreamError::Fatal { action, cause },
            KafkaError::MessageConsumptionFatal(_) => StreamError::Fatal { action, cause },
            other => match other.rdkafka_error_code() {
                Some(code) => Self::from_code(action, code, cause),
                None => StreamError::Retry { action, cause },
            },
        }
    }

    pub(crate) fn from_code(action: String, code: RDKafkaErrorCode, cause: String) -> Self {
        use RDKafkaErrorCode as Code;
        match code {
            Code::IllegalGeneration | Code::UnknownMemberId | Code::StaleMemberEpoch | Code::RebalanceInProgress => {
                StreamError::Stale { action, cause }
            }
            Code::AutoOffsetReset | Code::OffsetOutOfRange => StreamError::OutOfRange(cause),
            Code::Fatal
            | Code::Fenced
            | Code::InvalidProducerEpoch
            | Code::FencedInstanceId
            | Code::UnreleasedInstanceId
            | Code::UnsupportedFeature
            | Code::UnsupportedVersion
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            // Of a topic that is to be made.
            | Code::InvalidPartitions
            | Code::InvalidConfig
            | Code::PolicyViolation
            | Code::InvalidArgument
            | Code::State => StreamError::Fatal { action, cause },
            _ => StreamError::Retry { action, cause },
        }
    }
}
