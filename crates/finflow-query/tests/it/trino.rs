//! The same questions to Trino, the engine family of Athena: over objects in an S3, through the tables that
//! `finflow catalog apply` makes in a Glue. `make e2e-trino` brings the three servers; without them there is nothing to ask.

use std::process::Command;
use std::time::Instant;

use lake::bucket::Bucket;
use lake::catalog::{self, GlueService, Options};
use lake::queries::{self, Query};
use lake::{Format, Paths, S3, S3Config, Table};
use serde_json::{Value, json};

use crate::expected::{self, Answer};
use crate::queries::{DIFFERENCES, difference, parameters};
use crate::rows::Daily;
use crate::world::{World, cells, program};

/// To which Trino here rounds the nanoseconds of Parquet (`hive.timestamp-precision`); views over JSON lines cut them.
const PRECISION_NS: i64 = 1_000;
/// A query may have to list each hour of some days.
const PATIENCE_S: &str = "120";

struct Servers {
    trino: String,
    glue: String,
    s3: S3Config,
}

impl Servers {
    /// Those of the environment; without them the test is skipped, which is said.
    fn named() -> Option<Self> {
        let servers = Self::of_environment();
        if servers.is_none() {
            println!("skipped: FINFLOW_TEST_TRINO, FINFLOW_TEST_GLUE and FINFLOW_TEST_S3 name no servers");
        }
        servers
    }

