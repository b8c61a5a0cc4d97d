use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::*;
use crate::bucket::{Memory, Object};

mod registrar;

/// A catalog as AWS's own behaves where moto does not: versions are compared, pages are short, batches are limited.
#[derive(Default)]
struct Fake(Mutex<Content>);

#[derive(Default)]
struct Content {
    databases: BTreeSet<String>,
    tables: BTreeMap<String, (u64, Value)>,
    partitions: BTreeMap<String, Vec<Value>>,
    crawlers: BTreeSet<String>,
    calls: Vec<&'static str>,
}

fn error(action: &str, code: &str) -> AwsError {
    AwsError {
        service: "glue",
        action: action.to_owned(),
        place: "fake".to_owned(),
        code: code.to_owned(),
        why: code.to_owned(),
    }
}

const PAGE: usize = 30;

impl Glue for Fake {
    async fn call(&self, action: &'static str, body: Value) -> Result<Value, AwsError> {
        let mut content = self.0.lock().unwrap();
        content.calls.push(action);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let fail = |code: &str| Err(error(action, code));
        match action {
            "GetDatabase" if content.databases.contains(&text(&body["Name"])) => Ok(json!({})),
            "CreateDatabase" => {
                content.databases.insert(text(&body["DatabaseInput"]["Name"]));
                Ok(json!({}))
            }
            "GetTable" => match content.tables.get(&text(&body["Name"])) {
                Some((version, table)) => {
                    let mut table = table.clone();
                    table["VersionId"] = json!(version.to_string());
                    Ok(json!({"Table": table}))
                }
                None => fail("EntityNotFoundException"),
            },
            "CreateTable" => {
                let input = body["TableInput"].clone();
                match content.tables.insert(text(&input["Name"]), (0, input)) {
                    None => Ok(json!({})),
                    Some(_) => fail("AlreadyExistsException"),
                }
            }
            "UpdateTable" => {
                let input = body["TableInput"].clone();
                let (version, table) = content.tables.get_mut(&text(&input["Name"])).unwrap();
                // One that names no version overwrites whatever is there.
                if !body["VersionId"].is_null() && text(&body["VersionId"]) != version.to_string() {
                    return fail("VersionMismatchException");
                }
                (*version, *table) = (*version + 1, input);
                Ok(json!({}))
            }
            "GetPartitions" => {
                let start: usize = text(&body["NextToken"]).parse().unwrap_or(0);
                let all = content.partitions.get(&text(&body["TableName"])).cloned().unwrap_or_default();
                let page: Vec<Value> = all.iter().skip(start).take(PAGE).cloned().collect();
                let next = (start + PAGE < all.len()).then(|| (start + PAGE).to_string());
                Ok(json!({"Partitions": page, "NextToken": next}))
            }
            "BatchCreatePartition" => {
                let inputs = body["PartitionInputList"].as_array().unwrap().clone();
                if inputs.len() > 100 {
                    return fail("InvalidInputException");
                }
                let known = content.partitions.entry(text(&body["TableName"])).or_default();
                let mut errors = Vec::new();
                for input in inputs {
                    if known.iter().any(|other| other["Values"] == input["Values"]) {
                        let detail = json!({"ErrorCode": "AlreadyExistsException"});
                        errors.push(json!({"PartitionValues": input["Values"], "ErrorDetail": detail}));
                    } else {
                        known.push(input);
                    }
                }
                Ok(json!({"Errors": errors}))
            }
            "GetCrawler" if content.crawlers.contains(&text(&body["Name"])) => Ok(json!({})),
            "CreateCrawler" => {
                content.crawlers.insert(text(&body["Name"]));
                Ok(json!({}))
            }
            _ => fail("EntityNotFoundException"),
        }
    }
}

impl Fake {
    fn change(&self, table: &str, change: impl FnOnce(&mut Value)) {
        let mut content = self.0.lock().unwrap();
        let (version, table) = content.tables.get_mut(table).unwrap();
        *version += 1;
        change(table);
    }

