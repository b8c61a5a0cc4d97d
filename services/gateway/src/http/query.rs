//! What comes after the question mark, with its bounds.

use std::collections::BTreeSet;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::ApiError;
use crate::hub::{Bars, Filter};

/// Symbols that one request may name.
const SYMBOLS: usize = 200;
/// Series that one stream may follow.
const SERIES: usize = 16;
/// Bars and alerts in one answer.
pub(super) const MOST: usize = 1000;
const TEXT_BYTES: usize = 64;

/// The query as `T`, or an error in our own form.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Asked(query)).map_err(|error| ApiError::Query(error.body_text()))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct None {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfSymbols {
    symbols: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfBars {
    symbol: String,
    window: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfAlerts {
    symbol: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfStream {
    symbols: Option<String>,
    bars: Option<String>,
    pub(super) last_event_id: Option<String>,
}

impl OfSymbols {
    pub(super) fn set(&self) -> Result<Option<BTreeSet<String>>, ApiError> {
        set(self.symbols.as_deref())
    }
}

impl OfBars {
    pub(super) fn symbol(&self) -> Result<&str, ApiError> {
        bounded("symbol", &self.symbol)
    }

    pub(super) fn window(&self) -> Result<&str, ApiError> {
        bounded("window", self.window.as_deref().unwrap_or("1m"))
    }

    pub(super) fn limit(&self) -> Result<usize, ApiError> {
        limit(self.limit, 200)
    }
}

impl OfAlerts {
    pub(super) fn symbol(&self) -> Result<Option<&str>, ApiError> {
        self.symbol.as_deref().map(|symbol| bounded("symbol", symbol)).transpose()
    }

    pub(super) fn limit(&self) -> Result<usize, ApiError> {
        limit(self.limit, 100)
    }
}

impl OfStream {
    /// `bars` is `none`, or series as `SYMBOL@WINDOW` separated by commas; without it all.
    pub(super) fn filter(&self) -> Result<Filter, ApiError> {
        let bars = match self.bars.as_deref() {
            None => Bars::All,
            Some("none" | "") => Bars::Of(Vec::new()),
            Some(series) => Bars::Of(series.split(',').map(one_series).collect::<Result<_, _>>()?),
        };
        if matches!(&bars, Bars::Of(series) if series.len() > SERIES) {
            return Err(ApiError::Query(format!("bars: at most {SERIES} series")));
        }
        Ok(Filter { symbols: set(self.symbols.as_deref())?, bars })
    }
}

fn one_series(text: &str) -> Result<(String, String), ApiError> {
    let wrong = || ApiError::Query(format!("bars: {text:.64} is not SYMBOL@WINDOW, such as AAPL@1m"));
    let (symbol, window) = text.rsplit_once('@').ok_or_else(wrong)?;
    Ok((bounded("bars", symbol)?.to_owned(), bounded("bars", window)?.to_owned()))
}

fn set(symbols: Option<&str>) -> Result<Option<BTreeSet<String>>, ApiError> {
    let Some(symbols) = symbols.filter(|symbols| !symbols.is_empty()) else { return Ok(None) };
    let set: BTreeSet<String> =
        symbols.split(',').map(|symbol| bounded("symbols", symbol).map(str::to_owned)).collect::<Result<_, _>>()?;
    if set.len() > SYMBOLS {
        return Err(ApiError::Query(format!("symbols: at most {SYMBOLS}, or leave it out for all")));
    }
    Ok(Some(set))
}

fn bounded<'a>(name: &str, text: &'a str) -> Result<&'a str, ApiError> {
    if text.is_empty() || text.len() > TEXT_BYTES {
        return Err(ApiError::Query(format!("{name}: expected 1 to {TEXT_BYTES} bytes, not {}", text.len())));
    }
    Ok(text)
}

fn limit(asked: Option<usize>, default: usize) -> Result<usize, ApiError> {
    match asked.unwrap_or(default) {
        limit @ 1..=MOST => Ok(limit),
        other => Err(ApiError::Query(format!("limit: expected 1 to {MOST}, not {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_names_its_series() {
        let of = |bars: &str| OfStream { symbols: None, bars: Some(bars.to_owned()), last_event_id: None }.filter();
        let series = vec![("BINANCE:BTCUSDT".to_owned(), "5m/1m".to_owned()), ("AAPL".to_owned(), "1m".to_owned())];
        assert_eq!(of("BINANCE:BTCUSDT@5m/1m,AAPL@1m").unwrap().bars, Bars::Of(series));
        assert_eq!(of("none").unwrap().bars, Bars::Of(Vec::new()));
        for wrong in ["AAPL", "@1m", "AAPL@", &format!("{}@1m", "A".repeat(65)), &["A@1m"; 17].join(",")] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists_and_limits_are_bounded() {
        let many = (0..201).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        assert!(set(Some(&many)).is_err());
        assert_eq!(set(Some("A,B,A")).unwrap().map(|set| set.len()), Some(2));
        assert_eq!(set(Some("")).unwrap(), None);
        assert_eq!(limit(None, 200), Ok(200));
        assert!(limit(Some(0), 1).is_err() && limit(Some(MOST + 1), 1).is_err());
    }
}
