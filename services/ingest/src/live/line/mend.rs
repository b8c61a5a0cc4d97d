//! Asking for what a gap lacks, and taking what comes of it.

use market::{Event, Gap};
use tokio::sync::mpsc::Sender;

use super::Line;
use crate::live::backfill::{Fetched, Wanted};
use crate::live::judge;
use crate::venues::history::Missing;

impl Line {
    /// Gaps that it declares are filled by whoever listens there.
    pub fn filled_by(mut self, wanted: Option<Sender<Wanted>>) -> Line {
        self.wanted = wanted;
        self
    }

    /// What to ask for so that a gap is filled; `None` where nobody can.
    pub(super) fn wanted_of(&mut self, gap: &Gap) -> Option<Wanted> {
        self.wanted.as_ref()?;
        let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
        let (first, last) = number(&gap.first_missing).zip(number(&gap.last_missing))?;
        let missing = Missing { own_name: self.machine.venue().own_name(&gap.symbol)?, first, last, from: gap.from };
        Some(Wanted { symbol: gap.symbol.clone(), missing, answer: self.fetches.clone() })
    }

    /// Never waits: what cannot be asked for now stays a gap.
    pub(super) fn want(&mut self, wanted: Option<Wanted>) {
        let (Some(wanted), Some(sender)) = (wanted, &self.wanted) else { return };
        let (symbol, first, last) = (wanted.symbol.clone(), wanted.missing.first, wanted.missing.last);
        let outcome = if last - first >= self.most_wanted {
            "too_large"
        } else if sender.try_send(wanted).is_err() {
            "busy"
        } else {
            return;
        };
        self.metrics.backfill(outcome);
        tracing::warn!(feed = self.name, symbol, first, last, outcome, "gap will not be filled by REST, it stays one");
    }

    /// Trades of the past have come. They are judged as any other: what has come by itself meanwhile is a duplicate.
    pub(super) fn fill(&mut self, fetched: Fetched) {
        let (now, mut text) = (self.clock.now_ns(), Vec::new());
        for trade in fetched.trades {
            let event = Event::Trade(trade);
            if self.recorder.is_some() {
                text.clear();
                event.encode(&mut text);
                self.record(now, 0, "fetched", &text);
            }
            judge::one(&mut self.coverage, event, now, &mut self.judged);
            let filled = self.pass_on();
            self.metrics.backfilled.inc_by(filled);
        }
        if let Some((page, bad)) = fetched.bad {
            self.bad(&page, bad);
        }
        self.hand_over();
    }
}
