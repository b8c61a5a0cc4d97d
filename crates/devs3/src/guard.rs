//! Makes every write that may not overwrite atomic.
//!
//! In: HTTP requests. Out: the same requests, those that carry `If-None-Match` (PUT of an object, completion of a
//! multipart upload) one after the other. Nothing of the body is read under the lock: a client that stops half-way
//! through a body, as a paused twin does, would else keep every other writer waiting.

use std::sync::Arc;

use http_body_util::{BodyExt, Limited};
use hyper::header::IF_NONE_MATCH;
use hyper::{Method, Request, StatusCode};
use s3s::service::S3Service;
use s3s::{Body, HttpError, HttpResponse};
use tokio::sync::Mutex;

/// The largest single PUT of S3 is 5 GiB; here it is held in memory. Larger objects come in parts, which pass through.
const MAX_BODY_BYTES: usize = 512 << 20;

#[derive(Clone)]
pub(crate) struct Guard {
    service: S3Service,
    /// One lock for all keys, not one per key: s3s-fs maps many spellings of a key to one file, and the time under
    /// the lock is that of one local file write.
    writes: Arc<Mutex<()>>,
}

impl Guard {
    pub(crate) fn new(service: S3Service) -> Self {
        Self { service, writes: Arc::default() }
    }

    pub(crate) async fn call(&self, request: Request<hyper::body::Incoming>) -> Result<HttpResponse, HttpError> {
        let writes = matches!(*request.method(), Method::PUT | Method::POST);
        if !writes || !request.headers().contains_key(IF_NONE_MATCH) {
            return self.service.call(request.map(Body::from)).await;
        }
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MAX_BODY_BYTES).collect().await else {
            let mut refused = HttpResponse::new(Body::empty());
            *refused.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            return Ok(refused);
        };
        let request = Request::from_parts(head, Body::from(body.to_bytes()));
        let service = self.service.clone();
        let writes = self.writes.clone();
        // A task of its own: a client that hangs up drops this future, and half a write must not be left behind.
        let done = tokio::spawn(async move {
            let _one_at_a_time = writes.lock().await;
            service.call(request).await
        });
        done.await.unwrap_or_else(|error| Err(HttpError::new(Box::new(error))))
    }
}
