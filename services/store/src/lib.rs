//! Stores every record of the topics on S3, each in exactly one object.
//!
//! Reads the events, metrics, alerts and dead letters; writes objects partitioned by event time, and beside them the
//! claims that say what became of every offset (the crate `lake` has the protocol).
//!
//! **Guarantee:** whatever is killed, paused, reset or answered late, and however often: no record is in two objects
//! at any moment, and when the group is caught up every record that Kafka still held is in exactly one. The place to
//! read on from is the end of the claims; Kafka's committed position is written for lag tools and never read.
//!
//! A record that the form of its topic does not fit is no row: it is counted by reason in the claim and in
//! `finflow_store_skipped_records_total`. The stage that consumes the topic sends it to the dead-letter topic with its
//! bytes, and everything on that topic is a row of `dead_letters`, bytes in base64.

mod broker;
mod catalog;
mod config;
mod error;
mod observe;
mod partition;
mod pipeline;
mod rotation;
mod summary;
mod work;

use std::time::Duration;

use anyhow::Context as _;
use lake::{Paths, Patient, S3, Watcher};

pub use config::{CatalogConfig, Config, Rotate};
pub use summary::{PartitionSummary, Summary};

use observe::Observer;
use pipeline::Pipeline;

/// Between two looks at a store that does not answer at the start.
const ASK_AGAIN: Duration = Duration::from_millis(500);

pub async fn run(ctx: harness::Context<Config>) -> anyhow::Result<Summary> {
    let observer = Observer::new(&ctx);
    let s3 = S3::connect(&ctx.config.s3).await;
    let paths = Paths::new(&ctx.config.s3.prefix);
    loop {
        match s3.check(&paths).await {
            Ok(()) => break observer.s3.succeeded(),
            Err(error) if error.is_transient() => observer.s3.failed(&error),
            // What waiting cannot mend: keys, bucket, a store that cannot do what is needed.
            Err(error) => return Err(error).context("the object store cannot be used"),
        }
        tokio::select! {
            () = tokio::time::sleep(ASK_AGAIN) => {}
            () = ctx.shutdown.wait() => return Ok(Summary::default()),
        }
    }
    let bucket = Patient::new(s3, observer.s3.clone());
    let (registering, registrar) =
        catalog::start(&ctx.config, bucket.clone(), paths.clone(), observer.catalog.clone()).await;
    let inner = ctx.clone();
    let ended = ctx.thread("loop", move || Pipeline::new(inner, bucket, paths, observer, registering)?.run()).await;
    catalog::finish(registrar).await;
    ended
}
