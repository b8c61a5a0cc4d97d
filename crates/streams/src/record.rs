//! A record as it was read: borrowed from librdkafka's buffers, or owned.

use std::borrow::Cow;
use std::fmt;

use crate::native::message::MessageRef;

/// A record that lives until the next `poll`.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// When the broker wrote it (`LogAppendTime`), in milliseconds since 1970; -1 if unknown.
    pub timestamp_ms: i64,
    headers: Source<'a>,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Message(MessageRef<'a>),
    Owned(&'a [Header]),
}

/// Name and value of a header; a value may be null.
pub type Header = (String, Option<Vec<u8>>);

/// A record that may be kept and sent to other threads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnedRecord {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub timestamp_ms: i64,
    pub headers: Vec<Header>,
}

impl<'a> Record<'a> {
    pub(crate) fn of(message: MessageRef<'a>) -> Self {
        Record {
            topic: message.topic(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key(),
            value: message.value(),
            timestamp_ms: message.timestamp_ms(),
            headers: Source::Message(message),
        }
    }

    /// In order; a name may repeat. A name that is not UTF-8 is shown with replacement characters.
    pub fn headers(&self) -> impl Iterator<Item = (Cow<'a, str>, Option<&'a [u8]>)> {
        let source = self.headers;
        (0..).map_while(move |index| match source {
            Source::Message(message) => message.header(index),
            Source::Owned(headers) => {
                headers.get(index).map(|(name, value)| (Cow::Borrowed(name.as_str()), value.as_deref()))
            }
        })
    }

    /// The last header of that name: later ones win, as in Kafka's own clients.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers().filter(|(found, _)| found == name).last().and_then(|(_, value)| value)
    }

    pub fn to_owned(&self) -> OwnedRecord {
        OwnedRecord {
            topic: self.topic.to_owned(),
            partition: self.partition,
            offset: self.offset,
            key: self.key.map(<[u8]>::to_vec),
            value: self.value.map(<[u8]>::to_vec),
            timestamp_ms: self.timestamp_ms,
            headers: self.headers().map(|(name, value)| (name.into_owned(), value.map(<[u8]>::to_vec))).collect(),
        }
    }
}

impl OwnedRecord {
    pub fn as_record(&self) -> Record<'_> {
        Record {
            topic: &self.topic,
            partition: self.partition,
            offset: self.offset,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            timestamp_ms: self.timestamp_ms,
            headers: Source::Owned(&self.headers),
        }
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]@{}", self.topic, self.partition, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_header_of_a_name_wins() {
        let headers = vec![
            ("source".to_owned(), Some(b"first".to_vec())),
            ("empty".to_owned(), None),
            ("source".to_owned(), Some(b"last".to_vec())),
        ];
        let owned = OwnedRecord { topic: "t".to_owned(), headers, ..OwnedRecord::default() };
        assert_eq!(owned.as_record().header("source"), Some(&b"last"[..]));
        assert_eq!(owned.as_record().header("empty"), None);
        assert_eq!(owned.as_record().headers().count(), 3);
        assert_eq!(owned.as_record().to_owned(), owned);
    }
}
