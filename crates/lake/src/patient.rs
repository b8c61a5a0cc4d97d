//! A store that is asked again until it answers.
//!
//! Once records are in memory there is nothing better to do with an error of the store than to wait: giving up would
//! lose nothing (the records are in Kafka) and gain nothing. So every error is retried with growing pauses and jitter,
//! also those that a person must mend; they are told to the [`Watcher`]. Dropping the future ends the waiting.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use crate::bucket::{Bucket, BucketError, Head, Object, Put};

/// Hears how the store does.
pub trait Watcher: Clone + Send + Sync + 'static {
    fn failed(&self, error: &BucketError);
    fn succeeded(&self);
}

#[derive(Clone)]
pub struct Patient<B, W> {
    bucket: B,
    watcher: W,
}

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

impl<B: Bucket, W: Watcher> Patient<B, W> {
    pub fn new(bucket: B, watcher: W) -> Self {
        Self { bucket, watcher }
    }

    async fn until_done<T, F>(&self, mut attempt: impl FnMut() -> F) -> T
    where
        F: Future<Output = Result<T, BucketError>>,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            match attempt().await {
                Ok(done) => {
                    self.watcher.succeeded();
                    return done;
                }
                Err(error) => self.watcher.failed(&error),
            }
            // Half of it random: many writers that lost the store together must not come back together.
            tokio::time::sleep(pause.mul_f64(fastrand::f64().mul_add(0.5, 0.5))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl<B: Bucket, W: Watcher> Bucket for Patient<B, W> {
    async fn put_new(&self, key: &str, object: Object) -> Result<Put, BucketError> {
        Ok(self.until_done(|| self.bucket.put_new(key, object.clone())).await)
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, BucketError> {
        Ok(self.until_done(|| self.bucket.get(key)).await)
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, BucketError> {
        Ok(self.until_done(|| self.bucket.head(key)).await)
    }

    async fn list(&self, prefix: &str, after: Option<&str>, max: usize) -> Result<Vec<String>, BucketError> {
        Ok(self.until_done(|| self.bucket.list(prefix, after, max)).await)
    }

    fn name(&self) -> String {
        self.bucket.name()
    }
}
