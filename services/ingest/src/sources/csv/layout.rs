//! Which column is what: from the configuration, else from the usual names.

use market::{Interval, symbol};

use crate::spec::{Columns, Feed};
use crate::times::TimeFormat;

use super::split::{Fields, delimiter_of};

/// What each column of a file is.
#[derive(Clone, Debug)]
pub struct Layout {
    pub delimiter: u8,
    pub width: usize,
    pub has_header: bool,
    pub time: usize,
    pub time_format: TimeFormat,
    pub receive_time: Option<usize>,
    pub symbol_column: Option<usize>,
    /// The symbol of every row, where there is no column.
    pub symbol: String,
    pub venue_column: Option<usize>,
    /// The venue of every row, where there is no column; empty for bare symbols.
    pub venue: String,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Trades {
        price: usize,
        quantity: Option<usize>,
        side: Option<SideColumn>,
        id: Option<usize>,
    },
    Bars {
        open: usize,
        high: usize,
        low: usize,
        close: usize,
        volume: Option<usize>,
        interval: Interval,
        extra: Vec<(String, usize)>,
    },
}

#[derive(Clone, Debug)]
pub enum SideColumn {
    Taker(usize),
    /// True means that the taker sold.
    BuyerIsMaker(usize),
}

const TIME: &[&str] = &[
    "trade_time_ms",
    "trade_time",
    "event_time",
    "event_time_ms",
    "transact_time",
    "timestamp",
    "time",
    "time_ms",
    "datetime",
    "date",
    "open_time",
    "open_time_ms",
    "start",
    "ts",
];
const RECEIVE_TIME: &[&str] = &["recv_time_ns", "receive_time", "recv_time", "local_timestamp"];
const SYMBOL: &[&str] = &["symbol", "index", "ticker", "instrument", "pair", "product_id"];
const VENUE: &[&str] = &["venue", "exchange"];
const PRICE: &[&str] = &["price", "px", "last_price", "last", "trade_price"];
const QUANTITY: &[&str] = &["quantity", "qty", "amount", "size", "volume", "trade_size"];
const SIDE: &[&str] = &["side", "taker_side", "aggressor"];
const BUYER_IS_MAKER: &[&str] = &["buyer_is_maker", "is_buyer_maker", "isbuyermaker"];
const ID: &[&str] = &["trade_id", "tradeid", "id", "tid", "agg_trade_id"];
/// Says that a file has no such column, where a usual name would be taken for it.
const NONE: &str = "-";
const VOLUME: &[&str] = &["volume", "vol"];
/// Bar columns kept beside the usual ones: name in the event, names in files.
const EXTRA: &[(&str, &[&str])] = &[
    ("adj_close", &["adj_close", "adjclose", "adjusted_close"]),
    ("close_usd", &["closeusd", "close_usd"]),
    ("quote_volume", &["quote_volume", "quote_asset_volume"]),
    ("trade_count", &["trade_count", "count", "number_of_trades", "trades"]),
    ("taker_buy_volume", &["taker_buy_volume"]),
    ("taker_buy_quote_volume", &["taker_buy_quote_volume"]),
];

impl Layout {
    /// From a file's first line and its feed. The error says what is missing and how to give it.
    pub fn of(first_line: &[u8], feed: &Feed) -> Result<Layout, String> {
        let delimiter = delimiter_of(first_line);
        let mut fields = Fields::default();
        fields.split(first_line, delimiter).map_err(|bad| format!("the header cannot be read: {}", bad.detail))?;
        let names: Vec<String> = (0..fields.count()).map(|n| plain(&String::from_utf8_lossy(fields.get(n)))).collect();
        let header = Header {
            names: &names,
            shown: String::from_utf8_lossy(&first_line[..first_line.len().min(200)]).into_owned(),
        };
        let columns = &feed.columns;
        let numbered = columns.time.as_deref().is_some_and(|time| time.starts_with('#'));

        let time = header.need("time", &columns.time, TIME, "time")?;
        let symbol_column = header.find(&columns.symbol, SYMBOL)?;
        let venue_column = if feed.venue.is_some() { None } else { header.find(&columns.venue, VENUE)? };
        let symbol = feed.symbol.clone().or_else(|| symbol_of_name(feed.file_name())).unwrap_or_default();
        if symbol_column.is_none() && symbol.is_empty() {
            return Err(header.missing("symbol", "a column `symbols=NAME`, or one for all rows: `symbol=AAPL`"));
        }
        Ok(Layout {
            delimiter,
            width: names.len(),
            has_header: !numbered,
            time,
            time_format: feed.time_format.clone(),
            receive_time: header.find(&columns.receive_time, RECEIVE_TIME)?,
            symbol_column: if feed.symbol.is_some() { None } else { symbol_column },
            symbol,
            venue_column,
            venue: venue_name(feed.venue.as_deref().unwrap_or_default()),
            kind: header.kind(columns, feed, time)?,
        })
    }
}

struct Header<'a> {
    names: &'a [String],
    shown: String,
}

