//! Who asks: keys, roles and the way to the services that give them.

use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, tls};

use crate::config::S3Config;

/// Time to connect; a store that is up answers in milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Without an endpoint: STS, and whoever else gives keys, has its own (`AWS_ENDPOINT_URL_STS`).
pub(crate) async fn shared_config(config: &S3Config) -> SdkConfig {
    // Keys may come over TLS although the store does not speak it; without need the certificates are not read.
    let others = config.access_key.is_empty() || !config.role_arn.is_empty();
    let http_client = if config.endpoint.starts_with("http://") && !others {
        Builder::new().build_http()
    } else {
        Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https()
    };
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(*config.timeout);
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client)
        .region(Region::new(config.region.clone()))
        .timeout_config(timeouts.build())
        .retry_config(RetryConfig::standard().with_max_attempts(3));
    if !config.access_key.is_empty() {
        let (key, secret) = (&config.access_key, config.secret_key.expose());
        loader = loader.credentials_provider(Credentials::new(key, secret, None, None, "finflow config"));
    }
    let shared = loader.load().await;
    if config.role_arn.is_empty() {
        return shared;
    }
    let mut role = AssumeRoleProvider::builder(&config.role_arn).session_name("finflow").configure(&shared);
    if !config.external_id.is_empty() {
        role = role.external_id(&config.external_id);
    }
    let role = SharedCredentialsProvider::new(role.build().await);
    shared.into_builder().credentials_provider(role).build()
}
