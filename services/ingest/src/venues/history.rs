//! Trades of the past, by REST: what fills a gap.
//!
//! Pure, as the rest of a venue: what is missing in, the path of a page out; the page in, its trades out. Only where trade ids
//! are consecutive: elsewhere nobody could tell what a gap lacks.

use super::Rate;
use crate::sources::{Bad, Found};

/// Trades of one symbol that have not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub own_name: String,
    /// Ids.
    pub first: u64,
    pub last: u64,
    /// Event time of a trade before them.
    pub from: i64,
}

/// How a venue is asked for trades of the past.
pub trait History: Send + Sync {
    fn address(&self) -> &'static str;

    /// Requests.
    fn rate(&self) -> Rate;

    /// The place of the first page: an id or a time, whatever the venue pages by.
    fn begin(&self, missing: &Missing) -> u64;

    /// Path and query of the page at this place.
    fn request(&self, missing: &Missing, place: u64) -> String;

    /// Reads a page. What is good in it is found also when something else is bad. The answer is the place of the next page,
    /// unless this one went as far as what is missing, or as far as the venue has anything.
    fn read(&self, missing: &Missing, place: u64, page: &[u8], found: &mut Found) -> Result<Option<u64>, Bad>;
}

#[cfg(test)]
pub mod tests {
    use market::{Event, Trade};

    use super::*;

    pub fn missing(own_name: &str, first: u64, last: u64) -> Missing {
        Missing { own_name: own_name.to_owned(), first, last, from: 1_700_000_000_000_000_000 }
    }

    pub fn read(
        history: &dyn History,
        missing: &Missing,
        place: u64,
        page: &str,
    ) -> (Vec<Trade>, Result<Option<u64>, Bad>) {
        let mut found = Found::default();
        let next = history.read(missing, place, page.as_bytes(), &mut found);
        let trades = found.events.into_iter().map(|event| match event {
            Event::Trade(trade) => trade,
            other => panic!("{other:?}"),
        });
        (trades.collect(), next)
    }

    proptest::proptest! {
        #[test]
        fn no_page_makes_a_reader_panic(page: Vec<u8>, place: u64) {
            for name in crate::venues::NAMES {
                if let Some(history) = crate::venues::of(name).and_then(|venue| venue.history()) {
                    let _ = history.read(&missing("A/B", 1, 9), place, &page, &mut Found::default());
                }
            }
        }
    }
}
