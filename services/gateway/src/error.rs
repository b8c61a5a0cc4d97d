//! What the API answers when it cannot answer: a status, what happened, and what to do.

use std::fmt;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::wire::json;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("{0}")]
    Query(String),
    #[error("there is no symbol {0}")]
    NoSymbol(String),
    #[error("{symbol} has no bars of the window {window}")]
    NoWindow { symbol: String, window: String, known: String },
    #[error("there is nothing at {0}")]
    NoPath(String),
    #[error("{0} is not a method of this API")]
    Method(String),
    #[error("the host {0} is not served here")]
    Host(String),
    #[error("a request with a body")]
    Body,
    #[error("the address is longer than {0} bytes")]
    LongAddress(usize),
    #[error("too many requests")]
    Rate(Duration),
    #[error("too many open streams{}", if *.0 { " from this address" } else { "" })]
    Streams(bool),
}

impl ApiError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            ApiError::Query(_) => StatusCode::BAD_REQUEST,
            ApiError::NoSymbol(_) | ApiError::NoWindow { .. } | ApiError::NoPath(_) => StatusCode::NOT_FOUND,
            ApiError::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            ApiError::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            ApiError::Body => StatusCode::PAYLOAD_TOO_LARGE,
            ApiError::LongAddress(_) => StatusCode::URI_TOO_LONG,
            ApiError::Rate(_) | ApiError::Streams(true) => StatusCode::TOO_MANY_REQUESTS,
            ApiError::Streams(false) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What the caller can do.
    fn hint(&self) -> String {
        match self {
            ApiError::Query(_) => "see /v1/openapi.json for the parameters and their bounds".to_owned(),
            ApiError::NoSymbol(_) => "/v1/symbols lists those that are known".to_owned(),
            ApiError::NoWindow { known, .. } if known.is_empty() => {
                "there are no metrics of it yet: is the aggregate stage running?".to_owned()
            }
            ApiError::NoWindow { known, .. } => format!("it has {known}"),
            ApiError::NoPath(_) => "the page is at /, the API is described in /v1/openapi.json".to_owned(),
            ApiError::Method(_) => "use GET".to_owned(),
            ApiError::Host(_) => "add the name to the setting `hosts` of the gateway".to_owned(),
            ApiError::Body => "send the request without a body".to_owned(),
            ApiError::LongAddress(_) => "ask for fewer symbols at once".to_owned(),
            ApiError::Rate(wait) => format!("try again in {} s", wait.as_secs().max(1)),
            ApiError::Streams(_) => "close a stream that is not needed, or try again later".to_owned(),
        }
    }

    /// The label of the metric.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            ApiError::Query(_) => "query",
            ApiError::NoSymbol(_) | ApiError::NoWindow { .. } | ApiError::NoPath(_) => "not_found",
            ApiError::Method(_) | ApiError::Body | ApiError::LongAddress(_) => "malformed",
            ApiError::Host(_) => "host",
            ApiError::Rate(_) => "rate",
            ApiError::Streams(_) => "streams",
        }
    }

    pub(crate) const LABELS: &[&str] = &["query", "not_found", "malformed", "host", "rate", "streams"];
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    hint: &'a str,
}

/// The same form for what never becomes a request, such as a connection too many.
pub(crate) fn body(error: &impl fmt::Display, hint: &str) -> Vec<u8> {
    json(&Body { error: &error.to_string(), hint })
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        let mut response = (self.status(), body(&self, &self.hint())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, json);
        match &self {
            ApiError::Rate(wait) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
            }
            ApiError::Streams(_) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
            }
            ApiError::Method(_) => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            _ => {}
        }
        response.extensions_mut().insert(self);
        response
    }
}
