use std::collections::BTreeMap;

use super::*;
use crate::bucket::{Dying, Memory, Object};
use crate::expire;
use crate::row::Record;
use crate::verify::{Audit, Difference};
use crate::{Table, read_object};

const DAY: i64 = 86_400_000_000_000;
const HOUR: i64 = DAY / 24;
/// The end of 1970-01-04 and an hour.
const NOW: i64 = 4 * DAY + HOUR;

fn options() -> Options {
    Options { format: Format::Parquet, object_bytes: usize::MAX, memory_bytes: usize::MAX, now: NOW }
}

fn raw() -> Source {
    Source::new("raw", "id", 0)
}

fn dead() -> Source {
    Source::new("dead", "id", 1)
}

async fn store(bucket: &Memory, source: &Source, feed: Feed, format: Format, start: i64, values: &[String]) {
    let log = Unasked("id".to_owned());
    let chain = Chain::new(bucket.clone(), log, Paths::new("lake"), source.clone(), "w".to_owned());
    let mut range = Range::new(source.clone(), feed, format, start);
    let headers: &[(&str, &[u8])] = &[("source", b"\xff"), ("finflow-dlq-reason", b"not_json")];
    for (offset, value) in (start..).zip(values) {
        let (key, value) = (Some(&b"k"[..]), Some(value.as_bytes()));
        range.push(&Record { offset, timestamp_ms: offset, key, value, headers });
    }
    // A marker of a transaction.
    range.skip_to(start + i64::try_from(values.len()).unwrap() + 1);
    assert_eq!(chain.store(&range.seal("w", "test").encode()).await.unwrap(), Stored::Done);
}

fn trade(time: i64) -> String {
    format!(
        r#"{{"kind":"trade","schema_version":1,"venue":"X","symbol":"X:A","price":1.5,"quantity":{},"event_time":{time}}}"#,
        time % 7 + 1
    )
}

/// Four claims a day of eight offsets each: five trades of five hours, one of the day before, a skip and a marker.
async fn grow(bucket: &Memory, format: Format, days: std::ops::Range<i64>) {
    for claim in days.start * 4..days.end * 4 {
        let time = |n: i64| claim / 4 * DAY + n * HOUR + claim % 4;
        let mut values: Vec<String> = (0..5).map(|n| trade(time(n))).collect();
        values.extend([trade((time(0) - DAY).max(0)), "no event".to_owned()]);
        store(bucket, &raw(), Feed::Raw, format, claim * 8, &values).await;
    }
}

async fn lake(format: Format) -> Memory {
    lake_of(format, 5).await
}

async fn lake_of(format: Format, days: i64) -> Memory {
    let bucket = Memory::default();
    grow(&bucket, format, 0..days).await;
    for start in [0, 4, 8] {
        store(&bucket, &dead(), Feed::DeadLetters, format, start, &["{".to_owned(), "}".to_owned(), String::new()])
            .await;
    }
    bucket
}

async fn copy(lake: &Memory) -> Memory {
    let bucket = Memory::default();
    for (key, object) in lake.objects() {
        bucket.put_new(&key, object).await.unwrap();
    }
    bucket
}

async fn compact<B: Bucket>(bucket: &B, options: Options) -> Result<Vec<Made>, CompactError> {
    let writer = format!("of {} bytes", options.memory_bytes);
    let compactor = Compactor::open(bucket.clone(), Paths::new("lake"), options, writer).await?;
    let mut all = Vec::new();
    for source in compactor.sources() {
        compactor.run(&source, |made| all.push(made)).await?;
    }
    Ok(all)
}

async fn audit(bucket: &Memory, prefix: &str) -> Audit<Memory> {
    let mut audit = Audit::open(bucket.clone(), Paths::new(prefix)).await.unwrap();
    for source in audit.sources() {
        audit.check(&source, |_, _| ()).await.unwrap();
    }
    audit.strays().await.unwrap();
    audit
}

