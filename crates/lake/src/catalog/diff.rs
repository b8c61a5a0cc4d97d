//! What has to change for the catalog to say what is wanted.

use serde_json::{Map, Value, json};

use super::view::View;
use super::{Options, Plan, Step, desired};
use crate::table::Table;

/// Compares a table with what the catalog has of it.
pub(super) fn table(plan: &mut Plan, options: &Options, table: Table, first: &str, found: Option<&Value>) {
    let wanted: Vec<(String, String)> =
        desired::columns(table, options.format).into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect();
    let name = format!("{}.{}", options.database, desired::name(options, table));
    let Some(found) = found else {
        let parameters = as_map(desired::parameters(options, table, first));
        let changes = wanted.iter().map(|(column, kind)| format!("{column} {kind}")).collect();
        let input = desired::table(options, table, &wanted, parameters);
        let body = json!({"DatabaseName": options.database, "TableInput": input});
        plan.steps.push(Step { what: format!("create table {name}"), changes, action: "CreateTable", body });
        return;
    };
    let conflicts = conflicts(options, table, &wanted, found);
    if !conflicts.is_empty() {
        let advice = "choose another --database, or drop the table: its objects stay";
        plan.conflicts.extend(conflicts.into_iter().map(|why| format!("{name}: {why}; {advice}")));
        return;
    }
    let mut changes = Vec::new();
    // Ours in our order, then those of others: a newer version's, or somebody's own.
    let known = named_types(&found["StorageDescriptor"]["Columns"]);
    let mut columns = wanted.clone();
    columns.extend(known.iter().filter(|(column, _)| !wanted.iter().any(|(ours, _)| ours == column)).cloned());
    for (column, kind) in wanted.iter().filter(|(column, _)| !known.iter().any(|(known, _)| known == column)) {
        changes.push(format!("add {column} {kind}"));
    }
    let mut parameters = found["Parameters"].as_object().cloned().unwrap_or_default();
    let first = earliest(table, first, &parameters);
    for (key, value) in desired::parameters(options, table, &first) {
        let now = parameters.get(&key).and_then(Value::as_str);
        // Who has partitions registered may have switched off that they are computed: engines take the one or the other.
        let is_off = options.register && key == "projection.enabled" && now == Some("false");
        if now != Some(&value) && !is_off {
            changes.push(format!("{key}: {} -> {value}", now.unwrap_or("nothing")));
            parameters.insert(key, Value::String(value));
        }
    }
    if changes.is_empty() {
        plan.unchanged.push(format!("table {name}"));
        return;
    }
    let input = desired::table(options, table, &columns, parameters);
    plan.steps.push(update(options, format!("change table {name}"), changes, input, found));
}

/// Names the version that was read, so that a change which somebody else made since is not undone.
fn update(options: &Options, what: String, changes: Vec<String>, input: Value, found: &Value) -> Step {
    let mut body = json!({"DatabaseName": options.database, "TableInput": input});
    if let Some(version) = found["VersionId"].as_str() {
        body["VersionId"] = json!(version);
    }
    Step { what, changes, action: "UpdateTable", body }
}

/// A range is widened and never narrowed: what could be queried yesterday can be today.
fn earliest(table: Table, first: &str, parameters: &Map<String, Value>) -> String {
    let range = parameters.get(desired::range_name(table)).and_then(Value::as_str);
    let known = range.and_then(|range| range.split(',').next()).filter(|known| known.len() == first.len());
    known.filter(|known| *known < first).unwrap_or(first).to_owned()
}

/// What cannot be brought together by adding.
fn conflicts(options: &Options, table: Table, wanted: &[(String, String)], found: &Value) -> Vec<String> {
    let mut conflicts = Vec::new();
    let storage = &found["StorageDescriptor"];
    let place = storage["Location"].as_str().unwrap_or_default().trim_end_matches('/');
    let ours = desired::location(options, table);
    if place != ours.trim_end_matches('/') {
        conflicts.push(format!("it lies at {place}, not at {ours}"));
    }
    let library = |storage: &Value| storage["SerdeInfo"]["SerializationLibrary"].as_str().unwrap_or("none").to_owned();
    let (is, should) = (library(storage), library(&desired::storage(options, Value::Null, "")));
    if is != should {
        conflicts.push(format!("it is read by {is}, not by {should}: the objects are of another format"));
    }
    let keys: Vec<(String, String)> = named_types(&found["PartitionKeys"]);
    if !keys.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).eq(desired::keys(table)) {
        conflicts.push(format!("its partitions are {keys:?}, not {:?}", desired::keys(table)));
    }
    for (column, kind) in named_types(&storage["Columns"]) {
        let other = wanted.iter().find(|(ours, wanted)| *ours == column && *wanted != kind);
        conflicts.extend(other.map(|(_, wanted)| format!("its column {column} is {kind}, not {wanted}")));
    }
    conflicts
}

/// Compares a view with what the catalog has under its name.
pub(super) fn view(plan: &mut Plan, options: &Options, view: &View, found: Option<&Value>) {
    let (name, input) = (format!("{}.{}", options.database, view.name), view.input(options));
    let changes = vec![view.sql.clone()];
    match found {
        None => {
            let body = json!({"DatabaseName": options.database, "TableInput": input});
            plan.steps.push(Step { what: format!("create view {name}"), changes, action: "CreateTable", body });
        }
        Some(found) if found["TableType"] != "VIRTUAL_VIEW" => {
            plan.conflicts.push(format!("{name}: it is a table, not a view; choose another --database"));
        }
        Some(found) if found["ViewOriginalText"] == input["ViewOriginalText"] => {
            plan.unchanged.push(format!("view {name}"));
        }
        Some(found) => plan.steps.push(update(options, format!("change view {name}"), changes, input, found)),
    }
}

fn named_types(columns: &Value) -> Vec<(String, String)> {
    let text = |column: &Value, name: &str| column[name].as_str().unwrap_or_default().to_owned();
    columns.as_array().into_iter().flatten().map(|column| (text(column, "Name"), text(column, "Type"))).collect()
}

fn as_map(pairs: Vec<(String, String)>) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect()
}
