//! The few requests to Glue that are needed.

use std::future::Future;

use serde_json::Value;

use crate::aws::{Aws, AwsError, GLUE};
use crate::config::S3Config;

pub trait Glue: Sync {
    fn call(&self, action: &'static str, body: Value) -> impl Future<Output = Result<Value, AwsError>> + Send;
}

/// Glue of AWS, or what stands in for it.
pub struct GlueService(Aws);

impl GlueService {
    /// With the keys and the region of the lake. `endpoint`: empty for AWS.
    pub async fn connect(config: &S3Config, endpoint: &str) -> Self {
        Self(Aws::connect(GLUE, config, endpoint).await)
    }
}

impl Glue for GlueService {
    async fn call(&self, action: &'static str, body: Value) -> Result<Value, AwsError> {
        self.0.call(action, body).await
    }
}
