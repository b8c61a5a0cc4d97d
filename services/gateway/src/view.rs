//! What the gateway remembers: a bounded picture of the newest records. Pure: no clock, no socket.
//!
//! In: events, metrics, alerts, dead letters and the state of the pipeline, in the order of their topics. Out: answers
//! to the API's questions, and once per round what changed in it ([`View::take_round`]). Each entry knows the round of
//! its last change, so what a client missed is always at hand as the latest state of each thing that changed
//! ([`View::changed_since`]): no client needs a queue, and a slow one costs nothing.
//!
//! **Invariant:** symbols, bars, alerts and reasons are bounded by the settings, whatever comes in; what finds no room
//! is counted.

mod series;
mod shape;
mod ticker;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use market::{Bar as PlainBar, Event, Metrics, Quote as BookQuote, Trade};

use crate::config;
use crate::wire::{Alert, Bar, Pipeline, PriceKind, Quote, Reason, Reasons, Size};
use series::{Put, Series};
use shape::{bar, plain, quote};
use ticker::{Print, Ticker};

/// No venue has a longer one; a longer one is somebody's mistake, or worse.
const SYMBOL_BYTES: usize = 64;
/// Each series keeps at least this many bars.
const LEAST_BARS: usize = 16;
/// Windows of one symbol.
const WINDOWS: usize = 16;
/// Pairs of stage and reason.
const REASONS: usize = 64;

pub struct View {
    settings: config::View,
    /// The round that is being collected.
    round: u64,
    symbols: HashMap<Arc<str>, Symbol>,
    /// Names of windows, shared by the series of all symbols.
    windows: HashMap<market::Span, Arc<str>>,
    series: usize,
    bars: usize,
    /// Bars that a series may have now.
    room: usize,
    refused: u64,
    changed_prices: Vec<Arc<str>>,
    changed_bars: Vec<BarKey>,
    alerts: VecDeque<(u64, Arc<Alert>)>,
    reasons: Reasons,
    pipeline: Option<(u64, Arc<Pipeline>)>,
}

type BarKey = (Arc<str>, Arc<str>, i64);

#[derive(Default)]
struct Symbol {
    ticker: Option<Ticker>,
    series: BTreeMap<Arc<str>, Series>,
    changed: u64,
    windows_changed: u64,
}

/// What changed: the latest state of each thing.
#[derive(Default)]
pub struct Changes {
    pub quotes: Vec<Quote>,
    /// Symbol, window, bar.
    pub bars: Vec<(Arc<str>, Arc<str>, Bar)>,
    /// Oldest first.
    pub alerts: Vec<Arc<Alert>>,
    pub pipeline: Option<Arc<Pipeline>>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.quotes.is_empty() && self.bars.is_empty() && self.alerts.is_empty() && self.pipeline.is_none()
    }
}

impl View {
    pub fn new(settings: config::View) -> Self {
        View {
            room: settings.bars.max(LEAST_BARS),
            settings,
            round: 1,
            symbols: HashMap::new(),
            windows: HashMap::new(),
            series: 0,
            bars: 0,
            refused: 0,
            changed_prices: Vec::new(),
            changed_bars: Vec::new(),
            alerts: VecDeque::new(),
            reasons: Reasons::new(),
            pipeline: None,
        }
    }

    /// An event that Kafka took at `seen` (nanoseconds since 1970).
    pub fn event(&mut self, event: &Event, seen: i64) {
        match event {
            Event::Trade(trade) => self.trade(trade, seen),
            Event::Quote(quote) => self.book(quote),
            Event::Bar(bar) => self.plain_bar(bar, seen),
            // Amendments change bars, which come again as metrics; the rest has no price.
            Event::Gap(_) | Event::Cancel(_) | Event::Correction(_) | Event::News(_) | Event::Heartbeat(_) => {}
        }
    }

    fn trade(&mut self, trade: &Trade, seen: i64) {
        // What fills an old hole is not news.
        if trade.backfilled {
            return;
        }
        let print = Print {
            kind: PriceKind::Trade,
            price: trade.price.get(),
            size: (!trade.quantity.is_zero()).then(|| trade.quantity.get()),
            side: trade.side,
            event_time: trade.event_time,
            receive_time: trade.receive_time,
            seen,
        };
        self.print(&trade.symbol, print);
    }

    fn book(&mut self, quote: &BookQuote) {
        let Some(name) = self.symbol(&quote.symbol) else { return };
        let Some(ticker) = self.symbols.get_mut(&name).and_then(|symbol| symbol.ticker.as_mut()) else { return };
        ticker.bid = quote.bid.map(|bid| bid.get());
        ticker.ask = quote.ask.map(|ask| ask.get());
        self.touch(&name);
    }

    fn plain_bar(&mut self, bar: &PlainBar, seen: i64) {
        let window = self.window_of(market::Span::tumbling(bar.interval));
        let print = Print {
            kind: PriceKind::Bar,
            price: bar.close.get(),
            size: None,
            side: None,
            event_time: bar.end,
            receive_time: bar.receive_time,
            seen,
        };
        self.put(&bar.symbol, window, plain(bar));
        self.print(&bar.symbol, print);
    }

