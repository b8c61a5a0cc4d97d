use std::collections::BTreeMap;
use std::io::Write as _;

use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::load::load_from;
use super::*;
use crate::secret::Secret;
use crate::units::ByteSize;
use crate::{Flag, command};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Kafka {
    brokers: String,
    password: Secret,
    librdkafka: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Finnhub {
    api_key: Secret,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    above: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Settings {
    #[serde(flatten)]
    common: Common,
    kafka: Kafka,
    finnhub: Finnhub,
    group: String,
    input: Vec<String>,
    lateness: Duration,
    batch: ByteSize,
    limit: Option<u32>,
    replay: bool,
    rules: Vec<Rule>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            common: Common::default(),
            kafka: Kafka { brokers: "127.0.0.1:9092".into(), ..Kafka::default() },
            finnhub: Finnhub::default(),
            group: "finflow-test".into(),
            input: vec!["raw-market-data".into()],
            lateness: Duration::from_secs(5),
            batch: ByteSize::mib(8),
            limit: None,
            replay: false,
            rules: Vec::new(),
        }
    }
}

impl Config for Settings {
    const ABOUT: &'static str = "A service for tests.";
    const FLAGS: &'static [Flag] =
        &[Flag::BROKERS, Flag::GROUP, Flag::IN, Flag::UNTIL_END, Flag::own("replay", "replay", "", "Replay")];
    const DOCS: &'static [&'static [(&'static str, &'static str)]] = &[&[
        ("kafka.brokers", "Where Kafka is."),
        ("kafka.password", "Password."),
        ("kafka.librdkafka", "Any librdkafka option."),
        ("finnhub.api_key", "Key."),
        ("group", "Consumer group."),
        ("input", "Topics | read."),
        ("lateness", "Allowed lateness."),
        ("batch", "Size of a batch."),
        ("limit", "Upper bound."),
        ("replay", "Replays."),
        ("rules", "Rules."),
    ]];

    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<(), String> {
        if self.group.is_empty() {
            return Err("group: expected a name".into());
        }
        Ok(())
    }
}

