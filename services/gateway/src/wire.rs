//! What the API says, as it says it: times as RFC 3339 text (nanoseconds exceed what a JSON reader keeps exactly),
//! numbers with all their digits.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use market::{ClosedBy, Decimal, Input, Quality, Side, VwapReason};
use serde::{Serialize, Serializer};

/// Nanoseconds since 1970, shown as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&market::time::rfc3339(self.0))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where a price comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceKind {
    Trade,
    /// The close of a bar that came as a bar.
    Bar,
    /// The close of the newest metrics: no event of the symbol was in the part of the topic that was read.
    Metrics,
}

/// What a change is measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferenceKind {
    /// The last price of an earlier UTC day.
    PreviousClose,
    /// The first price seen of this UTC day: no earlier day was read.
    FirstSeen,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reference {
    pub kind: ReferenceKind,
    pub price: Decimal,
    pub time: Time,
}

/// The latest price of a symbol.
#[derive(Clone, Debug, Serialize)]
pub struct Quote {
    pub symbol: Arc<str>,
    pub kind: PriceKind,
    pub price: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bid: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<Decimal>,
    /// Event time.
    pub time: Time,
    /// When Kafka took the record.
    pub seen: Time,
    pub change_pct: Option<Decimal>,
    pub reference: Reference,
    /// How many points the sparkline has had so far: a price event with the same number moves its last point, one with
    /// a higher number begins another.
    pub spark_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spark: Option<Vec<Decimal>>,
    /// The windows for which there are bars. Left out where nothing changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<Vec<Arc<str>>>,
}

/// One window of one symbol.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    pub start: Time,
    pub end: Time,
    pub rev: u32,
    #[serde(rename = "final")]
    pub is_final: bool,
    pub closed_by: Option<ClosedBy>,
    pub open: Option<Decimal>,
    pub high: Option<Decimal>,
    pub low: Option<Decimal>,
    pub close: Option<Decimal>,
    pub volume: Decimal,
    pub quote_volume: Option<Decimal>,
    pub vwap: Option<Decimal>,
    pub vwap_reason: Option<VwapReason>,
    pub twap: Option<Decimal>,
    pub average: Option<Decimal>,
    pub change_pct: Option<Decimal>,
    pub trade_count: Option<u64>,
    pub volatility: Option<Decimal>,
    pub buy_volume: Option<Decimal>,
    pub partial: bool,
    pub quality: Quality,
    /// Absent for a bar that came as a bar.
    #[serde(serialize_with = "input", skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
    pub late: u64,
    pub duplicate: u64,
    pub backfilled: u64,
}

fn input<S: Serializer>(input: &Option<Input>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Wire {
        partition: i32,
        first_offset: i64,
        last_offset: i64,
    }
    let wire = input.map(|input| Wire {
        partition: input.partition,
        first_offset: input.first_offset,
        last_offset: input.last_offset,
    });
    wire.serialize(serializer)
}

/// A bar with the series it belongs to: a `metric` event.
#[derive(Serialize)]
pub struct Metric<'a> {
    pub symbol: &'a str,
    pub window: &'a str,
    #[serde(flatten)]
    pub bar: &'a Bar,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alert {
    pub alert_id: String,
    pub rule: String,
    pub rule_kind: &'static str,
    pub state: &'static str,
    pub symbol: Arc<str>,
    pub metric: String,
    pub window: String,
    pub window_start: Time,
    pub window_end: Time,
    pub direction: &'static str,
    pub value: Decimal,
    pub threshold: Decimal,
    pub time: Time,
}

impl From<&market::Alert> for Alert {
    fn from(alert: &market::Alert) -> Self {
        Alert {
            alert_id: alert.alert_id.clone(),
            rule: alert.rule.clone(),
            rule_kind: alert.rule_kind.as_str(),
            state: alert.state.as_str(),
            symbol: alert.symbol.as_str().into(),
            metric: alert.metric.clone(),
            window: alert.window.to_string(),
            window_start: Time(alert.window_start),
            window_end: Time(alert.window_end),
            direction: alert.direction.as_str(),
            value: alert.value,
            threshold: alert.threshold,
            time: Time(alert.event_time),
        }
    }
}

/// How the pipeline does, as far as it can be seen from its topics.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pipeline {
    pub as_of: Time,
    pub state: State,
    /// What the page is waiting for, where it has nothing to show yet.
    pub waiting_for: Option<String>,
    /// What is wrong, in one sentence.
    pub problem: Option<String>,
    pub topics: Vec<Topic>,
    pub groups: Vec<Group>,
    pub dead_letters: DeadLetters,
    pub view: Size,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Kafka does not answer.
    Down,
    /// No event yet.
    Waiting,
    /// A stage is more than its patience behind.
    Behind,
    /// No new event for half a minute.
    Idle,
    Flowing,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Topic {
    /// `events`, `metrics`, `alerts` or `dead_letters`.
    pub role: &'static str,
    pub topic: String,
    pub partitions: usize,
    /// Records ever written: the sum of the ends of the partitions.
    pub end: i64,
    /// Records still there.
    pub records: i64,
    /// Records per second, over the last ten seconds.
    pub rate: f64,
    /// Since Kafka took the newest record.
    pub age_seconds: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    pub stage: String,
    pub group: String,
    /// Records between its committed position and the end.
    pub lag: Option<i64>,
    /// How long the oldest of them has been waiting.
    pub lag_seconds: Option<f64>,
    /// The oldest was there before the gateway began to look: it may have waited longer.
    pub lag_at_least: bool,
    /// More than is usual for this stage.
    pub behind: bool,
    pub problem: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DeadLetters {
    /// Records in the topic.
    pub count: i64,
    pub rate: f64,
    /// Of those that the gateway has read, most frequent first.
    pub reasons: Vec<Reason>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    pub stage: String,
    pub reason: String,
    pub count: u64,
}

/// What the gateway holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    pub symbols: usize,
    pub series: usize,
    pub bars: usize,
    /// Records of symbols or series that found no room.
    pub refused: u64,
}

/// Counts of dead letters by stage and reason.
pub type Reasons = BTreeMap<(String, String), u64>;

/// One JSON text. These types cannot fail to become one: no map with keys that are not text, no float that is not finite.
pub fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("these types are plain data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_text_and_numbers_keep_their_digits() {
        let reference = Reference {
            kind: ReferenceKind::FirstSeen,
            price: "61837.630000000000000001".parse().unwrap(),
            time: Time(1_723_161_255_342_000_000),
        };
        let text = String::from_utf8(json(&reference)).unwrap();
        assert_eq!(text, r#"{"kind":"first_seen","price":61837.630000000000000001,"time":"2024-08-08T23:54:15.342Z"}"#);
    }
}
