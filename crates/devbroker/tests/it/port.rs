//! The port attacked: whatever comes in, the connection ends and the broker stands.

use crate::{
    client::{committed, create, fill},
    raw::{batch, frame, text, topic_name},
    target::{block_on, eventually, options, real, unique},
};
use bytes::Bytes;
use devbroker::{Broker, Options};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, FetchRequest, FindCoordinatorRequest, InitProducerIdRequest, JoinGroupRequest,
    ListGroupsRequest, MetadataRequest, OffsetFetchRequest, ProduceRequest, TxnOffsetCommitRequest,
    fetch_request::{FetchPartition, FetchTopic},
    metadata_request::MetadataRequestTopic,
    produce_request::{PartitionProduceData, TopicProduceData},
};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// A panic in a handler ends only its connection and would go unseen: they are counted.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() == Some("devbroker") {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            before(info);
        }));
    });
}

struct Attacked {
    addr: String,
    topic: String,
    _broker: Broker,
    _dir: tempfile::TempDir,
}

impl Attacked {
    fn new(change: impl FnOnce(&mut Options)) -> Option<Attacked> {
        if real().is_some() {
            eprintln!("skipped: attacks are for the embedded broker only");
            return None;
        }
        count_panics();
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options { max_frame_bytes: 1 << 20, ..options(dir.path()) };
        change(&mut options);
        let broker = block_on(Broker::start(options)).unwrap();
        let (addr, topic) = (broker.addr().to_string(), unique("attacked"));
        create(&addr, &topic, 1, &[]);
        Some(Attacked { addr, topic, _broker: broker, _dir: dir })
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// What is answered soon, which may be nothing.
    fn send(&self, bytes: &[u8]) -> Vec<u8> {
        self.send_within(bytes, Duration::from_millis(50))
    }

    /// Sends bytes and hears the connection out, but no longer than this.
    fn send_within(&self, bytes: &[u8], patience: Duration) -> Vec<u8> {
        let mut stream = self.connect();
        stream.set_read_timeout(Some(patience)).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.take(1 << 20).read_to_end(&mut answer);
        answer
    }

    /// It still does what it is there for.
    fn stands(&self) {
        let before = committed(&self.addr, &self.topic).len() as i64;
        fill(&self.addr, &self.topic, 0, before..before + 10);
        assert_eq!(committed(&self.addr, &self.topic).len() as i64, before + 10);
        assert_eq!(PANICS.load(Ordering::SeqCst), 0, "a handler panicked");
    }
}

/// A small generator, so that a failure can be had again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes()[..], body].concat()
}

#[test]
fn random_bytes() {
    let Some(attacked) = Attacked::new(|_| {}) else { return };
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for _ in 0..300 {
        let count = random.below(400);
        let bytes = random.bytes(count);
        attacked.send(&bytes);
    }
    for _ in 0..1500 {
        // A right length and a known request, so that the body is looked at.
        let count = 8 + random.below(100);
        let mut body = random.bytes(count);
        (body[0], body[1]) = (0, random.below(62) as u8);
        (body[2], body[3]) = (0, random.below(10) as u8);
        attacked.send(&framed(&body));
    }
    attacked.stands();
}

fn requests(topic: &str) -> Vec<Bytes> {
    let data = PartitionProduceData::default().with_records(Some(batch((-1, -1), -1, &["a", "b"])));
    let produced =
        TopicProduceData::default().with_name(topic_name("nobody reads this")).with_partition_data(vec![data]);
    let partition = FetchPartition::default().with_partition_max_bytes(1000);
    let fetched = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![partition]);
    let asked = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
    let tagged =
        ApiVersionsRequest::default().with_client_software_name(text("x")).with_client_software_version(text("1"));
    let init = InitProducerIdRequest::default().with_transaction_timeout_ms(1000);
    vec![
        frame(ApiKey::ApiVersions, 3, &tagged),
        frame(ApiKey::Produce, 7, &ProduceRequest::default().with_acks(1).with_topic_data(vec![produced])),
        frame(ApiKey::Fetch, 11, &FetchRequest::default().with_topics(vec![fetched])),
        frame(ApiKey::Metadata, 12, &MetadataRequest::default().with_topics(Some(vec![asked]))),
        frame(ApiKey::FindCoordinator, 2, &FindCoordinatorRequest::default().with_key(text("g"))),
        frame(
            ApiKey::JoinGroup,
            5,
            &JoinGroupRequest::default().with_group_id(text("g").into()).with_protocol_type(text("c")),
        ),
        frame(ApiKey::OffsetFetch, 7, &OffsetFetchRequest::default().with_group_id(text("g").into())),
        frame(ApiKey::TxnOffsetCommit, 3, &TxnOffsetCommitRequest::default().with_transactional_id(text("t").into())),
        frame(ApiKey::InitProducerId, 4, &init.with_producer_id((-1).into()).with_producer_epoch(-1)),
        frame(ApiKey::ListGroups, 4, &ListGroupsRequest::default()),
    ]
}

