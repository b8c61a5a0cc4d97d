//! Every stage as a process of its own, with no broker there: it says what it waits for, is not ready, answers its
//! admin port, and ends with 0 when it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use testkit::{S3, eventually};

/// `shutdown_timeout` and some.
const PATIENCE: Duration = Duration::from_secs(40);

pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Nothing listens on port 1.
fn start(stage: &str, s3: &S3, feed: &str) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_finflow"));
    command.env_clear().current_dir(std::env::temp_dir()).stdin(Stdio::null()).stderr(Stdio::piped());
    command.args([stage, "--brokers", "127.0.0.1:1", "--admin", "127.0.0.1:0", "--set", "log.format=json"]);
    match stage {
        "ingest" => command.args(["--feed", feed]),
        "gateway" => command.args(["--http", "127.0.0.1:0"]),
        "store" => {
            command.env("AWS_ACCESS_KEY_ID", &s3.access_key).env("AWS_SECRET_ACCESS_KEY", &s3.secret_key);
            command.args(["--s3-endpoint", &s3.endpoint, "--bucket", &s3.bucket])
        }
        _ => &mut command,
    };
    Process(command.spawn().unwrap())
}

/// Reads the log up to the line that names the admin port, and goes on reading it so that the process never waits.
fn admin_of(process: &mut Process) -> SocketAddr {
    let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("admin port open")).expect("the log names the admin port");
    std::thread::spawn(move || lines.for_each(drop));
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    line["addr"].as_str().unwrap().parse().unwrap()
}

pub fn get(addr: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn a_stage_without_a_broker_says_so_and_ends_well() {
    let s3 = S3::start();
    let dir = tempfile::tempdir().unwrap();
    let feed = dir.path().join("index.csv");
    let row = "HSI,1986-12-31,2568.3,2568.3,2568.3,2568.3,2568.3,0.0,333.8\n";
    std::fs::write(&feed, format!("Index,Date,Open,High,Low,Close,Adj Close,Volume,CloseUSD\n{row}")).unwrap();
    let feed = feed.display().to_string();
    let stages = ["ingest", "aggregate", "alert", "store", "logger", "gateway"];
    let mut running: Vec<(&str, Process)> = stages.map(|stage| (stage, start(stage, &s3, &feed))).into();
    for (stage, process) in &mut running {
        let admin = admin_of(process);
        eventually(PATIENCE, "what it waits for is in /ready", || {
            let (status, body) = get(admin, "/ready");
            assert_eq!(status, 503, "{stage}: {body}");
            body.contains("127.0.0.1:1").then_some(())
        });
        assert_eq!(get(admin, "/live").0, 200, "{stage}");
        let build = format!("finflow_build_info{{service=\"{stage}\"");
        assert!(get(admin, "/metrics").1.contains(&build), "{stage}");
        let sent = Command::new("kill").args(["-TERM", &process.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
    for (stage, process) in &mut running {
        let status = eventually(PATIENCE, "it ends", || process.0.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{stage}");
    }
}

#[test]
fn print_config_shows_no_secret_among_librdkafkas_options() {
    let options =
        r#"kafka.librdkafka={"ssl.keystore.password": "hush", "ssl.key.pem": "hush", "client.rack": "plain"}"#;
    for stage in ["ingest", "aggregate", "alert", "store", "logger", "gateway"] {
        let mut command = crate::finflow::finflow();
        command.current_dir(std::env::temp_dir()).args([stage, "--print-config", "--set", options]);
        if stage == "ingest" {
            command.arg("--feed").arg(format!("jsonl:{}", testkit::testdata("events/v1/trade.json").display()));
        }
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{stage}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("client.rack: plain") && text.contains("ssl.key.pem: '***'"), "{stage}: {text}");
        assert!(!text.contains("hush"), "{stage}: {text}");
    }
}
