//! S3, or any store that speaks its language, through the AWS SDK.
//!
//! The SDK repeats a failed request a few times with back-off and jitter. A conditional PUT repeated after its answer
//! was lost finds its own object: the protocol takes that for what it is. Large objects go in parts ([`parts`]).

use std::collections::BTreeMap;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{RequestPayer, ServerSideEncryption};
use bytes::Bytes;

use crate::bucket::{Bucket, BucketError, Head, Object, Put, Trouble};
use crate::config::{Encryption, S3Config};
use crate::layout::Paths;

mod access;
mod delete;
mod error;
mod keys;
mod parts;
mod read;

pub(crate) use access::shared_config;
use error::{Right, partition};
pub use read::Listed;

#[derive(Clone, Debug)]
pub struct S3 {
    client: Client,
    bucket: String,
    /// For the names of resources: what every key begins with, and the part of AWS.
    prefix: String,
    partition: &'static str,
    part_bytes: usize,
    encryption: Option<ServerSideEncryption>,
    kms_key: Option<String>,
    payer: Option<RequestPayer>,
    place: String,
}

impl S3 {
    /// Makes the client. No request is sent: see [`S3::check`].
    pub async fn connect(config: &S3Config) -> Self {
        let shared = shared_config(config).await;
        let mut s3 = aws_sdk_s3::config::Builder::from(&shared)
            .force_path_style(config.path_style)
            // Stores other than AWS know not all of the newer checksums. The body is signed by its SHA-256 anyway.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        // Here and not in what is shared: STS is somewhere else.
        if !config.endpoint.is_empty() {
            s3 = s3.endpoint_url(&config.endpoint);
        }
        let place =
            if config.endpoint.is_empty() { format!("AWS region {}", config.region) } else { config.endpoint.clone() };
        Self {
            client: Client::from_conf(s3.build()),
            bucket: config.bucket.clone(),
            prefix: config.prefix.trim_matches('/').to_owned(),
            partition: partition(&config.region),
            part_bytes: parts::PART_BYTES,
            encryption: match config.encryption {
                Encryption::None => None,
                Encryption::SseS3 => Some(ServerSideEncryption::Aes256),
                Encryption::SseKms => Some(ServerSideEncryption::AwsKms),
            },
            kms_key: Some(config.kms_key.clone()).filter(|key| !key.is_empty()),
            payer: config.request_payer.then_some(RequestPayer::Requester),
            place,
        }
    }

    /// Parts of another size, for tests; no store takes less than 5 MiB.
    #[doc(hidden)]
    #[must_use]
    pub fn with_part_bytes(self, part_bytes: usize) -> Self {
        Self { part_bytes, ..self }
    }

    /// Proves that the bucket can be listed and written, and that the store refuses to overwrite when asked to:
    /// on one that ignores `If-None-Match` nothing here would be exactly once.
    pub async fn check(&self, paths: &Paths) -> Result<(), BucketError> {
        let key = paths.probe();
        // The place in a chain is found by listing. It also tells of a missing bucket, which some stores make by a PUT.
        self.list(&key, None, 1).await?;
        let probe = || Object {
            body: Bytes::from_static(b"Finflow writes this twice to see the second write refused.\n"),
            content_type: "text/plain",
            ..Object::default()
        };
        // Two attempts, whatever the first found: the object of an earlier run is as good as one of now.
        for _ in 0..2 {
            if self.put_new(&key, probe()).await? == Put::Exists {
                return self.check_parts(&key, probe()).await;
            }
        }
        Err(BucketError {
            trouble: Trouble::NotS3,
            action: format!("write {} twice with If-None-Match", self.url(&key)),
            why: "the second write overwrote the first: this store ignores the condition, and two writers would \
                  overwrite each other; use a store that honours it (AWS S3, MinIO)"
                .to_owned(),
        })
    }

    fn url(&self, key: &str) -> String {
        format!("s3://{}/{key} at {}", self.bucket, self.place)
    }
}

impl Bucket for S3 {
    async fn put_new(&self, key: &str, object: Object) -> Result<Put, BucketError> {
        if object.body.len() > self.part_bytes {
            return self.put_parts(key, object).await;
        }
        let metadata = object.metadata.into_iter().collect();
        let request = self.client.put_object().bucket(&self.bucket).key(key).if_none_match("*");
        let request = request.content_type(object.content_type).set_metadata(Some(metadata));
        let request = request.set_server_side_encryption(self.encryption.clone());
        let request = request.set_ssekms_key_id(self.kms_key.clone()).set_request_payer(self.payer.clone());
        match request.body(ByteStream::from(object.body)).send().await {
            Ok(_) => Ok(Put::Created),
            Err(error) if status(&error) == Some(412) => Ok(Put::Exists),
            Err(error) => Err(self.failed("put", key, Right::Put, &error)),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, BucketError> {
        let action = || format!("get {}", self.url(key));
        let request = self.client.get_object().bucket(&self.bucket).key(key).set_request_payer(self.payer.clone());
        let object = match request.send().await {
            Ok(object) => object,
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => return Ok(None),
            Err(error) => return Err(self.failed("get", key, Right::Get, &error)),
        };
        body(object.body, action).await.map(Some)
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, BucketError> {
        let request = self.client.head_object().bucket(&self.bucket).key(key).set_request_payer(self.payer.clone());
        match request.send().await {
            Ok(head) => Ok(Some(Head {
                size_bytes: head.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
                metadata: head.metadata.unwrap_or_default().into_iter().collect::<BTreeMap<_, _>>(),
            })),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(self.failed("head", key, Right::Get, &error)),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>, max: usize) -> Result<Vec<String>, BucketError> {
        let max = i32::try_from(max.min(1000)).expect("1000 fits");
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).max_keys(max);
        let request = request.set_start_after(after.map(str::to_owned)).set_request_payer(self.payer.clone());
        match request.send().await {
            Ok(page) => Ok(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect()),
            Err(error) => Err(self.failed("list", prefix, Right::List, &error)),
        }
    }

    fn name(&self) -> String {
        self.url("")
    }
}

async fn body(stream: ByteStream, action: impl Fn() -> String) -> Result<Bytes, BucketError> {
    let body = stream.collect().await.map_err(|error| BucketError {
        trouble: Trouble::Unreachable,
        action: action(),
        why: format!("the answer broke off: {error}"),
    })?;
    Ok(body.into_bytes())
}

fn status<E>(error: &aws_sdk_s3::error::SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}
