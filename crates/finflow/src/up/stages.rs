//! The six stages: their settings under `up`, their start, and the order in which they end.

use std::net::{SocketAddr, TcpListener};

use anyhow::anyhow;
use harness::{Config, Secret, Shutdown};
use streams::KafkaConfig;

use super::embedded::Parts;
use super::host::{Settings, Stage};
use super::ledger::Ledger;
use super::{demo, speed};
use crate::cli::UpArgs;

pub struct Configs {
    ingest: ingest::Config,
    aggregate: aggregate::Config,
    alert: alert::Config,
    store: store::Config,
    logger: logger::Config,
    gateway: gateway::Config,
}

type Pairs = Vec<(&'static str, String)>;

impl Configs {
    pub fn load(args: &UpArgs) -> anyhow::Result<Configs> {
        let settings = Settings { file: args.config.clone() };
        let admin = |n: u16| -> Pairs { vec![("admin", admin_address(args, n))] };
        let mut store = admin(3);
        store.push(("s3.bucket", args.bucket.clone()));
        store.extend(args.prefix.iter().map(|prefix| ("s3.prefix", prefix.clone())));
        if !args.once {
            // Somebody is looking: objects appear while they look, small as they are.
            store.push(("rotate.interval", "5s".to_owned()));
        }
        let mut logger = admin(4);
        // The terminal belongs to `up` itself; what the logger counts is in its metrics.
        logger.push(("lines_per_second", "0".to_owned()));
        let mut gateway = admin(5);
        gateway.push(("http", some_port(args.http).to_string()));
        let mut aggregate = admin(1);
        if !args.once {
            // A first look must not wait for the end of a minute.
            aggregate.extend([("emit", "both".to_owned()), ("windows", "1s,1m,5m/1m".to_owned())]);
        }
        Ok(Configs {
            ingest: settings.load("ingest", &ingest_pairs(args, admin(0))?)?,
            aggregate: settings.load("aggregate", &aggregate)?,
            alert: settings.load("alert", &admin(2))?,
            store: settings.load("store", &store)?,
            logger: settings.load("logger", &logger)?,
            gateway: settings.load("gateway", &gateway)?,
        })
    }

    /// Where Kafka and S3 are is known only once they run.
    pub fn connect(&mut self, parts: &Parts) {
        let kafka: [&mut KafkaConfig; 6] = [
            &mut self.ingest.kafka,
            &mut self.aggregate.kafka,
            &mut self.alert.kafka,
            &mut self.store.kafka,
            &mut self.logger.kafka,
            &mut self.gateway.kafka,
        ];
        for kafka in kafka {
            kafka.brokers = parts.brokers.clone();
        }
        self.store.s3.endpoint = parts.s3_endpoint.clone();
        if let Some((access, secret)) = parts.s3_keys {
            self.store.s3.access_key = access.to_owned();
            self.store.s3.secret_key = Secret::new(secret);
        }
    }

    /// What a person can open or point a tool at.
    pub fn addresses(&self) -> String {
        let admin = self
            .ingest
            .common()
            .admin
            .map_or("off".to_owned(), |addr| format!("http://{addr}/metrics and the ports after it"));
        format!(
            "page   http://{}\nkafka  {}\ns3     {}/{}\nadmin  {admin}\nCtrl-C ends it; the next run on the same state goes on where this one stopped.",
            self.gateway.http, self.ingest.kafka.brokers, self.store.s3.endpoint, self.store.s3.bucket,
        )
    }
}

fn ingest_pairs(args: &UpArgs, mut pairs: Pairs) -> anyhow::Result<Pairs> {
    let mut feeds = Vec::new();
    let mut is_demo = false;
    for feed in &args.feed {
        match feed.as_str() {
            "demo" => {
                is_demo = true;
                feeds.extend(demo::unpack(&args.state)?.iter().map(|path| path.display().to_string()));
            }
            "synthetic" => feeds.push("synthetic:".to_owned()),
            other => feeds.push(other.to_owned()),
        }
    }
    pairs.push(("feeds", feeds.join(",")));
    // The demo plays for as long as somebody looks, as if it happened now.
    let live_demo = is_demo && !args.once;
    let repeat = args.repeat || (live_demo && !args.no_loop);
    let rebase = args.rebase.clone().unwrap_or_else(|| if live_demo { "now" } else { "none" }.to_owned());
    pairs.push(("loop", repeat.to_string()));
    pairs.extend(args.passes.map(|passes| ("passes", passes.to_string())));
    pairs.push(("rebase", if rebase == "now" { rebase } else { "none".to_owned() }));
    let pace = args.speed.as_deref().unwrap_or(if args.once { "max" } else { "1" });
    pairs.extend(speed::settings(pace).map_err(|problem| anyhow!("--speed: {problem}"))?);
    if args.json {
        pairs.push(("progress", "off".to_owned()));
    }
    Ok(pairs)
}

fn admin_address(args: &UpArgs, n: u16) -> String {
    match args.admin {
        Some(first) if first.port() == 0 => some_port(first).to_string(),
        Some(first) => SocketAddr::new(first.ip(), first.port().saturating_add(n)).to_string(),
        None if args.once => "off".to_owned(),
        // 9092 is Kafka's.
        None => format!("127.0.0.1:{}", [9090, 9091, 9093, 9094, 9095, 9096][usize::from(n)]),
    }
}

/// Port 0 is any free one; it is chosen here, so that the banner can tell it.
fn some_port(addr: SocketAddr) -> SocketAddr {
    let free = || TcpListener::bind(addr)?.local_addr();
    if addr.port() == 0 { free().unwrap_or(addr) } else { addr }
}

pub struct Stages {
    ingest: Stage<ingest::Summary>,
    aggregate: Stage<aggregate::Summary>,
    alert: Stage<alert::Summary>,
    store: Stage<store::Summary>,
    logger: Stage<logger::Summary>,
    gateway: Stage<gateway::Summary>,
}

impl Stages {
    pub async fn start(configs: Configs, shutdown: &Shutdown) -> anyhow::Result<Stages> {
        // The page first: a port that is taken should be said before anything flows.
        let gateway = Stage::start("gateway", configs.gateway, shutdown, gateway::run).await?;
        Ok(Stages {
            gateway,
            logger: Stage::start("logger", configs.logger, shutdown, logger::run).await?,
            store: Stage::start("store", configs.store, shutdown, store::run).await?,
            alert: Stage::start("alert", configs.alert, shutdown, alert::run).await?,
            aggregate: Stage::start("aggregate", configs.aggregate, shutdown, aggregate::run).await?,
            ingest: Stage::start("ingest", configs.ingest, shutdown, ingest::run).await?,
        })
    }

    /// Until Ctrl-C, or until a stage fails: then the others drain and the failure is returned.
    pub async fn live(self, shutdown: &Shutdown) -> anyhow::Result<()> {
        shutdown.wait().await;
        [
            self.ingest.join().await.map(drop),
            self.aggregate.join().await.map(drop),
            self.alert.join().await.map(drop),
            self.store.join().await.map(drop),
            self.logger.join().await.map(drop),
            self.gateway.join().await.map(drop),
        ]
        .into_iter()
        .collect()
    }

    /// Each stage ends once nothing more can come from those before it.
    pub async fn once(self, shutdown: &Shutdown) -> anyhow::Result<Ledger> {
        // Told at once: it ends at the end of its feeds.
        let ingest = self.ingest.drain().await?;
        let aggregate = self.aggregate.drain().await?;
        let alert = self.alert.drain().await?;
        let (store, logger) = tokio::join!(self.store.drain(), self.logger.drain());
        let (store, _) = (store?, logger?);
        self.gateway.drain().await?;
        if shutdown.is_set() {
            // Some stage may have stopped short of the end: no summary may look like a whole run.
            return Err(anyhow!("interrupted; the next run on the same state goes on from here"));
        }
        Ok(Ledger { ingest, aggregate, alert, store })
    }
}
