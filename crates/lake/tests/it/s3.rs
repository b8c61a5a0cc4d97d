//! The client against a server: embedded, or the real one that `FINFLOW_TEST_S3` names.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use harness::Secret;
use lake::bucket::{Bucket, Object, Put, list_all};
use lake::{Chain, Feed, Format, Next, Paths, Record, S3, S3Config, Source, Trouble, Unasked};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Keeps the embedded server alive for a test.
pub struct Server {
    pub config: S3Config,
    _embedded: Option<(devs3::Server, tempfile::TempDir)>,
}

pub async fn server() -> Server {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let prefix = format!("lake-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let mut config = S3Config {
        prefix,
        access_key: devs3::ACCESS_KEY.to_owned(),
        secret_key: Secret::new(devs3::SECRET_KEY),
        ..S3Config::default()
    };
    if let Ok(endpoint) = std::env::var("FINFLOW_TEST_S3") {
        config.endpoint = endpoint;
        return Server { config, _embedded: None };
    }
    let dir = tempfile::tempdir().expect("a folder");
    let server = devs3::Server::start(dir.path(), "127.0.0.1:0".parse().expect("an address")).await.expect("a server");
    config.endpoint = server.endpoint();
    Server { config, _embedded: Some((server, dir)) }
}

fn object(body: &str) -> Object {
    Object { body: Bytes::from(body.to_owned()), content_type: "text/plain", metadata: BTreeMap::new() }
}

#[tokio::test]
async fn the_first_writer_of_a_key_wins_and_stays() {
    let server = server().await;
    let s3 = S3::connect(&server.config).await;
    let key = format!("{}/a~b/x", server.config.prefix);
    let mut first = object("first");
    first.metadata.insert(lake::ROWS.to_owned(), "7".to_owned());
    assert_eq!(s3.head(&key).await, Ok(None));
    assert_eq!(s3.get(&key).await, Ok(None));
    assert_eq!(s3.put_new(&key, first).await, Ok(Put::Created));
    assert_eq!(s3.put_new(&key, object("second")).await, Ok(Put::Exists));
    assert_eq!(s3.get(&key).await, Ok(Some(Bytes::from("first"))));
    let head = s3.head(&key).await.expect("an answer").expect("it is there");
    assert_eq!((head.size_bytes, head.metadata[lake::ROWS].as_str()), (5, "7"));
}

#[tokio::test]
async fn a_part_of_an_object_is_read() {
    let server = server().await;
    let s3 = S3::connect(&server.config).await;
    let key = format!("{}/parts", server.config.prefix);
    assert_eq!(s3.get_range(&key, 0..1).await, Ok(None));
    s3.put_new(&key, object("0123456789")).await.expect("stored");
    assert_eq!(s3.get_range(&key, 2..5).await, Ok(Some(Bytes::from("234"))));
    assert_eq!(s3.get_range(&key, 9..10).await, Ok(Some(Bytes::from("9"))));
}

#[tokio::test]
async fn an_object_that_lacks_very_many_rows_is_stored_and_says_so() {
    let server = server().await;
    let (s3, paths) = (S3::connect(&server.config).await, Paths::new(&server.config.prefix));
    let source = Source::new("raw", "id", 0);
    let trade = |offset| Record {
        offset,
        timestamp_ms: 0,
        key: None,
        value: Some(
            br#"{"kind":"trade","schema_version":1,"venue":"X","symbol":"X:A","price":1,"quantity":1,"event_time":7}"#,
        ),
        headers: &[],
    };
    let mut range = lake::Range::new(source.clone(), Feed::Raw, Format::JsonlGz, 0);
    for n in 0..1000 {
        range.push(&trade(n * 2));
    }
    let claim = range.seal("one", "size").claim;
    let json = Object { body: claim.to_json().into(), content_type: "application/json", ..Object::default() };
    s3.put_new(&paths.claim(&source, 0), json).await.expect("claimed");
    // Retention takes all rows but the last before they are stored.
    let chain = Chain::new(s3.clone(), Unasked("id".to_owned()), paths.clone(), source, "two".to_owned());
    let Ok(Next::Adopt { claim: found, missing }) = chain.locate().await else { panic!("the claim is unfinished") };
    let mut adoption = lake::Adoption::new(*found, Feed::Raw, &missing);
    adoption.push(&trade(1998));
    let encoded = adoption.finish(1998).expect("the rest is the claim's").encode();
    chain.complete(&encoded).await.expect("the short object is stored");
    let head = s3.head(&paths.below_prefix(&claim.objects[0].key)).await.expect("an answer").expect("it is there");
    assert_eq!(head.metadata[lake::ROWS], "1");
    let said = &head.metadata[lake::MISSING];
    assert!(said.starts_with("0,2,4,") && said.ends_with(",...") && said.len() < 2000, "{said}");
}

#[tokio::test]
async fn a_listing_comes_in_order_and_in_pages() {
    let server = server().await;
    let s3 = S3::connect(&server.config).await;
    let prefix = format!("{}/many/", server.config.prefix);
    for n in 0..1003 {
        let put = s3.put_new(&format!("{prefix}{n:04}"), object("x")).await;
        assert_eq!(put, Ok(Put::Created));
    }
    s3.put_new(&format!("{}/manyother", server.config.prefix), object("x")).await.expect("stored");
    let all = list_all(&s3, &prefix).await.expect("a listing");
    assert_eq!(all.len(), 1003);
    assert!(all.is_sorted() && all[1002] == format!("{prefix}1002"), "{:?}", all.last());
    let sized = s3.list_sized(&prefix).await.expect("a listing");
    assert_eq!(sized.iter().map(|listed| &listed.key).collect::<Vec<_>>(), all.iter().collect::<Vec<_>>());
    assert!(sized.iter().all(|listed| listed.size_bytes == 1));
    let page = s3.list(&prefix, Some(&format!("{prefix}0005")), 2).await.expect("a page");
    assert_eq!(page, [format!("{prefix}0006"), format!("{prefix}0007")]);
}