type Rows = BTreeMap<(String, i64), (Table, String)>;

/// What a plain reader of this root finds; no row may be there twice.
fn rows(bucket: &Memory, prefix: &str) -> Rows {
    let paths = Paths::new(prefix);
    let mut rows = Rows::new();
    for (key, object) in bucket.objects() {
        let Some((dir, name)) = paths.parse(&key) else { continue };
        read_object(&paths, &key, object.body, |json| {
            let row: serde_json::Value = serde_json::from_slice(json).unwrap();
            let at = (name.topic.to_owned(), row["_offset"].as_i64().unwrap());
            let text = String::from_utf8(json.to_vec()).unwrap();
            assert_eq!(rows.insert(at, (dir.table(), text)), None, "{key} has a row of another object");
        })
        .unwrap();
    }
    rows
}

fn objects(bucket: &Memory, prefix: &str) -> usize {
    bucket.objects().keys().filter(|key| Paths::new(prefix).parse(key).is_some()).count()
}

/// Without what compaction adds.
fn untouched(bucket: &Memory) -> BTreeMap<String, Object> {
    bucket.objects().into_iter().filter(|(key, _)| !key.starts_with("lake/compact/")).collect()
}

#[tokio::test]
async fn the_same_rows_lie_in_fewer_objects_and_the_lake_is_not_touched() {
    for format in Format::ALL {
        let bucket = lake(format).await;
        let (before, all) = (bucket.objects(), rows(&bucket, "lake"));
        let made = compact(&bucket, options()).await.unwrap();
        // Four days of the raw topic, and the letters; of the fifth day and of the last claims nothing.
        assert_eq!(made.iter().map(|made| made.from_claims).collect::<Vec<_>>(), [2, 4, 4, 4, 4], "{format:?}");
        assert_eq!(untouched(&bucket), before, "{format:?}");
        let compacted = rows(&bucket, "lake/compact");
        let expected: Rows = all
            .into_iter()
            .filter(|((topic, offset), _)| if topic == "raw" { *offset < 4 * 4 * 8 } else { *offset < 8 })
            .collect();
        assert_eq!(compacted, expected, "{format:?}");
        assert!(objects(&bucket, "lake/compact") * 2 < objects(&bucket, "lake"), "{format:?}");
        let audit = audit(&bucket, "lake/compact").await;
        assert_eq!(audit.differences, [], "{format:?}");
        assert_eq!((audit.counts.skips, audit.counts.markers), (16, 18), "{format:?}");
    }
}

#[tokio::test]
async fn again_it_makes_nothing_and_later_only_what_is_new() {
    let bucket = lake(Format::Parquet).await;
    compact(&bucket, options()).await.unwrap();
    let before = bucket.objects();
    assert_eq!(compact(&bucket, options()).await.unwrap(), []);
    assert_eq!(bucket.objects(), before);
    grow(&bucket, Format::JsonlGz, 5..6).await;
    let made = compact(&bucket, Options { now: NOW + DAY, ..options() }).await.unwrap();
    assert_eq!(made.iter().map(|made| made.from_claims).collect::<Vec<_>>(), [4]);
    assert_eq!(audit(&bucket, "lake/compact").await.differences, []);
    // The lake goes on as if nothing had happened.
    assert_eq!(audit(&bucket, "lake").await.differences, []);
}

#[tokio::test]
async fn a_range_ends_at_the_limit_of_the_memory() {
    let bucket = lake(Format::Parquet).await;
    let made = compact(&bucket, Options { memory_bytes: 1, ..options() }).await.unwrap();
    assert!(made.iter().all(|made| made.from_claims == 1) && made.len() == 18, "{made:?}");
    assert_eq!(audit(&bucket, "lake/compact").await.differences, []);
}

