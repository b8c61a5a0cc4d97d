//! What a dead letter may weigh. A stage that stopped for one that is too large would meet it again at every start.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::{DETAIL_MAX, SIZE};
use crate::admin::Admin;
use crate::config::KafkaConfig;
use crate::env::Env;
use crate::error::Result;
use crate::record::Header;

/// Every topic takes this much: for less nothing is asked.
const SMALL: usize = 100_000;
/// Kafka's own default of `max.message.bytes`.
const KAFKAS: usize = 1_048_588;
/// More than what Kafka adds to a record, and to a header of it.
const AROUND: usize = 512;
const AROUND_HEADER: usize = 32;
/// What the names of our headers begin with.
const OURS: &str = "finflow-";

/// The largest letter that the producer sends and the topic takes.
pub(crate) struct Room {
    env: Env,
    kafka: KafkaConfig,
    topics: OnceLock<usize>,
}

pub(crate) struct Letter<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: Cow<'a, [Header]>,
}

impl Room {
    pub(crate) fn new(env: &Env, kafka: &KafkaConfig) -> Self {
        Room { env: env.clone(), kafka: kafka.clone(), topics: OnceLock::new() }
    }

    /// The letter as it is, or as much of it as `topic` takes.
    pub(crate) fn fit<'a>(&self, topic: &str, letter: Letter<'a>) -> Letter<'a> {
        if letter.size() <= SMALL {
            return letter;
        }
        letter.cut(self.kafka.largest().min(self.of_topic(topic)))
    }

    /// Asked for once. Where Kafka does not tell us, its default is likely.
    fn of_topic(&self, topic: &str) -> usize {
        *self.topics.get_or_init(|| {
            self.ask(topic).unwrap_or_else(|error| {
                tracing::warn!(topic, %error, "the topic's largest record is not known, assuming Kafka's default");
                KAFKAS
            })
        })
    }

    fn ask(&self, topic: &str) -> Result<usize> {
        let admin = Admin::new(&self.env, &self.kafka)?;
        let settings = self.env.ask("read the topic's largest record", || admin.settings(topic))?;
        Ok(settings.get("max.message.bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or(KAFKAS))
    }
}

impl Letter<'_> {
    fn size(&self) -> usize {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let headers = self.headers.iter().map(|(name, value)| AROUND_HEADER + name.len() + length(value.as_deref()));
        AROUND + length(self.key) + length(self.value) + headers.sum::<usize>()
    }

    /// Makes it fit into `room`: the value gives way first, then the headers it came with, last the key.
    fn cut(mut self, room: usize) -> Self {
        let before = self.size();
        if before <= room {
            return self;
        }
        let length = self.value.map_or(0, <[u8]>::len);
        self.headers.to_mut().push((SIZE.to_owned(), Some(length.to_string().into_bytes())));
        self.value = shortened(self.value, self.size().saturating_sub(room));
        if self.size() > room {
            let small = |value: &Option<Vec<u8>>| value.as_ref().is_none_or(|value| value.len() <= DETAIL_MAX);
            self.headers.to_mut().retain(|(name, value)| name.starts_with(OURS) && small(value));
        }
        self.key = shortened(self.key, self.size().saturating_sub(room));
        tracing::warn!(bytes = before, room, "a dead letter is cut, the topic takes no larger one");
        self
    }
}

fn shortened(bytes: Option<&[u8]>, by: usize) -> Option<&[u8]> {
    bytes.map(|bytes| &bytes[..bytes.len().saturating_sub(by)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter<'a>(key: &'a [u8], value: &'a [u8], headers: &[(&str, usize)]) -> Letter<'a> {
        let headers = headers.iter().map(|(name, size)| ((*name).to_owned(), Some(vec![b'h'; *size])));
        Letter { key: Some(key), value: Some(value), headers: headers.collect() }
    }

    fn names<'a>(letter: &'a Letter<'_>) -> Vec<&'a str> {
        letter.headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn what_fits_is_left_alone() {
        let whole = letter(b"AAPL", &[1; 2_000], &[("source", 10), ("finflow-dlq-reason", 8)]);
        let room = whole.size();
        let whole = whole.cut(room);
        assert_eq!((whole.value, names(&whole)), (Some(&[1; 2_000][..]), vec!["source", "finflow-dlq-reason"]));
    }

    #[test]
    fn the_value_gives_way_first_and_its_size_is_told() {
        let bytes: Vec<u8> = (0..10_000).map(|n| (n % 251) as u8).collect();
        let cut = letter(b"AAPL", &bytes, &[("source", 10), ("finflow-dlq-reason", 8)]).cut(4_000);
        let kept = cut.value.unwrap();
        assert!(
            cut.size() == 4_000 && kept.len() > 3_000 && bytes.starts_with(kept),
            "{} of {}",
            kept.len(),
            cut.size()
        );
        assert_eq!(cut.key, Some(&b"AAPL"[..]));
        assert_eq!(names(&cut), ["source", "finflow-dlq-reason", SIZE]);
        assert_eq!(cut.headers[2].1.as_deref(), Some(&b"10000"[..]));
    }

    #[test]
    fn then_the_headers_it_came_with_and_last_the_key() {
        let headers = [("source", 9_000), ("finflow-dlq-reason", 8), ("finflow-dlq-alien", 9_000)];
        let cut = letter(b"AAPL", b"value", &headers).cut(4_000);
        assert_eq!((cut.key, cut.value), (Some(&b"AAPL"[..]), Some(&b""[..])));
        assert_eq!(names(&cut), ["finflow-dlq-reason", SIZE]);
        let cut = letter(&[b'k'; 9_000], b"value", &headers).cut(4_000);
        assert!(cut.size() == 4_000 && cut.key.is_some_and(|key| key.len() > 3_000), "{}", cut.size());
    }
}
