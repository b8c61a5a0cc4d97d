//! How a client reaches Kafka, and the settings that Finflow's guarantees rest on.
//!
//! In: [`KafkaConfig`], the part of every service's config named `kafka`. Out: librdkafka's settings for each kind of
//! client. The map `librdkafka` takes any option of librdkafka and wins over the defaults here, except over the few on
//! which exactly-once and "nothing jumps silently" rest: those are refused by name, with what to do instead. What may be
//! a secret in it is never shown.

mod shown;

use std::collections::BTreeMap;

use harness::Secret;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use serde::{Deserialize, Serialize};

use crate::error::StreamError;

/// Where Kafka is and how to talk to it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KafkaConfig {
    /// Brokers to ask for the rest of the cluster: `host:port`, separated by commas.
    pub brokers: String,
    /// TLS and SASL. The default is neither.
    pub security: Security,
    /// Codec of what is produced: `none`, `snappy`, `gzip`, `lz4` or `zstd`.
    pub compression: Compression,
    /// Who asks, in the brokers' logs and quotas. Empty: `finflow-<service>`.
    pub client_id: String,
    /// How a group shares partitions: `classic`, or `consumer` for KIP-848 (brokers 4.0 and later).
    pub group_protocol: GroupProtocol,
    /// Any option of librdkafka, by its own name.
    #[serde(serialize_with = "shown::serialize")]
    pub librdkafka: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    pub protocol: Protocol,
    /// File with the certificates to trust (PEM). Empty: those of the system.
    pub ca: String,
    /// File with the client's certificate (PEM), for mutual TLS.
    pub cert: String,
    /// File with the key of `cert` (PEM).
    pub key: String,
    /// Password of `key`, if it has one.
    pub key_password: Secret,
    pub mechanism: Mechanism,
    pub username: String,
    pub password: Secret,
    /// Region of the cluster, for `AWS_MSK_IAM`. Empty: `AWS_REGION`.
    pub region: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    #[default]
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mechanism {
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// The role that AWS IAM gives the process (Amazon MSK), by tokens of SASL OAUTHBEARER.
    #[serde(rename = "AWS_MSK_IAM")]
    AwsMskIam,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    None,
    #[default]
    Snappy,
    Gzip,
    Lz4,
    Zstd,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupProtocol {
    #[default]
    Classic,
    Consumer,
}

/// What the keys under `kafka` mean, for [`harness::Config::DOCS`] of every service that has them.
pub const KAFKA_DOCS: &[(&str, &str)] = &[
    ("kafka.brokers", "Brokers to ask for the rest of the cluster: host:port, separated by commas."),
    ("kafka.security.protocol", "plaintext, ssl, sasl_plaintext or sasl_ssl."),
    ("kafka.security.ca", "File with the certificates to trust (PEM). Empty: those of the system."),
    ("kafka.security.cert", "File with the client's certificate (PEM), for mutual TLS."),
    ("kafka.security.key", "File with the key of `cert` (PEM)."),
    ("kafka.security.key_password", "Password of `key`, if it has one; or key_password_file."),
    (
        "kafka.security.mechanism",
        "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, or AWS_MSK_IAM for the role of AWS IAM (no username, no password).",
    ),
    ("kafka.security.username", "Name for SASL."),
    ("kafka.security.password", "Password for SASL; or password_file."),
    ("kafka.security.region", "Region of the cluster, for AWS_MSK_IAM. Empty: AWS_REGION."),
    ("kafka.compression", "Codec of what is produced: none, snappy, gzip, lz4 or zstd."),
    ("kafka.client_id", "Who asks, in the brokers' logs and quotas. Empty: finflow-<service>."),
    (
        "kafka.group_protocol",
        "How a group shares partitions: classic, or consumer for KIP-848 (brokers 4.0 and later).",
    ),
    ("kafka.librdkafka", "Any option of librdkafka by its own name, as text, e.g. queued.max.messages.kbytes: '4096'."),
];

impl Default for KafkaConfig {
    fn default() -> Self {
        KafkaConfig {
            brokers: "127.0.0.1:9092".to_owned(),
            security: Security::default(),
            compression: Compression::default(),
            client_id: String::new(),
            group_protocol: GroupProtocol::default(),
            librdkafka: BTreeMap::new(),
        }
    }
}

/// Options that hold a guarantee up, and what to say to somebody who wants to change one.
const GUARDED: &[(&str, &str)] = &[
    ("bootstrap.servers", "set `kafka.brokers`"),
    ("metadata.broker.list", "set `kafka.brokers`"),
    ("group.id", "set `group`"),
    ("client.id", "set `kafka.client_id`"),
    ("group.protocol", "set `kafka.group_protocol`"),
    ("transactional.id", "set `transactional_id` of the stage"),
    ("enable.auto.commit", "leave it out: a position is committed only after its work is done"),
    ("enable.auto.offset.store", "leave it out: a position is committed only after its work is done"),
    ("auto.offset.reset", "set `start`: the first position is chosen once and in the open, never by a reset"),
    ("isolation.level", "leave it out: every stage reads committed records only"),
    ("allow.auto.create.topics", "leave it out: make topics with `finflow topics apply`"),
    ("enable.partition.eof", "leave it out: with it librdkafka skips records after a rebalance"),
    ("enable.idempotence", "leave it out: without it a retry writes twice"),
    ("acks", "leave it out: a record counts as written when all in-sync replicas have it"),
    ("request.required.acks", "leave it out: a record counts as written when all in-sync replicas have it"),
    ("partitioner", "leave it out: all producers must agree, or a symbol is spread over partitions"),
    ("compression.type", "set `kafka.compression`"),
    ("compression.codec", "set `kafka.compression`"),
    ("security.protocol", "set `kafka.security.protocol`"),
    ("sasl.mechanism", "set `kafka.security.mechanism`"),
    ("sasl.mechanisms", "set `kafka.security.mechanism`"),
    ("sasl.username", "set `kafka.security.username`"),
    ("sasl.password", "set `kafka.security.password`, which is never shown"),
    ("ssl.key.password", "set `kafka.security.key_password`, which is never shown"),
];

/// Options of the classic group protocol that the broker decides under KIP-848, and what replaces each.
const CLASSIC_ONLY: &[(&str, &str)] = &[
    ("partition.assignment.strategy", "`group.remote.assignor` in `kafka.librdkafka` (uniform or range)"),
    ("session.timeout.ms", "the group's config `consumer.session.timeout.ms` on the broker"),
    ("heartbeat.interval.ms", "the group's config `consumer.heartbeat.interval.ms` on the broker"),
    ("group.protocol.type", "nothing: it has no meaning there"),
];

impl KafkaConfig {
    /// What is wrong with these settings, before anything connects.
    pub fn validate(&self) -> Result<(), String> {
        if self.brokers.trim().is_empty() {
            return Err("kafka.brokers is empty: name at least one broker as host:port".to_owned());
        }
        for (name, instead) in GUARDED {
            if self.librdkafka.contains_key(*name) {
                return Err(format!("kafka.librdkafka.{name} cannot be set there: {instead}"));
            }
        }
        if let Some((name, _)) = self.librdkafka.iter().find(|(_, value)| *value == shown::MASK) {
            return Err(format!(
                "kafka.librdkafka.{name} is the mask that --print-config shows, not the secret itself"
            ));
        }
        if self.group_protocol == GroupProtocol::Consumer {
            for (name, instead) in CLASSIC_ONLY {
                if self.librdkafka.contains_key(*name) {
                    return Err(format!(
                        "kafka.librdkafka.{name} does not exist with kafka.group_protocol consumer: use {instead}"
                    ));
                }
            }
        }
        self.security.validate()?;
        self.base("check").create_native_config().map(drop).map_err(|error| match error {
            // The value may be a secret under a name that is misspelt.
            KafkaError::ClientConfig(_, why, name, _) => format!("kafka.librdkafka.{name}: {why}"),
            error => format!("kafka.librdkafka: {error}"),
        })
    }

    /// Settings that every client shares. `role` ends the client's name: `finflow-aggregate-consumer`.
    pub(crate) fn base(&self, role: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        let id = if self.client_id.is_empty() { "finflow" } else { &self.client_id };
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", format!("{id}-{role}"))
            .set("allow.auto.create.topics", "false")
            .set("socket.keepalive.enable", "true")
            // Redials quickly after a broker's restart without hammering one that stays away.
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "5000")
            // The threads of librdkafka say "all brokers down" once; each broker's own errors are told by us.
            .set("log.connection.close", "false");
        config.set_log_level(RDKafkaLogLevel::Info);
        self.security.apply(&mut config);
        for (name, value) in &self.librdkafka {
            config.set(name, value);
        }
        config
    }

    pub(crate) fn producer(&self, role: &str) -> ClientConfig {
        let mut config = self.base(role);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // Java's hash: librdkafka's own default would put a symbol on another partition than Java producers do.
            .set("partitioner", "murmur2_random")
            .set("compression.type", self.compression.as_str());
        self.or(&mut config, "linger.ms", "5");
        // Over what topics take by default (1,048,588), so that an alien of that size still fits with a dead letter's
        // headers. librdkafka's own limit is under it.
        self.or(&mut config, "message.max.bytes", "2000000");
        // 32 MiB and 100,000 records: enough to hide a slow second, small enough for a container of 150 MiB.
        self.or(&mut config, "queue.buffering.max.kbytes", "32768");
        // A record waits for its broker for as long as it takes: the queue fills up and the sender waits, too.
        self.or(&mut config, "message.timeout.ms", "0");
        config
    }

    /// Bytes of the largest record that a producer sends.
    pub(crate) fn largest(&self) -> usize {
        let config = self.producer("check");
        config.get("message.max.bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or(usize::MAX)
    }

    pub(crate) fn consumer(&self, role: &str) -> ClientConfig {
        let mut config = self.base(role);
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            // See `cursor`: it loses records.
            .set("enable.partition.eof", "false");
        self.or(&mut config, "check.crcs", "true");
        // librdkafka's defaults hold 64 MiB per partition: far over a small container's budget.
        self.or(&mut config, "queued.max.messages.kbytes", "8192");
        self.or(&mut config, "queued.min.messages", "20000");
        self.or(&mut config, "fetch.message.max.bytes", "1048576");
        self.or(&mut config, "fetch.max.bytes", "8388608");
        self.or(&mut config, "fetch.wait.max.ms", "100");
        // By default a full queue is looked at again after a whole second, in which it runs empty many times over.
        self.or(&mut config, "fetch.queue.backoff.ms", "2");
        config
    }

    /// A replica in the same zone may not know yet what is committed: a restore would end too early.
    pub(crate) fn reader(&self) -> ClientConfig {
        let mut config = self.consumer("reader");
        config.remove("client.rack");
        config
    }

    pub(crate) fn group(&self, role: &str, group: &str) -> ClientConfig {
        let mut config = self.consumer(role);
        config.set("group.id", group);
        match self.group_protocol {
            GroupProtocol::Consumer => {
                config.set("group.protocol", "consumer");
            }
            GroupProtocol::Classic => {
                self.or(&mut config, "partition.assignment.strategy", "cooperative-sticky");
                self.or(&mut config, "session.timeout.ms", "30000");
                self.or(&mut config, "heartbeat.interval.ms", "1000");
            }
        }
        config
    }

    /// A default of ours that the map `librdkafka` may override.
    fn or(&self, config: &mut ClientConfig, name: &str, value: &str) {
        if !self.librdkafka.contains_key(name) {
            config.set(name, value);
        }
    }
}

impl Security {
    /// Where tokens of AWS IAM are for; `None` where they are not asked for.
    pub(crate) fn iam_region(&self) -> Option<&str> {
        (self.mechanism == Mechanism::AwsMskIam).then_some(&self.region)
    }

    /// The files whose content clients read once, when they are made.
    pub fn files(&self) -> Vec<&str> {
        vec![&self.ca, &self.cert, &self.key]
    }

    fn validate(&self) -> Result<(), String> {
        let sasl = matches!(self.protocol, Protocol::SaslPlaintext | Protocol::SaslSsl);
        let tls = matches!(self.protocol, Protocol::Ssl | Protocol::SaslSsl);
        let iam = self.mechanism == Mechanism::AwsMskIam;
        if iam && self.protocol != Protocol::SaslSsl {
            return Err(
                "kafka.security: AWS_MSK_IAM needs sasl_ssl as protocol: a token is as good as a password".to_owned()
            );
        }
        if iam && !(self.username.is_empty() && self.password.is_empty()) {
            return Err("kafka.security: username and password are of no use with AWS_MSK_IAM".to_owned());
        }
        if !iam && sasl && (self.username.is_empty() || self.password.is_empty()) {
            return Err("kafka.security: SASL needs both username and password".to_owned());
        }
        if !sasl && (!self.username.is_empty() || !self.password.is_empty()) {
            return Err("kafka.security: username and password are of no use without sasl_plaintext or sasl_ssl as \
                        kafka.security.protocol"
                .to_owned());
        }
        if self.cert.is_empty() != self.key.is_empty() {
            return Err("kafka.security: cert and key belong together, one of them is missing".to_owned());
        }
        let names_files = !self.ca.is_empty() || !self.cert.is_empty();
        if !tls && names_files {
            return Err("kafka.security: ca, cert and key are of no use without ssl or sasl_ssl as \
                        kafka.security.protocol"
                .to_owned());
        }
        for (name, file) in [("ca", &self.ca), ("cert", &self.cert), ("key", &self.key)] {
            if !file.is_empty() && !std::path::Path::new(file).is_file() {
                return Err(format!("kafka.security.{name}: there is no file {file}"));
            }
        }
        Ok(())
    }

    fn apply(&self, config: &mut ClientConfig) {
        config.set("security.protocol", self.protocol.as_str());
        for (name, value) in
            [("ssl.ca.location", &self.ca), ("ssl.certificate.location", &self.cert), ("ssl.key.location", &self.key)]
        {
            if !value.is_empty() {
                config.set(name, value);
            }
        }
        if !self.key_password.is_empty() {
            config.set("ssl.key.password", self.key_password.expose());
        }
        if matches!(self.protocol, Protocol::SaslPlaintext | Protocol::SaslSsl) {
            config.set("sasl.mechanism", self.mechanism.as_str());
        }
        if !self.username.is_empty() {
            config.set("sasl.username", &self.username).set("sasl.password", self.password.expose());
        }
    }
}

impl Protocol {
    fn as_str(self) -> &'static str {
        match self {
            Protocol::Plaintext => "plaintext",
            Protocol::Ssl => "ssl",
            Protocol::SaslPlaintext => "sasl_plaintext",
            Protocol::SaslSsl => "sasl_ssl",
        }
    }
}

impl Mechanism {
    fn as_str(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
            Mechanism::AwsMskIam => "OAUTHBEARER",
        }
    }
}

impl Compression {
    fn as_str(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Snappy => "snappy",
            Compression::Gzip => "gzip",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

/// A client that could not even be made: the settings are at fault, not the network.
pub(crate) fn bad_settings(what: &str, error: KafkaError) -> StreamError {
    StreamError::Settings(format!("cannot make the {what}: {error}"))
}

#[cfg(test)]
mod tests;