/// Trades of hours, in claims of some 8 KB.
async fn grow_hours(bucket: &Memory, claims_of_hours: &[i64]) {
    let mut random = fastrand::Rng::with_seed(7);
    let mut start = 0;
    for (hour, claims) in (0..).zip(claims_of_hours) {
        for claim in 0..*claims {
            let trade = |n: i64| {
                let (price, time) = (random.u64(..1 << 50), hour * HOUR + claim * 1_000_000 + n);
                let id = random.u64(..);
                format!(
                    r#"{{"kind":"trade","schema_version":1,"venue":"X","symbol":"X:A","trade_id":"{id}","price":{price}e-9,"quantity":1,"event_time":{time}}}"#
                )
            };
            let values: Vec<String> = (0..300).map(trade).collect();
            store(bucket, &raw(), Feed::Raw, Format::JsonlZst, start, &values).await;
            start += 301;
        }
    }
}

#[tokio::test]
async fn objects_have_the_size_wanted_and_none_is_a_small_rest() {
    let bucket = Memory::default();
    // The last claim is left.
    let hours = [2, 12, 31, 70, 42, 1];
    grow_hours(&bucket, &hours).await;
    let options = Options { object_bytes: 200_000, memory_bytes: 800_000, ..options() };
    compact(&bucket, options).await.unwrap();
    assert_eq!(audit(&bucket, "lake/compact").await.differences, []);
    assert_eq!(rows(&bucket, "lake/compact").len() as i64, (hours.iter().sum::<i64>() - 1) * 300);
    let mut sizes = BTreeMap::<Dir, Vec<usize>>::new();
    for (key, object) in bucket.objects() {
        if let Some((dir, _)) = Paths::new("lake/compact").parse(&key) {
            sizes.entry(dir).or_default().push(object.body.len());
        }
    }
    let sizes: Vec<_> = sizes.into_values().collect();
    assert_eq!(sizes.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1, 3, 2], "{sizes:?}");
    for (size, claims) in sizes.iter().zip(hours) {
        let wanted = if claims < 20 { 1..=200_000 } else { 200_000..=330_000 };
        assert!(size[..size.len() - 1].iter().all(|size| wanted.contains(size)), "{claims} claims: {sizes:?}");
        assert!(claims < 20 || size.iter().all(|size| *size >= 100_000), "{claims} claims: {sizes:?}");
    }
}

#[tokio::test]
async fn killed_after_any_request_no_row_is_twice_and_the_next_run_goes_on() {
    let (lake, now) = (lake_of(Format::Parquet, 3).await, 2 * DAY + HOUR);
    let whole = copy(&lake).await;
    compact(&whole, Options { now, ..options() }).await.unwrap();
    let mut requests = 0;
    loop {
        let bucket = copy(&lake).await;
        let ended = compact(&Dying::after(bucket.clone(), requests), Options { now, ..options() }).await;
        // Whatever is there is right; only the last claim may want objects.
        rows(&bucket, "lake/compact");
        let differences = audit(&bucket, "lake/compact").await.differences;
        let under_way = |difference: &Difference| matches!(difference, Difference::Missing { is_last: true, .. });
        assert!(differences.iter().all(under_way), "killed after {requests} requests: {differences:?}");
        if ended.is_ok() {
            break;
        }
        // In another format, since settings may change between two runs: the claim that is there decides.
        compact(&bucket, Options { format: Format::JsonlGz, memory_bytes: 3_000, now, ..options() }).await.unwrap();
        assert_eq!(audit(&bucket, "lake/compact").await.differences, [], "killed after {requests} requests");
        assert_eq!(rows(&bucket, "lake/compact"), rows(&whole, "lake/compact"), "killed after {requests} requests");
        requests += 1;
    }
    assert!(requests > 50, "{requests} requests");
}

