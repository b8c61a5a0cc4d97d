//! The query on Athena: what it may cost is said and limited first, then it is started, followed, and its rows are written as
//! those of this machine are.
//!
//! **Invariant:** nothing is started above the limit, and what was started is stopped when this program gives up on it: a
//! query that nobody waits for costs as much as any other.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail, ensure};
use harness::{ByteSize, grouped};
use lake::S3Config;
use lake::aws::{ATHENA, Aws};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::Args;
use crate::{Ended, run};

mod cost;
mod execution;
mod progress;
mod results;

pub(crate) use cost::Price;
use execution::{Execution, Finished};

pub(crate) async fn main(args: Args, sql: String) -> anyhow::Result<Ended> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let begun = tokio::select! {
        checked = check(&args, &sql) => { checked?; connect(&args).await },
        _ = interrupt.recv() => return Ok(Ended::Interrupted("nothing was sent to Athena".to_owned())),
    };
    let athena = Arc::new(begun);
    let (execution, early) = start(&athena, &args, &sql, &mut interrupt).await?;
    if early {
        return stopped(&execution, &mut interrupt).await;
    }
    let finished = tokio::select! {
        finished = execution.follow() => finished,
        _ = interrupt.recv() => return stopped(&execution, &mut interrupt).await,
    };
    let finished = match finished {
        Ok(finished) => finished,
        Err(error) if execution.is_over() => return Err(error),
        // Nobody would wait for it any more.
        Err(error) => {
            let left = execution.stop().await.map_or_else(|left| format!("{left:#}"), |()| "it was stopped".to_owned());
            return Err(error.context(format!("follow query {}; {left}", execution.id)));
        }
    };
    // On a thread of its own, as on this machine: a reader that stalls must not keep Ctrl-C from being heard.
    let id = execution.id.clone();
    let shown = tokio::spawn(async move {
        let rows = results::rows(athena, &execution.id).await?;
        run::show(&args, rows).await.map(|shown| (shown, said(&args, &finished)))
    });
    tokio::select! {
        shown = shown => {
            let (shown, said) = shown.context("the query broke off")??;
            eprintln!("{} rows, {said}; query {id}", grouped(shown as u64));
            Ok(Ended::Done)
        }
        _ = interrupt.recv() => Ok(Ended::Interrupted(format!("what was printed is not the whole answer of query {id}"))),
    }
}

fn said(args: &Args, finished: &Finished) -> String {
    let Finished { scanned, seconds } = finished;
    let cost = args.price_per_tb.of(*scanned);
    format!("{} bytes scanned in {seconds:.1} s: {cost:.6} USD", grouped(*scanned))
}

/// Says what the query may read and cost at most, and refuses it above the limit.
async fn check(args: &Args, sql: &str) -> anyhow::Result<()> {
    ensure!(
        args.region.is_some() || args.athena_endpoint.is_some(),
        "which Athena: name its region with --region, or its endpoint with --athena-endpoint"
    );
    if args.no_estimate {
        eprintln!("not estimated (--no-estimate): the limit of the workgroup is all that bounds what it costs");
        return Ok(());
    }
    let most = run::most(args, sql).await.context(
        "estimate what Athena may scan; --no-estimate sends the query without, and then the workgroup's limit is all there is",
    )?;
    let (bytes, cost) = (grouped(most.bytes), args.price_per_tb.of(most.bytes));
    eprintln!(
        "scans at most {bytes} bytes in {} objects, by the objects there are now: {cost:.6} USD at most, by an estimate at {}",
        grouped(most.objects),
        args.price_per_tb
    );
    if most.objects == 0 {
        eprintln!(
            "no object was found in the lake that was named (--bucket, --prefix): if the tables of {} lie elsewhere, the estimate says nothing",
            args.database
        );
    }
    if most.bytes > args.max_bytes.bytes() {
        bail!(
            "the limit is {}, and nothing was started: bound dt, hour or year more narrowly, or allow more with --max-bytes {}",
            args.max_bytes,
            ByteSize(most.bytes)
        );
    }
    Ok(())
}

async fn connect(args: &Args) -> Aws {
    let mut config = S3Config::default();
    if let Some(region) = &args.region {
        config.region.clone_from(region);
    }
    Aws::connect(ATHENA, &config, args.athena_endpoint.as_deref().unwrap_or_default()).await
}

/// The query started, and whether Ctrl-C came meanwhile: then the answer is waited for all the same, since it has the name
/// by which the query can be stopped.
async fn start(athena: &Arc<Aws>, args: &Args, sql: &str, interrupt: &mut Signal) -> anyhow::Result<(Execution, bool)> {
    let starting = Execution::start(Arc::clone(athena), args, sql);
    tokio::pin!(starting);
    tokio::select! {
        started = &mut starting => return Ok((started?, false)),
        _ = interrupt.recv() => eprintln!("interrupted: waiting for Athena to name the query, to stop it"),
    }
    tokio::select! {
        started = starting => Ok((started?, true)),
        _ = interrupt.recv() => Err(anyhow!("interrupted again: the query may run on, and cost; see the list of the workgroup")),
    }
}

async fn stopped(execution: &Execution, interrupt: &mut Signal) -> anyhow::Result<Ended> {
    let id = &execution.id;
    let said = tokio::select! {
        stopped = execution.stop() => match stopped {
            Ok(()) => format!("query {id} was stopped; what it scanned until then is billed"),
            Err(error) => format!("{error:#}"),
        },
        _ = interrupt.recv() => format!("interrupted again: query {id} may run on, and cost"),
    };
    Ok(Ended::Interrupted(said))
}
