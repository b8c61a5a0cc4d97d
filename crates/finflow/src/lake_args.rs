//! The way to the lake of a command that is no stage: a real S3, or the folder of the embedded one.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use harness::Secret;
use lake::{Paths, S3, S3Config};

use crate::settings::{Pairs, Settings};

/// Where in an S3 the lake lies.
#[derive(Clone, Debug, Args)]
pub struct Folder {
    /// Bucket of the lake [default: finflow]
    #[arg(long, value_name = "NAME")]
    pub bucket: Option<String>,
    /// Folder inside the bucket
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
}

impl Folder {
    /// Settings of `store`, for what was given.
    pub fn settings(&self, endpoint: Option<&String>) -> Pairs {
        let given =
            [("s3.endpoint", endpoint), ("s3.bucket", self.bucket.as_ref()), ("s3.prefix", self.prefix.as_ref())];
        given.into_iter().filter_map(|(key, value)| Some((key, value?.clone()))).collect()
    }
}

#[derive(Clone, Debug, Args)]
pub struct LakeArgs {
    /// The state folder of a `finflow up` that is not running [default: none, with an S3 named]
    #[arg(long, value_name = "DIR", conflicts_with = "s3_endpoint")]
    pub state: Option<PathBuf>,
    /// The S3 to ask (keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)
    #[arg(long, value_name = "URL")]
    pub s3_endpoint: Option<String>,
    #[command(flatten)]
    pub folder: Folder,
    /// YAML file with one section per stage, as in docs/config.md: the lake is that of `store`
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// An open lake; the embedded server lives as long as this.
pub struct Lake {
    pub s3: S3,
    pub paths: Paths,
    _server: Option<devs3::Server>,
}

impl LakeArgs {
    pub fn config(&self) -> anyhow::Result<S3Config> {
        Ok(self.store()?.s3)
    }

    /// The settings of the store, whose lake it is.
    pub fn store(&self) -> anyhow::Result<store::Config> {
        let own = self.folder.settings(self.s3_endpoint.as_ref());
        let settings = Settings { file: self.config.as_deref(), own, ..Settings::default() };
        Ok(settings.load::<store::Config>("store")?.config)
    }

    pub async fn open(&self, mut config: S3Config) -> anyhow::Result<Lake> {
        let mut server = None;
        if let Some(state) = &self.state {
            let dir = state.join("s3");
            anyhow::ensure!(dir.is_dir(), "{} is no state folder: it has no s3 in it", state.display());
            let mut options = devs3::Options::new(&dir, ([127, 0, 0, 1], 0).into());
            options.buckets = vec![config.bucket.clone()];
            let started = options.start().await.context(
                "open the S3 of the state folder; while `finflow up` runs on it, name that S3 with --s3-endpoint",
            )?;
            config.endpoint = started.endpoint();
            config.access_key = devs3::ACCESS_KEY.to_owned();
            config.secret_key = Secret::new(devs3::SECRET_KEY);
            server = Some(started);
        }
        let s3 = S3::connect(&config).await;
        Ok(Lake { s3, paths: Paths::new(&config.prefix), _server: server })
    }
}
