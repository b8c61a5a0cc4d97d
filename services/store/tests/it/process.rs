//! The real binary, as a container would start it.

use std::process::{Child, Command, Stdio};

use testkit::{eventually, signal};

use crate::world::{LONG, World};

pub struct Process(pub Child);

impl Process {
    pub fn start(world: &World, endpoint: &str, group: &str, until_end: bool) -> Self {
        let mut command = command(world, endpoint, group);
        if until_end {
            command.arg("--until-end");
        }
        Self(command.spawn().expect("the store starts"))
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("the process is ours").is_some()
    }

    pub fn kill(mut self) {
        self.0.kill().expect("SIGKILL");
        self.0.wait().expect("it ends");
    }

    pub fn terminate(mut self) {
        signal(&self.0, "TERM");
        eventually(LONG, "the store ends", || self.has_ended().then_some(()));
        assert!(self.0.wait().expect("it ended").success(), "a store that is told to end ends well");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that fails must not leave a store behind.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn command(world: &World, endpoint: &str, group: &str) -> Command {
    let config = &world.config;
    let mut command = Command::new(env!("CARGO_BIN_EXE_store"));
    command.args(["--brokers", &config.kafka.brokers, "--group", group, "--in", &config.input]);
    command.args(["--s3-endpoint", endpoint, "--bucket", &config.s3.bucket, "--prefix", &config.s3.prefix]);
    command.args(["--admin", "off", "--log-level", "warn"]);
    let options = serde_json::to_string(&config.kafka.librdkafka).expect("a map of strings");
    let settings = [
        format!("kafka.librdkafka={options}"),
        format!("kafka.group_protocol={}", serde_json::json!(config.kafka.group_protocol).as_str().expect("a text")),
        format!("metrics={}", config.metrics),
        format!("alerts={}", config.alerts),
        format!("dead_letters={}", config.dead_letters),
        format!("format={}", config.format.extension()),
        format!("s3.access_key={}", config.s3.access_key),
        format!("s3.timeout={}", config.s3.timeout),
        format!("rotate.rows={}", config.rotate.rows),
        format!("rotate.interval={}", config.rotate.interval),
    ];
    for setting in settings {
        command.args(["--set", &setting]);
    }
    command.env("FINFLOW_S3__SECRET_KEY", config.s3.secret_key.expose());
    command.stdout(Stdio::null()).current_dir(std::env::temp_dir());
    command
}
