//! Large objects, uploaded in parts.
//!
//! Nothing is visible before the last request, and that one carries the condition: it is to an upload in parts what the
//! PUT is to a small object. Whoever is killed before it leaves parts that nobody sees; a lifecycle rule ends them.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tracing::warn;

use super::{Right, S3};
use crate::bucket::{Bucket, BucketError, Object, Put, Trouble};

/// Larger objects go in parts of this size. S3 takes none below 5 MiB but the last, and at most 10,000 of them.
pub(super) const PART_BYTES: usize = 16 << 20;
/// Parts of one object on their way at once.
const PARALLEL: usize = 4;

impl S3 {
    /// As [`Bucket::put_new`].
    pub(super) async fn put_parts(&self, key: &str, object: Object) -> Result<Put, BucketError> {
        let metadata = object.metadata.into_iter().collect();
        let request = self.client.create_multipart_upload().bucket(&self.bucket).key(key);
        let request = request.content_type(object.content_type).set_metadata(Some(metadata));
        // The parts and the completion inherit the encryption.
        let request = request.set_server_side_encryption(self.encryption.clone());
        let request = request.set_ssekms_key_id(self.kms_key.clone()).set_request_payer(self.payer.clone());
        let begun = request.send().await;
        let begun = begun.map_err(|error| self.failed("begin the upload of", key, Right::Put, &error))?;
        let upload = begun.upload_id.unwrap_or_default();
        let put = self.finish_parts(key, &upload, &object.body).await;
        if !matches!(put, Ok(Put::Created)) {
            self.abort(key, &upload).await;
        }
        put
    }

    async fn finish_parts(&self, key: &str, upload: &str, body: &Bytes) -> Result<Put, BucketError> {
        let chunks = (0..body.len()).step_by(self.part_bytes);
        let chunks = chunks.map(|at| body.slice(at..body.len().min(at + self.part_bytes)));
        let parts = stream::iter((1..).zip(chunks)).map(|(number, chunk)| self.part(key, upload, number, chunk));
        let parts = parts.buffered(PARALLEL).try_collect().await?;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.client.complete_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload);
        let request = request.set_request_payer(self.payer.clone());
        match request.multipart_upload(parts).if_none_match("*").send().await {
            Ok(_) => Ok(Put::Created),
            Err(error) if exists(&error) => Ok(Put::Exists),
            Err(error) => {
                // The upload is gone once it is complete: a repetition after a lost answer fails in one of many ways,
                // and only a look tells.
                if let Ok(Some(_)) = self.head(key).await {
                    return Ok(Put::Exists);
                }
                Err(self.failed("complete the upload of", key, Right::Put, &error))
            }
        }
    }

    async fn part(&self, key: &str, upload: &str, number: i32, body: Bytes) -> Result<CompletedPart, BucketError> {
        let request = self.client.upload_part().bucket(&self.bucket).key(key).upload_id(upload).part_number(number);
        let request = request.set_request_payer(self.payer.clone());
        match request.body(ByteStream::from(body)).send().await {
            Ok(part) => Ok(CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build()),
            Err(error) => Err(self.failed(&format!("put part {number} of"), key, Right::Put, &error)),
        }
    }

    /// Parts that stay cost money and harm nobody, so a failure is only told.
    async fn abort(&self, key: &str, upload: &str) {
        let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload);
        match request.set_request_payer(self.payer.clone()).send().await {
            Ok(_) => {}
            Err(error) if super::status(&error) == Some(404) => {}
            Err(error) => {
                let error = self.failed("abort the upload of", key, Right::Abort, &error);
                warn!(%error, "parts of an object stay until a lifecycle rule ends the upload");
            }
        }
    }

    /// Proves that the completion of an upload is refused where there is an object: this key has one.
    pub(super) async fn check_parts(&self, key: &str, object: Object) -> Result<(), BucketError> {
        match self.put_parts(key, object).await? {
            Put::Exists => Ok(()),
            Put::Created => Err(BucketError {
                trouble: Trouble::NotS3,
                action: format!("upload {} in parts, completed with If-None-Match", self.url(key)),
                why: "the object that was there was overwritten: this store ignores the condition on \
                      CompleteMultipartUpload, and two writers would overwrite each other; use a store that honours it \
                      (AWS S3, MinIO)"
                    .to_owned(),
            }),
        }
    }
}

/// The answer to a completion may begin before its outcome is known: the error is in the body of a success then.
fn exists<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    super::status(error) == Some(412) || error.code() == Some("PreconditionFailed")
}
