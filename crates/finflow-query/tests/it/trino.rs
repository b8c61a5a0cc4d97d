//! The same questions to Trino, the engine family of Athena: over objects in an S3, through the tables that
//! `finflow catalog apply` makes in a Glue. `make e2e-trino` brings the three servers; without them there is nothing to ask.

use std::process::Command;
use std::time::Instant;

use lake::bucket::Bucket;
use lake::catalog::{self, GlueService, Options};
use lake::{Format, Paths, S3, S3Config, queries};
use serde_json::{Value, json};

use crate::expected::{self, Answer};
use crate::queries::{agree, parameters};
use crate::world::World;

/// A query may have to list each hour of some days.
const PATIENCE_S: &str = "120";

struct Servers {
    trino: String,
    glue: String,
    s3: S3Config,
}

impl Servers {
    fn named() -> Option<Self> {
        let name = |name: &str| std::env::var(name).ok();
        let (trino, glue) = (name("FINFLOW_TEST_TRINO")?, name("FINFLOW_TEST_GLUE")?);
        let secret_key = harness::Secret::new(&name("AWS_SECRET_ACCESS_KEY")?);
        let s3 = S3Config {
            endpoint: name("FINFLOW_TEST_S3")?,
            access_key: name("AWS_ACCESS_KEY_ID")?,
            secret_key,
            ..S3Config::default()
        };
        Some(Self { trino, glue, s3 })
    }

    /// The objects of the lake in the S3, and tables of them in a database of their own, whose name is returned.
    fn catalog(&self, world: &World, format: Format, registered: bool) -> String {
        let name = world.dir.path().file_name().expect("a folder of its own").to_string_lossy();
        let unique: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let database = format!("query_{}_{}", std::process::id(), unique.to_lowercase());
        let mut config = self.s3.clone();
        config.prefix = database.clone();
        let options = Options {
            database: database.clone(),
            format,
            place: format!("s3://{}/{database}", config.bucket),
            from: "2024-08-01".to_owned(),
            tomorrow: "2024-08-10".to_owned(),
            catalog: "hive".to_owned(),
            register: registered,
            crawler: None,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let s3 = S3::connect(&config).await;
            for (key, object) in world.objects() {
                s3.put_new(&format!("{database}/{key}"), object).await.expect("the bucket is there and writable");
            }
            let glue = GlueService::connect(&config, &self.glue).await;
            let paths = Paths::new(&database);
            let plan = catalog::plan(&s3, &paths, &glue, &options).await.expect("a plan");
            assert_eq!((plan.conflicts.len(), plan.warnings.len()), (0, 0), "{plan}");
            catalog::apply(&glue, &plan, |_| ()).await.expect("the catalog takes it");
            let again = catalog::plan(&s3, &paths, &glue, &options).await.expect("a plan");
            assert_eq!(again.steps, [], "{again}");
            if registered {
                switch_projection_off(&glue, &database).await;
            }
        });
        database
    }

    /// The rows of a statement, each cell as text.
    fn ask(&self, database: &str, sql: &str) -> Result<Answer, String> {
        let mut rows = Answer::new();
        let mut answer = self.post(database, sql)?;
        loop {
            if let Some(error) = answer["error"]["message"].as_str() {
                return Err(error.to_owned());
            }
            let data = answer["data"].as_array().into_iter().flatten();
            rows.extend(data.map(|row| row.as_array().into_iter().flatten().map(cell).collect()));
            let Some(next) = answer["nextUri"].as_str() else { return Ok(rows) };
            answer = curl(&[next])?;
        }
    }

    fn post(&self, database: &str, sql: &str) -> Result<Value, String> {
        let url = format!("{}/v1/statement", self.trino);
        let schema = format!("X-Trino-Schema: {database}");
        let words = ["-H", "X-Trino-User: test", "-H", "X-Trino-Catalog: hive", "-H", "X-Trino-Time-Zone: UTC", "-H"];
        curl(&[&words[..], &[&schema, "--data-binary", sql, &url]].concat())
    }
}

/// For engines that do not compute partitions: what is registered is all there is.
async fn switch_projection_off(glue: &GlueService, database: &str) {
    use lake::catalog::Glue as _;
    let tables = glue.call("GetTables", json!({"DatabaseName": database})).await.expect("the tables");
    for table in tables["TableList"].as_array().expect("a list") {
        if table["TableType"] != "EXTERNAL_TABLE" {
            continue;
        }
        let mut input = json!({});
        for key in ["Name", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor"] {
            input[key] = table[key].clone();
        }
        input["Parameters"]["projection.enabled"] = json!("false");
        glue.call("UpdateTable", json!({"DatabaseName": database, "TableInput": input})).await.expect("it is changed");
    }
}

fn curl(words: &[&str]) -> Result<Value, String> {
    let output = Command::new("curl").args(["-fsS", "--max-time", PATIENCE_S]).args(words).output();
    let output = output.map_err(|error| format!("curl: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Trino's times and those of the other engine in one form, to the millisecond: Athena has no more of them.
fn plain(cell: &str) -> String {
    let is_time = cell.len() >= 19 && cell.as_bytes()[4] == b'-' && cell.as_bytes()[13] == b':';
    if !is_time {
        return cell.to_owned();
    }
    let text = cell.replace(' ', "T");
    let (seconds, fraction) =
        text.trim_end_matches('Z').split_once('.').map_or((text.trim_end_matches('Z'), ""), |split| split);
    format!("{seconds}.{:0<3.3}", fraction)
}

#[test]
fn every_named_query_agrees_on_trino() {
    let Some(servers) = Servers::named() else {
        println!("skipped: FINFLOW_TEST_TRINO, FINFLOW_TEST_GLUE and FINFLOW_TEST_S3 are not set");
        return;
    };
    let mut wrong = Vec::new();
    for (format, registered) in
        [(Format::Parquet, false), (Format::Parquet, true), (Format::JsonlGz, false), (Format::JsonlGz, true)]
    {
        let world = World::new(&[format]);
        let database = servers.catalog(&world, format, registered);
        for query in queries::all() {
            let what = format!("{} over {format:?}, registered: {registered}", query.name);
            let begun = Instant::now();
            let sql = query.sql(&parameters(query.name)).expect("its parameters are known");
            // Athena and Trino refuse an alias in GROUP BY (docs/sql.md).
            let sql = sql.replace("GROUP BY symbol, trading_day", "GROUP BY 1, 2");
            let sql = sql.trim().trim_end_matches(';');
            let mut expected = expected::of(query.name);
            let mut found = match servers.ask(&database, sql) {
                Ok(found) => found,
                Err(error) => {
                    wrong.push(format!("{what}: {error}"));
                    continue;
                }
            };
            if query.name == "daily_average" {
                found.sort();
            }
            for cell in found.iter_mut().chain(&mut expected).flatten() {
                *cell = plain(cell);
            }
            if !agree(&found, &expected) {
                wrong.push(format!("{what}:\n  found    {found:?}\n  expected {expected:?}"));
            }
            println!("{what}: {} rows in {:.1?}", found.len(), begun.elapsed());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
