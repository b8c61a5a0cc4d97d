//! `--engine athena` against a server that answers as Athena's documentation says: what is sent, what is told, and how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};

use lake::Format;
use serde_json::{Value, json};

use crate::command::of_parquet;
use crate::world::{World, program, said};

const ID: &str = "11111111-2222-3333-4444-555555555555";
const SQL: &str = "SELECT count(*) AS n FROM trades WHERE dt = '2024-08-09'";

type Requests = Arc<Mutex<Vec<(String, Value)>>>;

/// A server, and what it was asked.
struct Fake {
    endpoint: String,
    requests: Requests,
}

impl Fake {
    /// `answer`: the status and the body for an action.
    fn start(mut answer: impl FnMut(&str, &Value) -> (u16, Value) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Requests::default();
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let (action, body) = request(&mut stream);
                seen.lock().expect("whole").push((action.clone(), body.clone()));
                let (status, body) = answer(&action, &body);
                let body = body.to_string();
                let head =
                    format!("HTTP/1.1 {status} Told\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                // Who was stopped by Ctrl-C does not wait for the answer.
                _ = stream.write_all((head + &body).as_bytes());
            }
        });
        Self { endpoint, requests }
    }

    /// One that starts the query, has these states of it in turn, the last for good, and these pages of its rows.
    fn with(states: &'static [(&str, u64)], pages: Vec<Value>) -> Self {
        let mut states = states.iter();
        let mut state = states.next().expect("a state");
        Self::start(move |action, body| match action {
            "StartQueryExecution" => started(),
            "GetQueryExecution" => {
                let now = *state;
                state = states.next().unwrap_or(state);
                execution(now, "SYNTAX_ERROR: line 1:8: Column 'x' cannot be resolved")
            }
            "GetQueryResults" => {
                let at = body["NextToken"].as_str().map_or(0, |token| token.parse().expect("a token of ours"));
                let mut page =
                    json!({"ResultSet": {"Rows": pages[at], "ResultSetMetadata": {"ColumnInfo": columns()}}});
                if at + 1 < pages.len() {
                    page["NextToken"] = json!((at + 1).to_string());
                }
                (200, page)
            }
            _ => (200, json!({})),
        })
    }

    fn ask(&self, world: &World, words: &[&str]) -> Output {
        self.command(world, words).output().expect("it starts")
    }

    fn command(&self, world: &World, words: &[&str]) -> Command {
        let mut command = program();
        command.env("AWS_ACCESS_KEY_ID", "finflow").env("AWS_SECRET_ACCESS_KEY", "finflow-secret");
        command.args(["--engine", "athena", "--athena-endpoint", &self.endpoint, "--state"]).arg(world.dir.path());
        command.args(words);
        command
    }

    fn actions(&self) -> Vec<String> {
        self.requests.lock().expect("whole").iter().map(|(action, _)| action.clone()).collect()
    }

    fn bodies(&self, action: &str) -> Vec<Value> {
        let requests = self.requests.lock().expect("whole");
        requests.iter().filter(|(other, _)| other == action).map(|(_, body)| body.clone()).collect()
    }
}

