//! Cancels and corrections: trades that are taken out again, and those that take their places.
//!
//! In: amendments in the order of the partition; they move no watermark. What can be done depends on where the trade is:
//!
//! - *in the tail*: everything about it is known. It is taken out of the sums, and open, high, low and close are found anew from what the pane
//!   keeps of its settled part and the tail: exactly as if it had never come.
//! - *settled*, while a longer window is open: what it added to the sums is subtracted, by the price and the quantity that the venue repeats.
//!   Its neighbours are gone, so TWAP and volatility become null; where it may have been the open, high, low or close, the records say
//!   `partial`; whose side it was is gone too, so where sides are known the buy volume becomes null.
//! - *settled, and nobody says what it was* (time, price, quantity), or it was corrected under its own id, so that two things may be meant:
//!   nothing is subtracted, every record it may be in says `partial` from then on, and the amendment is set aside.
//! - *in no window that is open*, or never seen: it is set aside.
//!
//! A void id stays seen, so a copy of the trade is still a duplicate; and it is remembered as void as long, so it is taken out once.
//! Offsets and the counts of late, duplicate and back-filled trades tell what came, so nothing is taken from them.

use super::{Book, Kept, Tick};
use crate::window::amendment::Amendment;
use crate::window::cut::floor;
use crate::window::fold::{Counts, Outcome, Settings};
use crate::window::pane::Pane;
use crate::window::seen::Id;
use crate::window::tail::Worth;

/// A correction's trade and its id.
type New = (Worth, (u8, Id));

impl Book {
    pub fn amend(&mut self, settings: &Settings, amendment: &Amendment<'_>, counts: &mut Counts) -> Outcome {
        let (venue, id) = self.identity(amendment.venue, amendment.trade_id);
        let own = amendment.id();
        if own.is_some_and(|own| self.void.contains(venue, own)) {
            return Outcome::Duplicate;
        }
        if self.void.contains(venue, id) {
            return if own.is_none() { Outcome::Duplicate } else { Outcome::Unknown };
        }
        let Some(bucket) = self.seen.bucket_of(venue, id) else {
            let over = amendment.trade_time.is_some_and(|time| !self.is_open(settings, time));
            return if over { Outcome::Late } else { Outcome::Unknown };
        };
        let new = self.new_trade(amendment, (venue, id));
        let done = match self.tail.iter().rposition(|kept| kept.id == Some((venue, id))) {
            Some(at) => Ok(self.amend_kept(settings, at, new, amendment.offset)),
            None => {
                let is_clear = !self.void.contains(venue, amendment.own_place());
                let amendment = &Amendment { price: amendment.price.filter(|_| is_clear), ..*amendment };
                self.amend_settled(settings, amendment, bucket, new, counts)
            }
        };
        let time = match done {
            Ok(time) => time,
            Err(outcome) => return outcome,
        };
        let bucket = floor(time, settings.bucket);
        let is_void = new.is_none_or(|(_, ours)| ours != (venue, id));
        for id in [Some(if is_void { id } else { amendment.own_place() }), own].into_iter().flatten() {
            if !self.void.contains(venue, id) {
                counts.forgotten_ids += self.void.insert(bucket, venue, id);
            }
        }
        if let Some((_, (venue, ours))) = new.filter(|(_, ours)| *ours != (venue, id)) {
            counts.forgotten_ids += self.seen.insert(bucket, venue, ours);
            ours.number().into_iter().for_each(|number| self.gaps.came(number));
        }
        self.clock.fresh = true;
        self.clock.at_rest = false;
        Outcome::Folded
    }

    /// The right trade, unless it has come by itself: then the wrong one is only taken out.
    fn new_trade(&mut self, amendment: &Amendment<'_>, wrong: (u8, Id)) -> Option<New> {
        let right = amendment.right?;
        let id = right.trade_id.map_or(wrong, |id| self.identity(amendment.venue, id));
        let came = id != wrong && self.seen.contains(id.0, id.1);
        (!came).then_some((Worth { price: right.price, quantity: right.quantity, side: None }, id))
    }

    fn is_open(&self, settings: &Settings, time: i64) -> bool {
        let horizon = self.horizon(settings);
        (0..self.grids.len()).any(|grid| settings.layout.last_end(grid, time) > horizon)
    }

