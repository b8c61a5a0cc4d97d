//! When the rows of a partition become objects. Pure: the caller brings the time.

use std::time::Duration;

use lake::Range;

use crate::config::Rotate;

/// A range of so many runs makes a claim of about a megabyte.
const MAX_RUNS: usize = 500_000;

/// Up to so many objects at once are no reason to wait; ten times as many are worth waiting ten times as long.
const FEW_OBJECTS: u32 = 4;
const LONGEST_WAIT: u32 = 10;

/// Why the range is to be sealed now, as the claim and the metrics say it.
pub(crate) fn due(range: &Range, age: Duration, rotate: &Rotate, objects: usize) -> Option<&'static str> {
    if range.records() == 0 {
        // Only transaction markers: not worth a claim of their own while the stream goes on.
        None
    } else if range.size_bytes() as u64 >= rotate.size.bytes() {
        Some("size")
    } else if range.rows() >= rotate.rows {
        Some("rows")
    } else if objects >= rotate.objects {
        Some("objects")
    } else if range.span_ns() >= rotate.event_span.as_ns() {
        Some("event_span")
    } else if range.runs() >= MAX_RUNS {
        Some("runs")
    } else if age >= patience(*rotate.interval, objects) {
        Some("interval")
    } else {
        None
    }
}

/// Many objects of few rows each are the plague of a lake: the more there would be, the longer the wait.
fn patience(interval: Duration, objects: usize) -> Duration {
    let factor = u32::try_from(objects).unwrap_or(u32::MAX) / FEW_OBJECTS;
    interval * factor.clamp(1, LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use lake::{Feed, Format, Record, Source};

    use super::*;

    const HOUR_NS: i64 = 3_600_000_000_000;

    /// A range with one trade at each of these event times.
    fn range(times: &[i64]) -> Range {
        let mut range = Range::new(Source::new("raw", "id", 0), Feed::Raw, Format::JsonlGz, 0);
        for (offset, time) in (0..).zip(times) {
            let value = format!(
                r#"{{"kind":"trade","schema_version":1,"venue":"X","symbol":"X:A","price":1,"quantity":1,"event_time":{time}}}"#
            );
            let record = Record { offset, timestamp_ms: 0, key: None, value: Some(value.as_bytes()), headers: &[] };
            assert!(matches!(range.push(&record), lake::Pushed::Row(_)));
        }
        range
    }

    fn why(range: &Range, age_s: u64, change: impl FnOnce(&mut Rotate)) -> Option<&'static str> {
        let mut rotate = Rotate::default();
        change(&mut rotate);
        due(range, Duration::from_secs(age_s), &rotate, range.objects())
    }

    #[test]
    fn each_limit_is_a_reason() {
        let one = range(&[0]);
        assert_eq!(why(&one, 599, |_| {}), None);
        assert_eq!(why(&one, 600, |_| {}), Some("interval"));
        assert_eq!(why(&one, 0, |rotate| rotate.size = harness::ByteSize(100)), Some("size"));
        assert_eq!(why(&one, 0, |rotate| rotate.rows = 1), Some("rows"));
        assert_eq!(why(&range(&[0, HOUR_NS]), 0, |rotate| rotate.objects = 2), Some("objects"));
        assert_eq!(why(&range(&[0, 24 * HOUR_NS]), 0, |_| {}), Some("event_span"));
        assert_eq!(why(&range(&[0, 24 * HOUR_NS - 1]), 0, |_| {}), None);
    }

    #[test]
    fn many_objects_wait_longer_but_not_for_ever() {
        let hours: Vec<i64> = (0..20).map(|hour| hour * HOUR_NS).collect();
        let many = range(&hours);
        assert_eq!(why(&many, 2999, |_| {}), None);
        assert_eq!(why(&many, 3000, |_| {}), Some("interval"));
        assert_eq!(patience(Duration::from_secs(1), 1_000_000), Duration::from_secs(10));
    }

    #[test]
    fn nothing_but_markers_is_no_reason() {
        let mut range = range(&[]);
        range.skip_to(5);
        assert_eq!(why(&range, 100_000, |_| {}), None);
    }
}
