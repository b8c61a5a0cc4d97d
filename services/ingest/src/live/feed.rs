//! A live feed as it is asked for: `binance?symbols=BINANCE:BTCUSDT+BINANCE:ETHUSDT`, with the venue's limits as the
//! options change them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::lease::keeper::Shared;
use super::lease::{Terms, share_of};
use super::memory::{Named, Part};
use super::symbols;
use crate::config::Config;
use crate::spec::Feed;
use crate::venues::{self, Limits, Rate, Venue};

pub struct LiveFeed {
    pub name: String,
    pub address: String,
    pub limits: Limits,
    pub key: String,
    pub secret: String,
    /// Where trades of the past are asked for, and how often at most.
    pub rest: Option<(String, Rate)>,
    /// By the venue's own names.
    pub symbols: BTreeSet<String>,
    /// Where they are, and are changed, if not in the options.
    pub symbols_file: Option<PathBuf>,
    /// Best bids and offers, too.
    pub quotes: bool,
    /// Into how many parts its symbols are divided, each of which one process reads.
    pub shares: usize,
}

/// Enough for as many processes, and no more connections than any venue allows. One where a key has one connection.
const SHARES: usize = 8;

impl LiveFeed {
    /// The error is a sentence that names the problem and what to do.
    pub fn of(feed: &Feed, config: &Config) -> Result<LiveFeed, String> {
        let wrong = |what: String| format!("feed `{}`: {what}", feed.name);
        let unknown = || {
            let names = [&venues::NAMES[..], &venues::poll::NAMES[..]].concat().join(", ");
            wrong(format!("there is no venue `{}`: use one of {names}", feed.path))
        };
        let mut venue = venues::of(&feed.path).ok_or_else(unknown)?;
        let mut limits = *venue.limits();
        let mut address = limits.address.to_owned();
        let mut symbols: Vec<String> = limits.symbols.iter().map(|symbol| (*symbol).to_owned()).collect();
        let (mut listed, mut symbols_file) = (false, None);
        let mut quotes = config.quotes;
        let mut shares = if limits.overlap { SHARES } else { 1 };
        let history = venue.history();
        let mut rest = history.map(|history| (history.address().to_owned(), history.rate()));
        // What is read from elsewhere than the venue is not mended from the venue itself.
        if feed.options.contains_key("url") {
            rest = rest.map(|(_, rate)| (String::new(), rate));
        }
        for (key, value) in &feed.options {
            let text = |error: String| wrong(format!("{key}=`{value}`: {error}"));
            match key.as_str() {
                "symbols" => {
                    listed = true;
                    symbols = value.split(['+', ' ']).filter(|part| !part.is_empty()).map(str::to_owned).collect()
                }
                "symbols_file" => symbols_file = Some(PathBuf::from(value)),
                "url" => address = value.clone(),
                "rest" | "rest_rate" if history.is_none() => {
                    return Err(wrong(format!("`{key}`: {} gives no trades of the past to anybody", limits.name)));
                }
                "rest" if value == "off" => rest = None,
                "rest" if !(value.starts_with("https://") || value.starts_with("http://")) => {
                    return Err(text("not an address such as https://api.binance.com, and not `off`".to_owned()));
                }
                "rest" => rest = rest.map(|(_, rate)| (value.clone(), rate)),
                "rest_rate" => {
                    let rate = rate(value).map_err(text)?;
                    rest = rest.map(|(address, _)| (address, rate));
                }
                "silence" => limits.silence = duration(value).map_err(text)?,
                "life" => limits.life = Some(duration(value).map_err(text)?),
                "connects" => limits.connects = rate(value).map_err(text)?,
                "sends" => limits.sends = rate(value).map_err(text)?,
                "most_symbols" => limits.most_symbols = value.parse().map_err(|_| text("not a number".to_owned()))?,
                "quotes" => quotes = value.parse().map_err(|_| text("neither `true` nor `false`".to_owned()))?,
                "shares" => {
                    shares = value
                        .parse()
                        .ok()
                        .filter(|shares| (1..=64).contains(shares))
                        .ok_or_else(|| text("not a number from 1 to 64".to_owned()))?;
                    if shares > 1 && !limits.overlap {
                        return Err(text(format!(
                            "{} allows one connection per key: one process reads all of it",
                            limits.name
                        )));
                    }
                }
                other => {
                    return Err(wrong(format!(
                        "option `{other}` is not known: use symbols, symbols_file, url, rest, rest_rate, silence, life, connects, sends, most_symbols, shares, quotes"
                    )));
                }
            }
        }
        if quotes && !venue.read_quotes() {
            // Asked for of all feeds, it is of those that have any.
            if feed.options.contains_key("quotes") {
                return Err(wrong(format!("quotes: {} does not offer them", limits.name)));
            }
            quotes = false;
        }
        if quotes && limits.venue.starts_with("BINANCE") {
            // The venue counts streams, of which a symbol has two then.
            limits.most_symbols = (limits.most_symbols / 2).max(1);
        }
        if let Some(file) = &symbols_file {
            if listed {
                return Err(wrong("symbols and symbols_file exclude each other".to_owned()));
            }
            symbols = symbols::read(file).map_err(wrong)?;
        }
        let (key, secret) = match limits.name {
            "finnhub" => (config.finnhub.api_key.expose(), ""),
            "massive" => (config.massive.api_key.expose(), ""),
            "alpaca" => (config.alpaca.api_key.expose(), config.alpaca.api_secret.expose()),
            _ => ("", ""),
        };
        if (limits.needs_key && key.is_empty()) || (limits.needs_secret && secret.is_empty()) {
            return Err(wrong(format!(
                "{0} wants a key: set `{0}.api_key`{1}",
                limits.name,
                if limits.needs_secret { " and its secret" } else { "" }
            )));
        }
        if symbols.is_empty() || limits.most_symbols == 0 {
            return Err(wrong("no symbols".to_owned()));
        }
        if !limits.overlap && symbols.len() > limits.most_symbols {
            return Err(wrong(format!(
                "{} symbols are more than the {} that one connection of {} may have; `most_symbols` raises it, if your plan does",
                symbols.len(),
                limits.most_symbols,
                limits.name
            )));
        }
        let own = |symbol: &String| {
            venue.own_name(symbol).ok_or_else(|| {
                wrong(format!(
                    "`{symbol}` is no symbol of {}, whose symbols are such as `{}`",
                    limits.name, limits.symbols[0]
                ))
            })
        };
        let symbols = symbols.iter().map(own).collect::<Result<BTreeSet<String>, String>>()?;
        Ok(LiveFeed {
            name: feed.name.clone(),
            address,
            limits,
            key: key.to_owned(),
            secret: secret.to_owned(),
            rest: rest.filter(|(address, _)| !address.is_empty()),
            symbols,
            symbols_file,
            quotes,
            shares,
        })
    }

