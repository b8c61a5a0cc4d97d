//! The broker and the S3 inside this process, where no real ones were named.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;

use crate::cli::UpArgs;

/// What is there already, by the flags, the environment or the file.
pub struct Named {
    pub brokers: Option<String>,
    pub s3_endpoint: Option<String>,
}

/// What the stages connect to, and what must be stopped after them.
pub struct Parts {
    pub brokers: String,
    pub s3_endpoint: String,
    /// `None` with a real S3: its keys come from the environment.
    pub s3_keys: Option<(&'static str, &'static str)>,
    broker: Option<devbroker::Broker>,
    s3: Option<devs3::Server>,
}

impl Parts {
    pub async fn start(args: &UpArgs, named: Named, bucket: &str) -> anyhow::Result<Parts> {
        if named.brokers.is_none() || named.s3_endpoint.is_none() {
            std::fs::create_dir_all(&args.state).with_context(|| {
                format!("create the state folder {}: choose another with --state", args.state.display())
            })?;
        }
        let (brokers, broker) = match named.brokers {
            Some(brokers) => (brokers, None),
            None => {
                let addr = address(args.kafka_addr, 9092, args.once);
                let broker = start_broker(&args.state.join("kafka"), addr).await?;
                (broker.addr().to_string(), Some(broker))
            }
        };
        let (s3_endpoint, s3) = match named.s3_endpoint {
            Some(endpoint) => (endpoint, None),
            None => {
                let addr = address(args.s3_addr, 9000, args.once);
                let s3 = start_s3(&args.state.join("s3"), addr, bucket).await?;
                (s3.endpoint(), Some(s3))
            }
        };
        let s3_keys = s3.is_some().then_some((devs3::ACCESS_KEY, devs3::SECRET_KEY));
        Ok(Parts { brokers, s3_endpoint, s3_keys, broker, s3 })
    }

    /// After the last stage has left: they flush to these on their way out.
    pub async fn stop(self) {
        if let Some(s3) = self.s3 {
            s3.stop().await;
        }
        if let Some(broker) = self.broker {
            broker.stop().await;
        }
    }
}

/// A run that ends by itself needs no port that anybody knows, and must not fail on one that is taken.
fn address(given: Option<SocketAddr>, usual: u16, once: bool) -> SocketAddr {
    given.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], if once { 0 } else { usual })))
}

async fn start_broker(dir: &Path, addr: SocketAddr) -> anyhow::Result<devbroker::Broker> {
    devbroker::Broker::start(devbroker::Options::new(dir, addr)).await.with_context(|| {
        format!("start the embedded broker on {addr}: choose another with --kafka-addr, or name a Kafka with --brokers")
    })
}

async fn start_s3(dir: &Path, addr: SocketAddr, bucket: &str) -> anyhow::Result<devs3::Server> {
    let mut options = devs3::Options::new(dir, addr);
    options.buckets = vec![bucket.to_owned()];
    options.start().await.with_context(|| {
        format!("start the embedded S3 on {addr}: choose another with --s3-addr, or name one with --s3-endpoint")
    })
}
