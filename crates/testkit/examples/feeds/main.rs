//! What the bench and the load test of live feeds need beside the program under test: a venue as a process of its own, the floor, and
//! a look at what has come to Kafka.
//!
//! ```text
//! feeds frames VENUE COUNT FILE FROM…       recorded trades of these captures, again and again with rising ids, to a file
//! feeds symbols VENUE FILE                  the symbols in it, as a feed names them
//! feeds venue VENUE FILE PORT               serves the frames of a file, as fast as they are read
//! feeds load PORT SYMBOLS RATE SECONDS OUT  serves trades of many symbols at this rate, and writes what was traded
//! feeds socket VENUE FILE URL               reads the frames of a venue and does nothing with them
//! feeds floor VENUE FILE URL|- BROKERS TOPIC [records]   reads (the file, where there is no address), decodes, produces
//! feeds topics BROKERS NAME                 makes NAME-out, NAME-dead and NAME-leases
//! feeds check OUT BROKERS TOPIC             whether every trade of `load` is in Kafka once, or in a gap
//! ```

mod check;
mod floor;
mod frames;
mod venue;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["frames", venue, count, file, ref from @ ..] if !from.is_empty() => {
            frames::write(venue, number(count), file, from);
        }
        ["symbols", venue, file] => {
            let text = std::fs::read_to_string(file).expect("the file of a venue");
            let venue_is = ingest::venues::of(venue).expect("a venue");
            let names: Vec<String> = frames::symbols(venue, &text).iter().map(|name| venue_is.symbol(name)).collect();
            println!("{}", names.join("+"));
        }
        ["venue", venue, file, port] => venue::recorded(venue, file, port),
        ["load", port, symbols, rate, seconds, out] => {
            venue::load(port, number(symbols), number(rate), number(seconds), out);
        }
        ["socket", venue, file, url] => floor::socket(venue, file, url),
        ["floor", venue, file, from, brokers, topic] => floor::run(venue, file, from, brokers, topic, false),
        ["floor", venue, file, from, brokers, topic, "records"] => floor::run(venue, file, from, brokers, topic, true),
        ["topics", brokers, name] => check::topics(brokers, name),
        ["check", out, brokers, topic] => check::run(out, brokers, topic),
        _ => panic!("see the head of this file for what it can do"),
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}
