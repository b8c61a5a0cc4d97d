//! What every request passes on its way in, and every answer on its way out.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{App, Shared};
use crate::error::ApiError;
use crate::limits::Client;

/// Names of two hundred symbols fit.
const ADDRESS_BYTES: usize = 16 << 10;

/// The other end of the connection.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// Everything comes from here; nothing is framed, embedded or told where it was linked from.
static HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

pub(super) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
    let client = client(&app, peer, request.headers());
    request.extensions_mut().insert(client);
    let mut response = match admit(&app, client, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    app.metrics.answered(response.extensions().get::<ApiError>());
    let headers = response.headers_mut();
    for (name, value) in &HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn admit(app: &Shared, client: Client, request: &Request) -> Result<(), ApiError> {
    if !host_is_ours(app, request) {
        let host =
            request.headers().get(header::HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
        return Err(ApiError::Host(host.unwrap_or_default()));
    }
    let taken = app.buckets.lock().unwrap_or_else(PoisonError::into_inner).take(client, Instant::now());
    taken.map_err(ApiError::Rate)?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(ApiError::Method(request.method().to_string()));
    }
    let length = request.headers().get(header::CONTENT_LENGTH);
    if length.is_some_and(|length| length != "0") || request.headers().contains_key(header::TRANSFER_ENCODING) {
        return Err(ApiError::Body);
    }
    if request.uri().path_and_query().is_some_and(|address| address.as_str().len() > ADDRESS_BYTES) {
        return Err(ApiError::LongAddress(ADDRESS_BYTES));
    }
    Ok(())
}

/// Who is asking: the other end, or whom the last of our own proxies saw.
fn client(app: &Shared, peer: IpAddr, headers: &HeaderMap) -> Client {
    let hops = app.config.proxies;
    if hops == 0 {
        return Client::from(peer);
    }
    let lines = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
    let chain: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    let seen = chain.len().checked_sub(hops).and_then(|at| chain[at].parse().ok());
    Client::from(seen.unwrap_or(peer))
}

/// A page of somebody else can make its own name resolve to 127.0.0.1 and then read answers as its own (DNS rebinding).
/// The name it asks for gives it away.
fn host_is_ours(app: &Shared, request: &Request) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    let hosts = &app.config.hosts;
    if hosts.iter().any(|known| known == "*" || known.eq_ignore_ascii_case(&name)) {
        return true;
    }
    let address: Option<IpAddr> = name.parse().ok();
    let loopback = name == "localhost" || name.ends_with(".localhost") || address.is_some_and(|ip| ip.is_loopback());
    if app.address.ip().is_loopback() {
        return loopback;
    }
    // Probes and port forwards ask by address; no name resolves to one.
    hosts.is_empty() || loopback || address.is_some()
}
