//! The state of a book as keys and values of the changelog, and back.
//!
//! Only what changed since the last save is written; one transaction holds all of it, so a restored book is exactly the book that
//! was saved, and goes on exactly as it would have. Keys are `<symbol>#<part>`, those of a roll-up `<symbol>#bars/<interval>/<part>`:
//!
//! | part | value |
//! |---|---|
//! | `head` | times, what was told, and the tail while it is short |
//! | `pane/<grid>/<start>` | one pane; the grid by the length of its panes, or by its window |
//! | `ids/<venue>/<bucket>/<chunk>` | ranges of trade ids |
//! | `void/<venue>/<bucket>/<chunk>` | ranges of ids of trades that were taken back |
//! | `tail/<start>` | a stretch of a tail that is long |
//! | `trend/<window>` | closes of final bars, for moving averages |
//! | `news` | scored news of the symbol; it belongs to no book (`window/news.rs`) |
//!
//! Version 1 named grids in the head by their length, and knew no last trade of a grid and no ids of gaps; it is read, and written
//! anew with the next change. Version 2 kept of the tail only what orders trades and their prices, and of a pane no edges of its settled part.
//! Version 3 did not say in the head which stretches of the tail are saved by themselves, nor what the clock had told as final.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{Book, Digest, Kept, Mark, Pane, Tick};
use crate::decimal::Decimal;
use crate::interval::Interval;
use crate::span::Span;
use crate::window::bytes::{Reader, Short, Writer};
use crate::window::cut::floor;
use crate::window::fold::Settings;
use crate::window::gaps::Gaps;
use crate::window::layout::Window;
use crate::window::tail;
use crate::window::trend::Trend;

/// The version byte of every value.
pub(crate) const VERSION: u8 = 4;
/// The oldest version that is still read.
pub(crate) const OLDEST: u8 = 1;
/// A tail of up to this many trades is kept in the head.
const INLINE: usize = 64;

/// A part of a book, as its key names it.
pub(crate) enum Part<'a> {
    Head,
    Pane { grid: &'a str, start: i64 },
    Ids { void: bool, venue: u8, bucket: i64, chunk: u32 },
    Tail { start: i64 },
    Trend { window: Span },
    News,
}

/// What a key of the changelog names.
pub(crate) struct Key<'a> {
    pub symbol: &'a str,
    /// Of the bars of this length; of trades where there is none.
    pub bars: Option<Interval>,
    pub part: Part<'a>,
}

impl<'a> Key<'a> {
    pub fn parse(key: &'a str) -> Option<Self> {
        let (symbol, mut part) = key.rsplit_once('#')?;
        let mut bars = None;
        if let Some(rest) = part.strip_prefix("bars/") {
            let (interval, rest) = rest.split_once('/')?;
            (bars, part) = (Some(interval.parse().ok()?), rest);
        }
        if let Some(window) = part.strip_prefix("trend/") {
            return Some(Key { symbol, bars, part: Part::Trend { window: window.parse().ok()? } });
        }
        let mut words = part.split('/');
        let part = match words.next()? {
            "head" => Part::Head,
            "news" => Part::News,
            "pane" => Part::Pane { grid: words.next()?, start: words.next()?.parse().ok()? },
            ids @ ("ids" | "void") => Part::Ids {
                void: ids == "void",
                venue: words.next()?.parse().ok()?,
                bucket: words.next()?.parse().ok()?,
                chunk: words.next()?.parse().ok()?,
            },
            "tail" => Part::Tail { start: words.next()?.parse().ok()? },
            _ => return None,
        };
        words.next().is_none().then_some(Key { symbol, bars, part })
    }

    /// What the keys of a book begin with.
    pub fn prefix(symbol: &str, bars: Option<Interval>) -> String {
        bars.map_or_else(|| format!("{symbol}#"), |interval| format!("{symbol}#bars/{interval}/"))
    }
}

