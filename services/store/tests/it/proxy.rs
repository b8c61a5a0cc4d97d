//! Stands between a store and its S3 and lets the test decide what becomes of a request.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::world::runtime;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Pass,
    /// Not carried out, and no answer comes.
    HoldBefore,
    /// Carried out, and no answer comes.
    HoldAfter,
    /// Not carried out until [`Proxy::release`], and no answer comes.
    HoldLate,
    /// Carried out, and the connection breaks before the answer.
    LoseAnswer,
    /// An answer of trouble, and nothing is carried out.
    Refuse(u16),
    /// The answer to a machine whose clock is off; nothing is carried out.
    Skewed,
    /// Carried out and answered, after so many milliseconds.
    Slow(u64),
}

type Plan = Box<dyn Fn(usize) -> Fate + Send + Sync>;

struct Shared {
    target: String,
    writes: AtomicUsize,
    plan: Mutex<Plan>,
    reads: AtomicUsize,
    plan_of_reads: Mutex<Plan>,
    held: AtomicUsize,
    release: Notify,
}

#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
    pub endpoint: String,
}

impl Proxy {
    /// `plan` gets the number of each write, from 0.
    pub fn start(target: &str, plan: impl Fn(usize) -> Fate + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared {
            target: target.trim_start_matches("http://").to_owned(),
            writes: AtomicUsize::new(0),
            plan: Mutex::new(Box::new(plan)),
            reads: AtomicUsize::new(0),
            plan_of_reads: Mutex::new(Box::new(|_| Fate::Pass)),
            held: AtomicUsize::new(0),
            release: Notify::new(),
        });
        let listener = runtime().block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let accepting = shared.clone();
        runtime().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, accepting.clone()));
            }
        });
        Self { shared, endpoint }
    }

    pub fn writes(&self) -> usize {
        self.shared.writes.load(Ordering::SeqCst)
    }

    /// Writes that wait for ever, or for [`Proxy::release`].
    pub fn held(&self) -> usize {
        self.shared.held.load(Ordering::SeqCst)
    }

    /// Lets late writes land, and waits until they have.
    pub fn release(&self) {
        self.shared.release.notify_waiters();
        testkit::eventually(Duration::from_secs(10), "late writes land", || (self.held() == 0).then_some(()));
    }

    pub fn set(&self, plan: impl Fn(usize) -> Fate + Send + Sync + 'static) {
        *self.shared.plan.lock().expect("no panic") = Box::new(plan);
    }

    /// The same for whatever is no write: each gets its number, from 0.
    pub fn set_reads(&self, plan: impl Fn(usize) -> Fate + Send + Sync + 'static) {
        *self.shared.plan_of_reads.lock().expect("no panic") = Box::new(plan);
    }
}

async fn serve(mut client: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let mut server = TcpStream::connect(&shared.target).await.ok()?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let request = read_message(&mut client, &mut buffer).await?;
        let (count, plan) = if request.starts_with(b"PUT ") {
            (&shared.writes, &shared.plan)
        } else {
            (&shared.reads, &shared.plan_of_reads)
        };
        let number = count.fetch_add(1, Ordering::SeqCst);
        let fate = plan.lock().expect("no panic")(number);
        match fate {
            Fate::Pass => {}
            Fate::Slow(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Fate::Refuse(status) => {
                let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                return client.write_all(answer.as_bytes()).await.ok();
            }
            Fate::Skewed => {
                let body = "<Error><Code>RequestTimeTooSkewed</Code></Error>";
                let (length, date) = (body.len(), "Thu, 08 Aug 2024 00:00:00 GMT");
                let head = format!("HTTP/1.1 403 No\r\nDate: {date}\r\nContent-Length: {length}\r\nConnection: close");
                return client.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.ok();
            }
            Fate::HoldBefore | Fate::HoldAfter => {
                if fate == Fate::HoldAfter {
                    server.write_all(&request).await.ok()?;
                    read_message(&mut server, &mut buffer).await?;
                }
                shared.held.fetch_add(1, Ordering::SeqCst);
                std::future::pending::<()>().await;
            }
            Fate::HoldLate => {
                let released = shared.release.notified();
                shared.held.fetch_add(1, Ordering::SeqCst);
                released.await;
                // The first connection may have been closed for its silence.
                let mut server = TcpStream::connect(&shared.target).await.ok()?;
                server.write_all(&request).await.ok()?;
                read_message(&mut server, &mut buffer).await;
                shared.held.fetch_sub(1, Ordering::SeqCst);
                return None;
            }
            Fate::LoseAnswer => {
                server.write_all(&request).await.ok()?;
                read_message(&mut server, &mut buffer).await?;
                return None;
            }
        }
        let head_only = request.starts_with(b"HEAD ");
        server.write_all(&request).await.ok()?;
        let answer = if head_only {
            read_head(&mut server, &mut buffer).await?
        } else {
            read_message(&mut server, &mut buffer).await?
        };
        client.write_all(&answer).await.ok()?;
    }
}

/// A whole HTTP/1.1 message: its head, and the body that its Content-Length or chunks announce.
async fn read_message(from: &mut TcpStream, buffer: &mut [u8]) -> Option<Vec<u8>> {
    let mut message = read_head(from, buffer).await?;
    let end = find(&message, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&message[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let chunked = head.contains("transfer-encoding: chunked");
    loop {
        let whole = match length {
            Some(length) => message.len() >= end + length,
            None => !chunked || message.ends_with(b"0\r\n\r\n"),
        };
        if whole {
            return Some(message);
        }
        let more = from.read(buffer).await.ok().filter(|more| *more > 0)?;
        message.extend_from_slice(&buffer[..more]);
    }
}

async fn read_head(from: &mut TcpStream, buffer: &mut [u8]) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    while find(&message, b"\r\n\r\n").is_none() {
        let more = from.read(buffer).await.ok().filter(|more| *more > 0)?;
        message.extend_from_slice(&buffer[..more]);
    }
    Some(message)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
