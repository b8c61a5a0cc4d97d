//! What was dropped, by feed and symbol: what a `gap` record of the cause `dropped` will say.

use std::collections::BTreeMap;

use market::{Event, Gap, GapCause};

use super::entry::{Entry, Item};
use crate::position::Position;

#[derive(Clone, Debug)]
struct Loss {
    from: i64,
    to: i64,
    first: Option<u64>,
    last: Option<u64>,
    position: Position,
}

#[derive(Clone, Debug, Default)]
pub struct Losses {
    of: BTreeMap<(usize, String), Loss>,
    /// Marks are never lost: they come behind what is said of the rest.
    marks: Vec<Entry>,
}

impl Losses {
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// About what their records take in memory.
    pub fn bytes(&self) -> usize {
        self.of.len() * Entry::BARE_BYTES
    }

    pub fn note(&mut self, entry: &Entry) {
        let number = |text: &Option<String>| text.as_deref().and_then(|id| id.parse().ok());
        let (symbol, from, to, first, last) = match &entry.item {
            // It says itself what is missing: that, too, must be said again.
            Item::Event(Event::Gap(gap)) => {
                (gap.symbol.as_str(), gap.from, gap.to, number(&gap.first_missing), number(&gap.last_missing))
            }
            Item::Event(event) => {
                let Some(symbol) = event.symbol() else { return };
                let id = if let Event::Trade(trade) = event { number(&trade.trade_id) } else { None };
                let time = event.event_time().unwrap_or(0);
                (symbol, time, time, id, id)
            }
            Item::Used { symbol, id, time } => (symbol.as_str(), *time, *time, Some(*id), Some(*id)),
            // Unread, and so of no symbol that could be named.
            Item::Bad(..) => return,
            Item::Mark(_) => {
                self.marks.push(entry.clone());
                return;
            }
        };
        self.add((entry.feed, symbol.to_owned()), Loss { from, to, first, last, position: entry.position });
    }

    fn add(&mut self, of: (usize, String), new: Loss) {
        let loss = self.of.entry(of).or_insert_with(|| new.clone());
        (loss.from, loss.to) = (loss.from.min(new.from), loss.to.max(new.to));
        loss.first = loss.first.zip(new.first).map(|(a, b)| a.min(b));
        loss.last = loss.last.zip(new.last).map(|(a, b)| a.max(b));
        loss.position = loss.position.max(new.position);
    }

    /// The records, and nothing is left.
    pub fn settle(&mut self) -> impl Iterator<Item = Entry> {
        let marks = std::mem::take(&mut self.marks);
        let gaps = std::mem::take(&mut self.of).into_iter().map(|((feed, symbol), loss)| {
            let gap = Gap {
                symbol,
                from: loss.from,
                to: loss.to.max(loss.from),
                cause: GapCause::Dropped,
                first_missing: loss.first.map(|id| id.to_string()),
                last_missing: loss.last.map(|id| id.to_string()),
                receive_time: None,
            };
            Entry { feed, position: loss.position, item: Item::Event(Event::Gap(gap)) }
        });
        gaps.chain(marks)
    }
}
