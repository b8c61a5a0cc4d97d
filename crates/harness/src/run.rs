//! From the start of the process to its exit code.

use std::ffi::OsString;
use std::future::Future;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::ArgMatches;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::commands::Commands;
use crate::config::{self, Common, Config};
use crate::context::{Context, panic_text};
use crate::flags::{self, Flag};
use crate::health::Health;
use crate::metrics::Registry;
use crate::renewal::{self, Renewal};
use crate::shutdown::{Drain, Reason, Shutdown};
use crate::{admin, logs, traces};

/// Wrong usage or settings: fixing the command line helps, trying again does not.
const EXIT_USAGE: u8 = 2;
/// How long the last traces and left-over threads may take once `run` has returned.
const LAST_STEPS: Duration = Duration::from_secs(3);

/// The whole of a service's `main`: parses the command line of this process, then as [`run_with`].
pub fn main<C, S, F, Fut>(service: &'static str, run: F) -> ExitCode
where
    C: Config,
    S: Serialize + Send + 'static,
    F: FnOnce(Context<C>) -> Fut,
    Fut: Future<Output = anyhow::Result<S>> + Send + 'static,
{
    let args: Vec<OsString> = std::env::args_os().collect();
    match flags::command::<C>(service).try_get_matches_from(args) {
        Ok(matches) => run_with(service, &matches, run),
        Err(error) => {
            // Also `--help` and `--version`, which are no errors and exit with 0.
            error.print().ok();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE))
        }
    }
}

/// Runs a service from flags parsed by [`crate::command`], as a sub-command does.
pub fn run_with<C, S, F, Fut>(service: &'static str, matches: &ArgMatches, run: F) -> ExitCode
where
    C: Config,
    S: Serialize + Send + 'static,
    F: FnOnce(Context<C>) -> Fut,
    Fut: Future<Output = anyhow::Result<S>> + Send + 'static,
{
    let (config, mut files): (C, _) = match config::load_with_files(service, matches) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{service}: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if matches.get_flag(flags::PRINT_CONFIG.name) {
        print!("{}", config::print(&config));
        return ExitCode::SUCCESS;
    }
    let until_end = C::FLAGS.contains(&Flag::UNTIL_END) && matches.get_flag(Flag::UNTIL_END.name);
    files.extend(config.credentials().into_iter().filter(|file| !file.is_empty()).map(PathBuf::from));
    let matches = matches.clone();
    let check = move || config::load::<C>(service, &matches).map(drop).map_err(|error| error.to_string());
    // What has an end goes to it with what it began with.
    let every = if until_end { Duration::ZERO } else { *config.common().credentials_interval };
    let renewal = Renewal::new(files, every, Box::new(check));
    end(service, live(service, config, until_end, renewal, run))
}

/// Runs `run` with a config that was made elsewhere: what hosts several services gives its own [`Common`].
pub fn host<C, S, F, Fut>(service: &'static str, config: C, run: F) -> ExitCode
where
    C: Config,
    S: Serialize + Send + 'static,
    F: FnOnce(Context<C>) -> Fut,
    Fut: Future<Output = anyhow::Result<S>> + Send + 'static,
{
    end(service, live(service, config, false, None, run))
}

fn end(service: &str, result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            fail(service, &error);
            ExitCode::FAILURE
        }
    }
}

/// An error that ends the process is said even where the log filter hides errors or there is no log yet.
fn fail(service: &str, error: &anyhow::Error) {
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!(error = format!("{error:#}"), "{service} failed");
    } else {
        eprintln!("{service}: {error:#}");
    }
}

