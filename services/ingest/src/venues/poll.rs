//! Venues that are asked again and again, by REST: what to ask, and what an answer holds.
//!
//! Pure, as the rest of a venue: what is wanted in, a request out; a page in, its events out. [`crate::live`] asks, no more often
//! than [`PollLimits`] allow, and [`crate::taken`] tells what of an answer has come before.
//!
//! **Invariant:** no page makes a reader panic, and a bad item takes none of the others with it.

use std::borrow::Cow;
use std::time::Duration;

use market::{Event, Price, Quantity, Trade};

use super::{Rate, alphavantage, finnhub};
use crate::sources::Bad;

/// What is asked, and of which symbol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// One of [`PollLimits::reads`].
    pub what: &'static str,
    pub symbol: String,
    pub own_name: String,
}

/// How far what is asked for reaches back, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// The newest that was taken; `None` at the first start.
    pub newest: Option<i64>,
    /// The page before was full, and ended there: what follows is wanted, and nothing of before.
    pub follows: bool,
    /// The venue refuses what reaches back further than its shortest answer.
    pub short: bool,
    pub now: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Path and query. It holds the key where the venue takes it nowhere else.
    pub path: String,
    pub header: Option<(&'static str, String)>,
}

/// What an answer holds.
#[derive(Debug, Default)]
pub struct Page {
    /// In order of time, oldest first.
    pub events: Vec<Event>,
    /// Items that cannot be read, as they came.
    pub bad: Vec<(Vec<u8>, Bad)>,
    /// There is more than fits into one answer.
    pub full: bool,
    /// The answer does not reach back to the newest that was taken: between these times something may be missing.
    pub gap: Option<(i64, i64)>,
}

impl Page {
    /// Takes what was read of an item, or the item itself if it cannot be read.
    pub fn put(&mut self, item: &[u8], read: Result<Event, Bad>) {
        match read {
            Ok(event) => self.events.push(event),
            Err(bad) => self.bad.push((item.to_vec(), bad)),
        }
    }
}

/// A last price without a bid and an ask, as a price update: a trade of no size.
pub(crate) fn price_update(
    venue: &str,
    symbol: &str,
    id: String,
    price: Price,
    event_time: i64,
    received: i64,
) -> Event {
    Event::Trade(Trade {
        venue: venue.to_owned(),
        symbol: symbol.to_owned(),
        trade_id: Some(id),
        price,
        quantity: Quantity::parse(b"0").expect("it is a number"),
        side: None,
        conditions: vec!["quote".to_owned()],
        event_time,
        receive_time: Some(received),
        backfilled: false,
    })
}

/// Why an answer is none, in the venue's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It knows nothing of this symbol, or nothing yet. Asked again when it is due.
    Nothing(String),
    /// Too often, or out of order: later.
    Later(String),
    /// Nothing more today.
    Tomorrow(String),
    /// Not so far back: the same with [`Reach::short`] may be answered.
    TooLong(String),
    /// This will never be answered to this key.
    Never(String),
    /// The key is wrong.
    Key(String),
    /// It cannot be read.
    Unread(Bad),
}

impl Refusal {
    /// Every outcome but `taken`, as the metric counts them.
    pub const OUTCOMES: [&'static str; 7] =
        ["nothing", "later", "tomorrow", "too_long", "never", "key_refused", "unread"];

    pub fn outcome(&self) -> &'static str {
        match self {
            Refusal::Nothing(_) => "nothing",
            Refusal::Later(_) => "later",
            Refusal::Tomorrow(_) => "tomorrow",
            Refusal::TooLong(_) => "too_long",
            Refusal::Never(_) => "never",
            Refusal::Key(_) => "key_refused",
            Refusal::Unread(_) => "unread",
        }
    }

    pub fn why(&self) -> Cow<'_, str> {
        match self {
            Refusal::Nothing(why)
            | Refusal::Later(why)
            | Refusal::Tomorrow(why)
            | Refusal::TooLong(why)
            | Refusal::Never(why)
            | Refusal::Key(why) => why.into(),
            Refusal::Unread(bad) => format!("the answer cannot be read: {}: {}", bad.reason, bad.detail).into(),
        }
    }
}

/// What a polled venue allows, as data.
#[derive(Clone, Copy, Debug)]
pub struct PollLimits {
    /// Name on the command line.
    pub name: &'static str,
    pub address: &'static str,
    /// The setting that holds its key is `<keys_of>.api_key`.
    pub keys_of: &'static str,
    pub symbols: &'static [&'static str],
    /// What can be asked of a symbol.
    pub reads: &'static [&'static str],
    /// Requests. All of them hold.
    pub rates: &'static [Rate],
    /// Between two of the same request, if the rates allow it.
    pub every: Duration,
}

/// A venue as a poller needs it.
pub trait Poll: Send + Sync {
    fn limits(&self) -> &'static PollLimits;

    /// Takes an option of its own. `None`: it has no such option; the error is a sentence.
    fn set(&mut self, _option: &str, _value: &str) -> Option<Result<(), String>> {
        None
    }

    /// The venue's own name of a symbol; `None` if it is not one of its.
    fn own_name(&self, symbol: &str) -> Option<String>;

    fn request(&self, ask: &Ask, reach: Reach, key: &str) -> Request;

    /// What comes of it, as [`crate::taken`] names it.
    fn stream(&self, ask: &Ask) -> String {
        format!("{} {}", ask.what, ask.symbol)
    }

    /// When a key that is used up for today may be used again, in nanoseconds since 1970.
    fn day_ends(&self, now: i64) -> i64 {
        const DAY_NS: i64 = 86_400_000_000_000;
        (now.div_euclid(DAY_NS) + 1).saturating_mul(DAY_NS)
    }

    /// Reads an answer that came at `reach.now`.
    fn read(&self, ask: &Ask, reach: Reach, answer: &[u8]) -> Result<Page, Refusal>;
}

/// A polled venue by its name on the command line.
pub fn of(name: &str) -> Option<Box<dyn Poll>> {
    Some(match name {
        "alphavantage" => Box::new(alphavantage::AlphaVantage::default()),
        "finnhub_rest" => Box::new(finnhub::rest::FinnhubRest),
        _ => return None,
    })
}

/// Every name that [`of`] knows, in the order of the documentation.
pub const NAMES: [&str; 2] = ["alphavantage", "finnhub_rest"];

/// A value of a query: what is not plain is written as `%XX`.
pub(crate) fn quoted(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to memory cannot fail");
        }
        out
    })
}
