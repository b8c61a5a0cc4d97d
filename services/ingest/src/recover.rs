//! Finds out, before the first row, what of each feed is in Kafka already: the I/O half of [`crate::resume`].

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use streams::{Admin, Env, KafkaConfig, StreamError};

use crate::config::Config;
use crate::resume::{Checkpoint, Ends, Known, POSITION_HEADER, Target, parse_header};

/// After a crash, the last records of the dead process may still be on their way into the broker: its partitions must
/// have stood still for this long before they are believed.
const SETTLE: Duration = Duration::from_millis(500);

/// Where the records of a replay are.
#[derive(Clone, Debug)]
pub struct Places {
    pub output: String,
    pub dead_letters: String,
    pub leases: String,
}

impl Places {
    pub fn of(config: &Config) -> Places {
        Places {
            output: config.output.clone(),
            dead_letters: config.dead_letters.clone(),
            leases: config.leases.clone(),
        }
    }
}

/// The checkpoints of these feeds (by key), as far as there are any.
pub fn checkpoints(
    env: &Env,
    kafka: &KafkaConfig,
    places: &Places,
    keys: &[String],
) -> Result<HashMap<String, Checkpoint>, StreamError> {
    let mut found = HashMap::new();
    streams::read_topic(env, kafka, &places.leases, &BTreeMap::new(), |record| {
        let Some(key) = record.key.and_then(|key| std::str::from_utf8(key).ok()) else { return };
        if !keys.iter().any(|wanted| wanted == key) {
            return;
        }
        match record.value.map(serde_json::from_slice::<Checkpoint>) {
            Some(Ok(checkpoint)) => {
                found.insert(key.to_owned(), checkpoint);
            }
            Some(Err(error)) => tracing::warn!(key, %error, "checkpoint cannot be read, the one before it counts"),
            None => {
                found.remove(key);
            }
        }
    })?;
    Ok(found)
}

/// The ends of all partitions a replay writes to, per topic.
pub fn ends(admin: &Admin, places: &Places) -> Result<BTreeMap<String, Ends>, StreamError> {
    let mut all = BTreeMap::new();
    for topic in [&places.output, &places.dead_letters] {
        // Deleted while we look: as good as not answering, it is waited for.
        let gone =
            || StreamError::Retry { action: format!("find the ends of {topic}"), cause: "it is not there".to_owned() };
        let described = admin.describe(topic)?.ok_or_else(gone)?;
        let offsets = admin.watermarks(topic)?.into_iter().map(|(_, high)| high).collect();
        all.insert(topic.clone(), Ends { id: described.topic_id.to_string(), offsets });
    }
    Ok(all)
}

/// Looks for the records of these feeds (by feed id) beyond their checkpoints.
pub fn scan(
    env: &Env,
    kafka: &KafkaConfig,
    admin: &Admin,
    places: &Places,
    feeds: &HashMap<String, Checkpoint>,
) -> Result<HashMap<String, Known>, StreamError> {
    let mut known: HashMap<String, Known> =
        feeds.iter().map(|(id, at)| (id.clone(), Known::up_to(at.pass, at.line))).collect();
    let unclean = feeds.values().any(|checkpoint| !checkpoint.clean);
    let mut read_to: BTreeMap<String, Ends> = BTreeMap::new();
    loop {
        let now = ends(admin, places)?;
        if now == read_to {
            return Ok(known);
        }
        for (target, topic) in [(Target::Output, &places.output), (Target::DeadLetters, &places.dead_letters)] {
            let Some(from) = start_of(topic, &now[topic], feeds, read_to.get(topic)) else { continue };
            streams::read_topic(env, kafka, topic, &from, |record| {
                let position = record.header(POSITION_HEADER).and_then(parse_header);
                if let Some((feed, position)) = position
                    && let Some(known) = known.get_mut(feed)
                {
                    known.note(target, record.partition, position);
                }
            })?;
        }
        read_to = now;
        if !unclean {
            return Ok(known);
        }
        if env.shutdown.wait_timeout(SETTLE) {
            return Err(StreamError::Stopped("looking for the records of an interrupted replay".to_owned()));
        }
    }
}

/// The offset of each partition from which to read: the earliest of the feeds' checkpoints, or where the last look
/// ended. `None` if no feed has anything in this topic.
fn start_of(
    topic: &str,
    now: &Ends,
    feeds: &HashMap<String, Checkpoint>,
    read_to: Option<&Ends>,
) -> Option<BTreeMap<i32, i64>> {
    if let Some(read_to) = read_to {
        return Some((0..).zip(read_to.offsets.iter().copied()).collect());
    }
    let mut from: BTreeMap<i32, i64> = BTreeMap::new();
    for checkpoint in feeds.values() {
        // A topic made again under the same name holds nothing of an earlier replay: its rows are written anew.
        let Some(ends) = checkpoint.topics.get(topic).filter(|ends| ends.id == now.id) else { continue };
        for (partition, offset) in (0..).zip(&ends.offsets) {
            let start = from.entry(partition).or_insert(*offset);
            *start = (*start).min(*offset);
        }
    }
    // Partitions added since the checkpoint are read from their beginning.
    (!from.is_empty()).then(|| {
        let partitions = i32::try_from(now.offsets.len()).unwrap_or(i32::MAX);
        (0..partitions).for_each(|partition| {
            from.entry(partition).or_insert(0);
        });
        from
    })
}
