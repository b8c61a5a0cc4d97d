//! What strangers may not do.

use std::time::Duration;

use harness::Config as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{SOON, Stream, config, start};

#[tokio::test]
async fn a_name_that_is_not_ours_is_refused() {
    let running = start(config()).await;
    for (host, status) in [
        ("127.0.0.1", 200),
        ("localhost:8080", 200),
        ("[::1]:8080", 200),
        ("LOCALHOST.", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.1", 421),
        ("", 421),
    ] {
        let request = format!("GET /v1/quotes HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        assert_eq!(running.ask(&request).await.status, status, "{host:?}");
    }
    running.stop().await;

    let mut named = config();
    named.hosts = vec!["finflow.example.org".to_owned()];
    named.validate().unwrap();
    let running = start(named).await;
    let ask = "GET /v1/quotes HTTP/1.1\r\nhost: Finflow.Example.org:443\r\nconnection: close\r\n\r\n";
    assert_eq!(running.ask(ask).await.status, 200);
    running.stop().await;
}

#[tokio::test]
async fn only_reading_is_offered_and_bodies_are_not_read() {
    let running = start(config()).await;
    let host = "host: localhost\r\nconnection: close";
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = running.ask(&format!("{method} /v1/quotes HTTP/1.1\r\n{host}\r\n\r\n")).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("get, head")), "{method}");
        assert!(answer.error().contains(method));
    }
    let head = running.ask(&format!("HEAD /v1/quotes HTTP/1.1\r\n{host}\r\n\r\n")).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let body = running.ask(&format!("GET / HTTP/1.1\r\n{host}\r\ncontent-length: 1000000\r\n\r\n")).await;
    assert_eq!(body.status, 413);
    let chunked = running.ask(&format!("GET / HTTP/1.1\r\n{host}\r\ntransfer-encoding: chunked\r\n\r\n")).await;
    assert_eq!(chunked.status, 413);
    running.stop().await;
}

#[tokio::test]
async fn long_and_slow_requests_end() {
    let mut config = config();
    config.limits.request_timeout = harness::Duration::from_millis(300);
    let running = start(config).await;
    let long = running.get(&format!("/v1/quotes?symbols={}", "A".repeat(20_000))).await;
    assert_eq!(long.status, 414);
    let host = "host: localhost\r\nconnection: close";
    let huge = running.ask(&format!("GET / HTTP/1.1\r\n{host}\r\nx: {}\r\n\r\n", "A".repeat(100_000))).await;
    assert!(matches!(huge.status, 431 | 0), "refused, or cut off while it was still sending: {}", huge.status);
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    slow.write_all(b"GET / HT").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(SOON, slow.read_to_end(&mut rest)).await.expect("it is closed").ok();
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
    running.stop().await;
}

#[tokio::test]
async fn requests_come_at_a_rate_and_who_is_too_fast_is_told_when() {
    let mut config = config();
    (config.limits.requests_per_second, config.limits.burst) = (2, 10);
    let running = start(config).await;
    let mut socket = TcpStream::connect(running.address).await.unwrap();
    for _ in 0..20 {
        socket.write_all(b"GET /v1/symbols HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    }
    socket.write_all(b"GET /v1/symbols HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    let (served, refused) = (text.matches("HTTP/1.1 200").count(), text.matches("HTTP/1.1 429").count());
    assert!(served >= 10 && refused > 0 && served + refused == 21, "{served} served, {refused} refused");
    assert!(text.contains("retry-after: 1\r\n") && text.contains("\"hint\":\"try again in 1 s\""));
    running.stop().await;
}

#[tokio::test]
async fn streams_and_connections_have_limits() {
    let mut config = config();
    config.limits.streams_per_client = 3;
    config.limits.connections_per_client = 6;
    let running = start(config).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(running.stream("").await);
    }
    let answer = running.get("/v1/stream").await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("10")));
    assert!(answer.error().contains("from this address"));
    drop(streams.pop());
    let freed = async {
        loop {
            let mut stream = Stream::open(running.address, "", "", None).await;
            stream.head().await;
            if stream.head.contains("200 ok") {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    streams.push(tokio::time::timeout(SOON, freed).await.expect("a closed stream gives its place back"));

    let idle: Vec<TcpStream> = {
        let mut idle = Vec::new();
        for _ in 0..20 {
            idle.push(TcpStream::connect(running.address).await.unwrap());
        }
        idle
    };
    let answer = running.get("/v1/symbols").await;
    assert_eq!(answer.status, 503, "the seventh of one address");
    assert!(answer.error().contains("connections"));
    assert!(running.metric("finflow_gateway_connections_refused_total") > 0.0);
    drop(idle);
    running.stop().await;
}

#[tokio::test]
async fn behind_a_proxy_the_client_is_whom_the_proxy_saw() {
    let mut config = config();
    config.proxies = 1;
    (config.limits.requests_per_second, config.limits.burst) = (1, 2);
    let running = start(config).await;
    let ask = async |forwarded: &str| {
        let lines = format!("host: localhost\r\nx-forwarded-for: {forwarded}\r\nconnection: close");
        running.ask(&format!("GET /v1/symbols HTTP/1.1\r\n{lines}\r\n\r\n")).await.status
    };
    assert_eq!((ask("192.0.2.1").await, ask("192.0.2.1").await), (200, 200));
    assert_eq!(ask("192.0.2.1").await, 429);
    assert_eq!(ask("192.0.2.2").await, 200, "another client of the same proxy");
    assert_eq!(ask("198.51.100.7, 192.0.2.1").await, 429, "what a client writes itself does not count");
    running.stop().await;
}