impl Book {
    /// Hands out every key that changed and its new value, or `None` for a key that is to go.
    pub fn save(&mut self, settings: &Settings, mut put: impl FnMut(&str, Option<&[u8]>)) {
        let prefix = &Key::prefix(&self.symbol, settings.bars);
        let mut w = Writer::default();
        for part in self.saved.gone.drain(..) {
            put(&format!("{prefix}{part}"), None);
        }
        for (lane, grid) in self.grids.iter_mut().zip(&settings.layout.grids) {
            for pane in lane.panes.iter_mut().filter(|p| p.dirty) {
                w.bytes.clear();
                w.byte(VERSION);
                pane.write(&mut w);
                (pane.dirty, pane.saved) = (false, true);
                put(&format!("{prefix}pane/{}/{}", grid.name, pane.start), Some(&w.bytes));
            }
        }
        for (trend, window) in self.trends.iter_mut().zip(&settings.layout.windows).filter(|(trend, _)| trend.dirty) {
            w.bytes.clear();
            w.byte(VERSION);
            trend.write(&settings.averages, &mut w);
            trend.dirty = false;
            put(&format!("{prefix}trend/{}", window.span), Some(&w.bytes));
        }
        self.seen
            .save(VERSION, |bucket, venue, chunk, value| put(&format!("{prefix}ids/{venue}/{bucket}/{chunk}"), value));
        self.void
            .save(VERSION, |bucket, venue, chunk, value| put(&format!("{prefix}void/{venue}/{bucket}/{chunk}"), value));
        self.save_tail(settings, prefix, &mut w, &mut put);
        w.bytes.clear();
        w.byte(VERSION);
        self.write_head(settings, &mut w);
        put(&format!("{prefix}head"), Some(&w.bytes));
    }

    /// A long tail goes to slots of its own, so that a busy symbol does not rewrite all of it in every transaction.
    fn save_tail(
        &mut self,
        settings: &Settings,
        prefix: &str,
        w: &mut Writer,
        put: &mut impl FnMut(&str, Option<&[u8]>),
    ) {
        let mut slots = BTreeSet::new();
        if self.tail.len() > INLINE {
            let slot_of = |kept: &Kept| floor(kept.tick.order.time, settings.slot);
            for stretch in self.tail.make_contiguous().chunk_by(|a, b| slot_of(a) == slot_of(b)) {
                let slot = slot_of(&stretch[0]);
                slots.insert(slot);
                if self.saved.changed.contains(&slot) || !self.saved.slots.contains(&slot) {
                    w.bytes.clear();
                    w.byte(VERSION);
                    tail::write(stretch.iter(), w);
                    put(&format!("{prefix}tail/{slot}"), Some(&w.bytes));
                }
            }
        }
        for slot in self.saved.slots.difference(&slots) {
            put(&format!("{prefix}tail/{slot}"), None);
        }
        self.saved.slots = slots;
        self.saved.changed.clear();
    }

    fn write_head(&self, settings: &Settings, w: &mut Writer) {
        let over = self.horizon(settings);
        for time in [self.latest, self.watermark, over, self.fired, self.clock.active, self.clock.updated] {
            w.signed(time.into());
        }
        w.byte(u8::from(self.clock.fresh) | u8::from(self.clock.at_rest) << 1);
        w.unsigned(self.venues.len() as u128);
        self.venues.iter().for_each(|v| w.text(v));
        w.byte(self.settled.is_some().into());
        if let Some((time, price)) = self.settled {
            w.signed(time.into());
            w.signed(price.units());
        }
        w.unsigned(self.grids.len() as u128);
        for (lane, grid) in self.grids.iter().zip(&settings.layout.grids) {
            w.text(&grid.name);
            w.signed(grid.longest.into());
            w.byte(lane.since.is_some().into());
            w.signed(lane.since.unwrap_or(0).into());
            write_ticks(lane.last.iter(), w);
        }
        w.unsigned(self.marks.len() as u128);
        for ((window, start), mark) in &self.marks {
            w.text(&settings.layout.windows[*window].span.to_string());
            w.signed((*start).into());
            w.unsigned(mark.next_rev.into());
            w.unsigned(mark.version.into());
            w.byte(mark.by_clock.is_some().into());
            mark.by_clock.into_iter().for_each(|said| w.unsigned(said.0.into()));
        }
        self.gaps.write(w);
        w.unsigned(self.saved.slots.len() as u128);
        self.saved.slots.iter().for_each(|slot| w.signed((*slot).into()));
        tail::write(self.tail.iter().take(if self.saved.slots.is_empty() { usize::MAX } else { 0 }), w);
    }

