//! What becomes of a frame: the same for one that comes now and for one that was recorded.

use market::{Event, Gap};

use crate::coverage::{Coverage, Verdict};
use crate::venues::{Heard, Said};

/// What was found, in the order in which it goes on.
#[derive(Debug)]
pub enum Judged {
    Event(Event),
    /// Something is missing before what follows.
    Gap(Gap),
    Duplicate,
    /// Of before the subscription.
    Before,
    /// An id that is no trade's.
    Used {
        symbol: String,
        id: u64,
        time: i64,
    },
}

/// Takes the events out of `heard`.
pub fn frame(coverage: &mut Coverage, heard: &mut Heard, now: i64, judged: &mut Vec<Judged>) {
    for event in heard.found.events.drain(..) {
        one(coverage, event, now, judged);
    }
    for said in &heard.said {
        match said {
            Said::Used { symbol, id, time } => {
                coverage.used(symbol, *id, *time, now);
                judged.push(Judged::Used { symbol: symbol.clone(), id: *id, time: *time });
            }
            Said::LastId { symbol, id, time } => coverage.last_id(symbol, *id, *time, now),
            _ => {}
        }
    }
}

pub fn one(coverage: &mut Coverage, mut event: Event, now: i64, judged: &mut Vec<Judged>) {
    if let Event::Trade(trade) = &mut event {
        let mut gaps = Vec::new();
        let verdict = coverage.trade(trade, now, &mut gaps);
        judged.extend(gaps.into_iter().map(Judged::Gap));
        match verdict {
            Verdict::Take => {}
            Verdict::Duplicate => return judged.push(Judged::Duplicate),
            Verdict::Before => return judged.push(Judged::Before),
        }
    }
    judged.push(Judged::Event(event));
}
