//! Compaction to objects of the size that engines like, on a real server. A measurement, for builds with optimisation:
//! `FINFLOW_TEST_S3=http://127.0.0.1:19000 cargo test --release -p lake --test it large -- --ignored --nocapture`.
//! `FINFLOW_TEST_LARGE`: millions of trades.

use std::time::Instant;

use lake::compact::{Compactor, Made, Options};
use lake::{Chain, Feed, Format, Paths, Range, Record, S3, Source, Stored, Unasked};

use crate::s3::server;

/// Rows of each claim of the lake: about what `rotate.size` makes of trades.
const ROWS: i64 = 200_000;
const HOUR_NS: i64 = 3_600_000_000_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, not a check"]
async fn hours_of_millions_of_trades_are_large_objects() {
    let millions = std::env::var("FINFLOW_TEST_LARGE").ok().and_then(|number| number.parse::<i64>().ok()).unwrap_or(30);
    let server = server().await;
    let (s3, paths) = (S3::connect(&server.config).await, Paths::new(&server.config.prefix));
    let (source, rows) = (Source::new("raw", "id", 0), millions * 1_000_000);
    let began = Instant::now();
    let chain = Chain::new(s3.clone(), Unasked("id".to_owned()), paths.clone(), source.clone(), "one".to_owned());
    let (mut random, mut value_bytes) = (fastrand::Rng::with_seed(7), 0);
    // One claim more, since the last of a chain is not compacted.
    for start in (0..=rows).step_by(usize::try_from(ROWS).expect("positive")) {
        let mut range = Range::new(source.clone(), Feed::Raw, Format::Parquet, start);
        for offset in start..start + if start == rows { 1 } else { ROWS } {
            let (symbol, price, quantity) = (random.u32(0..50), random.u32(100_000..200_000), random.u32(1..9_999_999));
            // Two hours, the second of twice as many trades as the first.
            let hour = i64::from(offset >= rows / 3);
            let time = hour * HOUR_NS + offset * 1_000 + random.i64(0..1_000);
            let value = format!(
                r#"{{"kind":"trade","schema_version":1,"venue":"X","symbol":"X:S{symbol}","trade_id":"{offset}","price":{price}e-2,"quantity":{quantity}e-5,"event_time":{time}}}"#
            );
            value_bytes += value.len();
            range.push(&Record { offset, timestamp_ms: 0, key: None, value: Some(value.as_bytes()), headers: &[] });
        }
        assert_eq!(chain.store(&range.seal("one", "test").encode()).await.expect("stored"), Stored::Done);
    }
    println!("{rows} trades of {} MiB stored in {:.1?}", value_bytes >> 20, began.elapsed());

    // The peak begins anew.
    std::fs::write("/proc/self/clear_refs", "5").expect("a Linux");
    let (began, before) = (Instant::now(), memory_mib("VmRSS:"));
    let options = Options { now: 48 * HOUR_NS, ..Options::default() };
    let compactor = Compactor::open(s3.clone(), paths.clone(), options, "two".to_owned()).await.expect("opened");
    let mut all = Vec::<Made>::new();
    compactor.run(&source, |made| all.push(made)).await.expect("compacted");
    println!("compacted in {:.1?}, from {before} MiB to a peak of {} MiB", began.elapsed(), memory_mib("VmHWM:"));
    println!("{all:#?}");
    assert_eq!(all.iter().map(|made| made.size.rows).sum::<u64>(), u64::try_from(rows).expect("positive"));
    let objects = s3.list_sized(&paths.compact().table(lake::Table::Trades)).await.expect("a listing");
    for object in &objects {
        println!("{} MiB {}", object.size_bytes >> 20, object.key);
        assert!((128 << 20..512 << 20).contains(&object.size_bytes), "{object:?}");
    }
    let began = Instant::now();
    let mut audit = lake::verify::Audit::open(s3.clone(), paths.compact()).await.expect("the claims are listed");
    for source in audit.sources() {
        audit.check(&source, |_, _| ()).await.expect("the chain is read");
    }
    assert_eq!(audit.differences, []);
    println!("read back and found right in {:.1?}", began.elapsed());
}

fn memory_mib(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|other| other.strip_prefix(line));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
