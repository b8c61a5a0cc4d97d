//! What the protocol must know of the topics, asked of the brokers when it asks.

use std::sync::Arc;

use lake::{ChainError, Log, Source};
use streams::{Admin, StreamError};

/// The questions block, so each runs on a thread for such work. Clones share the connection.
#[derive(Clone)]
pub(crate) struct Broker(Arc<Admin>);

impl Broker {
    pub(crate) fn new(admin: Admin) -> Self {
        Self(Arc::new(admin))
    }

    /// How many partitions the topic has now; none if it is gone. Blocks.
    pub(crate) fn partitions(&self, topic: &str) -> Result<i32, StreamError> {
        Ok(self.0.describe(topic)?.map_or(0, |found| found.partitions))
    }

    async fn ask<T, F>(&self, topic: &str, question: F) -> Result<T, ChainError>
    where
        T: Send + 'static,
        F: FnOnce(&Admin) -> Result<T, StreamError> + Send + 'static,
    {
        let admin = self.0.clone();
        let failed = |why: String| ChainError::Log { topic: topic.to_owned(), why };
        let answer = tokio::task::spawn_blocking(move || question(&admin)).await;
        answer.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }
}

impl Log for Broker {
    async fn topic_id(&self, topic: &str) -> Result<String, ChainError> {
        let name = topic.to_owned();
        let Some(found) = self.ask(topic, move |admin| admin.describe(&name)).await? else {
            return Err(ChainError::Log { topic: topic.to_owned(), why: "there is no such topic now".to_owned() });
        };
        if found.topic_id.is_zero() {
            return Err(ChainError::NoTopicIds { topic: topic.to_owned() });
        }
        Ok(found.topic_id.to_string())
    }

    async fn watermarks(&self, source: &Source) -> Result<(i64, i64), ChainError> {
        let (topic, partition) = (source.topic.clone(), source.partition);
        // The true end, which includes open transactions: nothing of ours can lie beyond it.
        self.ask(&source.topic, move |admin| admin.watermarks_of(&topic, partition)).await
    }
}
