//! Requests to services of AWS that speak JSON, such as Glue and Athena.
//!
//! The SDK's own clients of those have hundreds of operations and take minutes to compile; the protocol of the few used here
//! is a signed POST of JSON with the name of the action in a header.

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

/// Which service is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// In its host's name and in signatures.
    pub name: &'static str,
    /// What the header puts before the name of an action.
    pub target: &'static str,
}

pub const GLUE: Service = Service { name: "glue", target: "AWSGlue" };
pub const ATHENA: Service = Service { name: "athena", target: "AmazonAthena" };

#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{service} {action} at {place}: {why}{}", hint(service, code))]
pub struct AwsError {
    pub service: &'static str,
    pub action: String,
    pub place: String,
    /// The name of the error, such as `EntityNotFoundException`; empty where there was no answer.
    pub code: String,
    pub why: String,
}

/// What may be gone when the same request is sent again; an empty code is no answer at all.
const PASSING: &[&str] = &[
    "",
    "ThrottlingException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "OperationTimeoutException",
    "InternalServiceException",
    "InternalServerException",
];

impl AwsError {
    pub fn is_not_found(&self) -> bool {
        self.code == "EntityNotFoundException"
    }

    fn may_pass(&self) -> bool {
        PASSING.contains(&&*self.code)
    }
}

fn hint(service: &str, code: &str) -> &'static str {
    match (service, code) {
        ("glue", "EntityNotFoundException") => "; `finflow catalog apply` creates the tables",
        ("glue", "AccessDeniedException") => "; the role needs this action on the catalog, the database and its tables",
        (_, "AccessDeniedException") => "; the role needs this action, and those on the catalog and the buckets",
        (_, "ConcurrentModificationException" | "VersionMismatchException") => {
            "; somebody else changed the table meanwhile: run it again"
        }
        (_, "UnrecognizedClientException" | "InvalidSignatureException") => "; check the access key and its secret",
        _ => "",
    }
}

/// A service of AWS, or what stands in for it.
pub struct Aws {
    service: Service,
    connector: Connector,
    credentials: Option<SharedCredentialsProvider>,
    region: String,
    endpoint: String,
    timeout: Duration,
}

/// How often a request that may pass is sent, and the pause after the first.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

impl Aws {
    /// With the keys, the region and the patience of the lake. `endpoint`: empty for AWS.
    pub async fn connect(service: Service, config: &S3Config, endpoint: &str) -> Self {
        let shared = crate::s3::shared_config(config).await;
        let region = config.region.clone();
        let own = || format!("https://{}.{region}.amazonaws.com", service.name);
        let endpoint = if endpoint.is_empty() { own() } else { endpoint.to_owned() };
        let builder = Connector::builder();
        let connector = if endpoint.starts_with("http://") {
            builder.build_http()
        } else {
            builder.tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build()
        };
        let endpoint = format!("{}/", endpoint.trim_end_matches('/'));
        let credentials = shared.credentials_provider();
        Self { service, connector, credentials, region, endpoint, timeout: *config.timeout }
    }

    /// Sends a request, and again after a pause that grows where that may help. An action that must not happen twice needs a
    /// token of its own in the body, as the service asks for it.
    pub async fn call(&self, action: &str, body: Value) -> Result<Value, AwsError> {
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

    async fn attempt(&self, action: &str, body: &[u8]) -> Result<Value, AwsError> {
        let fail = |code: &str, why: String| AwsError {
            service: self.service.name,
            action: action.to_owned(),
            place: self.endpoint.clone(),
            code: code.to_owned(),
            why,
        };
        let request = self.signed(action, body).await.map_err(|why| fail("Unsigned", why))?;
        let answer = tokio::time::timeout(self.timeout, self.answer(request)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer in {:?}", self.timeout)));
        let (status, body) = answer.map_err(|why| fail("", why))?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status == 200 {
            return Ok(answer);
        }
        let code = answer["__type"].as_str().unwrap_or_default().rsplit('#').next().unwrap_or_default();
        let said = ["message", "Message"].iter().find_map(|name| answer[*name].as_str());
        let why = said.map_or_else(|| format!("status {status} {code}"), |said| format!("{code}: {said}"));
        // An answer that is no error of the service's own, such as a proxy's: worth another try where it is the server's fault.
        Err(fail(if code.is_empty() && status < 500 { "Unknown" } else { code }, why))
    }

    async fn answer(&self, request: HttpRequest) -> Result<(u16, Vec<u8>), String> {
        let response = self.connector.call(request).await.map_err(|error| format!("no answer: {error:?}"))?;
        let status = response.status().as_u16();
        let body = ByteStream::new(response.into_body()).collect().await;
        let body = body.map_err(|error| format!("the answer broke off: {error}"))?;
        Ok((status, body.to_vec()))
    }

    async fn signed(&self, action: &str, body: &[u8]) -> Result<HttpRequest, String> {
        let target = format!("{}.{action}", self.service.target);
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
            .name(self.service.name)
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

/// A name for one request that no other has, of a length that AWS takes.
pub fn token() -> String {
    format!("finflow-{:032x}", fastrand::u128(..))
}
