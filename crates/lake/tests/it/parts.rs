//! Objects that are uploaded in parts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::join_all;
use lake::bucket::{Bucket, Object, Put};
use lake::{Paths, S3, S3Config, Trouble};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fake;
use crate::s3::{Server, server};

/// The least that stores take.
const PART_BYTES: usize = 5 << 20;

/// Three parts, the last a short one.
fn large(fill: u8) -> Object {
    let mut body = vec![fill; PART_BYTES * 2 + 77];
    for part in 0..3 {
        body[part * PART_BYTES] = b'a' + part as u8;
    }
    let mut object = Object { body: body.into(), content_type: "text/plain", ..Object::default() };
    object.metadata.insert(lake::ROWS.to_owned(), "7".to_owned());
    object
}

async fn connect(config: &S3Config) -> S3 {
    S3::connect(config).await.with_part_bytes(PART_BYTES)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    /// Not carried out, and the connection breaks.
    Cut,
    /// Carried out, and the connection breaks before the answer.
    LoseAnswer,
}

/// Stands before a store. Returns where, and what was asked.
async fn proxy(
    target: &str,
    fate: impl Fn(usize, &fake::Asked) -> Fate + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let (log, target, fate) = (Arc::<Mutex<Vec<String>>>::default(), target.replace("http://", ""), Arc::new(fate));
    let (kept, count) = (log.clone(), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (log, target, fate, count) = (log.clone(), target.clone(), fate.clone(), count.clone());
            tokio::spawn(async move {
                let asked = fake::read(&mut client).await?;
                log.lock().expect("no panic").push(format!("{} {}", asked.method, asked.target));
                let fate = fate(count.fetch_add(1, Ordering::SeqCst), &asked);
                if fate == Fate::Cut {
                    return None;
                }
                let mut server = TcpStream::connect(target).await.ok()?;
                let line = asked.bytes.windows(2).position(|window| window == b"\r\n")? + 2;
                server.write_all(&asked.bytes[..line]).await.ok()?;
                server.write_all(b"Connection: close\r\n").await.ok()?;
                server.write_all(&asked.bytes[line..]).await.ok()?;
                let mut answer = Vec::new();
                server.read_to_end(&mut answer).await.ok()?;
                if fate == Fate::Pass {
                    client.write_all(&answer).await.ok()?;
                }
                Some(())
            });
        }
    });
    (format!("http://{addr}"), kept)
}

/// The server, a client that goes through a proxy, and what was asked of it.
async fn through(
    fate: impl Fn(usize, &fake::Asked) -> Fate + Send + Sync + 'static,
) -> (Server, S3, Arc<Mutex<Vec<String>>>) {
    let server = server().await;
    let (endpoint, log) = proxy(&server.config.endpoint, fate).await;
    let s3 = connect(&S3Config { endpoint, ..server.config.clone() }).await;
    (server, s3, log)
}

fn completes(asked: &fake::Asked) -> bool {
    asked.method == "POST" && asked.target.contains("uploadId=")
}

fn aborts(log: &Mutex<Vec<String>>) -> usize {
    log.lock()
        .expect("no panic")
        .iter()
        .filter(|asked| asked.starts_with("DELETE ") && asked.contains("uploadId="))
        .count()
}

#[tokio::test]
async fn a_large_object_is_the_first_writers_and_whole() {
    let (server, s3, log) = through(|_, _| Fate::Pass).await;
    let key = format!("{}/a~b/large", server.config.prefix);
    let first = large(1);
    assert_eq!(s3.put_new(&key, first.clone()).await, Ok(Put::Created));
    let asked = log.lock().expect("no panic").clone();
    assert_eq!(asked.iter().filter(|asked| asked.contains("partNumber=")).count(), 3, "{asked:?}");
    assert_eq!((asked.len(), aborts(&log)), (5, 0), "begun, three parts, completed: {asked:?}");
    assert_eq!(s3.put_new(&key, large(2)).await, Ok(Put::Exists));
    assert_eq!(aborts(&log), 1, "parts are left");
    assert!(s3.get(&key).await == Ok(Some(first.body.clone())), "the first writer's bytes");
    let head = s3.head(&key).await.expect("an answer").expect("it is there");
    assert_eq!((head.size_bytes, head.metadata[lake::ROWS].as_str()), (first.body.len() as u64, "7"));
    // A small object does not overwrite a large one, nor the other way round.
    let small = Object { body: Bytes::from_static(b"small"), ..large(0) };
    assert_eq!(s3.put_new(&key, small.clone()).await, Ok(Put::Exists));
    let other = format!("{key}-small");
    assert_eq!(s3.put_new(&other, small).await, Ok(Put::Created));
    assert_eq!(s3.put_new(&other, large(3)).await, Ok(Put::Exists));
}

