//! A store in memory, for tests. It is as consistent as S3 promises to be.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Bucket, BucketError, Head, Object, Put};

/// Clones share the content.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<BTreeMap<String, Object>>>);

impl Memory {
    pub fn objects(&self) -> BTreeMap<String, Object> {
        self.lock().clone()
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// What the protocol must survive others doing to the claims' view of the world, in tests of `verify`.
    pub fn remove(&self, key: &str) -> Option<Object> {
        self.lock().remove(key)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Object>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl crate::expire::Delete for Memory {
    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.remove(key);
        Ok(())
    }
}

impl Bucket for Memory {
    async fn put_new(&self, key: &str, object: Object) -> Result<Put, BucketError> {
        let mut objects = self.lock();
        if objects.contains_key(key) {
            return Ok(Put::Exists);
        }
        objects.insert(key.to_owned(), object);
        Ok(Put::Created)
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, BucketError> {
        Ok(self.lock().get(key).map(|object| object.body.clone()))
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, BucketError> {
        let head = |object: &Object| Head { size_bytes: object.body.len() as u64, metadata: object.metadata.clone() };
        Ok(self.lock().get(key).map(head))
    }

    async fn list(&self, prefix: &str, after: Option<&str>, max: usize) -> Result<Vec<String>, BucketError> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let objects = self.lock();
        let keys = objects.range::<str, _>((from, Bound::Unbounded)).map(|(key, _)| key.clone());
        Ok(keys.take_while(|key| key.starts_with(prefix)).take(max).collect())
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }
}
