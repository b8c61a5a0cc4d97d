//! Against what botocore (`SigV4QueryAuth`, expires 900) signs with the same keys at the same moment.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

use super::{LIFETIME, Signer};

/// 2026-11-26T12:00:00Z
const NOON: Duration = Duration::from_secs(1_795_694_400);
const COMMON: &str = "https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect&X-Amz-Algorithm=AWS4-HMAC-SHA256\
    &X-Amz-Credential=AKIDEXAMPLE%2F20261126%2Feu-west-1%2Fkafka-cluster%2Faws4_request&X-Amz-Date=20261126T120000Z\
    &X-Amz-Expires=900&X-Amz-SignedHeaders=host&User-Agent=finflow%2F";
const SIGNATURE: &str = "&X-Amz-Signature=6d1b43fbe31799d1606da26cec5febdd578df93a2a73a3edb42644eef2607f3a";
const OF_A_SESSION: &str = "&X-Amz-Security-Token=a%20session%2Ftoken%2B%3D\
    &X-Amz-Signature=90c84af482c30c8849fb462a2a347aadd0e05db3243cfcfd20f4bd217b32c878";

fn signer(session: Option<&str>, expires: Option<SystemTime>) -> Signer {
    let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    let keys = Credentials::new("AKIDEXAMPLE", secret, session.map(str::to_owned), expires, "test");
    Signer::new("eu-west-1", SharedCredentialsProvider::new(keys))
}

fn token(signer: &Signer) -> super::Token {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(signer.token(SystemTime::UNIX_EPOCH + NOON)).unwrap()
}

/// Address and parameters, in any order.
fn parts(url: &str) -> BTreeSet<String> {
    url.split(['?', '&']).map(str::to_owned).collect()
}

#[test]
fn tokens_are_signed_as_botocore_signs() {
    for (session, more) in [(None, SIGNATURE), (Some("a session/token+="), OF_A_SESSION)] {
        let token = token(&signer(session, None));
        assert!(!token.value.contains(['+', '/', '=']), "base64 for URLs, without padding");
        let standard = token.value.replace('-', "+").replace('_', "/");
        let padded = format!("{standard}{}", "=".repeat((4 - standard.len() % 4) % 4));
        let url = String::from_utf8(aws_smithy_types::base64::decode(padded).unwrap()).unwrap();
        let expected = format!("{COMMON}{}{more}", env!("CARGO_PKG_VERSION"));
        assert_eq!(parts(&url), parts(&expected));
        assert_eq!(token.expires, SystemTime::UNIX_EPOCH + NOON + LIFETIME);
        assert!(!format!("{token:?}").contains(&token.value));
    }
}

#[test]
fn a_token_does_not_outlive_the_keys_of_its_role() {
    let end = SystemTime::UNIX_EPOCH + NOON + Duration::from_secs(60);
    assert_eq!(token(&signer(Some("x"), Some(end))).expires, end);
}