#[test]
fn requests_with_a_few_wrong_bytes() {
    let Some(attacked) = Attacked::new(|_| {}) else { return };
    let requests = requests(&attacked.topic);
    for request in &requests {
        let answer = attacked.send_within(request, Duration::from_secs(10));
        assert!(!answer.is_empty(), "unharmed they are answered");
    }
    let mut random = Random(42);
    for _ in 0..3000 {
        let mut bytes = requests[random.below(requests.len())].to_vec();
        for _ in 0..=random.below(3) {
            let at = 4 + random.below(bytes.len() - 4);
            bytes[at] = [0x00, 0x7f, 0x80, 0xff, random.next() as u8][random.below(5)];
        }
        if random.below(4) == 0 {
            bytes.truncate(5 + random.below(bytes.len() - 5));
            bytes = framed(&bytes[4..]);
        }
        attacked.send(&bytes);
    }
    attacked.stands();
}

/// Until the other end closes: how long that took.
fn closes(mut stream: TcpStream) -> Duration {
    let start = Instant::now();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => assert_eq!(rest, b"", "answered"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "still open: {error}"),
    }
    start.elapsed()
}

#[test]
fn lengths_and_kinds_that_cannot_be() {
    let Some(attacked) = Attacked::new(|_| {}) else { return };
    let array_of_two_billion =
        framed(&[0, 0, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff]);
    let attacks: [(&str, &[u8]); 7] = [
        ("two billion bytes", &0x7fff_ffffu32.to_be_bytes()),
        ("a negative length", &0xffff_ffffu32.to_be_bytes()),
        ("one byte too many", &((1u32 << 20) + 1).to_be_bytes()),
        ("an array of two billion", &array_of_two_billion),
        ("an unknown request", &framed(&[0x03, 0xe7, 0, 0, 0, 0, 0, 1, 0xff, 0xff])),
        ("an unknown version", &framed(&[0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff])),
        ("an empty frame", &[0, 0, 0, 0]),
    ];
    for (name, bytes) in attacks {
        let mut stream = attacked.connect();
        stream.write_all(bytes).unwrap();
        assert!(closes(stream) < Duration::from_secs(5), "{name}");
    }
    attacked.stands();
}

#[test]
fn slow_and_silent_connections() {
    let Some(attacked) = Attacked::new(|options| options.frame_time = Duration::from_millis(500)) else { return };
    let silent = attacked.connect();
    let mut half = attacked.connect();
    half.write_all(&framed(&[0; 100])[..50]).unwrap();
    let mut drop_by_drop = attacked.connect();
    let start = Instant::now();
    // A byte now and then does not buy more time.
    let refused = eventually(Duration::from_secs(10), "a slow frame is given up", || {
        std::thread::sleep(Duration::from_millis(100));
        let sent = if start.elapsed() < Duration::from_millis(50) { &[0, 0, 0, 100][..] } else { &[0][..] };
        drop_by_drop.write_all(sent).is_err().then(|| start.elapsed())
    });
    assert!(refused < Duration::from_secs(5), "{refused:?}");
    assert!(closes(silent) < Duration::from_secs(5));
    assert!(closes(half) < Duration::from_secs(5));
    attacked.stands();
}

#[test]
fn more_connections_than_allowed() {
    let Some(attacked) = Attacked::new(|options| options.max_connections = 20) else { return };
    let mut held: Vec<TcpStream> = Vec::new();
    // Those of the client that made the topic are still ending.
    eventually(Duration::from_secs(10), "all places are taken", || {
        held.push(attacked.connect());
        let last = held.last_mut().unwrap();
        last.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let closed = !matches!(last.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
        closed.then_some(())
    });
    assert!((15..=21).contains(&held.len()), "{}", held.len());
    drop(held);
    attacked.stands();
}
