//! Checks that a symbol's records come in order and from one partition. Pure: no clock, no Kafka.
//!
//! Kafka keeps the order of a partition, and a symbol belongs to one partition, so within a symbol event time and trade
//! ids should never go back. Where they do, a venue, a producer or a partitioner is at fault; the logger only counts
//! it, since everything downstream copes with disorder.

use std::collections::HashMap;

use market::{Event, Interval};

/// What is odd about one record. Several may hold at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Findings {
    /// Its event time is before that of the symbol's last record of the same kind.
    pub time_backwards: bool,
    /// Its numeric trade id is below the last one of the venue and symbol.
    pub id_backwards: bool,
    /// It has the trade id of the last one.
    pub id_repeated: bool,
    /// The partition on which the symbol was seen before, if that was another.
    pub moved_from: Option<i32>,
    /// The symbol is one too many to remember: none of the above was looked at.
    pub untracked: bool,
}

/// The memory of one topic.
pub struct Order {
    symbols: HashMap<String, Seen>,
    max_symbols: usize,
}

struct Seen {
    partition: i32,
    /// By venue: the ids of two venues have nothing to do with each other.
    trades: Vec<(String, Mark)>,
    quote: Option<i64>,
    bars: Vec<(Interval, i64)>,
}

#[derive(Clone, Copy)]
struct Mark {
    time: i64,
    id: Option<u64>,
}

impl Order {
    pub fn new(max_symbols: usize) -> Self {
        Order { symbols: HashMap::new(), max_symbols }
    }

    pub fn symbols(&self) -> usize {
        self.symbols.len()
    }

    /// Forgets what was seen on a partition that another logger reads from now on.
    pub fn forget(&mut self, partition: i32) {
        self.symbols.retain(|_, seen| seen.partition != partition);
    }

    pub fn look(&mut self, partition: i32, event: &Event) -> Findings {
        let Some(symbol) = event.symbol() else { return Findings::default() };
        let mut findings = Findings::default();
        if !self.symbols.contains_key(symbol) {
            if self.symbols.len() >= self.max_symbols {
                return Findings { untracked: true, ..findings };
            }
            self.symbols.insert(symbol.to_owned(), Seen::on(partition));
        }
        let seen = self.symbols.get_mut(symbol).expect("it was inserted above if it was not there");
        if seen.partition != partition {
            findings.moved_from = Some(seen.partition);
            // There is no order between two partitions.
            *seen = Seen::on(partition);
        }
        seen.look(event, &mut findings);
        findings
    }
}

impl Seen {
    fn on(partition: i32) -> Self {
        Seen { partition, trades: Vec::new(), quote: None, bars: Vec::new() }
    }

    fn look(&mut self, event: &Event, findings: &mut Findings) {
        match event {
            // Fetched afterwards, so out of order by nature.
            Event::Trade(trade) if trade.backfilled => {}
            Event::Trade(trade) => {
                let mark =
                    Mark { time: trade.event_time, id: trade.trade_id.as_deref().and_then(|id| id.parse().ok()) };
                match self.trades.iter_mut().find(|(venue, _)| *venue == trade.venue) {
                    Some((_, last)) => last.advance(mark, findings),
                    None => self.trades.push((trade.venue.clone(), mark)),
                }
            }
            Event::Quote(quote) => {
                findings.time_backwards = self.quote.is_some_and(|last| quote.event_time < last);
                self.quote = self.quote.max(Some(quote.event_time));
            }
            Event::Bar(bar) => match self.bars.iter_mut().find(|(interval, _)| *interval == bar.interval) {
                Some((_, last)) => {
                    findings.time_backwards = bar.start < *last;
                    *last = bar.start.max(*last);
                }
                None => self.bars.push((bar.interval, bar.start)),
            },
            // Rare, and each about something earlier.
            Event::Gap(_) | Event::Cancel(_) | Event::Correction(_) | Event::News(_) | Event::Heartbeat(_) => {}
        }
    }
}

impl Mark {
    /// The highest so far stays, so that one early record is one finding and not one per record after it.
    fn advance(&mut self, next: Mark, findings: &mut Findings) {
        findings.time_backwards = next.time < self.time;
        self.time = self.time.max(next.time);
        if let (Some(next), Some(last)) = (next.id, self.id) {
            findings.id_backwards = next < last;
            findings.id_repeated = next == last;
        }
        self.id = self.id.max(next.id);
    }
}

