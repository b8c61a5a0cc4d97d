//! Where the lake is and how to get in.

use harness::{Duration, Secret};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct S3Config {
    /// URL of an S3-compatible store, such as `http://127.0.0.1:9000`. Empty: AWS itself, by region.
    pub endpoint: String,
    pub region: String,
    pub bucket: String,
    /// What every key begins with; the lake may share its bucket.
    pub prefix: String,
    /// `http://host/bucket/key` instead of `http://bucket.host/key`. Most stores other than AWS need it.
    pub path_style: bool,
    /// Empty: what the AWS tools would use (environment, profile, web identity of the pod, instance role).
    pub access_key: String,
    pub secret_key: Secret,
    /// Taken by STS with those keys, and used in their place.
    pub role_arn: String,
    pub external_id: String,
    pub encryption: Encryption,
    /// Of KMS; empty: the account's own.
    pub kms_key: String,
    /// The bucket's owner has others pay for requests.
    pub request_payer: bool,
    /// How long one attempt of one request may take.
    pub timeout: Duration,
}

/// What the store is asked to encrypt an object with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encryption {
    /// Whatever the bucket does by itself.
    #[default]
    None,
    #[serde(rename = "sse-s3")]
    SseS3,
    SseKms,
}

/// What the keys under `s3` mean, for [`harness::Config::DOCS`] of every service that has them.
pub const S3_DOCS: &[(&str, &str)] = &[
    ("s3.endpoint", "URL of an S3-compatible store, such as http://127.0.0.1:9000. Empty: AWS itself, by region."),
    ("s3.region", "Region of the bucket. Stores other than AWS mostly take any."),
    ("s3.bucket", "The bucket. It must exist."),
    ("s3.prefix", "What every key begins with, so that the lake may share its bucket."),
    ("s3.path_style", "http://host/bucket/key instead of http://bucket.host/key. Most stores other than AWS need it."),
    (
        "s3.access_key",
        "Empty: as the AWS tools find it (environment, profile, web identity of the pod, instance role).",
    ),
    ("s3.secret_key", "Goes with s3.access_key; or secret_key_file."),
    (
        "s3.role_arn",
        "A role that is taken by STS (AssumeRole) with the keys found above, for the requests to the store. Empty: none.",
    ),
    ("s3.external_id", "What the trust policy of s3.role_arn asks for, if anything."),
    (
        "s3.encryption",
        "What the store is asked to encrypt objects with: none (whatever the bucket does), sse-s3, sse-kms.",
    ),
    ("s3.kms_key", "ID or ARN of the key for sse-kms. Empty: the account's key for S3."),
    ("s3.request_payer", "Says with every request that the caller pays for it, as buckets with requester pays want."),
    ("s3.timeout", "How long one attempt of one request may take."),
];

impl Default for S3Config {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            region: "us-east-1".to_owned(),
            bucket: "finflow".to_owned(),
            prefix: String::new(),
            path_style: true,
            access_key: String::new(),
            secret_key: Secret::default(),
            role_arn: String::new(),
            external_id: String::new(),
            encryption: Encryption::None,
            kms_key: String::new(),
            request_payer: false,
            timeout: Duration::from_secs(30),
        }
    }
}

impl S3Config {
    pub fn validate(&self) -> Result<(), String> {
        let endpoint = self.endpoint.as_str();
        if !endpoint.is_empty() && !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            return Err(format!("s3.endpoint `{endpoint}` must begin with http:// or https://"));
        }
        if self.bucket.is_empty() || self.bucket.contains('/') {
            return Err(format!("s3.bucket `{}` must be the bare name of a bucket", self.bucket));
        }
        if self.access_key.is_empty() != self.secret_key.is_empty() {
            return Err("s3.access_key and s3.secret_key go together: set both or neither".to_owned());
        }
        if !self.kms_key.is_empty() && self.encryption != Encryption::SseKms {
            return Err("s3.kms_key is for s3.encryption `sse-kms` alone: set that, or no key".to_owned());
        }
        if !self.role_arn.is_empty() && !self.role_arn.starts_with("arn:") {
            return Err(format!(
                "s3.role_arn `{}` must be a whole ARN, such as arn:aws:iam::123456789012:role/lake",
                self.role_arn
            ));
        }
        if !self.external_id.is_empty() && self.role_arn.is_empty() {
            return Err("s3.external_id is for the taking of s3.role_arn: set both, or no external_id".to_owned());
        }
        if self.timeout.is_zero() {
            return Err("s3.timeout must be longer than nothing".to_owned());
        }
        Ok(())
    }
}
