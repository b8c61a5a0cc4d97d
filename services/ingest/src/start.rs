//! From a config to a replay that is ready for its first row: opens the feeds, waits for Kafka, finds out what is there.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use harness::{Context, Latch};
use streams::{Admin, DeadLetters, Env, KafkaConfig, Producer, StreamError};

use crate::config::{Config, Rebase};
use crate::error::IngestError;
use crate::observe::{self, Metrics, Tally};
use crate::pipeline::Replay;
use crate::recover::{self, Places};
use crate::reel::Reel;
use crate::resume::{Checkpoint, Known};
use crate::shift;
use crate::sources::files::Choices;
use crate::summary::{FeedSummary, Summary};
use crate::writer::Writer;

/// What a run came to.
pub struct Played {
    pub summary: Summary,
    /// Stopped before the feeds had ended: not a failure, a restart goes on.
    pub interrupted: bool,
}

/// The whole of a run, on its own thread.
pub fn play(ctx: Context<Config>, ready: &Latch) -> anyhow::Result<Played> {
    let env = Env::of(&ctx).with_heartbeat(ctx.heartbeat("replay"));
    let metrics = Metrics::new(&ctx.metrics, ctx.config.feeds.iter().map(|feed| feed.name.as_str()));
    let (mut reels, failed) = open(&ctx.config)?;
    let kafka = ctx.config.kafka.clone();
    let places = Places::of(&ctx.config);
    let admin = Admin::new(&env, &kafka).context("create the admin client")?;
    let partitions = match prepare(&ctx, &env, &kafka, &admin, &places, &mut reels) {
        Ok(partitions) => partitions,
        Err(StreamError::Stopped(_)) => return Ok(Played { summary: Summary::default(), interrupted: true }),
        Err(error) => return Err(error).context("prepare the replay"),
    };
    let producer = Producer::new(&env, &gapless(&kafka)).context("create the producer")?;
    producer.announce(&[&places.output, &places.dead_letters]);
    let dead_letters = DeadLetters::new(&env, &producer, &observe::reasons()).to_topic(&places.dead_letters);
    let writer = Writer::new(producer, dead_letters, &places.output, partitions);
    let tally = Tally::new(metrics, partitions);
    for feed in &failed {
        tally.feed_failed(&feed.name, feed.error.as_deref().unwrap_or_default());
    }
    Replay::new(ctx, env, admin, places, writer, tally, reels, failed).play(ready)
}

/// Opens every feed. One that cannot be opened is reported and left out; if none can, that is the end.
fn open(config: &Config) -> anyhow::Result<(Vec<Reel>, Vec<FeedSummary>)> {
    let choices = Choices { quotes: config.quotes, seed: config.seed };
    let (mut reels, mut failed) = (Vec::new(), Vec::new());
    for feed in &config.feeds {
        match Reel::open(feed.clone(), choices, config.sample) {
            Ok(reel) => {
                if reel.opened.empty {
                    tracing::warn!(feed = feed.name, path = feed.path, "the file is empty, nothing to replay");
                }
                reels.push(reel);
            }
            Err(error) => {
                failed.push(FeedSummary { name: feed.name.clone(), error: Some(error), ..FeedSummary::default() });
            }
        }
    }
    if reels.is_empty() {
        let errors = failed.iter().map(|feed| feed.error.clone().unwrap_or_default());
        return Err(IngestError::NoFeed(errors.collect()).into());
    }
    Ok((reels, failed))
}

