use super::*;
use crate::bucket::{Dying, Memory};
use crate::verify::Audit;
use crate::{Chain, Feed, Format, Next, Range, Record, Unasked};

const DAY_NS: i64 = 86_400_000_000_000;
/// The end of 1970-01-03.
const BEFORE: i64 = 3 * DAY_NS;

fn chain(bucket: &Memory) -> Chain<Memory, Unasked> {
    let log = Unasked("id".to_owned());
    Chain::new(bucket.clone(), log, Paths::new("lake"), Source::new("raw", "id", 0), "w".to_owned())
}

/// Claims of two trades each: one late of 1970-01-01, and one of 1970-01-01, -02, … as claim follows claim. At the end a bar of 1970.
async fn lake(format: Format, days: i64) -> Memory {
    let bucket = Memory::default();
    let trade = |time: i64| {
        format!(
            r#"{{"kind":"trade","schema_version":1,"venue":"X","symbol":"X:A","price":1,"quantity":1,"event_time":{time}}}"#
        )
    };
    let bar = r#"{"kind":"bar","schema_version":1,"symbol":"I","interval":"1d","start":0,"end":86400000000000,"open":1,"high":1,"low":1,"close":1,"volume":0}"#;
    for day in 0..=days {
        let mut range = Range::new(Source::new("raw", "id", 0), Feed::Raw, format, 2 * day);
        let values = [trade(day), if day == days { bar.to_owned() } else { trade(day * DAY_NS + 1) }];
        for (offset, value) in (2 * day..).zip(values) {
            range.push(&Record { offset, timestamp_ms: 0, key: None, value: Some(value.as_bytes()), headers: &[] });
        }
        chain(&bucket).store(&range.seal("w", "test").encode()).await.unwrap();
    }
    bucket
}

async fn audit(bucket: &Memory) -> Audit<Memory> {
    let mut audit = Audit::open(bucket.clone(), Paths::new("lake")).await.unwrap();
    for source in audit.sources() {
        audit.check(&source, |_, _| ()).await.unwrap();
    }
    audit.strays().await.unwrap();
    audit
}

async fn expire<B: Delete>(bucket: &B) -> Result<Plan, ChainError> {
    let plan = plan(bucket, &Paths::new("lake"), &[Table::Trades], BEFORE).await?;
    apply(bucket, &Paths::new("lake"), &plan, |_, _| ()).await?;
    Ok(plan)
}

#[tokio::test]
async fn old_days_go_and_newer_ones_claims_and_the_last_objects_stay() {
    for format in Format::ALL {
        let bucket = lake(format, 5).await;
        let before = bucket.objects();
        let plan = expire(&bucket).await.unwrap();
        let names: Vec<&str> = plan.partitions.keys().map(String::as_str).collect();
        assert_eq!(names, ["trades/dt=1970-01-01", "trades/dt=1970-01-02", "trades/dt=1970-01-03"], "{format:?}");
        // The late trade of the last claim is of the first day.
        assert_eq!(plan.kept.len(), 1, "{:?}", plan.kept);
        let after = bucket.objects();
        let gone: Vec<&String> = before.keys().filter(|key| !after.contains_key(*key)).collect();
        let planned: Vec<&String> = plan.partitions.values().flatten().collect();
        assert_eq!(gone, planned);
        assert_eq!(gone.iter().filter(|key| !key.starts_with("lake/trades/dt=1970-01-0")).count(), 0, "{gone:?}");
        assert!(after.keys().any(|key| key.contains("1970-01-04")) && after.keys().any(|key| key.contains("bars/")));

        let audit = audit(&bucket).await;
        assert_eq!(audit.differences, [], "{format:?}");
        assert_eq!((audit.counts.rows, audit.counts.expired), (4, 8), "{format:?}");
        // The chain goes on where it was.
        assert!(matches!(chain(&bucket).locate().await, Ok(Next::Read { from: 12 })), "{format:?}");
        assert_eq!(expire(&bucket).await.unwrap().objects(), 0, "{format:?}: nothing is left to do");
    }
}

/// Of a day that ends a moment too late nothing goes.
#[tokio::test]
async fn a_day_goes_as_a_whole_or_not_at_all() {
    let bucket = lake(Format::Parquet, 5).await;
    let plan = plan(&bucket, &Paths::new("lake"), &[Table::Trades, Table::Bars], BEFORE - 1).await.unwrap();
    assert_eq!(plan.partitions.keys().collect::<Vec<_>>(), ["trades/dt=1970-01-01", "trades/dt=1970-01-02"]);
}

#[tokio::test]
async fn what_is_missing_elsewhere_is_still_a_difference() {
    let bucket = lake(Format::Parquet, 5).await;
    expire(&bucket).await.unwrap();
    let other = bucket.objects().into_keys().find(|key| key.contains("1970-01-04")).unwrap();
    bucket.remove(&other);
    assert_eq!(audit(&bucket).await.differences.len(), 1);
}

#[tokio::test]
async fn killed_after_any_request_nothing_is_taken_for_lost_and_the_next_run_goes_on() {
    let whole = lake(Format::Parquet, 5).await;
    expire(&whole).await.unwrap();
    let mut requests = 0;
    loop {
        let bucket = lake(Format::Parquet, 5).await;
        let ended = expire(&Dying::after(bucket.clone(), requests)).await;
        assert_eq!(audit(&bucket).await.differences, [], "killed after {requests} requests");
        if ended.is_ok() {
            break;
        }
        expire(&bucket).await.unwrap();
        assert_eq!(bucket.objects().keys().collect::<Vec<_>>(), whole.objects().keys().collect::<Vec<_>>());
        requests += 1;
    }
    assert!(requests > 10, "{requests} requests");
}