    /// Takes back one part; `None` takes it away again. [`Book::restored`] must follow the last.
    pub fn restore(
        &mut self,
        settings: &Settings,
        part: Part<'_>,
        version: u8,
        value: Option<&mut Reader<'_>>,
    ) -> Result<(), Short> {
        match (part, value) {
            (Part::Head, Some(r)) => self.read_head(settings, version, r)?,
            // Without its head a symbol has no other part left either: they go in one transaction.
            (Part::Head, None) | (Part::News, _) => {}
            (Part::Pane { grid: name, start }, value) => {
                let grid = settings.layout.grids.iter().position(|g| g.name == name);
                let Some(lane) = grid.map(|g| &mut self.grids[g]) else {
                    // Of windows this run does not have; their panes are to go.
                    value.is_some().then(|| self.saved.gone.push(format!("pane/{name}/{start}")));
                    return Ok(());
                };
                lane.panes.retain(|p| p.start != start);
                if let Some(r) = value {
                    lane.panes.push_back(Pane::read(start, version, r)?);
                    r.end()?;
                }
            }
            (Part::Trend { window: span }, value) => {
                let window = settings.layout.windows.iter().position(|w| w.span == span);
                match (window.and_then(|at| self.trends.get_mut(at)), value) {
                    (Some(trend), Some(r)) => {
                        *trend = Trend::read(&settings.averages, r)?;
                        r.end()?;
                    }
                    // Bars that come while nobody asks for averages would be missing from them.
                    (None, Some(_)) => self.saved.gone.push(format!("trend/{span}")),
                    (_, None) => {}
                }
            }
            (Part::Ids { void, venue, bucket, chunk }, value) => {
                let ids = if void { &mut self.void } else { &mut self.seen };
                let Some(r) = value else {
                    ids.forget(bucket, venue, chunk);
                    return Ok(());
                };
                ids.restore(bucket, venue, chunk, r)?;
                r.end()?;
            }
            (Part::Tail { start }, value) => {
                self.saved.restored.remove(&start);
                if let Some(r) = value {
                    self.saved.restored.insert(start, tail::read(version, r)?);
                    r.end()?;
                }
            }
        }
        Ok(())
    }