    fn table(&self, table: &str) -> Value {
        self.0.lock().unwrap().tables[table].1.clone()
    }
}

fn options() -> Options {
    Options {
        database: "finflow".to_owned(),
        format: Format::Parquet,
        place: "s3://bucket/lake".to_owned(),
        from: "2024-01-01".to_owned(),
        tomorrow: "2026-11-27".to_owned(),
        catalog: "awsdatacatalog".to_owned(),
        register: false,
        crawler: None,
    }
}

async fn bucket(dirs: &[&str]) -> Memory {
    let bucket = Memory::default();
    for dir in dirs {
        let key = format!("lake/{dir}/raw~id-0-{:020}-{:020}.parquet", 0, 9);
        bucket.put_new(&key, Object::default()).await.unwrap();
    }
    bucket
}

async fn planned(bucket: &Memory, fake: &Fake, options: &Options) -> Plan {
    plan(bucket, &Paths::new("lake"), fake, options).await.unwrap()
}

async fn applied(bucket: &Memory, fake: &Fake, options: &Options) -> Plan {
    let plan = planned(bucket, fake, options).await;
    apply(fake, &plan, |_| ()).await.unwrap();
    plan
}

#[tokio::test]
async fn what_was_applied_is_unchanged_afterwards() {
    // The database, nine tables, the view, the crawler; and a view of each table of JSON lines.
    for (format, count) in [(Format::Parquet, 12), (Format::JsonlGz, 21)] {
        let options = Options { format, crawler: Some("role".to_owned()), ..options() };
        let (bucket, fake) = (bucket(&["trades/dt=2024-08-08/hour=23"]).await, Fake::default());
        let first = applied(&bucket, &fake, &options).await;
        assert_eq!(first.steps.len(), count, "{first}");
        let second = planned(&bucket, &fake, &options).await;
        assert_eq!((second.steps.len(), second.unchanged.len(), second.conflicts.len()), (0, count, 0), "{second}");
    }
}

#[tokio::test]
async fn planning_changes_nothing() {
    let (bucket, fake) = (bucket(&[]).await, Fake::default());
    let text = planned(&bucket, &fake, &options()).await.to_string();
    assert!(text.contains("create table finflow.metrics\n    kind string\n"), "{text}");
    let content = fake.0.lock().unwrap();
    assert!(content.calls.iter().all(|action| action.starts_with("Get")), "{:?}", content.calls);
}

#[tokio::test]
async fn the_types_are_those_of_the_files() {
    let (bucket, fake) = (bucket(&[]).await, Fake::default());
    applied(&bucket, &fake, &options()).await;
    let table = fake.table("trades");
    let kind = |name: &str| {
        let columns = table["StorageDescriptor"]["Columns"].as_array().unwrap();
        columns.iter().find(|column| column["Name"] == name).unwrap()["Type"].as_str().unwrap().to_owned()
    };
    assert_eq!((kind("price"), kind("event_time")), ("decimal(38,18)".to_owned(), "timestamp".to_owned()));
    assert_eq!((kind("conditions"), kind("_offset")), ("array<string>".to_owned(), "bigint".to_owned()));
    let template = &table["Parameters"]["storage.location.template"];
    assert_eq!(template, "s3://bucket/lake/trades/dt=${dt}/hour=${hour}/");
}

#[tokio::test]
async fn a_column_that_is_new_is_added_and_what_is_of_others_stays() {
    let (bucket, fake) = (bucket(&[]).await, Fake::default());
    applied(&bucket, &fake, &options()).await;
    fake.change("trades", |table| {
        let columns = table["StorageDescriptor"]["Columns"].as_array_mut().unwrap();
        columns.retain(|column| column["Name"] != "backfilled");
        columns.push(json!({"Name": "of_a_newer_version", "Type": "string"}));
        table["Parameters"]["owner"] = json!("somebody");
        table["Parameters"]["projection.enabled"] = json!("false");
    });
    let plan = applied(&bucket, &fake, &options()).await;
    assert_eq!(plan.steps.len(), 1, "{plan}");
    assert_eq!(plan.steps[0].changes, ["add backfilled boolean", "projection.enabled: false -> true"]);
    let table = fake.table("trades");
    let columns = table["StorageDescriptor"]["Columns"].to_string();
    assert!(columns.contains("of_a_newer_version") && columns.contains("backfilled"), "{columns}");
    assert_eq!(table["Parameters"]["owner"], "somebody");
}

