//! The six stages: their settings under `up`, their start, and the order in which they end.

use std::net::SocketAddr;

use anyhow::anyhow;
use harness::{Secret, Shutdown};
use streams::KafkaConfig;

use super::demo;
use super::embedded::{Named, Parts};
use super::host::Stage;
use super::ledger::Ledger;
use super::speed::Speed;
use crate::cli::UpArgs;
use crate::settings::{Loaded, Settings, Tool};

/// Settings of aggregate where somebody looks on.
pub const WATCHED: [(&str, &str); 2] = [("emit", "both"), ("windows", "1s,1m,5m/1m")];

pub struct Configs {
    ingest: Loaded<ingest::Config>,
    aggregate: Loaded<aggregate::Config>,
    alert: Loaded<alert::Config>,
    store: Loaded<store::Config>,
    logger: Loaded<logger::Config>,
    gateway: Loaded<gateway::Config>,
}

impl Configs {
    pub fn load(args: &UpArgs, host: &Loaded<Tool>) -> anyhow::Result<Configs> {
        let stage = |n: u16| settings(args, host, n);
        let mut store = stage(3);
        store.own.extend(args.folder.settings(args.s3_endpoint.as_ref()));
        if !args.once {
            // Somebody is looking: objects appear while they look, small as they are.
            store.own.push(("rotate.interval", "5s".to_owned()));
        }
        let mut logger = stage(4);
        // The terminal belongs to `up` itself; what the logger counts is in its metrics.
        logger.own.push(("lines_per_second", "0".to_owned()));
        let mut gateway = stage(5);
        gateway.own.extend(args.http.map(|http| ("http", http.to_string())));
        let mut aggregate = stage(1);
        if !args.once {
            // A first look must not wait for the end of a minute.
            aggregate.own.extend(WATCHED.map(|(key, value)| (key, value.to_owned())));
        }
        Ok(Configs {
            ingest: ingest_settings(args, stage(0))?.load("ingest")?,
            aggregate: aggregate.load("aggregate")?,
            alert: stage(2).load("alert")?,
            store: store.load("store")?,
            logger: logger.load("logger")?,
            gateway: gateway.load("gateway")?,
        })
    }

    /// What need not be embedded. An address for an embedded part says that one is wanted.
    pub fn named(&self, args: &UpArgs) -> Named {
        let (ingest, store) = (&self.ingest, &self.store);
        let brokers = ingest.given.contains("kafka.brokers") && args.kafka_addr.is_none();
        let s3_endpoint = store.given.contains("s3.endpoint") && args.s3_addr.is_none();
        Named {
            brokers: brokers.then(|| ingest.config.kafka.brokers.clone()),
            s3_endpoint: s3_endpoint.then(|| store.config.s3.endpoint.clone()),
        }
    }

    /// Where Kafka and S3 are is known only once they run.
    pub fn connect(&mut self, args: &UpArgs, parts: &Parts) {
        for (is_given, kafka) in self.kafkas() {
            if !is_given || args.kafka_addr.is_some() {
                kafka.brokers = parts.brokers.clone();
            }
        }
        let s3 = &mut self.store.config.s3;
        s3.endpoint = parts.s3_endpoint.clone();
        if let Some((access, secret)) = parts.s3_keys {
            s3.access_key = access.to_owned();
            s3.secret_key = Secret::new(secret);
        }
    }

    /// How each stage reaches Kafka, and whether somebody has said where that is.
    fn kafkas(&mut self) -> [(bool, &mut KafkaConfig); 6] {
        fn of<C>(stage: &mut Loaded<C>, kafka: fn(&mut C) -> &mut KafkaConfig) -> (bool, &mut KafkaConfig) {
            (stage.given.contains("kafka.brokers"), kafka(&mut stage.config))
        }
        [
            of(&mut self.ingest, |config| &mut config.kafka),
            of(&mut self.aggregate, |config| &mut config.kafka),
            of(&mut self.alert, |config| &mut config.kafka),
            of(&mut self.store, |config| &mut config.kafka),
            of(&mut self.logger, |config| &mut config.kafka),
            of(&mut self.gateway, |config| &mut config.kafka),
        ]
    }

    /// For what `up` itself asks Kafka: as the first stage does.
    pub fn kafka(&self) -> &KafkaConfig {
        &self.ingest.config.kafka
    }

    pub fn bucket(&self) -> &str {
        &self.store.config.s3.bucket
    }
}

/// What the flags say to the stage whose admin port is the n-th.
fn settings<'a>(args: &'a UpArgs, host: &Loaded<Tool>, n: u16) -> Settings<'a> {
    let mut settings = Settings { file: args.config.as_deref(), ..Settings::default() };
    settings.own.extend(args.brokers.iter().map(|brokers| ("kafka.brokers", brokers.clone())));
    // An address for all stages is the first one's; a section of the file may give its stage another.
    let first = args.admin.or(host.config.common.admin.filter(|_| host.given.contains("admin")));
    match first {
        Some(first) => settings.own.push(("admin", admin_address(first, n))),
        None if host.given.contains("admin") => {}
        None => settings.otherwise.push(("admin", usual_admin(args, n))),
    }
    settings
}

