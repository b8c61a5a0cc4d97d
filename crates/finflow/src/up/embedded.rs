//! The broker and the S3 inside this process, where no real ones were named.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;

use crate::cli::UpArgs;

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
    pub async fn start(args: &UpArgs) -> anyhow::Result<Parts> {
        let needs_state = args.brokers.is_none() || args.s3_endpoint.is_none();
        if needs_state {
            std::fs::create_dir_all(&args.state).with_context(|| {
                format!("create the state folder {}: choose another with --state", args.state.display())
            })?;
        }
        let broker = match args.brokers {
            Some(_) => None,
            None => Some(start_broker(&args.state.join("kafka"), address(args.kafka_addr, 9092, args.once)).await?),
        };
        let s3 = match args.s3_endpoint {
            Some(_) => None,
            None => Some(start_s3(&args.state.join("s3"), address(args.s3_addr, 9000, args.once), &args.bucket).await?),
        };
        Ok(Parts {
            brokers: match (&args.brokers, &broker) {
                (Some(brokers), _) => brokers.clone(),
                (None, Some(broker)) => broker.addr().to_string(),
                (None, None) => unreachable!("a broker is started where none is named"),
            },
            s3_endpoint: match (&args.s3_endpoint, &s3) {
                (Some(url), _) => url.clone(),
                (None, Some(s3)) => s3.endpoint(),
                (None, None) => unreachable!("an S3 is started where none is named"),
            },
            s3_keys: s3.is_some().then_some((devs3::ACCESS_KEY, devs3::SECRET_KEY)),
            broker,
            s3,
        })
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
