//! A venue's REST side: a page asked for, and what became of it.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};

/// A page of a thousand trades has about 200 KB.
const LONGEST_BYTES: usize = 8 * 1024 * 1024;
/// Of an answer that is no page, so much is said.
const SHOWN_BYTES: usize = 200;

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Page(Bytes),
    /// Perhaps the next try is answered; not before this time, if the venue said one.
    Later(String, Option<Duration>),
    /// The next try would be answered in the same way.
    Never(String),
    /// The key is wrong, or there is none.
    Unauthorized(String),
}

pub struct Rest {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    address: String,
    /// For the whole of a request.
    deadline: Duration,
}

impl Rest {
    pub fn new(address: &str, deadline: Duration) -> anyhow::Result<Rest> {
        let builder = HttpsConnectorBuilder::new();
        let builder = if address.starts_with("https:") {
            builder.with_native_roots().context("read the certificates of this machine")?
        } else {
            let none = RootCertStore::empty();
            builder.with_tls_config(ClientConfig::builder().with_root_certificates(none).with_no_client_auth())
        };
        let connector = builder.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Rest { client, address: address.trim_end_matches('/').to_owned(), deadline })
    }

    /// Asks once. What it answers of a failure does not hold the path, in which there may be a key.
    pub async fn get(&self, path: &str, header: Option<&(&'static str, String)>) -> Answer {
        match tokio::time::timeout(self.deadline, self.ask(path, header)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Answer::Later(format!("{}: {error:#}", self.address), None),
            Err(_) => Answer::Later(format!("{} did not answer within {:?}", self.address, self.deadline), None),
        }
    }

    async fn ask(&self, path: &str, header: Option<&(&'static str, String)>) -> anyhow::Result<Answer> {
        let mut request = Request::get(format!("{}{path}", self.address))
            // Without a name of a client Coinbase answers with 400.
            .header("user-agent", concat!("finflow/", env!("CARGO_PKG_VERSION")))
            .header("accept", "application/json");
        if let Some((name, value)) = header {
            request = request.header(*name, value);
        }
        let request = request.body(Empty::new()).context("write the request")?;
        let response = self.client.request(request).await.context("ask")?;
        let status = response.status();
        let retry = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let body = Limited::new(response.into_body(), LONGEST_BYTES).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("read the answer: {error}"))?.to_bytes();
        Ok(judge(status, retry.map(Duration::from_secs), body))
    }
}

fn judge(status: StatusCode, retry: Option<Duration>, body: Bytes) -> Answer {
    if status.is_success() {
        return Answer::Page(body);
    }
    let shown = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES)]).into_owned();
    let said = format!("HTTP {}: {}", status.as_u16(), shown.trim());
    match status.as_u16() {
        // 418 is how Binance says that an address which went on after 429 is banned for a while.
        401 => Answer::Unauthorized(said),
        408 | 418 | 425 | 429 | 500.. => Answer::Later(said, retry),
        _ => Answer::Never(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_page_or_says_whether_to_come_again() {
        let judge = |status: u16, body: &'static str| {
            super::judge(StatusCode::from_u16(status).unwrap(), Some(Duration::from_secs(7)), body.into())
        };
        assert_eq!(judge(200, "[]"), Answer::Page("[]".into()));
        for status in [429, 418, 500, 502, 503, 504] {
            let said = format!("HTTP {status}: busy");
            assert_eq!(judge(status, "busy\n"), Answer::Later(said, Some(Duration::from_secs(7))));
        }
        assert_eq!(judge(401, "no key"), Answer::Unauthorized("HTTP 401: no key".to_owned()));
        for status in [400, 403, 404, 451] {
            assert_eq!(judge(status, "no"), Answer::Never(format!("HTTP {status}: no")));
        }
    }
}
