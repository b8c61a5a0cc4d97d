//! What waits in the queue, and its form on disk.

use market::Event;

use crate::observe;
use crate::position::Position;
use crate::sources::Bad;

/// What a line has found.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are events")]
pub enum Item {
    Event(Event),
    /// A frame, or a part of it, that cannot be read.
    Bad(Vec<u8>, Bad),
    /// An id that is no trade's.
    Used {
        symbol: String,
        id: u64,
        time: i64,
    },
    /// All that was put in before is through: what was to be done then, by its number.
    Mark(u64),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub feed: usize,
    pub position: Position,
    pub item: Item,
}

impl Entry {
    /// Of one with short texts.
    pub const BARE_BYTES: usize = size_of::<Entry>() + 96;

    /// About what it takes in memory.
    pub fn bytes(&self) -> usize {
        let held = match &self.item {
            Item::Event(Event::News(news)) => news.headline.len() + news.summary.as_ref().map_or(0, String::len),
            Item::Event(Event::Trade(trade)) => trade.conditions.len() * 32,
            Item::Bad(text, _) => text.len(),
            Item::Event(_) | Item::Used { .. } | Item::Mark(_) => 0,
        };
        Self::BARE_BYTES + held
    }

    /// Appends its form: a kind, numbers, and what follows with its length. Read by the process that wrote it, and by no other.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (kind, id, time) = match &self.item {
            Item::Event(_) => (0, 0, 0),
            Item::Bad(..) => (1, 0, 0),
            Item::Used { id, time, .. } => (2, *id, *time),
            Item::Mark(number) => (3, *number, 0),
        };
        out.push(kind);
        for number in [self.feed as u64, self.position.pass, self.position.line, self.position.sub.into(), id] {
            out.extend(number.to_le_bytes());
        }
        out.extend(time.to_le_bytes());
        match &self.item {
            Item::Event(event) => {
                let mut text = Vec::new();
                event.encode(&mut text);
                put(out, &text);
            }
            Item::Bad(text, bad) => {
                [text, bad.reason.as_bytes(), bad.detail.as_bytes()].iter().for_each(|part| put(out, part))
            }
            Item::Used { symbol, .. } => put(out, symbol.as_bytes()),
            Item::Mark(_) => {}
        }
    }

    /// Takes one from the front. `None`: it is not what was written.
    pub fn read(bytes: &mut &[u8]) -> Option<Entry> {
        let kind = bytes.split_off_first()?;
        let mut number = || Some(u64::from_le_bytes(bytes.split_off(..8)?.try_into().ok()?));
        let (feed, pass, line, sub) = (number()?, number()?, number()?, number()?);
        let (id, time) = (number()?, number()?.cast_signed());
        let position = Position { pass, line, sub: u32::try_from(sub).ok()? };
        let item = match kind {
            0 => Item::Event(Event::decode(take(bytes)?).ok()?),
            1 => {
                let (text, reason, detail) = (take(bytes)?, take(bytes)?, take(bytes)?);
                let reason = observe::reasons().into_iter().find(|known| known.as_bytes() == reason)?;
                Item::Bad(text.to_vec(), Bad::new(reason, String::from_utf8(detail.to_vec()).ok()?))
            }
            2 => Item::Used { symbol: String::from_utf8(take(bytes)?.to_vec()).ok()?, id, time },
            3 => Item::Mark(id),
            _ => return None,
        };
        Some(Entry { feed: usize::try_from(feed).ok()?, position, item })
    }
}

fn put(out: &mut Vec<u8>, part: &[u8]) {
    out.extend((part.len() as u64).to_le_bytes());
    out.extend(part);
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u64::from_le_bytes(bytes.split_off(..8)?.try_into().ok()?);
    bytes.split_off(..usize::try_from(length).ok()?)
}
