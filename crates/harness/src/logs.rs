//! Logs on standard error: for a person on a terminal, as JSON lines otherwise. The filter can change while running.

use std::io::IsTerminal;
use std::sync::OnceLock;

use anyhow::{Context as _, anyhow};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::{Log, LogFormat};

type Handle = reload::Handle<EnvFilter, Registry>;

static FILTER: OnceLock<Handle> = OnceLock::new();

/// Called once per process. A second call (tests that host several processes' worth of code) keeps the first.
pub(crate) fn init(log: &Log, traces: Option<crate::traces::Tracer>) -> anyhow::Result<()> {
    let (filter, handle) = reload::Layer::new(parse(&log.level)?);
    let human = match log.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let colour = human && std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = if human {
        lines.with_ansi(colour).boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(false).boxed()
    };
    let traced = traces.is_some();
    let spans = traces.map(crate::traces::layer);
    let installed = tracing_subscriber::registry().with(filter).with(lines).with(spans).try_init();
    if installed.is_ok() {
        FILTER.set(handle).ok();
        if traced {
            crate::traces::turn_on();
        }
    }
    Ok(())
}

/// The filter in force; none in a process whose logs are not ours.
pub(crate) fn filter() -> Option<String> {
    FILTER.get()?.with_current(EnvFilter::to_string).ok()
}

pub(crate) fn set_filter(text: &str) -> anyhow::Result<()> {
    let handle = FILTER.get().ok_or_else(|| anyhow!("this process has no log of its own"))?;
    let filter = parse(text)?;
    handle.reload(filter).context("change the log filter")?;
    tracing::info!(filter = text, "log level changed");
    Ok(())
}

pub(crate) fn parse(text: &str) -> anyhow::Result<EnvFilter> {
    if text.is_empty() {
        return Err(anyhow!("the log level is empty: expected e.g. `info`, `debug` or `info,streams=trace`"));
    }
    let filter = EnvFilter::builder().parse(text);
    filter.with_context(|| format!("{text:?} is not a log level such as `info`, `debug` or `info,streams=trace`"))
}