    /// A trade of the tail: returns its event time.
    fn amend_kept(&mut self, settings: &Settings, at: usize, new: Option<New>, offset: i64) -> i64 {
        let old = self.tail[at];
        let time = old.tick.order.time;
        let new = new.map(|(worth, id)| Kept {
            tick: Tick { price: worth.price, ..old.tick },
            quantity: worth.quantity,
            id: Some(id),
            ..old
        });
        match new {
            Some(new) => self.tail[at] = new,
            None => drop(self.tail.remove(at)),
        }
        if !self.saved.slots.is_empty() {
            self.saved.changed.insert(floor(time, settings.slot));
        }
        for (lane, grid) in self.grids.iter_mut().zip(&settings.layout.grids) {
            let (start, end) = (grid.cut.floor(time), grid.cut.next(time));
            if let Some(pane) = lane.find(start) {
                let from = self.tail.partition_point(|kept| kept.tick.order.time < start);
                let rest = self.tail.range(from..).map(|kept| kept.tick).take_while(|tick| tick.order.time < end);
                pane.amend_kept(&old.worth(), new.map(|new| new.worth()), rest);
                pane.note_offset(offset);
            }
        }
        time
    }

    /// A trade that is kept no more: returns its event time.
    fn amend_settled(
        &mut self,
        settings: &Settings,
        amendment: &Amendment<'_>,
        bucket: i64,
        new: Option<New>,
        counts: &mut Counts,
    ) -> Result<i64, Outcome> {
        let time = amendment.trade_time.filter(|time| floor(*time, settings.bucket) == bucket);
        if let Some(time) = time {
            self.count_missed(settings, time, counts);
            if !self.is_open(settings, time) {
                return Err(Outcome::Late);
            }
        }
        let old =
            amendment.price.zip(amendment.quantity).map(|(price, quantity)| Worth { price, quantity, side: None });
        let Some((time, old)) = time.zip(old).filter(|(time, old)| self.may_hold(settings, *time, old)) else {
            let (from, to) = time.map_or((bucket, bucket.saturating_add(settings.bucket - 1)), |time| (time, time));
            return Err(if self.doubt(settings, from, to) { Outcome::Doubtful } else { Outcome::Late });
        };
        // A trade of state that an older version saved may still be in the tail without its id.
        let is_kept = time >= self.horizon(settings);
        self.each_open_pane(settings, time, time, |pane| {
            pane.amend_settled(time, &old, new.map(|(worth, _)| worth));
            pane.note_offset(amendment.offset);
            if is_kept {
                pane.doubt();
            }
        });
        Ok(time)
    }

    /// Whether every open pane of this time may hold such a trade: a venue that repeats another price means another trade.
    fn may_hold(&mut self, settings: &Settings, time: i64, old: &Worth) -> bool {
        let (mut some, mut all) = (false, true);
        self.each_open_pane(settings, time, time, |pane| {
            some = true;
            all &= pane.may_hold(old);
        });
        some && all
    }

    /// Every record of the times from `from` to `to` that is not final says `partial`. Returns whether there is any.
    fn doubt(&mut self, settings: &Settings, from: i64, to: i64) -> bool {
        let mut some = false;
        self.each_open_pane(settings, from, to, |pane| {
            pane.doubt();
            some = true;
        });
        self.clock.at_rest &= !some;
        some
    }

    /// The panes that hold a time from `from` to `to` and belong to a window that is not final.
    fn each_open_pane(&mut self, settings: &Settings, from: i64, to: i64, mut each: impl FnMut(&mut Pane)) {
        let horizon = self.horizon(settings);
        for (at, lane) in self.grids.iter_mut().enumerate() {
            // Before its first trade a grid took none: the trade is not in it.
            if lane.since.is_none_or(|since| to < since) {
                continue;
            }
            let first = settings.layout.grids[at].cut.floor(from);
            let open = lane.panes.iter_mut().filter(|pane| first <= pane.start && pane.start <= to);
            open.filter(|pane| settings.layout.last_end(at, pane.start) > horizon).for_each(&mut each);
        }
    }
}
