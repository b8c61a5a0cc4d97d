//! What an engine that reads tables needs beyond [`Bucket`](crate::Bucket): sizes in a listing, and parts of objects.

use std::ops::Range;

use bytes::Bytes;

use super::{Right, S3, body};
use crate::bucket::BucketError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub size_bytes: u64,
}

impl S3 {
    /// Every object whose key begins with `prefix`, in order.
    pub async fn list_sized(&self, prefix: &str) -> Result<Vec<Listed>, BucketError> {
        let mut all: Vec<Listed> = Vec::new();
        loop {
            let after = all.last().map(|last| last.key.clone());
            let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).set_start_after(after);
            let request = request.set_request_payer(self.payer.clone());
            let page = request.send().await.map_err(|error| self.failed("list", prefix, Right::List, &error))?;
            let more = page.is_truncated == Some(true);
            let objects = page.contents.unwrap_or_default().into_iter();
            all.extend(objects.filter_map(|object| {
                let size_bytes = object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
                Some(Listed { key: object.key?, size_bytes })
            }));
            if !more {
                return Ok(all);
            }
        }
    }

    /// A part of an object, which must lie within it.
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, BucketError> {
        let verb = format!("get bytes {}-{} of", range.start, range.end);
        // In HTTP both ends are inclusive.
        let header = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let request = self.client.get_object().bucket(&self.bucket).key(key).range(header);
        match request.set_request_payer(self.payer.clone()).send().await {
            Ok(object) => body(object.body, || format!("{verb} {}", self.url(key))).await.map(Some),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => Ok(None),
            Err(error) => Err(self.failed(&verb, key, Right::Get, &error)),
        }
    }
}
