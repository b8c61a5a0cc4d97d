//! A broker and an S3 to test against: embedded, or the real ones that the environment names.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;

use harness::Shutdown;
use streams::{Admin, Env, GroupProtocol, KafkaConfig, topic};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Serves the embedded parts for as long as the test process lives.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().build().expect("a runtime starts")
    })
}

/// A Kafka.
pub struct Brokers {
    pub addr: String,
    _embedded: Option<(devbroker::Broker, TempDir)>,
}

impl Brokers {
    /// The one of `FINFLOW_TEST_BROKERS`, else a new embedded one.
    pub fn start() -> Brokers {
        if let Ok(addr) = std::env::var("FINFLOW_TEST_BROKERS") {
            return Brokers { addr, _embedded: None };
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let broker = runtime().block_on(devbroker::Broker::start(devbroker::Options::new(dir.path(), ANY_PORT)));
        let broker = broker.expect("the embedded broker starts");
        Brokers { addr: broker.addr().to_string(), _embedded: Some((broker, dir)) }
    }

    /// One that somebody else has started.
    pub fn at(addr: &str) -> Brokers {
        Brokers { addr: addr.to_owned(), _embedded: None }
    }

    pub fn is_embedded(&self) -> bool {
        self._embedded.is_some()
    }

    /// With the group protocol of `FINFLOW_TEST_GROUP_PROTOCOL`, where the broker is that of `FINFLOW_TEST_BROKERS`: the embedded one
    /// has the classic one only.
    pub fn config(&self) -> KafkaConfig {
        let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|text| text == value);
        let group_protocol =
            match is("FINFLOW_TEST_BROKERS", &self.addr) && is("FINFLOW_TEST_GROUP_PROTOCOL", "consumer") {
                true => GroupProtocol::Consumer,
                false => GroupProtocol::Classic,
            };
        KafkaConfig { brokers: self.addr.clone(), group_protocol, ..KafkaConfig::default() }
    }

    pub fn admin(&self) -> Admin {
        Admin::new(&Env::standalone("test", &Shutdown::new()), &self.config()).expect("an admin client")
    }

    /// How many copies topics get: `FINFLOW_TEST_COPIES`, or one.
    fn copies() -> i32 {
        std::env::var("FINFLOW_TEST_COPIES").map_or(1, |text| text.parse().expect("FINFLOW_TEST_COPIES is a number"))
    }

    /// Makes a topic that takes deletes.
    pub fn create(&self, name: &str, partitions: i32) {
        self.admin().apply(&[topic::Spec::delete(name, partitions)], Self::copies()).expect("the topic is made");
    }

    /// Makes a compacted topic.
    pub fn create_compacted(&self, name: &str, partitions: i32) {
        self.admin().apply(&[topic::Spec::compact(name, partitions)], Self::copies()).expect("the topic is made");
    }
}

/// Lets a group miss a member that was killed so soon. Under KIP-848 the broker has that setting.
pub fn set_session(kafka: &mut KafkaConfig, session_ms: u64) {
    if kafka.group_protocol == GroupProtocol::Classic {
        kafka.librdkafka.insert("session.timeout.ms".to_owned(), session_ms.to_string());
        kafka.librdkafka.insert("heartbeat.interval.ms".to_owned(), "200".to_owned());
    }
}

/// An S3 with the bucket `finflow`.
pub struct S3 {
    pub endpoint: String,
    pub access_key: String,
    pub secret_key: String,
    pub bucket: String,
    _embedded: Option<(devs3::Server, TempDir)>,
}

impl S3 {
    /// The one of `FINFLOW_TEST_S3` with the keys of `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, else a new
    /// embedded one.
    pub fn start() -> S3 {
        let env = |name: &str, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());
        let (access_key, secret_key) = (devs3::ACCESS_KEY, devs3::SECRET_KEY);
        if let Ok(endpoint) = std::env::var("FINFLOW_TEST_S3") {
            return S3 {
                endpoint,
                access_key: env("AWS_ACCESS_KEY_ID", access_key),
                secret_key: env("AWS_SECRET_ACCESS_KEY", secret_key),
                bucket: devs3::BUCKET.to_owned(),
                _embedded: None,
            };
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let server = runtime().block_on(devs3::Server::start(dir.path(), ANY_PORT)).expect("the embedded S3 starts");
        S3 {
            endpoint: server.endpoint(),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            bucket: devs3::BUCKET.to_owned(),
            _embedded: Some((server, dir)),
        }
    }
}