    pub fn venue(&self) -> Box<dyn Venue> {
        let mut venue = venues::of(self.limits.name).expect("it was found by this name");
        if self.quotes {
            venue.read_quotes();
        }
        venue
    }

    pub(super) fn named(&self, share: usize) -> Named {
        Named {
            name: self.name.clone(),
            address: self.address.clone(),
            continuity: Some(self.limits.continuity),
            part: Part { number: share, of: self.shares },
        }
    }

    /// `first`: the number of its first share among all of the process.
    pub(super) fn shared(&self, first: usize, lease: Duration) -> Shared {
        let scope = if self.key.is_empty() { self.name.clone() } else { key_scope(self.limits.name, &self.key) };
        let terms = Terms { shares: self.shares, sticky: !self.limits.overlap, lease };
        Shared { scope, feed: self.name.clone(), terms, first }
    }

    /// The venue's own names of each share, divided: each part is what one connection may have.
    pub fn lines(&self) -> Vec<Vec<BTreeSet<String>>> {
        let venue = self.venue();
        let mut shares = vec![Vec::new(); self.shares];
        for name in &self.symbols {
            shares[share_of(&venue.symbol(name), self.shares)].push(name.clone());
        }
        let lines = |names: Vec<String>| -> Vec<BTreeSet<String>> {
            let parts = names.chunks(self.limits.most_symbols).map(|part| part.iter().cloned().collect());
            // Of none so far: there may be some later.
            if names.is_empty() { vec![BTreeSet::new()] } else { parts.collect() }
        };
        shares.into_iter().map(lines).collect()
    }
}

