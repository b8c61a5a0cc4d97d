//! `/v1/stream`: many clients, slow clients, clients that come back, and the end.

use std::time::{Duration, Instant};

use crate::support::{SOON, Stream, config, start};

/// Clients that keep up while one does not read at all.
const LIVE: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stalled_client_of_a_thousand_delays_nobody_and_catches_up_with_the_latest() {
    let mut config = config();
    (config.limits.streams, config.limits.streams_per_client) = (LIVE + 10, LIVE + 10);
    (config.limits.connections, config.limits.connections_per_client) = (LIVE + 10, LIVE + 10);
    let running = start(config).await;
    // Many symbols, so that rounds are large and a socket that is not read is full soon.
    let all = |n: u64| (0..300).for_each(|s| running.price(&format!("SYMBOL{s:03}"), &n.to_string()));
    all(0);
    let mut stalled = Stream::open(running.address, "", "", Some(4096)).await;
    stalled.head().await;
    let mut live = Vec::new();
    for _ in 0..LIVE {
        live.push(running.stream("?symbols=SYMBOL007").await);
    }
    for stream in &mut live {
        stream.until(|said| said.event == "snapshot").await;
    }
    // Far more than the sockets of the stalled client hold.
    for n in 1..=60 {
        all(n);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // While the stalled one stays as it is, so whoever waited for it would wait in vain.
    for n in 61..=63_u64 {
        all(n);
        for stream in &mut live {
            let said = stream.until(|said| said.data["price"].as_u64() == Some(n)).await;
            assert!(said.iter().all(|said| said.event == "price"), "nobody else lagged: {said:?}");
        }
    }
    assert_eq!(running.metric("finflow_gateway_streams"), LIVE as f64 + 1.0);

    let lagged = stalled.until(|said| said.event == "lagged").await;
    assert!(lagged.last().unwrap().data["lagged"].as_u64().unwrap() > 10, "{:?}", lagged.last());
    let mut caught_up = Vec::new();
    for _ in 0..300 {
        caught_up.push(stalled.next().await.unwrap());
    }
    let mut symbols: Vec<&str> = caught_up.iter().filter_map(|said| said.data["symbol"].as_str()).collect();
    symbols.sort_unstable();
    symbols.dedup();
    assert_eq!(symbols.len(), 300, "one event for each symbol");
    running.stop().await;
}

#[tokio::test]
async fn who_comes_back_with_an_id_is_told_what_changed_and_no_more() {
    let running = start(config()).await;
    running.price("A", "1");
    let mut watching = running.stream("").await;
    watching.until(|said| said.event == "snapshot").await;
    running.price("B", "2");
    watching.until(|said| said.data["symbol"] == "B").await;
    running.price("C", "3");
    watching.until(|said| said.data["symbol"] == "C").await;
    // The id of B's round: it comes after the round, so it is known once the next event has come.
    let id = watching.last_id.clone();
    for mut back in [
        running.stream_with("", &format!("Last-Event-ID: {id}\r\n")).await,
        running.stream(&format!("?last_event_id={id}")).await,
    ] {
        let first = back.next().await.unwrap();
        assert_eq!((first.event.as_str(), &first.data["symbol"]), ("price", &"C".into()));
    }
    let mut elsewhere = running.stream_with("", "Last-Event-ID: another-7\r\n").await;
    assert_eq!(elsewhere.next().await.unwrap().event, "snapshot");
    running.stop().await;
}

#[tokio::test]
async fn a_price_is_sent_at_most_once_per_round() {
    let mut config = config();
    config.view.tick = harness::Duration::from_millis(250);
    let running = start(config).await;
    running.price("A", "1");
    let mut stream = running.stream("").await;
    stream.until(|said| said.event == "snapshot").await;
    let began = Instant::now();
    let mut n = 0;
    while began.elapsed() < Duration::from_secs(2) {
        n += 1;
        running.price("A", &n.to_string());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let events = stream.until(|said| said.data["price"].as_i64() == Some(n)).await;
    let most = began.elapsed().as_millis() / 250 + 2;
    assert!(events.len() as u128 <= most, "{} events for {n} prices", events.len());
    running.stop().await;
}

#[tokio::test]
async fn a_stop_ends_the_streams_and_waits_for_nobody() {
    let running = start(config()).await;
    let mut open = Vec::new();
    for _ in 0..50 {
        open.push(running.stream("?symbols=S0").await);
    }
    let symbols: Vec<String> = (0..500).map(|n| format!("S{n}")).collect();
    let mut stalled = Stream::open(running.address, "", "", Some(4096)).await;
    stalled.head().await;
    for n in 0..60 {
        symbols.iter().for_each(|symbol| running.price(symbol, &n.to_string()));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = running.stop().await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    let mut last = None;
    while let Some(said) = open[0].next().await {
        last = Some(said.event);
    }
    assert_eq!(last.as_deref(), Some("bye"));
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_let_go() {
    let mut config = config();
    config.limits.stall_timeout = harness::Duration::from_millis(500);
    let running = start(config).await;
    let mut stalled = Stream::open(running.address, "", "", Some(4096)).await;
    stalled.head().await;
    let let_go = async {
        for n in 0.. {
            (0..1000).for_each(|s| running.price(&format!("S{s}"), &n.to_string()));
            tokio::time::sleep(Duration::from_millis(10)).await;
            if running.metric("finflow_gateway_streams") == 0.0 {
                return;
            }
        }
    };
    tokio::time::timeout(SOON, let_go).await.expect("its place is free again");
    assert_eq!(running.metric("finflow_gateway_clients_stalled_total"), 1.0);
    running.stop().await;
}