#[tokio::test]
async fn a_table_that_contradicts_is_named_and_left_alone() {
    type Change = fn(&mut Value);
    let contradictions: [(Change, &str); 4] = [
        (|table| table["StorageDescriptor"]["Location"] = json!("s3://other/trades/"), "it lies at s3://other/trades"),
        (
            |table| table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"] = json!("x.Json"),
            "the objects are of another format",
        ),
        (|table| table["PartitionKeys"] = json!([]), "its partitions are []"),
        (|table| table["StorageDescriptor"]["Columns"][5]["Type"] = json!("double"), "its column price is double"),
    ];
    for (change, said) in contradictions {
        let (bucket, fake) = (bucket(&[]).await, Fake::default());
        applied(&bucket, &fake, &options()).await;
        fake.change("trades", change);
        let before = fake.table("trades");
        let plan = applied(&bucket, &fake, &options()).await;
        assert_eq!((plan.steps.len(), plan.conflicts.len()), (0, 1), "{plan}");
        assert!(plan.conflicts[0].contains(said), "{said} in {plan}");
        assert_eq!(fake.table("trades"), before);
    }
}

#[tokio::test]
async fn a_change_that_somebody_else_made_meanwhile_is_not_undone() {
    let (bucket, fake) = (bucket(&[]).await, Fake::default());
    applied(&bucket, &fake, &options()).await;
    fake.change("news", |table| table["Parameters"]["projection.enabled"] = json!("false"));
    let plan = planned(&bucket, &fake, &options()).await;
    fake.change("news", |table| table["Parameters"]["meanwhile"] = json!("yes"));
    let error = apply(&fake, &plan, |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("run it again"), "{error}");
    applied(&bucket, &fake, &options()).await;
    assert_eq!(fake.table("news")["Parameters"]["meanwhile"], "yes");
}

#[tokio::test]
async fn the_range_reaches_back_to_the_oldest_object_and_never_shrinks() {
    let range = |fake: &Fake, table: &str, name: &str| fake.table(table)["Parameters"][name].clone();
    let dirs = ["trades/dt=2019-03-04/hour=05", "bars/year=1965", "metrics/dt=2027-01-01"];
    let (full, fake) = (bucket(&dirs).await, Fake::default());
    let plan = applied(&full, &fake, &options()).await;
    assert_eq!(range(&fake, "trades", "projection.dt.range"), "2019-03-04,NOW+1DAYS");
    assert_eq!(range(&fake, "bars", "projection.year.range"), "1965,2026");
    assert_eq!(range(&fake, "quotes", "projection.dt.range"), "2024-01-01,NOW+1DAYS");
    assert_eq!(plan.warnings.len(), 1);
    assert!(plan.warnings[0].contains("2027-01-01"), "{:?}", plan.warnings);
    let empty = bucket(&[]).await;
    assert_eq!(planned(&empty, &fake, &options()).await.steps, [], "an expired lake narrows no range");
}