/// Tells keys apart without telling what they are.
pub(super) fn key_scope(venue: &str, key: &str) -> String {
    let hash = Sha256::digest(format!("finflow lease\0{venue}\0{key}"));
    format!("{venue}-{}", hash[..4].iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration: harness::Duration = serde_json::from_value(text.into()).map_err(|error| error.to_string())?;
    if duration.is_zero() { Err("must be above 0".to_owned()) } else { Ok(*duration) }
}

/// `10/1m`.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let form = || "not of the form `10/1m`".to_owned();
    let (burst, per) = text.split_once('/').ok_or_else(form)?;
    let burst = burst.parse().ok().filter(|burst| *burst > 0).ok_or_else(form)?;
    Ok(Rate::new(burst, duration(per)?))
}

#[cfg(test)]
mod tests {
    use harness::Secret;

    use super::*;

    fn of(spec: &str) -> Result<LiveFeed, String> {
        LiveFeed::of(&spec.parse().unwrap(), &Config::default())
    }

    #[test]
    fn defaults_are_the_venues_and_options_change_them() {
        let plain = of("binance").unwrap();
        assert_eq!(plain.symbols.iter().collect::<Vec<_>>(), ["BTCUSDT", "ETHUSDT"]);
        assert_eq!(plain.address, "wss://stream.binance.com:9443/stream");
        let changed =
            of("k=kraken?symbols=KRAKEN:SOL/USD&url=ws://127.0.0.1:1&silence=300ms&life=2s&connects=7/1m&sends=3/1s")
                .unwrap();
        assert_eq!((changed.name.as_str(), changed.named(0).label().as_str()), ("k", "live:k"));
        assert_eq!((changed.limits.silence.as_millis(), changed.limits.life.unwrap().as_secs()), (300, 2));
        assert_eq!(changed.limits.connects, Rate::new(7, Duration::from_secs(60)));
        let rest = |spec: &str| of(spec).unwrap().rest.map(|(address, _)| address);
        assert_eq!(rest("binance").as_deref(), Some("https://api.binance.com"));
        assert_eq!(rest("binance?url=ws://127.0.0.1:1"), None, "a test system is not mended from the real one");
        assert_eq!(rest("binance?url=ws://127.0.0.1:1&rest=http://127.0.0.1:2").as_deref(), Some("http://127.0.0.1:2"));
        assert_eq!((rest("kraken?rest=off"), rest("finnhub_is_none=binance_usdm")), (None, None));
        assert_eq!(of("kraken?rest_rate=3/1s").unwrap().rest.unwrap().1, Rate::new(3, Duration::from_secs(1)));
        assert_eq!(of("binance?most_symbols=1&shares=1").unwrap().lines()[0].len(), 2);
        let shared = plain.lines();
        assert_eq!((shared.len(), shared.iter().flatten().flatten().count()), (8, 2));
        assert!(shared.iter().all(|lines| lines.len() == 1), "each has its connection, if only for later");
    }

    #[test]
    fn what_cannot_work_is_refused_with_a_reason() {
        for (spec, reason) in [
            ("live:nasdaq", "there is no venue `nasdaq`"),
            ("finnhub", "set `finnhub.api_key`"),
            ("binance?symbols=AAPL", "`AAPL` is no symbol of binance"),
            ("binance?symbols=", "no symbols"),
            ("binance?colour=red", "option `colour` is not known"),
            ("binance?silence=soon", "silence=`soon`"),
            ("binance?symbols_file=no/such", "cannot read `no/such`"),
            ("binance?symbols_file=x&symbols=BINANCE:A", "exclude each other"),
            ("binance?shares=0", "not a number from 1 to 64"),
            ("binance?connects=7", "not of the form"),
            ("binance?connects=0/1s", "not of the form"),
            ("binance_usdm?rest=https://fapi.binance.com", "gives no trades of the past"),
            ("binance?rest=api.binance.com", "not an address such as"),
        ] {
            let error = of(spec).err().unwrap_or_default();
            assert!(error.contains(reason), "{spec}: {error}");
        }
        let mut config = Config::default();
        config.finnhub.api_key = Secret::new("k");
        let many = format!("finnhub?symbols={}", (0..51).map(|n| format!("S{n}")).collect::<Vec<_>>().join("+"));
        let error = LiveFeed::of(&many.parse().unwrap(), &config).err().unwrap();
        assert!(error.contains("51 symbols are more than the 50"), "{error}");
        config.feeds = vec!["kraken".parse().unwrap(), "synthetic:".parse().unwrap()];
        assert!(crate::live::check(&config).unwrap_err().contains("files"));
    }
}
