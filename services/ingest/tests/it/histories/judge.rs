//! Compares what a venue did with what is in Kafka of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use market::{Event, Gap, GapCause, Trade};
use testkit::venues::{Kind, Made};

use super::names;
use crate::bed::{Bed, header};

/// What one feed has in Kafka.
#[derive(Default)]
pub struct Written {
    pub trades: Vec<Trade>,
    pub gaps: Vec<Gap>,
}

pub fn written(bed: &Bed) -> BTreeMap<String, Written> {
    let mut all: BTreeMap<String, Written> = BTreeMap::new();
    for record in bed.output() {
        let of = all.entry(header(&record, "source").trim_start_matches("live:").to_owned()).or_default();
        match Event::decode(record.value.as_ref().unwrap()).unwrap() {
            Event::Trade(trade) => of.trades.push(trade),
            Event::Gap(gap) => of.gaps.push(gap),
            other => panic!("{other:?}"),
        }
    }
    all
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub trades: usize,
    pub sure: usize,
    /// Surely delivered more than once.
    pub twice: usize,
    /// Not delivered, and said to be missing.
    pub missing: usize,
    /// Delivered on a connection that was given up before it was read, and said to be missing.
    pub given_up: usize,
    pub gaps: usize,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.trades += other.trades;
        self.sure += other.sure;
        self.twice += other.twice;
        self.missing += other.missing;
        self.given_up += other.given_up;
        self.gaps += other.gaps;
    }
}

/// Each trade is there once, however often it was delivered: its id tells. Where there are no ids it is there as often as
/// it was delivered, since equal trades may all be real. What was not delivered lies in a gap.
pub fn judge(kind: Kind, made: &[Made], written: &Written) -> Result<Totals, String> {
    let mut totals = Totals { gaps: written.gaps.len(), ..Totals::default() };
    let (_, symbols, own_names) = names(kind);
    for (symbol, own_name) in symbols.iter().zip(own_names) {
        let mut there: BTreeMap<u64, usize> = BTreeMap::new();
        for trade in written.trades.iter().filter(|trade| trade.symbol == *symbol) {
            // The price of a fake's trade is its id.
            *there.entry(trade.price.to_string().parse().map_err(|_| format!("{trade:?}"))?).or_default() += 1;
        }
        let gaps: Vec<&Gap> = written.gaps.iter().filter(|gap| gap.symbol == *symbol).collect();
        let said = |made: &Made| {
            gaps.iter().any(|gap| {
                let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<u64>().ok());
                match (number(&gap.first_missing), number(&gap.last_missing)) {
                    (Some(first), Some(last)) => (first..=last).contains(&made.id),
                    _ => (gap.from..=gap.to).contains(&(made.time_ms * 1_000_000)),
                }
            })
        };
        let (first, last) = (there.keys().next().copied(), there.keys().last().copied());
        let last = if kind.counts_trades() { last } else { Some(u64::MAX) };
        for made in made.iter().filter(|made| made.own_name == own_name) {
            let times = there.get(&made.id).copied().unwrap_or(0);
            let (least, most) = if kind.gives_ids() { (made.sure.min(1), 1) } else { (made.sure, made.sent) };
            if times > most.max(1) {
                return Err(format!("{made:?} is there {times} times"));
            }
            if times < least {
                // Without a count nothing tells what a link that was taken for dead still held: all of it is in the gap.
                if kind.counts_trades() || !said(made) {
                    return Err(format!("{made:?} was delivered and is there {times} times; gaps {gaps:?}"));
                }
                totals.given_up += 1;
            } else if times == 0 && first.is_some_and(|id| made.id > id) && last.is_some_and(|id| made.id < id) {
                if !said(made) {
                    return Err(format!("{made:?} is missing and not said to be; gaps {gaps:?}"));
                }
                totals.missing += 1;
            }
            totals.trades += usize::from(times > 0);
            totals.sure += usize::from(made.sure > 0);
            totals.twice += usize::from(made.sure > 1);
        }
        let all: BTreeSet<u64> = made.iter().filter(|made| made.own_name == own_name).map(|made| made.id).collect();
        if let Some(id) = there.keys().find(|id| !all.contains(id)) {
            return Err(format!("{symbol} {id} was never made"));
        }
    }
    Ok(totals)
}

/// Where messages are numbered: a gap says that one of them was lost only where their numbers had a hole.
pub fn explained(holes_ms: &[i64], written: &Written) -> Result<(), String> {
    let has = |gap: &Gap| holes_ms.iter().any(|ms| (gap.from..=gap.to).contains(&(ms * 1_000_000)));
    let needless = written.gaps.iter().find(|gap| gap.cause == GapCause::Sequence && !has(gap));
    needless.map_or(Ok(()), |gap| Err(format!("nothing was lost in {gap:?}; holes {holes_ms:?}")))
}
