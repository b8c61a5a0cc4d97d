use super::*;
use crate::bucket::{Memory, Object};
use crate::{Chain, Feed, Format, Range, Record, Stored, Unasked};

fn source() -> Source {
    Source::new("raw", "id", 0)
}

/// Three claims of ten offsets each, whose trades are in two hours; offset 13 is a skip.
async fn lake(format: Format) -> Memory {
    let bucket = Memory::default();
    let log = Unasked("id".to_owned());
    let chain = Chain::new(bucket.clone(), log, Paths::new(""), source(), "w".to_owned());
    for start in [0, 10, 20] {
        let mut range = Range::new(source(), Feed::Raw, format, start);
        for offset in start..start + 10 {
            let time = 3_600_000_000_000 * (offset % 2) + offset;
            let value = match offset {
                13 => "no event".to_owned(),
                _ => format!(
                    r#"{{"kind":"trade","schema_version":1,"venue":"X","symbol":"X:A","price":1,"quantity":1,"event_time":{time}}}"#
                ),
            };
            range.push(&Record { offset, timestamp_ms: 0, key: None, value: Some(value.as_bytes()), headers: &[] });
        }
        assert_eq!(chain.store(&range.seal("w", "test").encode()).await.unwrap(), Stored::Done);
    }
    bucket
}

async fn audit(bucket: &Memory) -> Audit<Memory> {
    let mut audit = Audit::open(bucket.clone(), Paths::new("")).await.unwrap();
    for source in audit.sources() {
        audit.check(&source, |_, _| ()).await.unwrap();
    }
    audit.strays().await.unwrap();
    audit
}

fn object(bucket: &Memory, hour: &str, start: i64) -> String {
    let key = |key: &String| key.contains(hour) && key.contains(&format!("-{start:020}-"));
    bucket.objects().into_keys().find(key).unwrap()
}

async fn put(bucket: &Memory, key: &str, body: Bytes) {
    bucket.put_new(key, Object { body, ..Object::default() }).await.unwrap();
}

#[tokio::test]
async fn a_lake_as_it_was_written_has_no_difference() {
    for format in Format::ALL {
        let bucket = lake(format).await;
        let audit = audit(&bucket).await;
        assert_eq!(audit.differences, [], "{format:?}");
        let counts = audit.counts;
        assert_eq!((counts.claims, counts.rows, counts.skips, counts.lost), (3, 29, 1, 0), "{format:?}");
    }
}

#[tokio::test]
async fn rows_come_in_the_order_of_their_offsets() {
    let mut audit = Audit::open(lake(Format::Parquet).await, Paths::new("")).await.unwrap();
    let mut offsets = Vec::new();
    audit.check(&source(), |_, rows| offsets.extend(rows.iter().map(|row| row.offset))).await.unwrap();
    assert_eq!(offsets, (0..30).filter(|offset| *offset != 13).collect::<Vec<_>>());
}

/// What others may do to a lake, and what the audit says of it.
#[tokio::test]
async fn each_damage_is_named() {
    let paths = Paths::new("");
    // A claim in the middle is gone: its offsets, and the objects that only it named.
    let bucket = lake(Format::Parquet).await;
    bucket.remove(&paths.claim(&source(), 10)).unwrap();
    let found = audit(&bucket).await.differences;
    assert_eq!(found[0], Difference::Unclaimed { source: source(), from: 10, to: 19 });
    assert!(matches!(&found[1..], [Difference::Stray { .. }, Difference::Stray { .. }]), "{found:?}");

    // An object is gone, of a claim in the middle and of the last.
    for (start, is_last) in [(10, false), (20, true)] {
        let bucket = lake(Format::JsonlGz).await;
        let key = object(&bucket, "hour=00", start);
        bucket.remove(&key).unwrap();
        assert_eq!(audit(&bucket).await.differences, [Difference::Missing { key, rows: 5, is_last }]);
    }

    // An object is overwritten by that of another range.
    let bucket = lake(Format::Parquet).await;
    let (old, new) = (object(&bucket, "hour=00", 0), object(&bucket, "hour=00", 20));
    bucket.remove(&old).unwrap();
    put(&bucket, &old, bucket.objects()[&new].body.clone()).await;
    let found = audit(&bucket).await.differences;
    assert_eq!(found[0], Difference::Extra { key: old.clone(), offsets: vec![20, 22, 24, 26, 28] });
    assert_eq!(found[1], Difference::Absent { key: old, offsets: vec![0, 2, 4, 6, 8] });

    // A copy beside the original.
    let bucket = lake(Format::Parquet).await;
    let key = object(&bucket, "hour=00", 0);
    let copy = key.replace("hour=00", "hour=01").replace("-00000000000000000000-", "-00000000000000000500-");
    put(&bucket, &copy, bucket.objects()[&key].body.clone()).await;
    assert_eq!(audit(&bucket).await.differences, [Difference::Stray { key: copy }]);

    // An object cut short.
    let bucket = lake(Format::Parquet).await;
    let key = object(&bucket, "hour=01", 0);
    let body = bucket.remove(&key).unwrap().body;
    put(&bucket, &key, body.slice(..body.len() / 2)).await;
    let found = audit(&bucket).await.differences;
    assert!(matches!(&found[0], Difference::Unreadable { key: at, .. } if *at == key), "{found:?}");
}

#[tokio::test]
async fn rows_twice_and_rows_of_elsewhere_are_named() {
    let bucket = lake(Format::Json).await;
    let key = object(&bucket, "hour=00", 4);
    let body = bucket.remove(&key).unwrap().body;
    put(&bucket, &key, Bytes::from([&body[..], b"\n", &body[..]].concat())).await;
    assert_eq!(audit(&bucket).await.differences, [Difference::Twice { key, offsets: vec![4] }]);

    let bucket = lake(Format::Json).await;
    let key = object(&bucket, "hour=00", 4);
    let body = String::from_utf8(bucket.remove(&key).unwrap().body.to_vec()).unwrap();
    put(&bucket, &key, Bytes::from(body.replace(r#""event_time":4"#, r#""event_time":7200000000000"#))).await;
    let belongs = Some("trades/dt=1970-01-01/hour=02".to_owned());
    assert_eq!(audit(&bucket).await.differences, [Difference::Elsewhere { key, offset: 4, belongs }]);
}