fn ingest_settings<'a>(args: &'a UpArgs, mut settings: Settings<'a>) -> anyhow::Result<Settings<'a>> {
    let mut words: Vec<&str> = args.feed.iter().map(String::as_str).collect();
    if words.is_empty() && !settings.given::<ingest::Config>("ingest")?.contains("feeds") {
        words.push("demo");
    }
    if !words.is_empty() {
        settings.own.push(("feeds", feeds(args, &words)?));
    }
    settings.own.extend(args.speed.iter().flat_map(|speed| speed.0.clone()));
    if args.repeat || args.no_loop {
        settings.own.push(("loop", args.repeat.to_string()));
    }
    settings.own.extend(args.passes.map(|passes| ("passes", passes.to_string())));
    settings.own.extend(args.rebase.map(|rebase| ("rebase", rebase.to_string())));
    if args.json {
        settings.own.push(("progress", "off".to_owned()));
    }
    if args.once {
        settings.otherwise.push(("speed", "max".to_owned()));
    } else if words.contains(&"demo") {
        // The demo plays for as long as somebody looks, as if it happened now.
        settings.otherwise.push(("rebase", "now".to_owned()));
        // A sample has no end that could be the beginning again.
        let repeat = !args.speed.as_ref().is_some_and(Speed::is_sample);
        settings.otherwise.push(("loop", repeat.to_string()));
    }
    Ok(settings)
}

fn feeds(args: &UpArgs, words: &[&str]) -> anyhow::Result<String> {
    let mut feeds = Vec::new();
    for word in words {
        match *word {
            "demo" => feeds.extend(demo::unpack(&args.state)?.iter().map(|path| path.display().to_string())),
            "synthetic" => feeds.push("synthetic:".to_owned()),
            other => feeds.push(other.to_owned()),
        }
    }
    Ok(feeds.join(","))
}

fn admin_address(first: SocketAddr, n: u16) -> String {
    let port = if first.port() == 0 { 0 } else { first.port().saturating_add(n) };
    SocketAddr::new(first.ip(), port).to_string()
}

fn usual_admin(args: &UpArgs, n: u16) -> String {
    if args.once {
        return "off".to_owned();
    }
    // 9092 is Kafka's.
    format!("127.0.0.1:{}", [9090, 9091, 9093, 9094, 9095, 9096][usize::from(n)])
}

pub struct Stages {
    ingest: Stage<ingest::Summary>,
    aggregate: Stage<aggregate::Summary>,
    alert: Stage<alert::Summary>,
    store: Stage<store::Summary>,
    logger: Stage<logger::Summary>,
    gateway: Stage<gateway::Summary>,
    page: SocketAddr,
    kafka: String,
    s3: String,
}

impl Stages {
    pub async fn start(configs: Configs, shutdown: &Shutdown) -> anyhow::Result<Stages> {
        let (kafka, s3) =
            (configs.kafka().brokers.clone(), format!("{}/{}", configs.store.config.s3.endpoint, configs.bucket()));
        // The page first: a port that is taken should be said before anything flows.
        let page = gateway::Server::bind(configs.gateway.config.http)?;
        Ok(Stages {
            page: page.address(),
            kafka,
            s3,
            gateway: Stage::start("gateway", configs.gateway.config, shutdown, |ctx| gateway::run_on(page, ctx))
                .await?,
            logger: Stage::start("logger", configs.logger.config, shutdown, logger::run).await?,
            store: Stage::start("store", configs.store.config, shutdown, store::run).await?,
            alert: Stage::start("alert", configs.alert.config, shutdown, alert::run).await?,
            aggregate: Stage::start("aggregate", configs.aggregate.config, shutdown, aggregate::run).await?,
            ingest: Stage::start("ingest", configs.ingest.config, shutdown, ingest::run).await?,
        })
    }

    /// What a person can open or point a tool at.
    pub fn addresses(&self) -> String {
        let Stages { page, kafka, s3, .. } = self;
        let others = [
            ("aggregate", self.aggregate.admin),
            ("alert", self.alert.admin),
            ("store", self.store.admin),
            ("logger", self.logger.admin),
            ("gateway", self.gateway.admin),
        ];
        let admin = match self.ingest.admin {
            Some(first) => {
                let ports = others
                    .map(|(name, at)| format!("{name} {}", at.map_or("off".to_owned(), |at| at.port().to_string())));
                format!("http://{first}/metrics of ingest; {}", ports.join(", "))
            }
            None => "off".to_owned(),
        };
        format!(
            "page   http://{page}\nkafka  {kafka}\ns3     {s3}\nadmin  {admin}\n\
             Ctrl-C ends it; the next run on the same state goes on where this one stopped."
        )
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
            return Err(interrupted());
        }
        Ok(Ledger { ingest, aggregate, alert, store })
    }
}

/// What is there at the end of a run that did not get to its end.
pub fn interrupted() -> anyhow::Error {
    anyhow!("interrupted; the next run on the same state goes on from here")
}
