//! Fake venues that are asked again and again, by REST: Alpha Vantage, which says everything with HTTP 200, and Finnhub.
//!
//! They hold what they are told to, answer as much of it as the query asks for, want their key in its place, and fail as a test says.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use market::{time, utc_to_new_york};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use super::rest::{head, reply, text};

/// Whose words are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    AlphaVantage,
    Finnhub,
}

/// What it asks for: nothing else is answered.
pub const KEY: &str = "SECRET/KEY0123456";
const NS: i64 = 1_000_000_000;
/// Rows of a short answer with bars.
const COMPACT: usize = 100;

#[derive(Clone, Debug)]
struct Item {
    symbol: String,
    id: u64,
    time_ns: i64,
    score: String,
}

#[derive(Default)]
struct State {
    bars: Vec<(String, i64, String)>,
    news: Vec<Item>,
    /// Price and time.
    quotes: Vec<(String, String, i64)>,
    /// Answers instead of the next ones.
    instead: VecDeque<(u16, String)>,
    /// The most news of an answer.
    most_news: Option<usize>,
    /// Longer answers are for those who pay.
    premium: bool,
    down: bool,
    requests: Vec<(String, Instant)>,
}

#[derive(Clone)]
pub struct FakePolled {
    pub kind: Polled,
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl FakePolled {
    /// Listens on a port of its own.
    pub async fn start(kind: Polled) -> FakePolled {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let venue = FakePolled { kind, addr: listener.local_addr().expect("bound"), state: Arc::default() };
        tokio::spawn(venue.clone().serve(listener));
        venue
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A bar of a minute that begins at this time; its close is as it is written.
    pub fn bar(&self, symbol: &str, start_ns: i64, close: &str) {
        self.lock().bars.push((symbol.to_owned(), start_ns, close.to_owned()));
    }

    /// An item about this symbol. Alpha Vantage scores it so.
    pub fn news(&self, symbol: &str, id: u64, time_ns: i64, score: &str) {
        self.lock().news.push(Item { symbol: symbol.to_owned(), id, time_ns, score: score.to_owned() });
    }

    /// The price is this from now on.
    pub fn quote(&self, symbol: &str, price: &str, time_ns: i64) {
        let mut state = self.lock();
        state.quotes.retain(|(of, ..)| of != symbol);
        state.quotes.push((symbol.to_owned(), price.to_owned(), time_ns));
    }

    /// Answers the next request with this.
    pub fn instead(&self, status: u16, body: &str) {
        self.lock().instead.push_back((status, body.to_owned()));
    }

    /// No more items in an answer with news.
    pub fn most_news(&self, most: usize) {
        self.lock().most_news = Some(most);
    }

    /// Refuses long answers.
    pub fn wants_money(&self) {
        self.lock().premium = true;
    }

    /// Requests are cut without an answer, or answered again.
    pub fn down(&self, down: bool) {
        self.lock().down = down;
    }

    /// Path and time of each request so far.
    pub fn requests(&self) -> Vec<(String, Instant)> {
        self.lock().requests.clone()
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((mut socket, _)) = listener.accept().await {
            let venue = self.clone();
            tokio::spawn(async move {
                let Some(head) = head(&mut socket).await else { return };
                if let Some((status, body)) = venue.respond(&head) {
                    reply(&mut socket, status, &body).await;
                }
            });
        }
    }

    fn respond(&self, head: &str) -> Option<(u16, String)> {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let mut state = self.lock();
        state.requests.push((path.to_owned(), Instant::now()));
        if state.down {
            return None;
        }
        if let Some(instead) = state.instead.pop_front() {
            return Some(instead);
        }
        Some(match self.kind {
            Polled::AlphaVantage => (200, state.alphavantage(path).to_string()),
            Polled::Finnhub if !head.contains(&format!("x-finnhub-token: {KEY}\r\n")) => {
                (401, json!({ "error": "Invalid API key" }).to_string())
            }
            Polled::Finnhub => state.finnhub(path).map_or((404, "{}".to_owned()), |answer| (200, answer.to_string())),
        })
    }
}

fn day(ns: i64) -> String {
    time::rfc3339(ns)[..10].to_owned()
}

impl State {
    fn alphavantage(&self, path: &str) -> Value {
        let field = |name: &str| text(path, name).unwrap_or_default();
        if field("apikey") != KEY.replace('/', "%2F") {
            return json!({ "Error Message": "the parameter apikey is invalid or missing. Please claim your free API key" });
        }
        match field("function") {
            "TIME_SERIES_INTRADAY" if field("outputsize") == "full" && self.premium => {
                json!({ "Information": format!("We have detected your API key as {KEY}: outputsize=full is a premium feature") })
            }
            "TIME_SERIES_INTRADAY" => {
                let mut bars: Vec<_> = self.bars.iter().filter(|(of, ..)| of == field("symbol")).collect();
                bars.sort_by_key(|(_, start, _)| -start);
                bars.truncate(if field("outputsize") == "full" { usize::MAX } else { COMPACT });
                let row = |(_, start, close): &&(String, i64, String)| {
                    let local = time::rfc3339(utc_to_new_york(*start));
                    let row = json!({ "1. open": close, "2. high": close, "3. low": close, "4. close": close, "5. volume": "100" });
                    (local[..19].replace('T', " "), row)
                };
                json!({
                    "Meta Data": { "2. Symbol": field("symbol"), "4. Interval": "1min", "6. Time Zone": "US/Eastern" },
                    "Time Series (1min)": bars.iter().map(row).collect::<Map<String, Value>>(),
                })
            }
            "GLOBAL_QUOTE" => {
                let quote = self.quotes.iter().find(|(of, ..)| of == field("symbol"));
                let quote = quote.map(|(of, price, at)| {
                    json!({ "01. symbol": of, "05. price": price, "06. volume": (at / NS).to_string(), "07. latest trading day": day(*at) })
                });
                json!({ "Global Quote": quote.unwrap_or_else(|| json!({})) })
            }
            "NEWS_SENTIMENT" => {
                let from = field("time_from");
                let written = |item: &&Item| time::rfc3339(item.time_ns)[..19].replace(['-', ':'], "");
                let mut items: Vec<&Item> = self.news.iter().filter(|item| item.symbol == field("tickers")).collect();
                items.retain(|item| written(item)[..13] >= *from);
                items.sort_by_key(|item| item.time_ns);
                items.truncate(self.most_news.unwrap_or(usize::MAX));
                let feed = items.iter().map(|item| {
                    json!({
                        "title": format!("News {}", item.id), "url": format!("https://example.com/{}", item.id),
                        "time_published": written(item), "summary": "What it says.", "source": "Example",
                        "overall_sentiment_score": 0.5,
                        "ticker_sentiment": [
                            { "ticker": "OTHER", "relevance_score": "0.1", "ticker_sentiment_score": "-0.9" },
                            { "ticker": item.symbol, "relevance_score": "0.5", "ticker_sentiment_score": item.score },
                        ],
                    })
                });
                json!({ "items": items.len().to_string(), "feed": feed.collect::<Vec<_>>() })
            }
            other => json!({ "Error Message": format!("This API function ({other}) does not exist.") }),
        }
    }

    fn finnhub(&self, path: &str) -> Option<Value> {
        let field = |name: &str| text(path, name).unwrap_or_default();
        if path.starts_with("/api/v1/quote?") {
            let number = |text: &str| serde_json::from_str::<Value>(text).expect("a price is a number");
            let quote = self.quotes.iter().find(|(of, ..)| of == field("symbol"));
            return Some(quote.map_or_else(
                || json!({ "c": 0, "d": null, "dp": null, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0 }),
                |(_, price, at)| json!({ "c": number(price), "d": 1.2, "dp": 0.4, "h": 1, "l": 1, "o": 1, "pc": 1, "t": at / NS }),
            ));
        }
        if !path.starts_with("/api/v1/company-news?") {
            return None;
        }
        let days = field("from")..=field("to");
        let mut items: Vec<&Item> = self.news.iter().filter(|item| item.symbol == field("symbol")).collect();
        items.retain(|item| days.contains(&day(item.time_ns).as_str()));
        items.sort_by_key(|item| -item.time_ns);
        let item = |item: &&Item| {
            json!({
                "category": "company", "datetime": item.time_ns / NS, "headline": format!("News {}", item.id), "id": item.id,
                "image": "", "related": item.symbol, "source": "Example", "summary": "What it says.",
                "url": format!("https://example.com/{}", item.id),
            })
        };
        Some(items.iter().map(item).collect())
    }
}