    fn read_head(&mut self, settings: &Settings, version: u8, r: &mut Reader<'_>) -> Result<(), Short> {
        self.latest = r.int()?;
        self.watermark = r.int()?;
        self.over = r.int()?;
        self.fired = r.int()?;
        self.clock.active = r.int()?;
        self.clock.updated = r.int()?;
        let flags = r.byte()?;
        (self.clock.fresh, self.clock.at_rest) = (flags & 1 != 0, flags & 2 != 0);
        self.venues = (0..r.count()?).map(|_| r.text().map(Box::from)).collect::<Result<_, _>>()?;
        self.settled = match r.byte()? {
            0 => None,
            _ => Some((r.int()?, Decimal::from_units(r.signed()?).ok_or(Short)?)),
        };
        for _ in 0..r.count()? {
            let name = if version == 1 { r.int::<i64>()?.to_string().into() } else { Cow::from(r.text()?) };
            let (longest, some, since) = (r.int::<i64>()?, r.byte()?, r.int()?);
            let last = if version == 1 { None } else { read_ticks(r)?.pop() };
            if let Some(grid) = settings.layout.grids.iter().position(|g| g.name == name) {
                // A longer window than before finds some of its panes gone: it is whole only from here on.
                let is_longer = settings.layout.grids[grid].longest > longest;
                self.grids[grid].last = last.filter(|_| settings.carries);
                self.grids[grid].since = (some != 0).then_some(if is_longer { self.latest } else { since });
            }
        }
        self.marks.clear();
        for _ in 0..r.count()? {
            let (name, start) = (r.text()?, r.int()?);
            let (next_rev, told, by_clock) = (r.small()?, r.small()?, r.byte()? != 0);
            let said = if by_clock && version >= 4 { Digest(r.small()?) } else { Digest::UNKNOWN };
            let mut mark = Mark { next_rev, version: told, by_clock: by_clock.then_some(said) };
            if version == 1 {
                mark.version = version_of_1(mark.version);
            }
            // A calendar that has changed may have no window there any more.
            let known = |w: &Window| w.span.to_string() == name && w.starts_at(start);
            if let Some(window) = settings.layout.windows.iter().position(known) {
                self.marks.insert((window, start), mark);
            }
        }
        self.gaps = Gaps::read(version, r)?;
        self.saved.known = match version {
            ..4 => None,
            _ => Some((0..r.count()?).map(|_| r.int()).collect::<Result<_, _>>()?),
        };
        self.tail = tail::read(version, r)?.into();
        r.end()
    }

    /// Every part is back: puts them in order and drops what time has passed, should its removal have been missed.
    pub fn restored(&mut self, settings: &Settings) {
        let horizon = self.horizon(settings);
        let known = self.saved.known.take();
        for (slot, ticks) in std::mem::take(&mut self.saved.restored) {
            if known.as_ref().is_some_and(|known| !known.contains(&slot)) {
                self.saved.gone.push(format!("tail/{slot}"));
                continue;
            }
            self.saved.slots.insert(slot);
            self.tail.extend(ticks.into_iter().filter(|kept| kept.tick.order.time >= horizon));
        }
        // Slots may have been cut otherwise by other settings: all are written again.
        self.saved.changed.clone_from(&self.saved.slots);
        self.tail.make_contiguous().sort_unstable_by_key(|kept| kept.tick.order);
        for (lane, grid) in self.grids.iter_mut().zip(0..) {
            lane.panes.make_contiguous().sort_unstable_by_key(|p| p.start);
            // What was over when the state was saved had been dropped, and its last price taken: it tells nothing any more.
            while lane.panes.front().is_some_and(|p| settings.layout.last_end(grid, p.start) <= self.over) {
                let pane = lane.panes.pop_front().expect("the loop has just looked at it");
                self.saved.gone.push(format!("pane/{}/{}", settings.layout.grids[grid].name, pane.start));
            }
        }
        self.seen.restored();
        self.void.restored();
        self.drop_over(settings);
    }
}

/// Version 1 had two bits for what is known of the input's completeness: partial, or else a gap.
fn version_of_1(version: u64) -> u64 {
    version >> 2 << 3 | (version & 2) << 1 | version & 1
}

fn write_ticks<'a>(ticks: impl ExactSizeIterator<Item = &'a Tick>, w: &mut Writer) {
    w.unsigned(ticks.len() as u128);
    let mut before = Tick::ZERO;
    for tick in ticks {
        tick.write_after(&before, w);
        before = *tick;
    }
}

fn read_ticks(r: &mut Reader<'_>) -> Result<Vec<Tick>, Short> {
    let mut before = Tick::ZERO;
    (0..r.count()?)
        .map(|_| {
            before = Tick::read_after(&before, r)?;
            Ok(before)
        })
        .collect()
}