fn live<C, S, F, Fut>(
    service: &'static str,
    config: C,
    until_end: bool,
    renewal: Option<Renewal>,
    run: F,
) -> anyhow::Result<ExitCode>
where
    C: Config,
    S: Serialize + Send + 'static,
    F: FnOnce(Context<C>) -> Fut,
    Fut: Future<Output = anyhow::Result<S>> + Send + 'static,
{
    let common = config.common().clone();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let _entered = runtime.enter();
    let (exporter, tracer) = traces::open(service, &common.otlp)?.unzip();
    logs::init(&common.log, tracer)?;
    log_panics();

    let shutdown = Shutdown::new();
    let mut ctx = Context::hosted(service, config, &shutdown);
    if until_end {
        ctx = ctx.with_drain(Drain::already());
    }
    guard(&common, &shutdown, &ctx.health, &ctx.metrics, &ctx.commands)?;
    renewal.map(|renewal| renewal.watch(shutdown.clone())).transpose()?;
    tracing::info!(service, version = env!("CARGO_PKG_VERSION"), "starting");
    let result = runtime.block_on(tokio::spawn(run(ctx)));
    let result = result.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => Err(anyhow!("{service} panicked: {}", panic_text(&*panic))),
        Err(error) => Err(anyhow!(error)),
    });
    let reason = shutdown.reason();
    // From here on /ready says no, whatever made `run` return.
    shutdown.trigger("the service has returned");
    let code = finish(service, result, reason, until_end);
    if let Some(exporter) = exporter {
        exporter.flush(LAST_STEPS);
    }
    runtime.shutdown_timeout(LAST_STEPS);
    // Asked again: a signal may have come since.
    match shutdown.reason() {
        Some(Reason::Renewed(_)) if code == ExitCode::SUCCESS => Err(renewal::begin_anew()),
        _ => Ok(code),
    }
}

fn finish<S: Serialize>(service: &str, result: anyhow::Result<S>, reason: Option<Reason>, until_end: bool) -> ExitCode {
    let summary = match result.and_then(|summary| serde_json::to_string(&summary).context("write the summary")) {
        Ok(summary) => summary,
        Err(error) => {
            fail(service, &error);
            return ExitCode::FAILURE;
        }
    };
    let why = reason.as_ref().map_or("nothing left to do".to_owned(), Reason::to_string);
    tracing::info!(reason = why, summary, "{service} stopped");
    if until_end {
        println!("{summary}");
    }
    match reason {
        Some(Reason::Stalled(_)) => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// Opens the admin port and starts the thread that listens to signals, serves that port and enforces the hard limit.
/// It has a runtime of its own: a service that blocks every worker must still answer probes and hear a signal.
fn guard(
    common: &Common,
    shutdown: &Shutdown,
    health: &Health,
    metrics: &Registry,
    commands: &Commands,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the guard")?;
    let listener = common.admin.map(admin::bind).transpose()?;
    if let Some(addr) = listener.as_ref().map(TcpListener::local_addr).transpose().context("read the admin address")? {
        tracing::info!(%addr, "admin port open");
    }
    let router = admin::router(health.clone(), metrics.clone(), commands.clone());
    let mut signals = {
        let _entered = runtime.enter();
        let terminate = signal(SignalKind::terminate()).context("listen to SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("listen to SIGINT")?;
        (terminate, interrupt)
    };
    let (shutdown, limit) = (shutdown.clone(), *common.shutdown_timeout);
    let body = async move {
        if let Some(listener) = listener {
            let listener = tokio::net::TcpListener::from_std(listener).expect("the listener is non-blocking");
            tokio::spawn(admin::serve(listener, router));
        }
        tokio::spawn(enforce(shutdown.clone(), limit));
        let mut next = async || {
            tokio::select! {
                _ = signals.0.recv() => ("SIGTERM", 143),
                _ = signals.1.recv() => ("SIGINT", 130),
            }
        };
        let (name, _) = next().await;
        tracing::info!(signal = name, "draining, a second signal exits at once");
        shutdown.trigger(Reason::Signal(name));
        let (name, code) = next().await;
        tracing::warn!(signal = name, "second signal, exiting at once");
        std::process::exit(code);
    };
    let thread = std::thread::Builder::new().name("guard".to_owned());
    thread.spawn(move || runtime.block_on(body)).context("start the guard thread")?;
    Ok(())
}

/// Once the shutdown is set the process has `limit` to end by itself.
async fn enforce(shutdown: Shutdown, limit: Duration) {
    shutdown.wait().await;
    tokio::time::sleep(limit).await;
    let running = shutdown.watchdog().running();
    tracing::error!(?limit, ?running, "shutdown took too long (setting `shutdown_timeout`), giving up");
    std::process::exit(1);
}

/// A panic is one log line in the log's own format, instead of text between JSON lines.
fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let thread = std::thread::current();
        let backtrace = std::backtrace::Backtrace::capture();
        let backtrace =
            (backtrace.status() == std::backtrace::BacktraceStatus::Captured).then(|| backtrace.to_string());
        let location = info.location().map(ToString::to_string);
        let text = panic_text(info.payload());
        tracing::error!(thread = thread.name(), location, backtrace, "panicked: {text}");
    }));
}