#[cfg(test)]
mod tests {
    use market::Trade;

    use super::*;

    fn trade(symbol: &str, id: Option<&str>, time: i64) -> Event {
        Event::Trade(Trade {
            venue: "BINANCE".to_owned(),
            symbol: symbol.to_owned(),
            trade_id: id.map(str::to_owned),
            price: "1.5".parse().unwrap(),
            quantity: "2".parse().unwrap(),
            side: None,
            conditions: Vec::new(),
            event_time: time,
            receive_time: None,
            backfilled: false,
        })
    }

    fn nothing() -> Findings {
        Findings::default()
    }

    #[test]
    fn order_within_a_symbol_is_all_that_counts() {
        let mut order = Order::new(10);
        assert_eq!(order.look(0, &trade("A", Some("1"), 10)), nothing());
        assert_eq!(order.look(0, &trade("B", Some("9"), 5)), nothing());
        assert_eq!(order.look(0, &trade("A", Some("2"), 10)), nothing());
        assert_eq!(order.look(0, &trade("A", None, 11)), nothing());
        assert_eq!(order.look(0, &trade("A", Some("x"), 11)), nothing());
        assert_eq!(order.symbols(), 2);
    }

    #[test]
    fn time_and_id_going_back_are_told_apart_and_once() {
        let mut order = Order::new(10);
        order.look(0, &trade("A", Some("10"), 100));
        assert_eq!(order.look(0, &trade("A", Some("11"), 90)), Findings { time_backwards: true, ..nothing() });
        assert_eq!(order.look(0, &trade("A", Some("9"), 100)), Findings { id_backwards: true, ..nothing() });
        assert_eq!(order.look(0, &trade("A", Some("11"), 100)), Findings { id_repeated: true, ..nothing() });
        assert_eq!(order.look(0, &trade("A", Some("12"), 100)), nothing());
    }

    #[test]
    fn a_backfilled_trade_may_be_old() {
        let mut order = Order::new(10);
        order.look(0, &trade("A", Some("10"), 100));
        let Event::Trade(mut old) = trade("A", Some("5"), 50) else { unreachable!() };
        old.backfilled = true;
        assert_eq!(order.look(0, &Event::Trade(old)), nothing());
        assert_eq!(order.look(0, &trade("A", Some("11"), 100)), nothing());
    }

    #[test]
    fn two_venues_of_one_symbol_have_each_their_own_ids() {
        let mut order = Order::new(10);
        order.look(0, &trade("AAPL", Some("900"), 100));
        let Event::Trade(mut other) = trade("AAPL", Some("5"), 100) else { unreachable!() };
        other.venue = "OTHER".to_owned();
        assert_eq!(order.look(0, &Event::Trade(other)), nothing());
    }

    #[test]
    fn a_symbol_on_a_second_partition_is_told_and_its_order_begins_anew() {
        let mut order = Order::new(10);
        order.look(0, &trade("A", Some("10"), 100));
        assert_eq!(order.look(2, &trade("A", Some("1"), 1)), Findings { moved_from: Some(0), ..nothing() });
        assert_eq!(order.look(2, &trade("A", Some("2"), 2)), nothing());
        assert_eq!(order.look(0, &trade("A", Some("3"), 3)), Findings { moved_from: Some(2), ..nothing() });
    }

    #[test]
    fn a_partition_given_up_is_forgotten() {
        let mut order = Order::new(10);
        order.look(0, &trade("A", Some("10"), 100));
        order.look(1, &trade("B", Some("10"), 100));
        order.forget(0);
        assert_eq!(order.symbols(), 1);
        assert_eq!(order.look(2, &trade("A", Some("1"), 1)), nothing());
    }

    #[test]
    fn memory_is_bounded_and_what_does_not_fit_is_said() {
        let mut order = Order::new(1);
        order.look(0, &trade("A", None, 100));
        assert_eq!(order.look(0, &trade("B", None, 1)), Findings { untracked: true, ..nothing() });
        assert!(order.look(0, &trade("A", None, 1)).time_backwards);
    }
}