impl Header<'_> {
    fn kind(&self, columns: &Columns, feed: &Feed, time: usize) -> Result<Kind, String> {
        let open = self.find(&columns.open, &["open"])?;
        let price = self.find(&columns.price, PRICE)?;
        if open.is_some() && columns.price.is_none() {
            let mut extra: Vec<(String, usize)> = Vec::new();
            for (name, known) in EXTRA {
                if let Some(column) = self.find(&None, known)? {
                    extra.push(((*name).to_owned(), column));
                }
            }
            for (name, column) in &columns.extra {
                extra.retain(|(taken, _)| taken != name);
                extra.push((name.clone(), self.need(name, &Some(column.clone()), &[], "extra")?));
            }
            return Ok(Kind::Bars {
                open: self.need("open", &columns.open, &["open"], "open")?,
                high: self.need("high", &columns.high, &["high"], "high")?,
                low: self.need("low", &columns.low, &["low"], "low")?,
                close: self.need("close", &columns.close, &["close"], "close")?,
                volume: self.find(&columns.volume, VOLUME)?,
                interval: self.interval(feed, time)?,
                extra,
            });
        }
        let Some(price) = price else {
            return Err(
                self.missing("price", "`price=NAME` for trades, or `open=`, `high=`, `low=`, `close=` for bars")
            );
        };
        let maker = if columns.side.is_none() { self.find(&None, BUYER_IS_MAKER)? } else { None };
        let side = match maker {
            Some(column) => Some(SideColumn::BuyerIsMaker(column)),
            None => self.find(&columns.side, SIDE)?.map(|column| {
                if BUYER_IS_MAKER.contains(&self.names[column].as_str()) {
                    SideColumn::BuyerIsMaker(column)
                } else {
                    SideColumn::Taker(column)
                }
            }),
        };
        let quantity = self.find(&columns.quantity, QUANTITY)?;
        if quantity.is_none() && columns.quantity.as_deref() != Some(NONE) {
            return Err(self.missing("quantity", "`quantity=NAME`, or `quantity=-` for prices without sizes"));
        }
        Ok(Kind::Trades { price, quantity, side, id: self.find(&columns.id, ID)? })
    }

    /// A bar's length: given, or in the file's name (`BTCUSDT-1m-2024.csv`), or a day if the column is called a date.
    fn interval(&self, feed: &Feed, time: usize) -> Result<Interval, String> {
        if let Some(given) = &feed.interval {
            return given.parse().map_err(|error| format!("interval `{given}`: {error}"));
        }
        let in_name = feed.file_name().split(['-', '_', '.']).find_map(|part| part.parse::<Interval>().ok());
        let day = || (self.names[time] == "date").then(|| "1d".parse().expect("1d is an interval"));
        in_name.or_else(day).ok_or_else(|| "the length of the bars is not known: give it as `interval=1m`".to_owned())
    }

    /// The column a configuration names, else the first usual name that is there.
    fn find(&self, given: &Option<String>, usual: &[&str]) -> Result<Option<usize>, String> {
        if given.as_deref() == Some(NONE) {
            return Ok(None);
        }
        let Some(given) = given else {
            return Ok(usual.iter().find_map(|name| self.names.iter().position(|column| column == name)));
        };
        if let Some(number) = given.strip_prefix('#') {
            return match number.parse::<usize>() {
                Ok(n) if (1..=self.names.len()).contains(&n) => Ok(Some(n - 1)),
                _ => Err(format!("column `{given}`: the file has columns #1 to #{}", self.names.len())),
            };
        }
        let wanted = plain(given);
        match self.names.iter().position(|column| *column == wanted) {
            Some(column) => Ok(Some(column)),
            None => Err(format!("there is no column `{given}`: the first line is `{}`", self.shown)),
        }
    }

    fn need(&self, what: &str, given: &Option<String>, usual: &[&str], option: &str) -> Result<usize, String> {
        self.find(given, usual)?.ok_or_else(|| self.missing(what, &format!("`{option}=NAME`")))
    }

    fn missing(&self, what: &str, how: &str) -> String {
        format!(
            "no column for the {what}: the first line is `{}`; give {how} (or `#1`, `#2`, … without a header)",
            self.shown
        )
    }
}

/// `Adj Close` and `adj_close` are one name.
fn plain(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

/// `BTCUSDT-1m-2024-08.csv` and `XRP_ETH-5m.csv` name their symbol first; `trades.csv` does not.
fn symbol_of_name(name: &str) -> Option<String> {
    let first = name.split(['-', '.']).next()?;
    let is_symbol = first.len() >= 2
        && first.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    (is_symbol && first.bytes().any(|byte| byte.is_ascii_uppercase())).then(|| first.to_owned())
}

/// Venues as Finflow writes them.
pub fn venue_name(raw: &str) -> String {
    match raw.to_ascii_lowercase().as_str() {
        "binance_spot" => "BINANCE".to_owned(),
        "binance_usdm" | "binance-futures" => "BINANCE_USDM".to_owned(),
        other => other.to_ascii_uppercase().replace('-', "_"),
    }
}

/// `BINANCE:BTCUSDT`; a symbol that names its venue already, or has none, stays as it is.
pub fn qualified(venue: &str, raw: String) -> String {
    if venue.is_empty() { raw } else { symbol::of(venue, &raw) }
}