/// A replay waits for Kafka as long as it takes, and never lets a later record pass an earlier one that failed: exact
/// resume rests on partitions without holes. Both may be set otherwise, at one's own risk.
pub(crate) fn gapless(config: &KafkaConfig) -> KafkaConfig {
    let mut kafka = config.clone();
    for (name, value) in [("message.timeout.ms", "0"), ("enable.gapless.guarantee", "true")] {
        kafka.librdkafka.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    kafka
}

fn prepare(
    ctx: &Context<Config>,
    env: &Env,
    kafka: &KafkaConfig,
    admin: &Admin,
    places: &Places,
    reels: &mut [Reel],
) -> streams::Result<i32> {
    admin.wait_for(&[&places.output, &places.dead_letters, &places.leases])?;
    let found = until_answered(env, || find(ctx, env, kafka, admin, places, reels))?;
    for (reel, (checkpoint, known)) in reels.iter_mut().zip(found.feeds) {
        resume(reel, checkpoint, known, &ctx.config);
    }
    set_course(ctx, env, reels);
    Ok(found.partitions)
}

struct Found {
    partitions: i32,
    /// In the order of the reels.
    feeds: Vec<(Option<Checkpoint>, Option<Known>)>,
}

fn find(
    ctx: &Context<Config>,
    env: &Env,
    kafka: &KafkaConfig,
    admin: &Admin,
    places: &Places,
    reels: &[Reel],
) -> streams::Result<Found> {
    let ends = recover::ends(admin, places)?;
    let output = &ends[&places.output];
    let partitions = i32::try_from(output.offsets.len()).unwrap_or(i32::MAX);
    if !ctx.config.resume {
        return Ok(Found { partitions, feeds: reels.iter().map(|_| (None, None)).collect() });
    }
    let keys: Vec<String> = reels.iter().map(|reel| reel.id.key()).collect();
    let mut checkpoints = recover::checkpoints(env, kafka, places, &keys)?;
    for (reel, key) in reels.iter().zip(&keys) {
        let made_anew =
            |checkpoint: &Checkpoint| checkpoint.topics.get(&places.output).is_none_or(|before| before.id != output.id);
        let Some(checkpoint) = checkpoints.get(key) else { continue };
        let before = checkpoint.topics.get(&places.output).map_or(0, |ends| ends.offsets.len());
        if before != output.offsets.len() && !checkpoint.ended {
            tracing::warn!(
                feed = reel.feed.name,
                before,
                now = output.offsets.len(),
                "the number of partitions has changed since, rows may be written again"
            );
        }
        if made_anew(checkpoint) {
            tracing::warn!(
                feed = reel.feed.name,
                topic = places.output,
                "the topic was made anew since, replaying from the first row"
            );
            checkpoints.remove(key);
        }
    }
    let by_id: HashMap<String, Checkpoint> = reels
        .iter()
        .zip(&keys)
        .filter_map(|(reel, key)| Some((reel.id.to_string(), checkpoints.get(key).filter(|at| !at.ended)?.clone())))
        .collect();
    let mut known = recover::scan(env, kafka, admin, places, &by_id)?;
    let feeds =
        reels.iter().zip(&keys).map(|(reel, key)| (checkpoints.remove(key), known.remove(&reel.id.to_string())));
    Ok(Found { partitions, feeds: feeds.collect() })
}

fn resume(reel: &mut Reel, checkpoint: Option<Checkpoint>, known: Option<Known>, config: &Config) {
    let Some(checkpoint) = checkpoint else { return };
    reel.course.base = checkpoint.base;
    let known = known.unwrap_or_else(|| Known::up_to(checkpoint.pass, checkpoint.line));
    let (pass, line) = known.floor();
    let goes_round = config.repeat && (config.passes == 0 || pass < config.passes);
    if checkpoint.ended && !goes_round && !config.sample {
        // Whoever asked for a replay and gets none must see why, also where only warnings are shown.
        tracing::warn!(feed = reel.feed.name, "replayed to its end already; `resume: false` replays it again");
        reel.end();
    } else if (pass, line) > (0, 0) {
        tracing::info!(feed = reel.feed.name, pass, line, "going on after an earlier replay");
    }
    reel.go_on(known);
}

/// Learns the times and ids of the recordings where they are to be moved.
fn set_course(ctx: &Context<Config>, env: &Env, reels: &mut [Reel]) {
    let config = &ctx.config;
    let moved = config.repeat || config.rebase == Rebase::Now || reels.iter().any(|reel| reel.pass > 0);
    let moved = moved && (!config.sample || config.rebase == Rebase::Now);
    if !moved {
        return;
    }
    tracing::info!(feeds = reels.len(), "reading the recordings once to learn their times and ids");
    let surveys: Vec<_> = reels
        .iter()
        .map(|reel| {
            reel.survey(|| {
                env.beat();
                !env.shutdown.is_set()
            })
        })
        .collect();
    for (reel, course) in reels.iter_mut().zip(shift::courses(&surveys)) {
        let base = std::mem::replace(&mut reel.course, course).base;
        reel.course.base = base;
    }
}

/// Tries again while Kafka does not answer.
pub(crate) fn until_answered<T>(env: &Env, mut ask: impl FnMut() -> streams::Result<T>) -> streams::Result<T> {
    loop {
        match ask() {
            Err(error) if error.is_retry() => {
                tracing::warn!(%error, "kafka does not answer, asking again");
                if env.shutdown.wait_timeout(Duration::from_millis(500)) {
                    return Err(StreamError::Stopped("waiting for Kafka".to_owned()));
                }
            }
            other => return other,
        }
    }
}