#[tokio::test]
async fn two_at_a_time_make_one_chain() {
    let (lake, now) = (lake_of(Format::Parquet, 3).await, 2 * DAY + HOUR);
    for seed in 0..50 {
        let bucket = copy(&lake).await;
        let (first, second) = (Dying::never(bucket.clone(), seed), Dying::never(bucket.clone(), seed + 1000));
        let other = Options { memory_bytes: 3_000, now, ..options() };
        let (one, other) = futures::join!(compact(&first, Options { now, ..options() }), compact(&second, other));
        let made = one.unwrap().len() + other.unwrap().len();
        assert_eq!(audit(&bucket, "lake/compact").await.differences, [], "seed {seed}");
        assert_eq!(rows(&bucket, "lake/compact").len(), 2 * 4 * 6 + 6, "seed {seed}");
        let claims = bucket.objects().keys().filter(|key| key.starts_with("lake/compact/_claims/")).count();
        assert_eq!(made, claims, "seed {seed}: each claim has one maker");
    }
}

#[tokio::test]
async fn damage_is_named_and_nothing_is_made_of_it() {
    let bucket = lake(Format::Parquet).await;
    let key = bucket.objects().into_keys().find(|key| key.contains("trades/dt=1970-01-02")).unwrap();
    let object = bucket.remove(&key).unwrap();
    let error = compact(&bucket, options()).await.unwrap_err().to_string();
    assert!(error.contains(&key) && error.contains("missing"), "{error}");
    assert_eq!(audit(&bucket, "lake/compact").await.differences, []);
    bucket.put_new(&key, Object { body: object.body.slice(..object.body.len() / 2), ..object.clone() }).await.unwrap();
    let error = compact(&bucket, options()).await.unwrap_err().to_string();
    assert!(error.contains(&key), "{error}");
    // Once it is back, it goes on.
    bucket.remove(&key);
    bucket.put_new(&key, object).await.unwrap();
    compact(&bucket, options()).await.unwrap();
    assert_eq!(rows(&bucket, "lake/compact").len(), 4 * 4 * 6 + 6);
}

#[tokio::test]
async fn holes_and_what_expired_are_declared_and_what_waits_for_compaction_does_not_expire() {
    let bucket = Memory::default();
    let log = Unasked("id".to_owned());
    let chain = Chain::new(bucket.clone(), log, Paths::new("lake"), raw(), "w".to_owned());
    let hole = Claim::empty(&raw(), 0, 7, Kind::Hole, "w", "retention");
    assert!(chain.claim(&hole).await.unwrap());
    for claim in 1..10 {
        store(
            &bucket,
            &raw(),
            Feed::Raw,
            Format::Parquet,
            claim * 8,
            &[trade(claim * DAY / 2), trade(claim * DAY / 2)],
        )
        .await;
        // The rest of its eight offsets.
        let rest = Claim::empty(&raw(), claim * 8 + 3, claim * 8 + 7, Kind::Skip, "w", "wish");
        assert!(chain.claim(&rest).await.unwrap());
    }
    let expire = |before: i64| {
        let bucket = bucket.clone();
        async move {
            let plan = expire::plan(&bucket, &Paths::new("lake"), &[Table::Trades], before).await.unwrap();
            expire::apply(&bucket, &Paths::new("lake"), &plan, |_, _| ()).await.unwrap();
            plan
        }
    };
    assert_eq!(expire(DAY).await.objects(), 1);
    compact(&bucket, Options { now: 3 * DAY, ..options() }).await.unwrap();
    let audit = audit(&bucket, "lake/compact").await;
    assert_eq!(audit.differences, []);
    assert_eq!((audit.counts.lost, audit.counts.skips), (8, 2), "a hole, and what expired");
    assert_eq!(audit.counts.rows, 2 * 4);
    // Everything is old, and what is not compacted stays.
    let plan = expire(10 * DAY).await;
    assert_eq!(plan.partitions.keys().collect::<Vec<_>>(), ["trades/dt=1970-01-02", "trades/dt=1970-01-03"]);
    assert!(!plan.kept.is_empty());
    compact(&bucket, Options { now: 9 * DAY, ..options() }).await.unwrap();
    assert_eq!(rows(&bucket, "lake/compact").len(), 2 * 8);
}
