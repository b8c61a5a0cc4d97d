//! The objects of the lake as the engine wants them, read only.
//!
//! What is listed is listed once, before the query is planned: all parts of one query see the same objects, and their
//! sizes are known before any is opened. Objects never change, so what was listed is what is read.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::place::Place;

const STORE: &str = "the lake";

#[derive(Debug)]
pub(crate) struct Objects {
    place: Place,
    listed: Mutex<BTreeMap<Path, ObjectMeta>>,
    read_bytes: AtomicU64,
}

impl Objects {
    pub(crate) fn new(place: Place) -> Self {
        Self { place, listed: Mutex::default(), read_bytes: AtomicU64::new(0) }
    }

    /// Lists a folder, such as that of a table, and gives what is in it.
    pub(crate) async fn list_folder(&self, folder: &str) -> anyhow::Result<Vec<ObjectMeta>> {
        let found = self.place.list(folder).await?;
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.extend(found.iter().map(|object| (object.location.clone(), object.clone())));
        Ok(found)
    }

    /// Bytes of objects read so far.
    pub(crate) fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }

    fn meta(&self, location: &Path) -> Result<ObjectMeta> {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.get(location).cloned().ok_or_else(|| not_found(location, "it was not listed"))
    }

    fn below(&self, prefix: Option<&Path>) -> Vec<Result<ObjectMeta>> {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_below = |object: &&ObjectMeta| prefix.is_none_or(|prefix| object.location.prefix_matches(prefix));
        listed.values().filter(is_below).cloned().map(Ok).collect()
    }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let meta = self.meta(location)?;
        let range = match &options.range {
            Some(range) => range.as_range(meta.size).map_err(|error| generic(error.into()))?,
            None => 0..meta.size,
        };
        let head = options.head;
        let result = match &self.place {
            Place::Folder(files) => files.get_opts(location, options).await?,
            Place::S3(_) if head => result(meta, range.clone(), Bytes::new()),
            Place::S3(s3) => {
                let found =
                    s3.get_range(location.as_ref(), range.clone()).await.map_err(|error| generic(error.into()))?;
                let bytes = found.ok_or_else(|| not_found(location, "it was listed, and is gone"))?;
                result(meta, range.clone(), bytes)
            }
        };
        if !head {
            self.read_bytes.fetch_add(range.end - range.start, Ordering::Relaxed);
        }
        Ok(result)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::iter(self.below(prefix)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let depth = prefix.map_or(0, |prefix| prefix.parts().count());
        let mut found = ListResult { common_prefixes: Vec::new(), objects: Vec::new() };
        for object in self.below(prefix) {
            let object = object?;
            if object.location.parts().count() == depth + 1 {
                found.objects.push(object);
            } else {
                let folder: Path = object.location.parts().take(depth + 1).collect();
                // What is listed is in order.
                if found.common_prefixes.last() != Some(&folder) {
                    found.common_prefixes.push(folder);
                }
            }
        }
        Ok(found)
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(read_only())
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only())
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::iter([Err(read_only())]).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(read_only())
    }
}

impl fmt::Display for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STORE)
    }
}

fn result(meta: ObjectMeta, range: Range<u64>, bytes: Bytes) -> GetResult {
    let payload = GetResultPayload::Stream(stream::iter([Ok(bytes)]).boxed());
    GetResult { payload, meta, range, attributes: Default::default() }
}

fn generic(source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Generic { store: STORE, source }
}

fn not_found(location: &Path, why: &str) -> Error {
    Error::NotFound { path: location.to_string(), source: why.into() }
}

fn read_only() -> Error {
    generic("queries only read".into())
}