fn request(stream: &mut TcpStream) -> (String, Value) {
    let mut reader = BufReader::new(stream);
    let (mut action, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        let Some((name, value)) = line.trim().split_once(": ") else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        match name.to_lowercase().as_str() {
            "x-amz-target" => action = value.strip_prefix("AmazonAthena.").expect("an action of Athena").to_owned(),
            "authorization" => assert!(value.contains("/us-east-1/athena/aws4_request"), "{value}"),
            "content-length" => length = value.parse().expect("a number"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    (action, serde_json::from_slice(&body).expect("JSON"))
}

fn started() -> (u16, Value) {
    (200, json!({"QueryExecutionId": ID}))
}

fn execution((state, scanned): (&str, u64), reason: &str) -> (u16, Value) {
    let status = json!({"State": state, "StateChangeReason": reason});
    (200, json!({"QueryExecution": {"Status": status, "Statistics": {"DataScannedInBytes": scanned}}}))
}

fn columns() -> Value {
    let column = |name: &str, kind: &str| json!({"Name": name, "Type": kind});
    let exact = json!({"Name": "exact", "Type": "decimal", "Precision": 38, "Scale": 18});
    json!([
        column("word", "varchar"),
        column("n", "bigint"),
        exact,
        column("big", "double"),
        column("yes", "boolean"),
        column("day", "date"),
        column("time", "timestamp")
    ])
}

/// A cell without text is null.
fn row(cells: [&str; 7]) -> Value {
    let cell = |text: &str| if text.is_empty() { json!({}) } else { json!({"VarCharValue": text}) };
    json!({"Data": cells.map(cell)})
}

fn pages() -> Vec<Value> {
    let head = row(["word", "n", "exact", "big", "yes", "day", "time"]);
    let first = row(["a,b", "7", "0.100000000000000001", "1.5E300", "true", "2024-08-08", "2024-08-08 23:54:15.342"]);
    // Rows that look like the head are rows on later pages.
    vec![
        json!([head, first]),
        json!([row(["", "", "", "", "", "", ""])]),
        json!([row(["c", "-1", "61837.63", "NaN", "false", "1965-01-05", "1965-01-05 00:00:00.000"])]),
    ]
}

const DONE: &[(&str, u64)] = &[("SUCCEEDED", 0)];

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn rows_come_page_by_page_with_their_types_in_every_form() {
    let world = World::new(&[Format::Parquet]);
    let fake = Fake::with(DONE, pages());
    let ask = |format| text(&fake.ask(&world, &["--sql", SQL, "--format", format]));
    let csv = "word,n,exact,big,yes,day,time\n\
        \"a,b\",7,0.100000000000000001,1.5e300,true,2024-08-08,2024-08-08T23:54:15.342\n\
        ,,,,,,\n\
        c,-1,61837.630000000000000000,NaN,false,1965-01-05,1965-01-05T00:00:00\n";
    assert_eq!(ask("csv"), csv);
    let json = ask("json");
    let first = r#"{"word":"a,b","n":7,"exact":0.100000000000000001,"big":1.5e300,"yes":true,"day":"2024-08-08","time":"2024-08-08T23:54:15.342"}"#;
    assert_eq!(json.lines().next(), Some(first));
    assert_eq!(
        json.lines().nth(1),
        Some(r#"{"word":null,"n":null,"exact":null,"big":null,"yes":null,"day":null,"time":null}"#)
    );
    assert_eq!(json.lines().count(), 3, "{json}");
    assert!(ask("table").contains("| word | n  | exact "), "{}", ask("table"));
    let parquet = fake.ask(&world, &["--sql", SQL, "--format", "parquet"]);
    assert_eq!(of_parquet(parquet.stdout).1, ask("table").trim_end());
    let drawn = text(&fake.ask(&world, &["--sql", SQL, "--plot", "n"]));
    assert!(drawn.starts_with("n, 2 rows"), "{drawn}");
    let tokens: Vec<Value> = fake.bodies("GetQueryResults")[..3].iter().map(|body| body["NextToken"].clone()).collect();
    assert_eq!(tokens, [json!(null), json!("1"), json!("2")]);
}

#[test]
fn progress_and_cost_are_told() {
    let world = World::new(&[Format::Parquet]);
    let states = &[("QUEUED", 0), ("RUNNING", 5_000_000), ("SUCCEEDED", 25_000_001)];
    let told = said(&Fake::with(states, pages()).ask(&world, &["--sql", SQL]));
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("scans at most ") && lines[0].contains(": 0.000050 USD at most"), "{told}");
    assert!(lines[0].ends_with("by an estimate at 5 USD per TB, 10 MB at least"), "{told}");
    assert!(lines[1].starts_with("queued, 0 bytes scanned, "), "{told}");
    assert!(lines[2].starts_with("running, 5,000,000 bytes scanned, "), "{told}");
    assert!(lines[3].starts_with("succeeded, 25,000,001 bytes scanned, "), "{told}");
    assert!(lines[4].starts_with("3 rows, 25,000,001 bytes scanned in "), "{told}");
    assert!(lines[4].ends_with(&format!(": 0.000130 USD; query {ID}")), "{told}");
    assert_eq!(lines.len(), 5, "{told}");
    let elsewhere = said(&Fake::with(states, pages()).ask(&World::empty(), &["--sql", SQL]));
    assert!(elsewhere.contains("no object was found in the lake that was named (--bucket, --prefix)"), "{elsewhere}");
    let dear = said(&Fake::with(states, pages()).ask(&world, &["--sql", SQL, "--price-per-tb", "10"]));
    assert!(dear.contains(": 0.000260 USD; query"), "{dear}");
}

#[test]
fn a_query_that_fails_or_is_cancelled_is_told_with_the_reason_and_not_stopped() {
    let world = World::new(&[Format::Parquet]);
    for states in [&[("RUNNING", 0), ("FAILED", 0)], &[("QUEUED", 0), ("CANCELLED", 9)]] {
        let fake = Fake::with(states, pages());
        let output = fake.ask(&world, &["--sql", SQL]);
        let (code, told) = (output.status.code(), said(&output));
        assert_eq!((code, output.stdout.len()), (Some(1), 0), "{told}");
        let expected = format!("query {ID} {} on Athena: SYNTAX_ERROR: line 1:8", states[1].0.to_lowercase());
        assert!(told.contains(&expected), "{told}");
        assert_eq!(fake.actions(), ["StartQueryExecution", "GetQueryExecution", "GetQueryExecution"]);
    }
}

/// What is asked often is refused now and then. A start whose answer was lost may have happened: the token makes it one.
#[test]
fn throttled_requests_are_sent_again_as_the_same_query() {
    let world = World::new(&[Format::Parquet]);
    let mut refused = [3, 2, 1];
    let fake = Fake::start(move |action, _| {
        let (left, code, answer) = match action {
            "StartQueryExecution" => (&mut refused[0], "TooManyRequestsException", started()),
            "GetQueryExecution" => (&mut refused[1], "ThrottlingException", execution(("SUCCEEDED", 0), "")),
            _ => {
                let set = json!({"Rows": pages()[0], "ResultSetMetadata": {"ColumnInfo": columns()}});
                (&mut refused[2], "InternalServerException", (200, json!({"ResultSet": set})))
            }
        };
        if *left == 0 {
            return answer;
        }
        *left -= 1;
        (400, json!({"__type": code, "Message": "Rate exceeded"}))
    });
    assert_eq!(text(&fake.ask(&world, &["--sql", SQL, "--format", "csv"])).lines().count(), 2);
    let starts = fake.bodies("StartQueryExecution");
    assert_eq!(starts.len(), 4);
    let token = starts[0]["ClientRequestToken"].as_str().expect("a token");
    assert!((32..=128).contains(&token.len()), "{token}");
    assert!(starts.iter().all(|start| start == &starts[0]), "{starts:?}");
}

#[test]
fn what_is_sent_is_what_was_said() {
    let world = World::new(&[Format::Parquet]);
    let fake = Fake::with(DONE, pages());
    text(&fake.ask(&world, &["daily_average"]));
    let named = ["--database", "lake", "--workgroup", "analysts", "--results", "s3://answers/finflow/"];
    text(&fake.ask(&world, &[&["vwap_by_hour", "--param", "symbol=O'Neil"][..], &named].concat()));
    let [first, second] = &fake.bodies("StartQueryExecution")[..] else { panic!("{:?}", fake.actions()) };
    // Athena refuses the alias, docs/sql.md.
    let sql = first["QueryString"].as_str().expect("SQL");
    assert!(sql.contains("GROUP BY 1, 2 ORDER BY trading_day DESC"), "{sql}");
    assert_eq!(first["QueryExecutionContext"], json!({"Database": "finflow"}));
    assert_eq!((&first["WorkGroup"], &first["ResultConfiguration"]), (&Value::Null, &Value::Null));
    assert_eq!(second["QueryExecutionContext"], json!({"Database": "lake"}));
    assert_eq!(second["WorkGroup"], "analysts");
    assert_eq!(second["ResultConfiguration"], json!({"OutputLocation": "s3://answers/finflow/"}));
    assert!(second["QueryString"].as_str().expect("SQL").contains("symbol = 'O''Neil'"), "{second}");
    assert_ne!(first["ClientRequestToken"], second["ClientRequestToken"]);
}

#[test]
fn nothing_is_started_that_is_too_much_or_no_question() {
    let world = World::new(&[Format::Parquet]);
    let fake = Fake::with(DONE, pages());
    let refused = |words: &[&str], exit: i32, reason: &str| {
        let output = fake.ask(&world, words);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(exit), 0), "{words:?}: {}", said(&output));
        assert!(said(&output).contains(reason), "{words:?}: {}", said(&output));
        assert_eq!(fake.actions(), [""; 0], "{words:?}");
    };
    refused(&["--sql", SQL, "--results", "answers/"], 2, "must begin with s3://");
    refused(&["--sql", SQL, "--max-bytes", "100B"], 1, "nothing was started: bound dt, hour or year");
    refused(&["--sql", "DROP TABLE trades"], 2, "only SELECT");
    refused(&["--sql", "DROP TABLE trades", "--no-estimate"], 2, "only SELECT");
    let only_there = "SELECT approx_percentile(price, 0.5) FROM trades WHERE dt = '2024-08-09'";
    refused(&["--sql", only_there], 1, "--no-estimate");
    text(&fake.ask(&world, &["--sql", only_there, "--no-estimate"]));
    assert_eq!(fake.bodies("StartQueryExecution")[0]["QueryString"], only_there);
    // Flags of Athena mean nothing here.
    let here = world.ask(&["--sql", SQL, "--workgroup", "analysts"]);
    assert!(here.status.code() == Some(2) && said(&here).contains("--engine"), "{}", said(&here));
    let nowhere = program().args(["--engine", "athena", "--sql", SQL]).output().expect("it starts");
    assert!(said(&nowhere).contains("--region"), "{}", said(&nowhere));
}

/// What moto's Athena makes of the requests, which was written after AWS's own description of them.
#[test]
fn a_server_of_others_takes_the_requests() {
    let Ok(endpoint) = std::env::var("FINFLOW_TEST_GLUE") else {
        println!("skipped: FINFLOW_TEST_GLUE names no moto");
        return;
    };
    let answer = json!({"results": [{"rows": pages()[0], "column_info": columns()}]}).to_string();
    let posted = format!("{endpoint}/moto-api/static/athena/query-results");
    let status =
        Command::new("curl").args(["-fsS", "-H", "content-type: application/json", "-d", &answer, &posted]).status();
    assert!(status.expect("curl runs").success());
    let (world, fake) = (World::new(&[Format::Parquet]), Fake { endpoint, requests: Requests::default() });
    let rows = text(&fake.ask(&world, &["--sql", SQL, "--results", "s3://finflow/answers/", "--format", "csv"]));
    assert_eq!(
        rows.lines().nth(1),
        Some("\"a,b\",7,0.100000000000000001,1.5e300,true,2024-08-08,2024-08-08T23:54:15.342")
    );
    let refused = said(&fake.ask(&world, &["--sql", SQL, "--workgroup", "nobodys"]));
    assert!(
        refused.contains("athena StartQueryExecution at ") && refused.contains("WorkGroup does not exist"),
        "{refused}"
    );
}

/// The program, running, and its lines beside the rows.
fn running(fake: &Fake, world: &World) -> (Child, impl Iterator<Item = String>) {
    let mut command = fake.command(world, &["--sql", SQL]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    (child, lines.map(|line| line.expect("text")))
}

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

#[test]
fn control_c_stops_the_query_on_athena() {
    let world = World::new(&[Format::Parquet]);
    let fake = Fake::with(&[("RUNNING", 1_000)], pages());
    let (mut child, mut lines) = running(&fake, &world);
    assert!(lines.any(|line| line.starts_with("running, 1,000 bytes")));
    interrupt(&child);
    let told: Vec<String> = lines.collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{told:?}");
    assert_eq!(fake.bodies("StopQueryExecution"), [json!({"QueryExecutionId": ID})]);
    assert!(told.iter().any(|line| line.contains(&format!("query {ID} was stopped"))), "{told:?}");
}

/// The query may be under way and has no name yet: it is waited for, then stopped.
#[test]
fn control_c_during_the_start_stops_what_it_started() {
    let world = World::new(&[Format::Parquet]);
    let (asked, was_asked) = mpsc::channel();
    let (go_on, wait) = mpsc::channel();
    let fake = Fake::start(move |action, _| {
        if action == "StartQueryExecution" {
            asked.send(()).expect("the test listens");
            wait.recv().expect("the test goes on");
            return started();
        }
        (200, json!({}))
    });
    let (mut child, mut lines) = running(&fake, &world);
    was_asked.recv().expect("a start");
    interrupt(&child);
    assert!(lines.any(|line| line.starts_with("interrupted: waiting")));
    go_on.send(()).expect("the server waits");
    let told: Vec<String> = lines.collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{told:?}");
    assert_eq!(fake.actions(), ["StartQueryExecution", "StopQueryExecution"]);
}