    pub fn metrics(&mut self, metrics: &Metrics, seen: i64) {
        let window = self.window_of(metrics.window);
        self.put(&metrics.symbol, window, bar(metrics));
        if let Some(close) = metrics.close {
            let print = Print {
                kind: PriceKind::Metrics,
                price: close.get(),
                size: None,
                side: None,
                event_time: metrics.window_end.min(seen),
                receive_time: None,
                seen,
            };
            self.print(&metrics.symbol, print);
        }
    }

    /// An alert already known (a receiver may see one twice) replaces what it was.
    pub fn alert(&mut self, alert: &market::Alert) {
        if alert.symbol.len() > SYMBOL_BYTES {
            self.refused += 1;
            return;
        }
        self.alerts.retain(|(_, known)| known.alert_id != alert.alert_id);
        self.alerts.push_back((self.round, Arc::new(Alert::from(alert))));
        while self.alerts.len() > self.settings.alerts {
            self.alerts.pop_front();
        }
    }

    pub fn dead_letter(&mut self, stage: &str, reason: &str) {
        let short = |text: &str| text.chars().take(SYMBOL_BYTES).collect::<String>();
        let mut key = (short(stage), short(reason));
        if self.reasons.len() >= REASONS && !self.reasons.contains_key(&key) {
            key = ("other".to_owned(), "other".to_owned());
        }
        *self.reasons.entry(key).or_default() += 1;
    }

    pub fn pipeline(&mut self, mut pipeline: Pipeline) {
        pipeline.view = self.size();
        pipeline.dead_letters.reasons = self.reasons();
        self.pipeline = Some((self.round, Arc::new(pipeline)));
    }

    fn reasons(&self) -> Vec<Reason> {
        let named = |((stage, reason), count): (&(String, String), &u64)| Reason {
            stage: stage.clone(),
            reason: reason.clone(),
            count: *count,
        };
        let mut reasons: Vec<Reason> = self.reasons.iter().map(named).collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
        reasons
    }

    pub fn size(&self) -> Size {
        Size { symbols: self.symbols.len(), series: self.series, bars: self.bars, refused: self.refused }
    }

    /// The shared name of a symbol, made known if there is room.
    fn symbol(&mut self, name: &str) -> Option<Arc<str>> {
        if let Some((known, _)) = self.symbols.get_key_value(name) {
            return Some(known.clone());
        }
        if name.is_empty() || name.len() > SYMBOL_BYTES || self.symbols.len() >= self.settings.symbols {
            self.refused += 1;
            return None;
        }
        let shared: Arc<str> = name.into();
        self.symbols.insert(shared.clone(), Symbol::default());
        Some(shared)
    }

    fn window_of(&mut self, span: market::Span) -> Arc<str> {
        self.windows.entry(span).or_insert_with(|| span.to_string().into()).clone()
    }

    fn print(&mut self, symbol: &str, print: Print) {
        if ticker::is_future(&print) {
            return;
        }
        let Some(name) = self.symbol(symbol) else { return };
        let step = self.settings.sparkline_step.as_ns();
        let Some(symbol) = self.symbols.get_mut(&name) else { return };
        let taken = match &mut symbol.ticker {
            Some(ticker) => ticker.take(print),
            none => {
                *none = Some(Ticker::new(print, step));
                true
            }
        };
        if taken {
            self.touch(&name);
        }
    }

    /// Marks the price for the round.
    fn touch(&mut self, name: &Arc<str>) {
        let Some(symbol) = self.symbols.get_mut(name) else { return };
        if symbol.changed != self.round {
            symbol.changed = self.round;
            self.changed_prices.push(name.clone());
        }
    }

    fn put(&mut self, symbol: &str, window: Arc<str>, bar: Bar) {
        let Some(name) = self.symbol(symbol) else { return };
        if !self.make_series(&name, &window) {
            self.refused += 1;
            return;
        }
        let start = bar.start.0;
        let Some(series) = self.symbols.get_mut(&name).and_then(|symbol| symbol.series.get_mut(&window)) else {
            return;
        };
        match series.put(bar, self.round, self.room) {
            Put::Added => self.bars = self.bars + 1 - series.trim(self.room),
            Put::Replaced { first: true } => {}
            Put::Replaced { first: false } | Put::Ignored => return,
        }
        self.changed_bars.push((name, window, start));
    }

    /// Finds or makes the series. Each new one takes from the room of all, so that their sum stays bounded.
    fn make_series(&mut self, name: &Arc<str>, window: &Arc<str>) -> bool {
        let Some(symbol) = self.symbols.get_mut(name) else { return false };
        if symbol.series.contains_key(window) {
            return true;
        }
        let most = self.settings.bars_total / LEAST_BARS;
        if symbol.series.len() >= WINDOWS || self.series >= most {
            return false;
        }
        symbol.series.insert(window.clone(), Series::default());
        symbol.windows_changed = self.round;
        self.series += 1;
        self.touch(name);
        while self.series * self.room > self.settings.bars_total && self.room > LEAST_BARS {
            self.room = (self.room / 2).max(LEAST_BARS);
            let room = self.room;
            let all = self.symbols.values_mut().flat_map(|symbol| symbol.series.values_mut());
            self.bars -= all.map(|series| series.trim(room)).sum::<usize>();
        }
        true
    }

