//! Traces over OTLP, loaded only when `otlp.endpoint` is set, and the `traceparent` header that carries them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
use tracing_subscriber::registry::LookupSpan;

use crate::config::Otlp;

/// Name of the header that carries a trace from record to record.
pub const TRACEPARENT: &str = "traceparent";

/// More than the batches that a transaction usually comes of.
const PARENTS_MAX: usize = 32;

static ON: AtomicBool = AtomicBool::new(false);

pub(crate) type Tracer = opentelemetry_sdk::trace::Tracer;

/// Sends what is left when the process ends.
pub(crate) struct Exporter(SdkTracerProvider);

/// Must be called inside a Tokio runtime that outlives the exporter: its connection lives there.
pub(crate) fn open(service: &'static str, otlp: &Otlp) -> anyhow::Result<Option<(Exporter, Tracer)>> {
    let Some(endpoint) = &otlp.endpoint else {
        return Ok(None);
    };
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(*otlp.timeout)
        .build()
        .with_context(|| format!("open the OTLP exporter to {endpoint} (setting `otlp.endpoint`)"))?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(otlp.sample_ratio))))
        .with_resource(Resource::builder().with_service_name(format!("finflow-{service}")).build())
        .build();
    let tracer = provider.tracer("finflow");
    Ok(Some((Exporter(provider), tracer)))
}

pub(crate) fn layer<S>(tracer: Tracer) -> OpenTelemetryLayer<S, Tracer>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_opentelemetry::layer().with_tracer(tracer)
}

impl Exporter {
    pub(crate) fn flush(self, limit: Duration) {
        if let Err(error) = self.0.shutdown_with_timeout(limit) {
            tracing::warn!(%error, "some traces were not delivered");
        }
    }
}

/// Whether spans go anywhere. Where they do not, what is below does nothing and costs nothing.
pub fn are_on() -> bool {
    ON.load(Ordering::Relaxed)
}

pub(crate) fn turn_on() {
    ON.store(true, Ordering::Relaxed);
}

/// The `traceparent` header that names the span; none when nothing is traced.
pub fn of(span: &Span) -> Option<String> {
    if span.is_none() {
        return None;
    }
    let mut headers = HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut headers);
    headers.remove(TRACEPARENT)
}

/// The spans that something comes of, as records name them: each once, the first ones only.
#[derive(Debug, Default)]
pub struct Parents(Vec<String>);

impl Parents {
    /// `header` is the record's `traceparent`, asked for only when something is traced.
    pub fn note<'a>(&mut self, header: impl FnOnce() -> Option<&'a [u8]>) {
        if are_on() && self.0.len() < PARENTS_MAX {
            let named = header().and_then(|header| std::str::from_utf8(header).ok());
            self.0.extend(named.filter(|named| !self.0.iter().any(|known| known == named)).map(str::to_owned));
        }
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The span that `open` makes, or none when nothing is traced: a child of the first, linked to the others. A
    /// malformed header names none.
    pub fn span(&self, open: impl FnOnce() -> Span) -> Span {
        let span = if are_on() { open() } else { Span::none() };
        let mut named = self.0.iter().map(|traceparent| read(traceparent));
        if let Some(parent) = named.next() {
            // Fails only where nothing is traced.
            span.set_parent(parent).ok();
        }
        named.for_each(|other| span.add_link(other.span().span_context().clone()));
        span
    }
}

fn read(traceparent: &str) -> opentelemetry::Context {
    let headers = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    TraceContextPropagator::new().extract(&headers)
}
