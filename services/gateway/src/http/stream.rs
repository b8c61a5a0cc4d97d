//! `/v1/stream`: the view as it changes.
//!
//! First a `snapshot`, or, for a client that says what it had last, what changed since. Then `price`, `metric`, `alert`
//! and `pipeline` events in rounds, one per tick; `lagged` when rounds were merged for a slow client; a comment when
//! nothing happens; `bye` when the server stops.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};

use super::App;
use super::query::{Asked, OfStream};
use crate::error::ApiError;
use crate::hub::Cursor;
use crate::limits::{Client, Full, Slot};
use crate::sse;

const BEAT_EVERY: Duration = Duration::from_secs(10);
/// Ids are shorter; a longer one is not ours.
const ID_BYTES: usize = 64;

pub(super) async fn stream(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
    Asked(asked): Asked<OfStream>,
) -> Result<Response, ApiError> {
    let filter = asked.filter()?;
    let slot = app.streams.take(client).map_err(|full| ApiError::Streams(full == Full::Client))?;
    app.metrics.stream_opened(app.streams.held());
    // A browser that reconnects by itself says it in the header; one that opens a new stream can only say it here.
    let header = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let last_id = header.or(asked.last_event_id.as_deref()).filter(|id| id.len() <= ID_BYTES);
    let cursor = app.hub.subscribe(filter, last_id);
    let feed = Feed { app, cursor, left: vec![Bytes::from_static(sse::RETRY)], ended: false, _slot: slot };
    let mut response = Body::from_stream(feed.into_stream()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that gather answers before they pass them on would hold every event back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// One client's stream. It is asked for more only when the client took what it was given.
struct Feed {
    app: App,
    cursor: Cursor,
    /// To be given, last first.
    left: Vec<Bytes>,
    ended: bool,
    _slot: Slot,
}

impl Feed {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut feed| async move { feed.next().await.map(|bytes| (Ok(bytes), feed)) })
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.left.pop() {
                return Some(bytes);
            }
            if self.ended {
                return None;
            }
            let app = self.app.clone();
            tokio::select! {
                biased;
                () = app.shutdown.wait() => {
                    self.ended = true;
                    self.left.push(Bytes::from_static(sse::BYE));
                }
                given = app.hub.next(&mut self.cursor) => {
                    app.metrics.lagged(given.lagged);
                    self.left = given.bytes;
                    self.left.reverse();
                }
                () = tokio::time::sleep(BEAT_EVERY) => self.left.push(Bytes::from_static(sse::BEAT)),
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // This one's slot goes with it, after this.
        self.app.metrics.streams_now(self.app.streams.held().saturating_sub(1));
    }
}
