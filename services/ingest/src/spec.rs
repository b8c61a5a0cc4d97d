//! What a feed is called, where it lies and how it is written: `[name=][format:]path[?option=value&…]`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::times::TimeFormat;
use crate::venues;

/// One recording (or synthetic market) to replay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "FeedForm")]
pub struct Feed {
    /// Names the feed in headers, logs and its checkpoint: the same name and content is the same replay.
    pub name: String,
    /// The file, plain or gzip; for a synthetic feed its symbols, separated by commas.
    pub path: String,
    /// Found from the file's name and first bytes when not given.
    pub format: Option<Format>,
    /// Venue of the symbols (`BINANCE`, `BINANCE_USDM`, …) where the file does not say it. Empty for bare symbols.
    pub venue: Option<String>,
    /// Symbol of every row where the file has no such column.
    pub symbol: Option<String>,
    /// Bar length of a CSV of bars (`1m`, `1d`) where the file does not say it.
    pub interval: Option<String>,
    /// How a CSV's time column is written.
    pub time_format: TimeFormat,
    /// Which CSV column is what.
    pub columns: Columns,
    /// Settings of a synthetic feed, and anything else a format takes.
    pub options: BTreeMap<String, String>,
}

/// Names (or `#1`, `#2`, … for a file without a header) of the columns of a CSV. Usual names are found by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    pub time: Option<String>,
    pub receive_time: Option<String>,
    pub symbol: Option<String>,
    pub venue: Option<String>,
    pub price: Option<String>,
    pub quantity: Option<String>,
    pub side: Option<String>,
    pub id: Option<String>,
    pub open: Option<String>,
    pub high: Option<String>,
    pub low: Option<String>,
    pub close: Option<String>,
    pub volume: Option<String>,
    /// Further bar columns to keep: name in the event → column.
    pub extra: BTreeMap<String, String>,
}

impl Columns {
    /// What is set, by the name of its key.
    pub fn named(&self) -> impl Iterator<Item = (String, String)> {
        // Taken apart, so that a column added later is not forgotten here.
        let Columns {
            time,
            receive_time,
            symbol,
            venue,
            price,
            quantity,
            side,
            id,
            open,
            high,
            low,
            close,
            volume,
            extra,
        } = self.clone();
        let single = [
            ("time", time),
            ("receive_time", receive_time),
            ("symbol", symbol),
            ("venue", venue),
            ("price", price),
            ("quantity", quantity),
            ("side", side),
            ("id", id),
            ("open", open),
            ("high", high),
            ("low", low),
            ("close", close),
            ("volume", volume),
        ];
        let single = single.into_iter().filter_map(|(key, column)| Some((format!("columns.{key}"), column?)));
        single.chain(extra.into_iter().map(|(name, column)| (format!("columns.extra.{name}"), column)))
    }
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Rows of separated fields, of trades or of bars.
    Csv,
    /// Recorded WebSocket frames of Binance, `<receive time in ns> <frame>` per line.
    Binance,
    /// Recorded WebSocket frames of Coinbase Exchange, `<time in s>: <frame>` per line.
    Coinbase,
    /// An answer of Kraken's REST `Trades`.
    Kraken,
    /// A trade list of freqtrade.
    Freqtrade,
    /// One event of this pipeline per line, as `raw-market-data` holds them.
    Jsonl,
    /// A recording of a live feed, as `live.record` makes them.
    Frames,
    /// A seeded random market.
    Synthetic,
    /// A venue, over its WebSocket or by REST; the path is its name.
    Live,
}

impl Format {
    pub const ALL: [(&'static str, Format); 9] = [
        ("csv", Format::Csv),
        ("binance", Format::Binance),
        ("coinbase", Format::Coinbase),
        ("kraken", Format::Kraken),
        ("freqtrade", Format::Freqtrade),
        ("jsonl", Format::Jsonl),
        ("frames", Format::Frames),
        ("synthetic", Format::Synthetic),
        ("live", Format::Live),
    ];

    pub fn named(name: &str) -> Option<Format> {
        Format::ALL.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }

    pub fn as_str(self) -> &'static str {
        Format::ALL.iter().find(|(_, format)| *format == self).expect("every format is listed").0
    }
}

