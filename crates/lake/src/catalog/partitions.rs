//! Registered partitions, for engines that do not compute them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{CatalogError, Glue, Options, Plan, Step, desired};
use crate::aws::AwsError;
use crate::layout::Paths;
use crate::table::{Dir, Table};

/// The most that one request takes.
pub(super) const BATCH: usize = 100;

/// Values of the partitions that the catalog has, page by page.
pub(super) async fn registered<G: Glue>(
    glue: &G,
    database: &str,
    table: &str,
) -> Result<BTreeSet<Vec<String>>, AwsError> {
    let (mut known, mut token) = (BTreeSet::new(), Value::Null);
    loop {
        let mut body = json!({"DatabaseName": database, "TableName": table, "ExcludeColumnSchema": true});
        if !token.is_null() {
            body["NextToken"] = token;
        }
        let mut page = glue.call("GetPartitions", body).await?;
        for partition in page["Partitions"].as_array().into_iter().flatten() {
            let values = partition["Values"].as_array().into_iter().flatten();
            known.insert(values.filter_map(Value::as_str).map(str::to_owned).collect());
        }
        token = page["NextToken"].take();
        if token.as_str().is_none_or(str::is_empty) {
            return Ok(known);
        }
    }
}

/// Adds steps for the partitions of these objects that are not known.
pub(super) fn plan(
    plan: &mut Plan,
    options: &Options,
    table: Table,
    known: &BTreeSet<Vec<String>>,
    keys: &[String],
    paths: &Paths,
) {
    let mut dirs: Vec<Dir> = keys.iter().filter_map(|key| Some(paths.parse(key)?.0)).collect();
    dirs.dedup();
    dirs.retain(|dir| !known.contains(&values(*dir)));
    plan.steps.extend(dirs.chunks(BATCH).map(|batch| step(options, table, batch)));
}

/// What the catalog calls the values of a partition.
pub(super) fn values(dir: Dir) -> Vec<String> {
    dir.to_string().split('/').filter_map(|part| Some(part.split_once('=')?.1.to_owned())).collect()
}

/// The request that registers partitions of a table, [`BATCH`] of them at most.
pub(super) fn step(options: &Options, table: Table, dirs: &[Dir]) -> Step {
    let columns = desired::columns(table, options.format);
    let columns = desired::named_types(columns.iter().map(|(name, kind)| (*name, kind.as_str())));
    let name = desired::name(options, table);
    let input = |dir: &Dir| {
        let location = format!("{}/{dir}/", options.place);
        json!({"Values": values(*dir), "StorageDescriptor": desired::storage(options, columns.clone(), &location)})
    };
    let inputs: Vec<Value> = dirs.iter().map(input).collect();
    Step {
        what: format!("register {} partitions of {}.{}", dirs.len(), options.database, name),
        changes: vec![format!("{} to {}", dirs[0], dirs[dirs.len() - 1])],
        action: "BatchCreatePartition",
        body: json!({
            "DatabaseName": options.database, "TableName": name, "PartitionInputList": inputs,
        }),
    }
}

/// The answer to a batch holds an error for each partition that failed. One that is there already is as good.
pub(super) fn check(step: &Step, answer: &Value) -> Result<(), CatalogError> {
    let code = |error: &Value| error["ErrorDetail"]["ErrorCode"].as_str().unwrap_or("unknown").to_owned();
    let errors = answer["Errors"].as_array().into_iter().flatten();
    let failed: Vec<String> = errors
        .filter(|error| code(error) != "AlreadyExistsException")
        .map(|error| format!("{}: {}", error["PartitionValues"], code(error)))
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    let table = step.body["TableName"].as_str().unwrap_or_default().to_owned();
    Err(CatalogError::Partitions { table, why: failed.join(", ") })
}