#[tokio::test]
async fn partitions_are_registered_in_batches_and_once() {
    let dirs: Vec<String> =
        (0..250).map(|hour| format!("trades/dt=2024-02-{:02}/hour={:02}", 1 + hour / 24, hour % 24)).collect();
    let bucket = bucket(&dirs.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (fake, options) = (Fake::default(), Options { register: true, ..options() });
    let sizes = |plan: &Plan| -> Vec<usize> {
        let of = plan.steps.iter().filter(|step| step.action == "BatchCreatePartition");
        of.map(|step| step.body["PartitionInputList"].as_array().unwrap().len()).collect()
    };
    let plan = applied(&bucket, &fake, &options).await;
    assert_eq!(sizes(&plan), [100, 100, 50], "{plan}");
    assert_eq!(sizes(&planned(&bucket, &fake, &options).await), [0; 0]);
    // Registered by somebody else between plan and application: as good as by us.
    apply(&fake, &plan, |_| ()).await.unwrap();
    let locations = fake.0.lock().unwrap().partitions["trades"][249]["StorageDescriptor"]["Location"].clone();
    assert_eq!(locations, "s3://bucket/lake/trades/dt=2024-02-11/hour=09/");
}

#[tokio::test]
async fn projection_that_was_switched_off_stays_off_where_partitions_are_registered() {
    let (bucket, fake) = (bucket(&[]).await, Fake::default());
    let options = Options { register: true, ..options() };
    applied(&bucket, &fake, &options).await;
    fake.change("trades", |table| table["Parameters"]["projection.enabled"] = json!("false"));
    assert_eq!(planned(&bucket, &fake, &options).await.steps, []);
}

#[test]
fn a_partition_that_is_refused_is_named() {
    let body = json!({"TableName": "trades"});
    let step = Step { what: String::new(), changes: Vec::new(), action: "BatchCreatePartition", body };
    let error =
        |hour: &str, code: &str| json!({"PartitionValues": ["2024-08-08", hour], "ErrorDetail": {"ErrorCode": code}});
    let answer = json!({"Errors": [error("22", "AlreadyExistsException"), error("23", "InternalServiceException")]});
    let said = partitions::check(&step, &answer).unwrap_err().to_string();
    assert_eq!(said, r#"register partitions of trades: ["2024-08-08","23"]: InternalServiceException"#);
}

fn definition(view: &view::View) -> Value {
    let input = view.input(&options());
    let text = input["ViewOriginalText"].as_str().unwrap();
    let packed = text.strip_prefix("/* Presto View: ").unwrap().strip_suffix(" */").unwrap();
    serde_json::from_slice(&aws_smithy_types::base64::decode(packed).unwrap()).unwrap()
}

#[test]
fn the_view_says_what_it_reads() {
    let views = view::all(&options());
    assert_eq!(views.len(), 1);
    let json = definition(&views[0]);
    assert_eq!((&json["schema"], &json["runAsInvoker"]), (&json!("finflow"), &json!(true)));
    assert!(json["originalSql"].as_str().unwrap().contains(r#"FROM "finflow"."trades" UNION ALL"#));
    assert_eq!(json["columns"][1], json!({"name": "timestamp", "type": "timestamp(3)"}));
}

#[tokio::test]
async fn json_lines_have_a_table_and_a_view_with_times() {
    let options = Options { format: Format::JsonlZst, ..options() };
    let (bucket, fake) = (bucket(&[]).await, Fake::default());
    applied(&bucket, &fake, &options).await;
    let lines = fake.table("trades_lines");
    assert_eq!(lines["StorageDescriptor"]["Location"], "s3://bucket/lake/trades/");
    assert_eq!(lines["StorageDescriptor"]["Columns"][9], json!({"Name": "event_time", "Type": "bigint"}));
    let views = view::all(&options);
    let view = views.iter().find(|view| view.name == "trades").unwrap();
    assert_eq!(fake.table("trades"), view.input(&options));
    let json = definition(view);
    assert_eq!(json["columns"][9], json!({"name": "event_time", "type": "timestamp(3)"}));
    let sql = json["originalSql"].as_str().unwrap();
    assert!(sql.contains(r#"COALESCE("backfilled", false) "backfilled""#), "{sql}");
    assert!(sql.ends_with(r#""dt", "hour" FROM "finflow"."trades_lines""#), "{sql}");
}
