//! A fake Finnhub as a process of its own, which allows one connection: `venue ADDRESS SYMBOL…`. It makes a trade of each symbol ten
//! times a second, and prints as often `<connections opened> <open now> <violations>` for whoever watches it.

use std::time::Duration;

use testkit::venues::{FakeVenue, Kind};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let addr = arguments.next().and_then(|addr| addr.parse().ok()).expect("an address such as 127.0.0.1:29100");
    let symbols: Vec<String> = arguments.collect();
    let venue = FakeVenue::start_at(Kind::Finnhub, addr).await;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        venue.heartbeat();
        symbols.iter().for_each(|symbol| venue.trade(symbol));
        println!("{} {} {}", venue.opened(), venue.live_connections(), venue.violations().len());
    }
}
