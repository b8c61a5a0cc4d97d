//! The few requests to Glue that are needed, as signed JSON.
//!
//! The SDK's own client for Glue has some three hundred operations and takes minutes to compile; the protocol of the
//! dozen used here is a POST of JSON with the name of the action in a header.

use std::future::Future;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use harness::{Clock, SystemClock};
use serde_json::Value;
use thiserror::Error;

use crate::config::S3Config;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("glue {action} at {place}: {why}{}", hint(code))]
pub struct GlueError {
    pub action: String,
    pub place: String,
    /// The name of the error, such as `EntityNotFoundException`; empty where there was no answer.
    pub code: String,
    pub why: String,
}

impl GlueError {
    pub fn is_not_found(&self) -> bool {
        self.code == "EntityNotFoundException"
    }

    fn may_pass(&self) -> bool {
        ["", "ThrottlingException", "OperationTimeoutException", "InternalServiceException"].contains(&&*self.code)
    }
}

fn hint(code: &str) -> &'static str {
    match code {
        "AccessDeniedException" => "; the role needs this action on the catalog, the database and its tables",
        "ConcurrentModificationException" | "VersionMismatchException" => {
            "; somebody else changed the table meanwhile: run it again"
        }
        "UnrecognizedClientException" | "InvalidSignatureException" => "; check the access key and its secret",
        _ => "",
    }
}

pub trait Glue: Sync {
    fn call(&self, action: &'static str, body: Value) -> impl Future<Output = Result<Value, GlueError>> + Send;
}

/// Glue of AWS, or what stands in for it.
pub struct GlueService {
    connector: Connector,
    credentials: Option<SharedCredentialsProvider>,
    region: String,
    endpoint: String,
}

/// How often a request that may pass is sent, and the pause after the first.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

impl GlueService {
    /// With the keys and the region of the lake. `endpoint`: empty for AWS.
    pub async fn connect(config: &S3Config, endpoint: &str) -> Self {
        let shared = crate::s3::shared_config(config).await;
        let region = config.region.clone();
        let endpoint =
            if endpoint.is_empty() { format!("https://glue.{region}.amazonaws.com") } else { endpoint.to_owned() };
        let builder = Connector::builder();
        let connector = if endpoint.starts_with("http://") {
            builder.build_http()
        } else {
            builder.tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build()
        };
        let endpoint = format!("{}/", endpoint.trim_end_matches('/'));
        Self { connector, credentials: shared.credentials_provider(), region, endpoint }
    }

    async fn attempt(&self, action: &'static str, body: &[u8]) -> Result<Value, GlueError> {
        let fail = |code: &str, why: String| GlueError {
            action: action.to_owned(),
            place: self.endpoint.clone(),
            code: code.to_owned(),
            why,
        };
        let broken = |why: String| fail("", why);
        let request = self.signed(action, body).await.map_err(|why| fail("Unsigned", why))?;
        let response = self.connector.call(request).await.map_err(|error| broken(format!("no answer: {error:?}")))?;
        let status = response.status().as_u16();
        let body = ByteStream::new(response.into_body()).collect().await;
        let body = body.map_err(|error| broken(format!("the answer broke off: {error}")))?.into_bytes();
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status == 200 {
            return Ok(answer);
        }
        let code = answer["__type"].as_str().unwrap_or_default().rsplit('#').next().unwrap_or_default();
        let said = ["message", "Message"].iter().find_map(|name| answer[*name].as_str());
        let why = said.map_or_else(|| format!("status {status}"), |said| format!("{code}: {said}"));
        // An answer that is no error of Glue's own, such as a proxy's: worth another try where it is the server's fault.
        Err(fail(if code.is_empty() && status < 500 { "Unknown" } else { code }, why))
    }

    async fn signed(&self, action: &str, body: &[u8]) -> Result<HttpRequest, String> {
        let target = format!("AWSGlue.{action}");
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        let mut request = HttpRequest::new(SdkBody::from(body.to_vec()));
        request.set_method("POST").map_err(|error| error.to_string())?;
        request.set_uri(self.endpoint.as_str()).map_err(|error| format!("{}: {error}", self.endpoint))?;
        headers.iter().for_each(|(name, value)| drop(request.headers_mut().insert(*name, (*value).to_owned())));
        let provider = self.credentials.as_ref().ok_or("no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")?;
        let credentials = provider.provide_credentials().await.map_err(|error| format!("find the keys: {error}"))?;
        let identity = credentials.into();
        let now = UNIX_EPOCH + Duration::from_nanos(SystemClock.now_ns().unsigned_abs());
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("glue")
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let signable =
            SignableRequest::new("POST", self.endpoint.as_str(), headers.into_iter(), SignableBody::Bytes(body));
        let signed = sign(signable.map_err(|error| error.to_string())?, &params).map_err(|error| error.to_string())?;
        for (name, value) in signed.output().headers() {
            request.headers_mut().insert(name.to_owned(), value.to_owned());
        }
        Ok(request)
    }
}

impl Glue for GlueService {
    async fn call(&self, action: &'static str, body: Value) -> Result<Value, GlueError> {
        let body = body.to_string();
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.attempt(action, body.as_bytes()).await {
                Err(error) if error.may_pass() => tracing::warn!(%error, "asking again"),
                done => return done,
            }
            tokio::time::sleep(pause.mul_f64(fastrand::f64().mul_add(0.5, 0.5))).await;
            pause *= 2;
        }
        self.attempt(action, body.as_bytes()).await
    }
}