    /// The round that is being collected.
    pub fn round(&self) -> u64 {
        self.round
    }

    /// Ends the round: its number and what changed in it. `None` when nothing did; the round then goes on.
    pub fn take_round(&mut self) -> Option<(u64, Changes)> {
        let last = self.round - 1;
        let prices = std::mem::take(&mut self.changed_prices);
        let bars = std::mem::take(&mut self.changed_bars);
        let changes = Changes {
            quotes: prices.iter().filter_map(|name| self.quote_since(name, last)).collect(),
            bars: bars.into_iter().filter_map(|key| self.bar(key)).collect(),
            alerts: self.alerts_since(last),
            pipeline: self.pipeline_since(last),
        };
        if changes.is_empty() {
            return None;
        }
        self.round += 1;
        Some((self.round - 1, changes))
    }

    /// Ends the round without looking at what changed, for when nobody listens.
    pub fn skip_round(&mut self) {
        self.changed_prices.clear();
        self.changed_bars.clear();
        self.round += 1;
    }

    /// The latest state of everything that changed after that round and passes `wants` (symbol, window).
    pub fn changed_since(
        &self,
        round: u64,
        wants_symbol: impl Fn(&str) -> bool,
        wants_bars: impl Fn(&str, &str) -> bool,
    ) -> Changes {
        let mut changes = Changes::default();
        for (name, symbol) in self.symbols.iter().filter(|(name, _)| wants_symbol(name)) {
            if symbol.changed > round {
                changes.quotes.extend(self.quote_since(name, round));
            }
        }
        for (name, symbol) in &self.symbols {
            for (window, series) in symbol.series.iter().filter(|(window, _)| wants_bars(name, window)) {
                let bars = series.changed_since(round);
                changes.bars.extend(bars.map(|bar| (name.clone(), window.clone(), bar.clone())));
            }
        }
        changes.alerts = self.alerts_since(round);
        changes.alerts.retain(|alert| wants_symbol(&alert.symbol));
        changes.pipeline = self.pipeline_since(round);
        changes
    }

    fn alerts_since(&self, round: u64) -> Vec<Arc<Alert>> {
        self.alerts.iter().filter(|(changed, _)| *changed > round).map(|(_, alert)| alert.clone()).collect()
    }

    fn pipeline_since(&self, round: u64) -> Option<Arc<Pipeline>> {
        self.pipeline.as_ref().filter(|(changed, _)| *changed > round).map(|(_, pipeline)| pipeline.clone())
    }

    fn bar(&self, (name, window, start): BarKey) -> Option<(Arc<str>, Arc<str>, Bar)> {
        let bar = self.symbols.get(&name)?.series.get(&window)?.get(start)?.clone();
        Some((name, window, bar))
    }

    /// As an event: without what the client has.
    fn quote_since(&self, name: &Arc<str>, round: u64) -> Option<Quote> {
        let symbol = self.symbols.get(name)?;
        let windows = (symbol.windows_changed > round).then(|| symbol.series.keys().cloned().collect());
        Some(quote(name, symbol.ticker.as_ref()?, None, windows))
    }

    /// In full, by name.
    pub fn quotes(&self, wants: impl Fn(&str) -> bool) -> Vec<Quote> {
        let mut names: Vec<&Arc<str>> = self.symbols.keys().filter(|name| wants(name)).collect();
        names.sort();
        let full = |name: &Arc<str>| {
            let symbol = self.symbols.get(name)?;
            let ticker = symbol.ticker.as_ref()?;
            Some(quote(name, ticker, Some(ticker.spark()), Some(symbol.series.keys().cloned().collect())))
        };
        names.into_iter().filter_map(full).collect()
    }

    /// The newest `limit` bars, oldest first; `None` for a symbol or window without bars.
    pub fn bars(&self, symbol: &str, window: &str, limit: usize) -> Option<Vec<Bar>> {
        let series = self.symbols.get(symbol)?.series.get(window)?;
        Some(series.latest(limit).cloned().collect())
    }

    /// Newest first.
    pub fn alerts(&self, limit: usize, wants: impl Fn(&str) -> bool) -> Vec<Arc<Alert>> {
        let newest = self.alerts.iter().rev().map(|(_, alert)| alert);
        newest.filter(|alert| wants(&alert.symbol)).take(limit).cloned().collect()
    }

    pub fn latest_pipeline(&self) -> Option<Arc<Pipeline>> {
        self.pipeline.as_ref().map(|(_, pipeline)| pipeline.clone())
    }

    /// The windows of a symbol; `None` for an unknown one.
    pub fn windows(&self, symbol: &str) -> Option<Vec<Arc<str>>> {
        self.symbols.get(symbol).map(|symbol| symbol.series.keys().cloned().collect())
    }
}

#[cfg(test)]
pub(crate) mod tests;