#[tokio::test]
async fn of_writers_at_once_one_wins() {
    let server = server().await;
    let s3 = connect(&server.config).await;
    let key = format!("{}/race", server.config.prefix);
    let puts = join_all((0..4).map(|n| s3.put_new(&key, large(n)))).await;
    let won: Vec<u8> = (0..4).filter(|n| puts[usize::from(*n)] == Ok(Put::Created)).collect();
    assert_eq!(won.len(), 1, "{puts:?}");
    assert!(puts.iter().all(Result::is_ok), "{puts:?}");
    assert!(s3.get(&key).await == Ok(Some(large(won[0]).body)), "the winner's bytes");
}

#[tokio::test]
async fn killed_between_any_two_steps_it_leaves_nothing_to_see() {
    // Begun, three parts, completed.
    let kills = (0..5).map(|steps| async move {
        let (server, dying, _) = through(move |number, _| if number < steps { Fate::Pass } else { Fate::Cut }).await;
        let key = format!("{}/killed", server.config.prefix);
        dying.put_new(&key, large(1)).await.expect_err("killed");
        let s3 = connect(&server.config).await;
        assert_eq!(s3.head(&key).await, Ok(None), "after {steps} steps");
        assert_eq!(s3.list(&server.config.prefix, None, 9).await, Ok(vec![]), "after {steps} steps");
        assert_eq!(s3.put_new(&key, large(2)).await, Ok(Put::Created), "after {steps} steps");
        assert!(s3.get(&key).await == Ok(Some(large(2).body)), "after {steps} steps");
    });
    join_all(kills).await;
}

#[tokio::test]
async fn an_answer_to_a_completion_that_is_lost_is_no_loss() {
    let lost = AtomicUsize::new(0);
    let once = move |_: usize, asked: &fake::Asked| match completes(asked) && lost.fetch_add(1, Ordering::SeqCst) == 0 {
        true => Fate::LoseAnswer,
        false => Fate::Pass,
    };
    let (server, s3, _) = through(once).await;
    let key = format!("{}/lost", server.config.prefix);
    // Some stores answer the repetition as the first.
    s3.put_new(&key, large(1)).await.expect("stored");
    assert!(s3.get(&key).await == Ok(Some(large(1).body)), "whole");
}

#[tokio::test]
async fn a_part_that_fails_ends_the_upload() {
    let (server, s3, log) =
        through(|_, asked| if asked.target.contains("partNumber=2") { Fate::Cut } else { Fate::Pass }).await;
    let key = format!("{}/part", server.config.prefix);
    let error = s3.put_new(&key, large(1)).await.expect_err("a part is missing");
    assert!(error.is_transient() && error.to_string().contains("put part 2 of s3://"), "{error}");
    assert_eq!((aborts(&log), s3.head(&key).await), (1, Ok(None)));
}

#[tokio::test]
async fn a_store_that_ignores_the_condition_of_a_completion_is_refused() {
    let upload = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
    let endpoint = fake::start(move |asked| match asked.method.as_str() {
        "GET" => fake::reply("200 OK", "", "<ListBucketResult></ListBucketResult>"),
        "POST" if completes(asked) => {
            fake::reply("200 OK", "", "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
        }
        "POST" => fake::reply("200 OK", "", upload),
        "PUT" if asked.target.contains("partNumber=") => fake::reply("200 OK", "ETag: \"x\"\r\n", ""),
        _ => fake::reply("412 Precondition Failed", "", "<Error><Code>PreconditionFailed</Code></Error>"),
    });
    let config = S3Config { endpoint: endpoint.await, ..server().await.config };
    let error = S3::connect(&config).await.check(&Paths::new("a")).await.expect_err("refused");
    assert_eq!(error.trouble, Trouble::NotS3);
    assert!(error.to_string().contains("ignores the condition on CompleteMultipartUpload"), "{error}");
}
