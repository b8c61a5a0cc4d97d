//! A store that fails, or lets others go first, for tests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::{Bucket, BucketError, Head, Memory, Object, Put, Trouble};
use crate::expire::Delete;

/// Answers so many requests, and no more.
#[derive(Clone)]
pub(crate) struct Dying {
    pub(crate) bucket: Memory,
    left: Arc<AtomicUsize>,
    /// Before each request others get a few turns.
    turns: Option<Arc<Mutex<fastrand::Rng>>>,
}

impl Dying {
    pub(crate) fn after(bucket: Memory, requests: usize) -> Self {
        Self { bucket, left: Arc::new(AtomicUsize::new(requests)), turns: None }
    }

    pub(crate) fn never(bucket: Memory, seed: u64) -> Self {
        let turns = Some(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))));
        Self { bucket, left: Arc::new(AtomicUsize::new(usize::MAX)), turns }
    }

    async fn ask(&self) -> Result<(), BucketError> {
        let draw = |turns: &Arc<Mutex<fastrand::Rng>>| turns.lock().unwrap_or_else(PoisonError::into_inner).u8(0..5);
        for _ in 0..self.turns.as_ref().map_or(0, draw) {
            tokio::task::yield_now().await;
        }
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        let (action, why) = ("ask".to_owned(), "killed".to_owned());
        left.map(drop).map_err(|_| BucketError { trouble: Trouble::Unreachable, action, why })
    }
}

impl Bucket for Dying {
    async fn put_new(&self, key: &str, object: Object) -> Result<Put, BucketError> {
        self.ask().await?;
        self.bucket.put_new(key, object).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, BucketError> {
        self.ask().await?;
        self.bucket.get(key).await
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, BucketError> {
        self.ask().await?;
        self.bucket.head(key).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, max: usize) -> Result<Vec<String>, BucketError> {
        self.ask().await?;
        self.bucket.list(prefix, after, max).await
    }

    fn name(&self) -> String {
        self.bucket.name()
    }
}

impl Delete for Dying {
    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.ask().await?;
        self.bucket.delete(key).await
    }
}
