//! The least that the work costs: one thread that reads, decodes with the decoders of `ingest`, and produces with librdkafka and the
//! settings of `ingest`. It keeps no checkpoint, finds no gap, and cannot be stopped.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ingest::venues::{Heard, Venue};
use market::{Event, symbol};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use crate::frames;

const PARTITIONS: i32 = 3;

/// Reads as many frames as the file has from the venue that serves it.
pub fn socket(venue: &str, file: &str, url: &str) {
    let text = std::fs::read_to_string(file).expect("the file of the venue");
    let (began, mut left) = (Instant::now(), frames::read(&text).count());
    let read = left;
    let mut socket = subscribe(venue, &text, url);
    drop(text);
    while left > 0 {
        if let Message::Text(frame) = socket.read().expect("the venue speaks on")
            && frame.contains("trade")
        {
            left -= 1;
        }
    }
    report(read, began);
}

/// Reads the frames from the venue, or from the file, decodes and produces them. With `records` each record has the headers that
/// those of `ingest` have.
pub fn run(venue: &str, file: &str, from: &str, brokers: &str, topic: &str, records: bool) {
    let text = std::fs::read_to_string(file).expect("the file of the venue");
    let began = Instant::now();
    let mut floor = Floor::new(venue, brokers, topic, records);
    let mut read = 0;
    if from == "-" {
        for frame in frames::read(&text) {
            floor.frame(frame.as_bytes());
            read += 1;
        }
    } else {
        let all = frames::read(&text).count() as u64;
        let mut socket = subscribe(venue, &text, from);
        drop(text);
        while floor.produced < all {
            if let Message::Text(frame) = socket.read().expect("the venue speaks on") {
                floor.frame(frame.as_bytes());
                read += 1;
            }
        }
    }
    floor.producer.flush(Duration::from_secs(60)).expect("Kafka takes all of it");
    report(read, began);
}

fn subscribe(venue: &str, text: &str, url: &str) -> WebSocket<TcpStream> {
    let address = url.trim_start_matches("ws://").trim_end_matches('/');
    let stream = TcpStream::connect(address).expect("the venue listens");
    let (mut socket, _) = tokio_tungstenite::tungstenite::client(url, stream).expect("the venue takes the handshake");
    let wanted = ingest::venues::of(venue).expect("a venue").subscribe(&frames::symbols(venue, text), 2);
    socket.send(Message::text(wanted)).expect("the venue hears");
    socket
}

fn report(read: usize, began: Instant) {
    println!("{{\"msgs\":{read},\"wall_s\":{:.3}}}", began.elapsed().as_secs_f64());
}

struct Floor {
    venue: Box<dyn Venue>,
    producer: BaseProducer,
    topic: String,
    records: bool,
    heard: Heard,
    value: Vec<u8>,
    id: Vec<u8>,
    position: Vec<u8>,
    produced: u64,
}

impl Floor {
    fn new(venue: &str, brokers: &str, topic: &str, records: bool) -> Floor {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "snappy")
            .set("linger.ms", "5")
            .set("queue.buffering.max.kbytes", "32768")
            .set("message.timeout.ms", "0")
            .create()
            .expect("a producer");
        Floor {
            venue: ingest::venues::of(venue).expect("a venue"),
            producer,
            topic: topic.to_owned(),
            records,
            heard: Heard::default(),
            value: Vec::new(),
            id: Vec::new(),
            position: Vec::new(),
            produced: 0,
        }
    }

    fn frame(&mut self, frame: &[u8]) {
        let mut heard = std::mem::take(&mut self.heard);
        heard.clear();
        self.venue.decode(frame, 1, &mut heard).expect("what was recorded can be read");
        for event in &heard.found.events {
            self.produce(event);
        }
        self.heard = heard;
    }

    fn produce(&mut self, event: &Event) {
        let key = event.symbol().unwrap_or_default();
        self.value.clear();
        event.encode(&mut self.value);
        self.produced += 1;
        let mut record = BaseRecord::to(&self.topic)
            .partition(symbol::partition(key.as_bytes(), PARTITIONS))
            .key(key.as_bytes())
            .payload(&self.value[..]);
        if self.records {
            let Event::Trade(trade) = event else { return };
            self.id.clear();
            self.position.clear();
            let id = trade.trade_id.as_deref().unwrap_or_default();
            write!(self.id, "{}/{}/{id}", trade.venue, trade.symbol).expect("memory takes it");
            write!(self.position, "live/floor:0:{}:0", self.produced).expect("memory takes it");
            let headers: [(&str, &[u8]); 5] = [
                ("content-type", b"application/json"),
                ("schema_version", b"1"),
                ("source", b"live:floor"),
                ("event_id", &self.id),
                ("finflow-pos", &self.position),
            ];
            let empty = OwnedHeaders::new_with_capacity(headers.len());
            let add = |all: OwnedHeaders, (key, value): (&str, &[u8])| all.insert(Header { key, value: Some(value) });
            record = record.headers(headers.into_iter().fold(empty, add));
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    self.producer.poll(Duration::from_millis(10));
                    record = back;
                }
                Err((error, _)) => panic!("{error}"),
            }
        }
        if self.produced.is_multiple_of(1_000) {
            self.producer.poll(Duration::ZERO);
        }
    }
}
