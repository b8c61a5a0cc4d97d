//! The sample files of QuestDB: `btc_trades`, `nasdaq_trades`, `nasdaq_open_close`. CSV with quoted text and numbers
//! in exponent form; only their meaning is special, so this is a choice of columns.
//!
//! `btc_trades` are trades of Coinbase. `nasdaq_trades` are price updates of a quote page, whose only volume is the
//! day's running total: they move prices and carry no size. `nasdaq_open_close` are daily bars.

use crate::spec::{Columns, Feed};

/// The header of each sample, as written there.
const BTC_TRADES: &str = r#""symbol","side","price","amount","timestamp""#;
const NASDAQ_TRADES: &str =
    r#""timestamp","id","exchange","quoteType","price","marketHours","changePercent","dayVolume","change","priceHint""#;
const NASDAQ_BARS: &str = r#""Ticker","Open","High","Low","Close","AdjClose","Volume","Timestamp""#;

/// The feed with what such a file means filled in; `None` if the header is another.
pub fn known(header: &[u8], feed: &Feed) -> Option<Feed> {
    let column = |name: &str| Some(name.to_owned());
    let mut feed = feed.clone();
    if header == BTC_TRADES.as_bytes() {
        feed.venue.get_or_insert_with(|| "COINBASE".to_owned());
    } else if header == NASDAQ_TRADES.as_bytes() {
        // Bare symbols: US stocks have no venue in front.
        feed.venue.get_or_insert_default();
        // The total of the day is no size of a trade, and `id` is the symbol: `-` says that there is none.
        feed.columns = Columns { symbol: column("id"), id: column("-"), quantity: column("-"), ..feed.columns };
    } else if header == NASDAQ_BARS.as_bytes() {
        feed.interval.get_or_insert_with(|| "1d".to_owned());
    } else {
        return None;
    }
    Some(feed)
}