impl std::str::FromStr for Feed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut feed = Feed::default();
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err("a feed is empty: write `[name=][format:]path`".to_owned());
        }
        // A file is free to be called `a=b.csv` or `x?y.csv`: what exists as it is written is a path.
        if !Path::new(rest).exists() {
            if let Some((name, path)) = rest.split_once('=')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
                && !name.is_empty()
            {
                feed.name = name.to_owned();
                rest = path;
            }
            if names_a_venue(rest) {
                feed.format = Some(Format::Live);
            } else if let Some((format, path)) = rest.split_once(':')
                && let Some(format) = Format::named(format)
            {
                feed.format = Some(format);
                rest = path;
            }
            if !Path::new(rest).exists()
                && let Some((path, options)) = rest.split_once('?')
            {
                rest = path;
                for option in options.split('&').filter(|option| !option.is_empty()) {
                    let (key, value) = option.split_once('=').unwrap_or((option, "true"));
                    feed.set(key, value)?;
                }
            }
        }
        feed.path = rest.to_owned();
        feed.complete()
    }
}

/// A venue's name alone is its live feed, unless a file is called so.
fn names_a_venue(text: &str) -> bool {
    let name = text.split('?').next().unwrap_or_default();
    (venues::NAMES.contains(&name) || venues::poll::NAMES.contains(&name)) && !Path::new(name).exists()
}

impl Feed {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let value = || Some(value.to_owned());
        if self.is_live() {
            self.options.insert(key.to_owned(), value().unwrap_or_default());
            return Ok(());
        }
        match key {
            "venue" => self.venue = value(),
            "symbol" if !self.is_synthetic() => self.symbol = value(),
            "interval" => self.interval = value(),
            "time_format" => self.time_format = value().unwrap_or_default().parse()?,
            "time" => self.columns.time = value(),
            "receive_time" => self.columns.receive_time = value(),
            "symbols" => self.columns.symbol = value(),
            "venues" => self.columns.venue = value(),
            "price" => self.columns.price = value(),
            "quantity" => self.columns.quantity = value(),
            "side" => self.columns.side = value(),
            "id" => self.columns.id = value(),
            "open" => self.columns.open = value(),
            "high" => self.columns.high = value(),
            "low" => self.columns.low = value(),
            "close" => self.columns.close = value(),
            "volume" => self.columns.volume = value(),
            other if self.is_synthetic() => {
                self.options.insert(other.to_owned(), value().unwrap_or_default());
            }
            other => {
                return Err(format!(
                    "feed option `{other}` is not known: use venue, symbol, interval, time_format, or a column: time, receive_time, symbols, venues, price, quantity, side, id, open, high, low, close, volume"
                ));
            }
        }
        Ok(())
    }

    pub fn is_synthetic(&self) -> bool {
        self.format == Some(Format::Synthetic)
    }

    pub fn is_live(&self) -> bool {
        self.format == Some(Format::Live)
    }

    /// A live feed that is asked for again and again.
    pub fn is_polled(&self) -> bool {
        self.is_live() && venues::poll::NAMES.contains(&self.path.as_str())
    }

    /// The file's name without its folder.
    pub fn file_name(&self) -> &str {
        Path::new(&self.path).file_name().and_then(|name| name.to_str()).unwrap_or(&self.path)
    }

    fn complete(mut self) -> Result<Self, String> {
        if self.format.is_none() && names_a_venue(&self.path) {
            self.format = Some(Format::Live);
        }
        if self.path.is_empty() && !self.is_synthetic() {
            return Err(format!("feed `{}` has no path", self.name));
        }
        if self.name.is_empty() {
            self.name = if self.is_synthetic() { "synthetic".to_owned() } else { self.file_name().to_owned() };
        }
        Ok(self)
    }
}

