//! A polled feed as it is asked for: `alphavantage?symbols=AAPL+MSFT&read=news`, with the venue's limits as the options change them.

use std::time::Duration;

use crate::config::Config;
use crate::live::feed::{duration, key_scope, rate};
use crate::live::lease::Terms;
use crate::live::lease::keeper::Shared;
use crate::live::memory::{Named, Part};
use crate::spec::Feed;
use crate::venues::Rate;
use crate::venues::poll::{self, Ask, Poll, PollLimits};

pub struct PollFeed {
    pub name: String,
    pub address: String,
    pub venue: Box<dyn Poll>,
    pub key: String,
    /// What is asked again and again, in this order.
    pub asks: Vec<Ask>,
    pub rates: Vec<Rate>,
    /// Between two of the same request.
    pub every: Duration,
}

impl PollFeed {
    /// The error is a sentence that names the problem and what to do.
    pub fn of(feed: &Feed, config: &Config) -> Result<PollFeed, String> {
        let wrong = |what: String| format!("feed `{}`: {what}", feed.name);
        let unknown = || wrong(format!("there is no polled venue `{}`: use {}", feed.path, poll::NAMES.join(" or ")));
        let mut venue = poll::of(&feed.path).ok_or_else(unknown)?;
        let limits = venue.limits();
        let words = |value: &str| -> Vec<String> {
            value.split(['+', ' ']).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let mut symbols: Vec<String> = limits.symbols.iter().map(|symbol| (*symbol).to_owned()).collect();
        let mut reads = limits.reads.to_vec();
        let (mut address, mut rates, mut every) = (limits.address.to_owned(), limits.rates.to_vec(), limits.every);
        for (option, value) in &feed.options {
            let text = |error: String| wrong(format!("{option}=`{value}`: {error}"));
            match option.as_str() {
                "symbols" => symbols = words(value),
                "read" => reads = read(limits, &words(value)).map_err(text)?,
                "url" if !(value.starts_with("https://") || value.starts_with("http://")) => {
                    return Err(text(format!("not an address such as {}", limits.address)));
                }
                "url" => address = value.clone(),
                "rate" => rates = value.split('+').map(rate).collect::<Result<_, _>>().map_err(text)?,
                "every" => every = duration(value).map_err(text)?,
                other => match venue.set(other, value) {
                    Some(set) => set.map_err(text)?,
                    None => {
                        return Err(wrong(format!(
                            "option `{other}` is not known: use symbols, read, url, rate, every (alphavantage: interval)"
                        )));
                    }
                },
            }
        }
        let key = match limits.keys_of {
            "alphavantage" => config.alphavantage.api_key.expose(),
            _ => config.finnhub.api_key.expose(),
        };
        if key.is_empty() {
            return Err(wrong(format!("{} wants a key: set `{}.api_key`", limits.name, limits.keys_of)));
        }
        if symbols.is_empty() || reads.is_empty() {
            return Err(wrong("no symbols, or nothing to read of them".to_owned()));
        }
        let mut asks = Vec::new();
        for symbol in &symbols {
            let own_name = venue.own_name(symbol).ok_or_else(|| {
                let example = limits.symbols[0];
                wrong(format!("`{symbol}` is no symbol of {}, whose symbols are such as `{example}`", limits.name))
            })?;
            asks.extend(reads.iter().map(|what| Ask { what, symbol: symbol.clone(), own_name: own_name.clone() }));
        }
        let every = every.max(slowest(&rates, asks.len()));
        Ok(PollFeed { name: feed.name.clone(), address, venue, key: key.to_owned(), asks, rates, every })
    }

    pub(crate) fn named(&self) -> Named {
        let part = Part { number: 0, of: 1 };
        Named { name: self.name.clone(), address: self.address.clone(), continuity: None, part }
    }

    /// Its limits are of the key: one process asks.
    pub(crate) fn shared(&self, first: usize, lease: Duration) -> Shared {
        let terms = Terms { shares: 1, sticky: true, lease };
        Shared { scope: key_scope(self.venue.limits().name, &self.key), feed: self.name.clone(), terms, first }
    }
}

fn read(limits: &PollLimits, words: &[String]) -> Result<Vec<&'static str>, String> {
    let known = |word: &String| limits.reads.iter().copied().find(|known| known == word);
    let unknown = |word: &String| format!("`{word}` is none of {}", limits.reads.join(", "));
    words.iter().map(|word| known(word).ok_or_else(|| unknown(word))).collect()
}

/// A round of so many requests takes so long, however it is spread: what is allowed per day is not spent in its first hour.
fn slowest(rates: &[Rate], asks: usize) -> Duration {
    let asks = u32::try_from(asks).unwrap_or(u32::MAX);
    rates.iter().map(|rate| rate.per.saturating_mul(asks) / rate.burst.max(1)).max().unwrap_or_default()
}

/// Without the key, also where the venue repeats it: whatever is said of a failure may be read by anybody.
pub fn masked(text: &str, key: &str) -> String {
    if key.is_empty() { text.to_owned() } else { text.replace(key, "***").replace(&poll::quoted(key), "***") }
}

#[cfg(test)]
mod tests {
    use harness::Secret;

    use super::*;

    fn of(spec: &str) -> Result<PollFeed, String> {
        let mut config = Config::default();
        config.alphavantage.api_key = Secret::new("k");
        PollFeed::of(&spec.parse().unwrap(), &config)
    }

    #[test]
    fn a_round_is_no_faster_than_the_limits_allow() {
        let plain = of("alphavantage").unwrap();
        assert_eq!(plain.asks.len(), 12, "three of each of four symbols");
        // 25 a day: 12 of them take half a day, nearly.
        assert_eq!(plain.every, Duration::from_secs(86_400 * 12 / 25));
        let paid = of("alphavantage?rate=75/1m+5/1s&symbols=AAPL&read=news+quote&every=2m&interval=5m").unwrap();
        assert_eq!((paid.rates.len(), paid.every), (2, Duration::from_secs(120)));
        let whats: Vec<&str> = paid.asks.iter().map(|ask| ask.what).collect();
        assert_eq!(whats, ["news", "quote"]);
    }

    #[test]
    fn what_cannot_work_is_refused_with_a_reason() {
        for (spec, reason) in [
            ("finnhub_rest", "finnhub_rest wants a key: set `finnhub.api_key`"),
            ("alphavantage?read=gossip", "read=`gossip`: `gossip` is none of intraday, quote, news"),
            ("alphavantage?symbols=BINANCE:BTCUSDT", "`BINANCE:BTCUSDT` is no symbol of alphavantage"),
            ("alphavantage?symbols=", "no symbols"),
            ("alphavantage?interval=2m", "interval=`2m`: its bars are of 1m, 5m, 15m, 30m, 1h"),
            ("alphavantage?colour=red", "option `colour` is not known"),
            ("alphavantage?rate=75", "not of the form"),
            ("alphavantage?every=0s", "must be above 0"),
            ("alphavantage?url=ftp://x", "not an address such as https://www.alphavantage.co"),
        ] {
            let error = of(spec).err().unwrap_or_default();
            assert!(error.contains(reason), "{spec}: {error}");
        }
    }

    #[test]
    fn a_key_is_masked_as_it_is_and_as_it_is_quoted() {
        let text = "we have detected your API key as AB/12, see /query?apikey=AB%2F12";
        assert_eq!(masked(text, "AB/12"), "we have detected your API key as ***, see /query?apikey=***");
        assert_eq!(masked("as it is", ""), "as it is");
    }
}
