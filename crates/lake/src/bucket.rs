//! What the lake needs of an object store, and nothing more.
//!
//! The exactly-once protocol stands on two properties of it: [`Bucket::put_new`] lets exactly one of any number of
//! writers create a key, for ever, and [`Bucket::list`] and [`Bucket::get`] see every write that was answered.
//! There is no delete and no overwrite: nothing that writes the lake may ever use one ([`crate::expire`] has its own).

use std::collections::BTreeMap;
use std::future::Future;

use bytes::Bytes;

#[cfg(test)]
mod dying;
mod error;
mod memory;

#[cfg(test)]
pub(crate) use dying::Dying;
pub use error::{BucketError, Trouble};
pub use memory::Memory;

/// What is stored under one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    pub body: Bytes,
    pub content_type: &'static str,
    /// Small facts that [`Bucket::head`] gives without the body.
    pub metadata: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    Created,
    /// Somebody was first: another writer, or this one before an answer was lost.
    Exists,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub size_bytes: u64,
    pub metadata: BTreeMap<String, String>,
}

pub trait Bucket: Clone + Send + Sync + 'static {
    /// Creates the object if, and only if, the key is free.
    fn put_new(&self, key: &str, object: Object) -> impl Future<Output = Result<Put, BucketError>> + Send;

    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Bytes>, BucketError>> + Send;

    fn head(&self, key: &str) -> impl Future<Output = Result<Option<Head>, BucketError>> + Send;

    /// Up to `max` keys (at most 1000) that begin with `prefix` and come after `after`, in order.
    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        max: usize,
    ) -> impl Future<Output = Result<Vec<String>, BucketError>> + Send;

    /// How messages name this store: bucket and endpoint.
    fn name(&self) -> String;
}

/// Every key with this prefix, page by page.
pub async fn list_all<B: Bucket>(bucket: &B, prefix: &str) -> Result<Vec<String>, BucketError> {
    const PAGE: usize = 1000;
    let mut keys: Vec<String> = Vec::new();
    loop {
        let page = bucket.list(prefix, keys.last().map(String::as_str), PAGE).await?;
        let full = page.len() == PAGE;
        keys.extend(page);
        if !full {
            return Ok(keys);
        }
    }
}
