//! How the options of librdkafka are shown: by `Debug`, and serialised for `--print-config`.

use std::collections::BTreeMap;
use std::fmt;

use harness::Secret;
use serde::{Serialize, Serializer};

use super::KafkaConfig;

/// A name with one of these in it may hold a secret. Masking too much harms nobody.
const SECRET: &[&str] = &["password", "passphrase", "secret", "key.pem", "oauthbearer.config", "token"];

/// What a [`Secret`] is shown as.
pub(super) const MASK: &str = "***";

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    Plain(&'a str),
    Masked(Secret),
}

fn shown(options: &BTreeMap<String, String>) -> BTreeMap<&str, Shown<'_>> {
    let value = |name: &str, value| match SECRET.iter().any(|part| name.contains(part)) {
        true => Shown::Masked(Secret::new(value)),
        false => Shown::Plain(value),
    };
    options.iter().map(|(name, text)| (name.as_str(), value(name, text.as_str()))).collect()
}

pub(super) fn serialize<S: Serializer>(options: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    shown(options).serialize(serializer)
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KafkaConfig { brokers, security, compression, client_id, group_protocol, librdkafka } = self;
        f.debug_struct("KafkaConfig")
            .field("brokers", brokers)
            .field("security", security)
            .field("compression", compression)
            .field("client_id", client_id)
            .field("group_protocol", group_protocol)
            .field("librdkafka", &shown(librdkafka))
            .finish()
    }
}
