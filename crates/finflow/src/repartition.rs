//! `finflow repartition aggregate|alert --partitions N`: more partitions, and the state where its records now are.

use std::process::ExitCode;

use harness::{Config, Context};
use streams::stateful::Repartitioned;

use crate::cli::{Keeper, RepartitionArgs};
use crate::settings::Settings;
use crate::usage;

pub fn main(args: RepartitionArgs) -> ExitCode {
    match args.stage {
        Keeper::Aggregate => run::<aggregate::Config, _, _>("aggregate", args, aggregate::repartition),
        Keeper::Alert => run::<alert::Config, _, _>("alert", args, alert::repartition),
    }
}

fn run<C, F, Fut>(stage: &'static str, args: RepartitionArgs, repartition: F) -> ExitCode
where
    C: Config,
    F: FnOnce(Context<C>, i32) -> Fut + Send + 'static,
    Fut: Future<Output = anyhow::Result<Repartitioned>> + Send + 'static,
{
    let mut own = vec![("admin", "off".to_owned())];
    own.extend(args.brokers.map(|brokers| ("kafka.brokers", brokers)));
    let otherwise = vec![("log.level", "warn,streams::stateful=info".to_owned())];
    let words = args.set.into_iter().flat_map(|pair| ["--set".to_owned(), pair]).collect();
    let settings = Settings { file: args.config.as_deref(), own, otherwise, words };
    let config = match settings.load::<C>(stage) {
        Ok(loaded) => loaded.config,
        Err(error) => return usage("repartition", &error),
    };
    let (partitions, json) = (args.partitions, args.json);
    harness::host(stage, config, move |ctx| async move {
        let done = repartition(ctx, partitions).await?;
        println!("{}", if json { serde_json::to_string(&done)? } else { text(stage, &done) });
        Ok(())
    })
}

fn text(stage: &str, done: &Repartitioned) -> String {
    let Repartitioned { from, to, folded, keys, moved } = done;
    if from == to {
        return format!("The state of {stage} is that of {to} partitions already: nothing to carry over.");
    }
    format!(
        "{from} partitions became {to}: {folded} records left in those of before were folded, {moved} of {keys} keys of the state \
         have moved.\nStart {stage} again, then what writes to its input."
    )
}
