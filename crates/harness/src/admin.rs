//! The admin port of a process.
//!
//! | Route | Answer |
//! |---|---|
//! | `GET /live` | 200 while the process can answer at all |
//! | `GET /ready` | every check as JSON; 503 while one fails or the process drains |
//! | `GET /metrics` | Prometheus text |
//! | `GET /log-level` | the filter in force |
//! | `PUT /log-level` | sets it: `info`, `debug`, `info,streams=trace`; 400 with the reason if it does not parse |
//! | anything else | what the service has registered, for whoever knows its token ([`crate::commands`]) |

use std::net::{SocketAddr, TcpListener};

use anyhow::Context as _;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::commands::{self, Commands};
use crate::health::Health;
use crate::logs;
use crate::metrics::Registry;

/// A filter is a line of text; nothing longer is read.
const BODY_LIMIT_BYTES: usize = 4096;

pub(crate) fn bind(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(addr).with_context(|| {
        format!(
            "cannot open the admin port {addr}: choose another with --admin HOST:PORT (setting `admin`), or --admin off"
        )
    })?;
    listener.set_nonblocking(true).context("prepare the admin port")?;
    Ok(listener)
}

pub(crate) fn router(health: Health, metrics: Registry, commands: Commands) -> Router {
    Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready).with_state(health))
        .route("/metrics", get(render).with_state(metrics))
        .route("/log-level", get(log_level).put(set_log_level))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .fallback(commands::serve)
        .with_state(commands)
}

/// Serves the router for ever. Who calls is known to the commands.
pub(crate) async fn serve(listener: tokio::net::TcpListener, router: Router) -> std::io::Result<()> {
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await
}

async fn ready(State(health): State<Health>) -> Response {
    let report = health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

async fn render(State(metrics): State<Registry>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()).into_response()
}

async fn log_level() -> Response {
    match logs::filter() {
        Some(filter) => format!("{filter}\n").into_response(),
        None => (StatusCode::NOT_FOUND, "this process has no log of its own\n").into_response(),
    }
}

async fn set_log_level(filter: String) -> Response {
    match logs::set_filter(filter.trim()) {
        Ok(()) => log_level().await,
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}\n")).into_response(),
    }
}