    fn of_environment() -> Option<Self> {
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
        let partitions = if registered { "registered" } else { "computed" };
        let database = format!("query_{}_{}_{partitions}", std::process::id(), unique.to_lowercase());
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
            let changes = if registered {
                // For engines that do not compute partitions: what is registered is all there is.
                json!({"projection.enabled": "false"})
            } else {
                // `daily_average` reads every partition of the range, which `apply` lets end tomorrow: years of empty hours.
                json!({"projection.dt.range": format!("{},{}", options.from, options.tomorrow)})
            };
            change_tables(&glue, &database, &changes).await;
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

/// Sets these properties of every table that has partitions by them.
async fn change_tables(glue: &GlueService, database: &str, changes: &Value) {
    use lake::catalog::Glue as _;
    let tables = glue.call("GetTables", json!({"DatabaseName": database})).await.expect("the tables");
    for table in tables["TableList"].as_array().expect("a list") {
        let mut input = json!({});
        for key in ["Name", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor"] {
            input[key] = table[key].clone();
        }
        let known =
            changes.as_object().expect("properties").iter().filter(|(name, _)| !table["Parameters"][name].is_null());
        known.for_each(|(name, value)| input["Parameters"][name] = value.clone());
        if input["Parameters"] != table["Parameters"] {
            glue.call("UpdateTable", json!({"DatabaseName": database, "TableInput": input}))
                .await
                .expect("it is changed");
        }
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

/// In one form, and in one order where a query leaves it open.
fn comparable(name: &str, mut answer: Answer) -> Answer {
    answer.iter_mut().flatten().for_each(|cell| *cell = plain(cell));
    if name == "daily_average" {
        answer.sort();
    }
    answer
}

impl Servers {
    /// Tables and views of which some column cannot be read, also those that no named query reads.
    fn refused(&self, database: &str) -> Vec<String> {
        let columns = |table: Table| {
            let bound = if table.partition_columns() == ["year"] { "year = '2024'" } else { "dt = '2024-08-08'" };
            let asked = self.ask(database, &format!("SELECT * FROM {} WHERE {bound} LIMIT 1", table.name()));
            asked.err().map(|error| format!("{} of {database}: {error}", table.name()))
        };
        Table::ALL.into_iter().filter_map(columns).collect()
    }

    /// Asks every query and says how the answers differ from what is expected of each.
    fn compare(&self, database: &str, what: &str, daily: &Daily, expected: impl Fn(&Query) -> Answer) -> Vec<String> {
        let mut wrong = Vec::new();
        for query in queries::all() {
            let begun = Instant::now();
            let sql = query.athena_sql(&parameters(query.name, daily)).expect("its parameters are known");
            let what = format!("{} {what}", query.name);
            match self.ask(database, &sql) {
                Ok(found) => {
                    println!("{what}: {} rows in {:.1?}", found.len(), begun.elapsed());
                    let (found, expected) = (comparable(query.name, found), comparable(query.name, expected(query)));
                    wrong.extend(difference(&found, &expected).map(|difference| format!("{what}: {difference}")));
                }
                Err(error) => wrong.push(format!("{what}: {error}")),
            }
        }
        wrong
    }
}

#[test]
fn differences_of_times_are_those_of_trino() {
    let Some(servers) = Servers::named() else { return };
    for (unit, from, to, expected) in DIFFERENCES {
        let sql = format!("SELECT date_diff('{unit}', TIMESTAMP '{from}', TIMESTAMP '{to}')");
        assert_eq!(servers.ask("default", &sql), Ok(vec![vec![expected.to_owned()]]), "{sql}");
    }
}

#[test]
fn every_named_query_agrees_on_trino() {
    let Some(servers) = Servers::named() else { return };
    let mut wrong = Vec::new();
    // An object per message takes Trino minutes for each answer, and its lines are those of the other two.
    let formats = [Format::Parquet, Format::JsonlGz, Format::JsonlZst];
    let lakes = [("shares", Some(Daily::shares()), &formats[..]), ("indexes", Daily::indexes(), &formats[..2])];
    for (name, daily, formats) in lakes {
        let Some(daily) = daily else { continue };
        for format in formats.iter().copied() {
            let world = World::of(&daily, &[format]);
            for registered in [false, true] {
                let database = servers.catalog(&world, format, registered);
                let partitions = if registered { "registered" } else { "computed" };
                wrong.extend(servers.refused(&database));
                let what = format!("over {name} in {format:?}, partitions {partitions}");
                let expected = |query: &Query| match query.name {
                    "latency" if format == Format::Parquet => expected::latency(PRECISION_NS),
                    name => expected::of(name, &daily),
                };
                wrong.extend(servers.compare(&database, &what, &daily, expected));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is expected of Trino where this machine's engine says what is expected of it.
fn instead(rows: Answer, expected: Answer, of_trino: Answer) -> Answer {
    let differs = difference(&rows, &comparable("", expected));
    assert_eq!(differs, None, "this machine's engine");
    of_trino
}

/// Over a lake that the services stored and a catalog that `finflow catalog apply` made, which somebody else brings.
#[test]
fn the_engines_agree_over_what_the_pipeline_stored() {
    let Some(servers) = Servers::named() else { return };
    let name = |name: &str| std::env::var(name).ok();
    let (Some(prefix), Some(database)) = (name("FINFLOW_TEST_LAKE"), name("FINFLOW_TEST_DATABASE")) else {
        println!("skipped: FINFLOW_TEST_LAKE and FINFLOW_TEST_DATABASE name no lake and its catalog");
        return;
    };
    let Some(daily) = Daily::indexes() else { return };
    // Of JSON lines, whose times this machine's engine and the views cut alike.
    let lines = name("FINFLOW_TEST_FORMAT").is_some_and(|format| format != Format::Parquet.extension());
    let local = |query: &Query| {
        let words = [query.name, "--s3-endpoint", &servers.s3.endpoint, "--prefix", &prefix, "--format", "csv"];
        let rows = cells(&program().args(words).output().expect("it starts"), &words);
        let rows = comparable(query.name, rows);
        // The other engine says the same but for what it rounds differently.
        match query.name {
            "latency" if lines => rows,
            "latency" => instead(rows, expected::latency(1), expected::latency(PRECISION_NS)),
            name @ ("daily_average" | "moving_average") => {
                let expected = expected::of(name, &daily);
                instead(rows, expected.clone(), expected)
            }
            _ => rows,
        }
    };
    let wrong = servers.compare(&database, "over the pipeline's objects", &daily, local);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
