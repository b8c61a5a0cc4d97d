//! The questions that are answered once.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::query::{self, Asked, OfAlerts, OfBars, OfSymbols};
use super::{App, assets};
use crate::error::ApiError;
use crate::wire::{Alert, Bar, PriceKind, Quote, Time, json};

type Answer = Result<Response, ApiError>;

pub(super) async fn page(headers: HeaderMap) -> Answer {
    assets::get("index.html", &headers).ok_or_else(|| ApiError::NoPath("/".to_owned()))
}

pub(super) async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Answer {
    assets::get(&path, &headers).ok_or_else(|| ApiError::NoPath(format!("/assets/{path:.64}")))
}

/// Browsers ask for it whatever the page says.
pub(super) async fn icon(headers: HeaderMap) -> Answer {
    assets::get("icon.svg", &headers).ok_or_else(|| ApiError::NoPath("/favicon.ico".to_owned()))
}

pub(super) async fn openapi(headers: HeaderMap) -> Answer {
    assets::get("openapi.json", &headers).ok_or_else(|| ApiError::NoPath("/v1/openapi.json".to_owned()))
}

pub(super) async fn nothing(uri: Uri) -> ApiError {
    ApiError::NoPath(uri.path().chars().take(64).collect())
}

pub(super) async fn wrong_method(method: Method) -> ApiError {
    ApiError::Method(method.to_string())
}

#[derive(Serialize)]
struct Symbols {
    as_of: Time,
    symbols: Vec<Symbol>,
}

#[derive(Serialize)]
struct Symbol {
    symbol: Arc<str>,
    price_from: PriceKind,
    last_event: Time,
    windows: Vec<Arc<str>>,
}

pub(super) async fn symbols(State(app): State<App>, Asked(query::None {}): Asked<query::None>) -> Answer {
    let quotes = app.hub.view().quotes(|_| true);
    let named = |quote: Quote| Symbol {
        symbol: quote.symbol,
        price_from: quote.kind,
        last_event: quote.time,
        windows: quote.windows.unwrap_or_default(),
    };
    Ok(answer(&Symbols { as_of: app.now(), symbols: quotes.into_iter().map(named).collect() }))
}

#[derive(Serialize)]
struct Quotes {
    as_of: Time,
    quotes: Vec<Quote>,
}

pub(super) async fn quotes(State(app): State<App>, Asked(asked): Asked<OfSymbols>) -> Answer {
    let wanted = asked.set()?;
    let view = app.hub.view();
    let unknown = wanted.iter().flatten().find(|symbol| view.windows(symbol).is_none());
    if let Some(unknown) = unknown {
        return Err(ApiError::NoSymbol(unknown.clone()));
    }
    let quotes = view.quotes(|symbol| wanted.as_ref().is_none_or(|wanted| wanted.contains(symbol)));
    drop(view);
    Ok(answer(&Quotes { as_of: app.now(), quotes }))
}

#[derive(Serialize)]
struct Bars<'a> {
    as_of: Time,
    symbol: &'a str,
    window: &'a str,
    bars: Vec<Bar>,
}

pub(super) async fn bars(State(app): State<App>, Asked(asked): Asked<OfBars>) -> Answer {
    let (symbol, window, limit) = (asked.symbol()?, asked.window()?, asked.limit()?);
    let view = app.hub.view();
    let Some(windows) = view.windows(symbol) else {
        return Err(ApiError::NoSymbol(symbol.to_owned()));
    };
    let Some(bars) = view.bars(symbol, window, limit) else {
        let known = windows.iter().map(|window| &**window).collect::<Vec<_>>().join(", ");
        return Err(ApiError::NoWindow { symbol: symbol.to_owned(), window: window.to_owned(), known });
    };
    drop(view);
    Ok(answer(&Bars { as_of: app.now(), symbol, window, bars }))
}

#[derive(Serialize)]
struct Alerts {
    as_of: Time,
    alerts: Vec<Arc<Alert>>,
}

pub(super) async fn alerts(State(app): State<App>, Asked(asked): Asked<OfAlerts>) -> Answer {
    let (symbol, limit) = (asked.symbol()?, asked.limit()?);
    let alerts = app.hub.view().alerts(limit, |of| symbol.is_none_or(|symbol| symbol == of));
    Ok(answer(&Alerts { as_of: app.now(), alerts }))
}

/// Always 200: it is a report. Whether this process is fit to serve is the admin port's `/ready`.
pub(super) async fn pipeline(State(app): State<App>, Asked(query::None {}): Asked<query::None>) -> Answer {
    let pipeline = app.hub.view().latest_pipeline();
    Ok(answer(&pipeline))
}

fn answer(body: &impl Serialize) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json(body)).into_response()
}

impl super::Shared {
    pub(super) fn now(&self) -> Time {
        Time(self.clock.now_ns())
    }
}
