//! Traces over OTLP, loaded only when `otlp.endpoint` is set, and the `traceparent` header that carries them.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
use tracing_subscriber::registry::LookupSpan;

use crate::config::Otlp;

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

/// The current span as a `traceparent` header; none when nothing is traced.
pub fn current() -> Option<String> {
    let mut headers = HashMap::new();
    let context = tracing::Span::current().context();
    TraceContextPropagator::new().inject_context(&context, &mut headers);
    headers.remove("traceparent")
}

/// Makes `span` a child of the span named by a `traceparent` header. A malformed header starts a new trace.
pub fn follow(span: &tracing::Span, traceparent: &str) {
    let headers = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    let parent = TraceContextPropagator::new().extract(&headers);
    // Fails only where nothing is traced.
    span.set_parent(parent).ok();
}
