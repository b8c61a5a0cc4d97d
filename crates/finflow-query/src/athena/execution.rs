//! One run of a query on Athena, from its start to its end.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use lake::aws::{Aws, token};
use serde_json::{Value, json};

use super::progress::Progress;
use crate::args::Args;

/// Most queries over bounded partitions take a second or two; one that goes on is asked after less and less often.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(super) struct Execution {
    athena: Arc<Aws>,
    pub(super) id: String,
    over: Cell<bool>,
}

pub(super) struct Finished {
    pub(super) scanned: u64,
    pub(super) seconds: f64,
}

impl Execution {
    pub(super) async fn start(athena: Arc<Aws>, args: &Args, sql: &str) -> anyhow::Result<Self> {
        let mut body = json!({
            "QueryString": sql,
            // Sent again after a lost answer it is the same query, and is paid for once.
            "ClientRequestToken": token(),
            "QueryExecutionContext": {"Database": args.database},
        });
        if let Some(workgroup) = &args.workgroup {
            body["WorkGroup"] = json!(workgroup);
        }
        if let Some(results) = &args.results {
            body["ResultConfiguration"] = json!({"OutputLocation": results});
        }
        let answer = athena.call("StartQueryExecution", body).await?;
        let id = answer["QueryExecutionId"].as_str().context("start the query: Athena gave it no name")?.to_owned();
        Ok(Self { athena, id, over: Cell::new(false) })
    }

    /// Whether it came to its end, whichever that was.
    pub(super) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Waits for its end, which is an error unless its rows are there.
    pub(super) async fn follow(&self) -> anyhow::Result<Finished> {
        let mut progress = Progress::new();
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = self.athena.call("GetQueryExecution", json!({"QueryExecutionId": self.id})).await?;
            let execution = &answer["QueryExecution"];
            let scanned = execution["Statistics"]["DataScannedInBytes"].as_u64().unwrap_or(0);
            let state = execution["Status"]["State"].as_str().unwrap_or("in no known state");
            progress.tell(state, scanned);
            match state {
                "SUCCEEDED" => {
                    self.over.set(true);
                    return Ok(Finished { scanned, seconds: progress.seconds() });
                }
                "FAILED" | "CANCELLED" => {
                    self.over.set(true);
                    bail!("query {} {} on Athena: {}", self.id, state.to_lowercase(), reason(&execution["Status"]));
                }
                _ => tokio::time::sleep(pause).await,
            }
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    pub(super) async fn stop(&self) -> anyhow::Result<()> {
        let id = &self.id;
        let stopped = self.athena.call("StopQueryExecution", json!({"QueryExecutionId": id})).await;
        stopped.map(drop).with_context(|| {
            format!(
                "query {id} may run on, and cost; stop it: aws athena stop-query-execution --query-execution-id {id}"
            )
        })
    }
}

/// In Athena's words, which are in one of two places.
fn reason(status: &Value) -> &str {
    let said = status["StateChangeReason"].as_str().or_else(|| status["AthenaError"]["ErrorMessage"].as_str());
    said.unwrap_or("it gave no reason; was it cancelled by somebody, or by the limit of the workgroup?")
}