#[tokio::test]
async fn a_store_that_honours_the_condition_passes_at_every_start() {
    let server = server().await;
    let (s3, paths) = (S3::connect(&server.config).await, Paths::new(&server.config.prefix));
    assert_eq!(s3.check(&paths).await, Ok(()));
    assert_eq!(s3.check(&paths).await, Ok(()));
}

/// Changes the config and expects this trouble, with these words in the message.
async fn refused(change: impl FnOnce(&mut S3Config), trouble: Trouble, words: &[&str]) {
    let mut server = server().await;
    change(&mut server.config);
    let s3 = S3::connect(&server.config).await;
    let error = s3.check(&Paths::new(&server.config.prefix)).await.expect_err("refused");
    let message = error.to_string();
    assert_eq!(error.trouble, trouble, "{message}");
    assert!(words.iter().all(|word| message.contains(word)), "{words:?} in {message}");
}

#[tokio::test]
async fn wrong_keys_are_named() {
    let wrong = |config: &mut S3Config| config.secret_key = Secret::new("not the secret");
    refused(wrong, Trouble::WrongKeys, &["SignatureDoesNotMatch", "check the access key and the secret key"]).await;
    let unknown = |config: &mut S3Config| config.access_key = "nobody".to_owned();
    refused(unknown, Trouble::WrongKeys, &["check the access key and the secret key"]).await;
}

#[tokio::test]
async fn a_missing_bucket_is_named() {
    let missing = |config: &mut S3Config| config.bucket = "nowhere".to_owned();
    refused(missing, Trouble::NoBucket, &["s3://nowhere/", "create the bucket"]).await;
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let nobody = |config: &mut S3Config| config.endpoint = format!("http://{free}");
    refused(nobody, Trouble::Unreachable, &[&free.to_string(), "refused", "is the store up?"]).await;
}

/// A server that gives every request this answer.
async fn always(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 65536];
            let _ = socket.read(&mut request).await;
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{addr}")
}

/// As [`always`], to PUTs; other requests find an empty bucket.
async fn always_to_puts(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let empty =
        "HTTP/1.1 200 OK\r\nContent-Length: 37\r\nConnection: close\r\n\r\n<ListBucketResult></ListBucketResult>";
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 65536];
            let length = socket.read(&mut request).await.unwrap_or(0);
            let answer = if request[..length].starts_with(b"PUT") { answer } else { empty };
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{addr}")
}

#[tokio::test]
async fn a_store_that_ignores_the_condition_is_refused() {
    let answer = "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let endpoint = always_to_puts(answer).await;
    let ignorant = |config: &mut S3Config| config.endpoint = endpoint;
    refused(ignorant, Trouble::NotS3, &["ignores the condition"]).await;
}

#[tokio::test]
async fn a_store_that_does_not_know_the_condition_is_refused() {
    let answer = "HTTP/1.1 501 Not Implemented\r\nContent-Length: 106\r\nConnection: close\r\n\r\n\
                  <Error><Code>NotImplemented</Code><Message>A header you provided implies functionality: no</Message></Error>";
    let endpoint = always_to_puts(answer).await;
    let ignorant = |config: &mut S3Config| config.endpoint = endpoint;
    refused(ignorant, Trouble::NotS3, &["NotImplemented"]).await;
}

#[tokio::test]
async fn what_passes_is_told_from_what_does_not() {
    for (answer, trouble, transient) in [
        ("HTTP/1.1 503 Slow\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", Trouble::Busy, true),
        ("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", Trouble::Failed, true),
        ("HTTP/1.1 409 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", Trouble::Conflict, true),
        ("HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", Trouble::Denied, false),
        ("HTTP/1.1 301 Away\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", Trouble::WrongRegion, false),
        ("hello\r\n", Trouble::Unreachable, true),
    ] {
        let config = S3Config { endpoint: always(answer).await, ..server().await.config };
        let error = S3::connect(&config).await.put_new("x", object("x")).await.expect_err("refused");
        assert_eq!((error.trouble, error.is_transient()), (trouble, transient), "{answer}: {error}");
    }
}

#[tokio::test]
async fn a_clock_that_is_off_is_named_and_waited_for() {
    let answer = "HTTP/1.1 403 No\r\nDate: Thu, 08 Aug 2024 00:00:00 GMT\r\nContent-Length: 94\r\nConnection: close\r\n\r\n\
                  <Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large</Message></Error>";
    let config = S3Config { endpoint: always(answer).await, ..server().await.config };
    let s3 = S3::connect(&config).await;
    let put = s3.put_new("x", object("x")).await.expect_err("refused");
    assert_eq!((put.trouble, put.is_transient()), (Trouble::ClockOff, true), "{put}");
    for words in ["the clock of this machine is off", "NTP", "s ahead of the store's", "RequestTimeTooSkewed"] {
        assert!(put.to_string().contains(words), "{words} in {put}");
    }
    // The answer to a HEAD has no body, only its date.
    assert_eq!(s3.head("x").await.expect_err("refused").trouble, Trouble::ClockOff);
}

#[test]
fn the_secret_is_in_no_message() {
    let config = S3Config { secret_key: Secret::new("hush-hush"), ..S3Config::default() };
    assert!(!format!("{config:?}").contains("hush-hush"));
}
