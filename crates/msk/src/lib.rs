//! Tokens with which a role of AWS IAM proves itself to Amazon MSK (SASL OAUTHBEARER).
//!
//! In: a region, and the keys that the AWS SDK finds (environment, profile, web identity of a service account, container, instance).
//! Out: a [`Token`]: the address of a request that asks MSK to connect, signed in its query, in base64 for URLs.
//! Source of the form: <https://github.com/aws/aws-msk-iam-sasl-signer-python> and the signing of
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html>.
//!
//! **Invariant:** a token is as good as a password while it lasts: nothing here prints or logs one.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningError, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, tls};

/// How long a token is good for; MSK allows no more.
pub const LIFETIME: Duration = Duration::from_secs(900);

/// Proof of who asks, for [`LIFETIME`] at most.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub value: String,
    /// From then on MSK refuses it.
    pub expires: SystemTime,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum MskError {
    #[error("no AWS region: set kafka.security.region or AWS_REGION")]
    NoRegion,
    #[error(
        "no AWS credentials: give the pod a role (IRSA, Pod Identity) or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    NoProvider,
    #[error("AWS gives no credentials: {0}")]
    Credentials(String),
    #[error("a token for MSK cannot be signed: {0}")]
    Signing(String),
}

impl From<SigningError> for MskError {
    fn from(error: SigningError) -> Self {
        MskError::Signing(error.to_string())
    }
}

/// Who signs: where, and as whom.
pub struct Signer {
    region: String,
    provider: SharedCredentialsProvider,
}

impl Signer {
    pub fn new(region: &str, provider: SharedCredentialsProvider) -> Self {
        Self { region: region.to_owned(), provider }
    }

    /// As the AWS SDK finds region and keys; `region` wins where it is not empty.
    ///
    /// # Errors
    /// If there is no region, or nobody who could give keys.
    pub async fn of_environment(region: &str) -> Result<Self, MskError> {
        let client = Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(client);
        if !region.is_empty() {
            loader = loader.region(Region::new(region.to_owned()));
        }
        let config = loader.load().await;
        let region = config.region().ok_or(MskError::NoRegion)?.to_string();
        let provider = config.credentials_provider().ok_or(MskError::NoProvider)?;
        Ok(Self { region, provider })
    }

    /// A token that is good from `now` on.
    ///
    /// # Errors
    /// If no keys are given: worth another try later.
    pub async fn token(&self, now: SystemTime) -> Result<Token, MskError> {
        let credentials = self.provider.provide_credentials().await;
        let credentials = credentials.map_err(|error| MskError::Credentials(chain(&error)))?;
        // Keys of a role may end before the token would.
        let expires = credentials.expiry().map_or(now + LIFETIME, |end| end.min(now + LIFETIME));
        let url = self.signed(credentials, now)?;
        let agent = concat!("finflow%2F", env!("CARGO_PKG_VERSION"));
        let value = aws_smithy_types::base64::encode(format!("{url}&User-Agent={agent}"));
        let value = value.trim_end_matches('=').replace('+', "-").replace('/', "_");
        Ok(Token { value, expires })
    }

    /// The address of the request, with its signature.
    fn signed(&self, credentials: Credentials, now: SystemTime) -> Result<String, MskError> {
        let identity = credentials.into();
        let url = format!("https://kafka.{}.amazonaws.com/?Action=kafka-cluster%3AConnect", self.region);
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(LIFETIME);
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("kafka-cluster")
            .time(now)
            .settings(settings)
            .build()
            .map_err(|error| MskError::Signing(error.to_string()))?
            .into();
        let request = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::Bytes(&[]))?;
        let (instructions, _) = sign(request, &params)?.into_parts();
        let mut request =
            http::Request::builder().uri(&url).body(()).map_err(|error| MskError::Signing(error.to_string()))?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request.uri().to_string())
    }
}

/// An error of the SDK says little; what caused it says the rest.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