/// A temporary YAML file, the environment and the flags, as one call.
fn load_all(yaml: &str, variables: &[(&str, &str)], flags: &[&str]) -> Result<Settings, String> {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.write_all(yaml.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let args = ["aggregate", "--config", &path].into_iter().chain(flags.iter().copied());
    let matches = command::<Settings>("aggregate").try_get_matches_from(args).unwrap();
    let environment = Environment::from_pairs(variables);
    load_from("aggregate", &matches, &environment)
        .map(|(config, _)| config)
        .map_err(|error| error.to_string().replace(&path, "FILE"))
}

fn problems(yaml: &str, variables: &[(&str, &str)], flags: &[&str]) -> String {
    load_all(yaml, variables, flags).unwrap_err()
}

#[test]
fn defaults_alone_are_the_default() {
    let mut expected = Settings::default();
    expected.common.admin = Some("127.0.0.1:9091".parse().unwrap());
    assert_eq!(load_all("", &[], &[]).unwrap(), expected);
}

#[test]
fn each_layer_wins_over_the_one_below() {
    let yaml = "kafka: {brokers: file}\ngroup: file\nlateness: 1m\nlog: {level: debug}\n";
    let variables = [("FINFLOW_GROUP", "env"), ("FINFLOW_KAFKA__BROKERS", "env"), ("FINFLOW_LATENESS", "2m")];
    let config = load_all(yaml, &variables, &["--brokers", "flag", "--set", "lateness=3m"]).unwrap();
    assert_eq!(config.common.log.level, "debug");
    assert_eq!(config.group, "env");
    assert_eq!(config.kafka.brokers, "flag");
    assert_eq!(config.lateness, Duration::from_secs(180));
    assert_eq!(config.batch, ByteSize::mib(8));
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    let text = problems("kafka: {broker: x}\nlog_level: debug\n", &[], &[]);
    assert!(text.contains("FILE: unknown key `kafka.broker`; did you mean `kafka.brokers`?"), "{text}");
    assert!(text.contains("FILE: unknown key `log_level`; did you mean `log.level`?"), "{text}");
    let text = problems("", &[("FINFLOW_KAFKA__BROKER", "x"), ("FINFLOW_SHUTDOWN__TIMEOUT", "5s")], &[]);
    assert!(
        text.contains(
            "environment: FINFLOW_KAFKA__BROKER: unknown key `kafka.broker`; did you mean `FINFLOW_KAFKA__BROKERS`?"
        ),
        "{text}"
    );
    assert!(text.contains("did you mean `FINFLOW_SHUTDOWN_TIMEOUT`?"), "{text}");
    let text = problems("brokers: x\n", &[], &[]);
    assert!(text.contains("did you mean `kafka.brokers`?"), "{text}");
    let text = problems("", &[], &["--set", "zzz=1"]);
    assert!(text.contains("--set zzz: unknown key `zzz`; see --print-config"), "{text}");
    let text = problems("rules: [{name: a, above: 1, belov: 2}]\n", &[], &[]);
    assert!(text.contains("unknown field: found `belov`"), "{text}");
}

#[test]
fn environment_values_are_read_by_the_type_of_the_default() {
    let variables = [
        ("FINFLOW_KAFKA__PASSWORD", "0123456"),
        ("FINFLOW_FINNHUB__API_KEY", "777"),
        ("FINFLOW_KAFKA__BROKERS", "1e5"),
        ("FINFLOW_GROUP", "true"),
        ("FINFLOW_INPUT", "a, b,c"),
        ("FINFLOW_LIMIT", "7"),
        ("FINFLOW_REPLAY", "true"),
        ("FINFLOW_OTLP__ENDPOINT", "http://x:4317"),
        ("FINFLOW_OTLP__SAMPLE_RATIO", "0.5"),
        ("FINFLOW_ADMIN", "off"),
        ("FINFLOW_KAFKA__LIBRDKAFKA__QUEUED_MIN_MESSAGES", "100"),
        ("FINFLOW_RULES", "[{name: a, above: 1.5}]"),
    ];
    let config = load_all("", &variables, &[]).unwrap();
    assert_eq!(config.kafka.password.expose(), "0123456");
    assert_eq!(config.finnhub.api_key.expose(), "777");
    assert_eq!(config.kafka.brokers, "1e5");
    assert_eq!(config.group, "true");
    assert_eq!(config.input, ["a", "b", "c"]);
    assert_eq!(config.limit, Some(7));
    assert!(config.replay);
    assert_eq!(config.common.otlp.endpoint.as_deref(), Some("http://x:4317"));
    assert_eq!(config.common.otlp.sample_ratio, 0.5);
    assert_eq!(config.common.admin, None);
    assert_eq!(config.kafka.librdkafka["queued.min.messages"], "100");
    assert_eq!(config.rules, [Rule { name: "a".into(), above: 1.5 }]);
}

#[test]
fn names_coined_by_others_are_honoured_but_ours_win() {
    let theirs = [("KAFKA_BOOTSTRAP_SERVERS", "k:1"), ("FINNHUB_API_KEY", "00key")];
    let config = load_all("", &theirs, &[]).unwrap();
    assert_eq!(config.kafka.brokers, "k:1");
    assert_eq!(config.finnhub.api_key.expose(), "00key");
    let both = [("KAFKA_BOOTSTRAP_SERVERS", "k:1"), ("FINFLOW_KAFKA__BROKERS", "k:2")];
    assert_eq!(load_all("", &both, &[]).unwrap().kafka.brokers, "k:2");
}

#[test]
fn a_wrong_value_names_source_key_value_and_what_is_expected() {
    let text = problems("lateness: 5\n", &[], &[]);
    assert!(text.contains("FILE: lateness: `lateness` cannot be 5:"), "{text}");
    assert!(text.contains("a duration with its unit"), "{text}");
    let text = problems("", &[("FINFLOW_BATCH", "8 potatoes")], &[]);
    assert!(text.contains("environment: FINFLOW_BATCH: `batch` cannot be \"8 potatoes\""), "{text}");
    assert!(text.contains("8MiB"), "{text}");
    let text = problems("", &[], &["--admin", "nowhere"]);
    assert!(text.contains("--admin: `admin` cannot be \"nowhere\": expected an address"), "{text}");
    let text = problems("", &[("FINFLOW_REPLAY", "yes")], &[]);
    assert!(text.contains("FINFLOW_REPLAY: `replay` cannot be \"yes\": expected true or false"), "{text}");
    let text = problems("kafka: here\n", &[], &[]);
    assert!(text.contains("FILE: kafka: has keys of its own"), "{text}");
    let text = problems("log: {format: xml}\n", &[], &[]);
    assert!(text.contains("`log.format` cannot be \"xml\"") && text.contains("human"), "{text}");
    let text = problems("group: ''\n", &[], &[]);
    assert!(text.contains("group: expected a name"), "{text}");
    let text = problems("log: {level: 'info,=='}\n", &[], &[]);
    assert!(text.contains("log.level"), "{text}");
    let text = problems("a: [\n", &[], &[]);
    assert!(text.contains("FILE is not YAML"), "{text}");
    let text = problems("- a\n", &[], &[]);
    assert!(text.contains("expected settings as `key: value` lines"), "{text}");
}

#[test]
fn a_secret_is_never_shown() {
    let config = load_all("kafka: {password: hunter2}\n", &[], &[]).unwrap();
    assert_eq!(config.kafka.password.expose(), "hunter2");
    let printed = print(&config);
    assert!(printed.contains("password: '***'"), "{printed}");
    for text in
        [printed, format!("{config:?}"), serde_json::to_string(&config).unwrap(), config.kafka.password.to_string()]
    {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let text = problems("kafka: {password: 987654}\n", &[], &[]);
    assert!(text.contains("put quotes around it") && !text.contains("987654"), "{text}");
    let text = problems("kafka: {password: [hunter2]}\n", &[], &[]);
    assert!(!text.contains("hunter2"), "{text}");
    let text = problems("kafka: {password: '***'}\n", &[], &[]);
    assert!(text.contains("this is the mask"), "{text}");
    let text = problems("", &[], &["--set", "kafka.password=hunter2"]);
    assert!(text.contains("set FINFLOW_KAFKA__PASSWORD instead") && !text.contains("hunter2"), "{text}");
}

#[test]
fn a_secret_may_come_from_a_file() {
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    writeln!(secret, "0042").unwrap();
    let path = secret.path().to_str().unwrap();
    let from_env = load_all("", &[("FINFLOW_KAFKA__PASSWORD_FILE", path)], &[]).unwrap();
    assert_eq!(from_env.kafka.password.expose(), "0042");
    let from_file = load_all(&format!("kafka: {{password_file: {path}}}\n"), &[], &[]).unwrap();
    assert_eq!(from_file.kafka.password.expose(), "0042");
    // The environment is above the file, whichever way each gives it.
    let above =
        load_all(&format!("kafka: {{password_file: {path}}}\n"), &[("FINFLOW_KAFKA__PASSWORD", "x")], &[]).unwrap();
    assert_eq!(above.kafka.password.expose(), "x");
    let text = problems(&format!("kafka: {{password_file: {path}, password: x}}\n"), &[], &[]);
    assert!(text.contains("`kafka.password` is given twice"), "{text}");
    let text = problems("kafka: {password_file: /nowhere/at/all}\n", &[], &[]);
    assert!(text.contains("cannot read the secret from \"/nowhere/at/all\""), "{text}");
    // Only secrets have this second name.
    assert!(problems("kafka: {brokers_file: /x}\n", &[], &[]).contains("unknown key `kafka.brokers_file`"));
}

#[test]
fn an_open_map_takes_any_key_and_layers_merge_in_it() {
    let yaml = "kafka: {librdkafka: {socket.timeout.ms: '5', client.rack: a}}\n";
    let config = load_all(yaml, &[], &["--set", "kafka.librdkafka={\"client.rack\": b}"]).unwrap();
    assert_eq!(config.kafka.librdkafka["socket.timeout.ms"], "5");
    assert_eq!(config.kafka.librdkafka["client.rack"], "b");
}

#[test]
fn a_heading_without_lines_changes_nothing() {
    let config = load_all("kafka:\n  # brokers: x\nlog:\n", &[], &[]).unwrap();
    assert_eq!(config.kafka, Settings::default().kafka);
}

#[test]
fn sections_of_services_share_one_file_and_one_environment() {
    let yaml = "aggregate: {lateness: 1m}\nlateness: 9m\nalert: {whatever: 1}\n";
    let variables = [("FINFLOW_AGGREGATE__GROUP", "mine"), ("FINFLOW_GROUP", "all"), ("FINFLOW_ALERT__RULES", "x")];
    let config = load_all(yaml, &variables, &[]).unwrap();
    assert_eq!(config.lateness, Duration::from_secs(60));
    assert_eq!(config.group, "mine");
    let text = problems("aggregate: {latenes: 1m}\n", &[], &[]);
    assert!(text.contains("unknown key `latenes`; did you mean `lateness`?"), "{text}");
}

#[test]
fn the_example_is_the_default() {
    let example = example_yaml::<Settings>("aggregate");
    assert_eq!(load_all(&example, &[], &[]).unwrap(), load_all("", &[], &[]).unwrap(), "{example}");
    assert!(example.contains("# Where Kafka is.\n  brokers: 127.0.0.1:9092\n"), "{example}");
    assert!(example.contains("\nlateness: 5s\n"), "{example}");
    assert!(example.contains("\ninput:\n  - raw-market-data\n"), "{example}");
    assert!(example.contains("admin: 127.0.0.1:9091\n"), "{example}");
}

#[test]
fn every_key_is_documented_and_every_document_has_its_key() {
    assert_eq!(undocumented::<Settings>(), Vec::<String>::new());
    let table = docs_markdown::<Settings>("aggregate", |key| !is_common(key));
    assert!(!table.contains("log.level"), "{table}");
    assert!(table.contains("| `input` | `[\"raw-market-data\"]` | Topics \\| read. |"), "{table}");
    assert!(table.contains("| `kafka.password` | `` | Password. |"), "{table}");
}

#[test]
fn a_flag_of_a_list_may_be_repeated_and_no_other() {
    let config = load_all("", &[], &["--in", "a", "--in", "b,c"]).unwrap();
    assert_eq!(config.input, ["a", "b", "c"]);
    assert!(problems("", &[], &["--group", "a", "--group", "b"]).contains("--group is given more than once"));
}