/// The two ways a feed is written in a configuration.
#[derive(Deserialize)]
#[serde(untagged)]
enum FeedForm {
    Text(String),
    Map(Box<FeedMap>),
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FeedMap {
    name: String,
    path: String,
    format: Option<Format>,
    venue: Option<String>,
    symbol: Option<String>,
    interval: Option<String>,
    time_format: TimeFormat,
    columns: Columns,
    options: BTreeMap<String, String>,
}

impl TryFrom<FeedForm> for Feed {
    type Error = String;

    fn try_from(form: FeedForm) -> Result<Self, String> {
        match form {
            FeedForm::Text(text) => text.parse(),
            FeedForm::Map(map) => Feed {
                name: map.name,
                path: map.path,
                format: map.format,
                venue: map.venue,
                symbol: map.symbol,
                interval: map.interval,
                time_format: map.time_format,
                columns: map.columns,
                options: map.options,
            }
            .complete(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(text: &str) -> Feed {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_alone_is_named_after_its_file() {
        let plain = feed("data/index/indexProcessed.csv.gz");
        assert_eq!((plain.name.as_str(), plain.format), ("indexProcessed.csv.gz", None));
    }

    #[test]
    fn name_format_and_options_are_read_in_that_order() {
        let full = feed("index=csv:/tmp/x.csv?time_format=DD/MM/YYYY&price=px&venue=NYSE");
        assert_eq!((full.name.as_str(), full.path.as_str()), ("index", "/tmp/x.csv"));
        assert_eq!(full.format, Some(Format::Csv));
        assert_eq!(full.columns.price.as_deref(), Some("px"));
        assert_eq!(full.venue.as_deref(), Some("NYSE"));
        assert_eq!(full.time_format.to_string(), "DD/MM/YYYY");
        assert_eq!(feed("synthetic:AAPL,MSFT?seed=7").options["seed"], "7");
        assert_eq!(feed("synthetic:").name, "synthetic");
    }

    #[test]
    fn a_venues_name_is_its_live_feed_unless_a_file_has_it() {
        let live = feed("binance?symbols=BINANCE:BTCUSDT+BINANCE:ETHUSDT");
        assert_eq!((live.name.as_str(), live.path.as_str(), live.is_live()), ("binance", "binance", true));
        assert_eq!(live.options["symbols"], "BINANCE:BTCUSDT+BINANCE:ETHUSDT");
        assert_eq!(feed("second=kraken").name, "second");
        assert!(feed("second=kraken").is_live() && feed("live:kraken").is_live());
        assert!(!feed("binance:frames.gz").is_live(), "a recording of its frames");
        let map: Feed = serde_json::from_str(r#"{"path":"kraken","options":{"symbols":"KRAKEN:BTC/USD"}}"#).unwrap();
        assert!(map.is_live() && map.options.len() == 1);
    }

    #[test]
    fn unknown_options_and_formats_are_refused_by_name() {
        assert!("x.csv?prize=px".parse::<Feed>().unwrap_err().contains("`prize`"));
        assert!("x.csv?time_format=DMY".parse::<Feed>().unwrap_err().contains("`DMY`"));
        assert!("".parse::<Feed>().is_err());
        assert!("a=csv:".parse::<Feed>().unwrap_err().contains("no path"));
    }

    #[test]
    fn text_and_map_are_the_same_feed() {
        let map: Feed =
            serde_json::from_str(r#"{"name":"t","path":"x.csv","format":"csv","columns":{"price":"px"}}"#).unwrap();
        assert_eq!(map, feed("t=csv:x.csv?price=px"));
        let text: Feed = serde_json::from_str(r#""t=csv:x.csv?price=px""#).unwrap();
        assert_eq!(text, map);
        let again: Feed = serde_json::from_str(&serde_json::to_string(&map).unwrap()).unwrap();
        assert_eq!(again, map);
        assert!(serde_json::from_str::<Feed>(r#"{"path":"x.csv","prize":"px"}"#).is_err());
    }
}
