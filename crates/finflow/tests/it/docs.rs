//! `docs/cli.md` and `docs/config.md` against the program itself: neither has what the other lacks.
//!
//! `UPDATE=1 cargo test -p finflow docs` writes `docs/config.md` and each `config.example.yaml` anew.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

const STAGES: [&str; 6] = ["ingest", "aggregate", "alert", "store", "logger", "gateway"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn help(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_finflow")).args(words).arg("--help").output().unwrap();
    assert!(output.status.success(), "finflow {words:?} --help");
    String::from_utf8(output.stdout).unwrap()
}

/// Flags in the order of `--help`: lines such as `  -h, --help` and `      --in <TOPIC[,…]>`.
fn flags_of_help(text: &str) -> BTreeSet<String> {
    let starts = |line: &&str| line.trim_start().starts_with('-');
    text.lines().filter(starts).filter_map(first_flag).collect()
}

/// Sub-commands below `Commands:`.
fn commands_of_help(text: &str) -> Vec<String> {
    let below = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = below.take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

fn first_flag(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("--")?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
    (end > 0).then(|| format!("--{}", &rest[..end]))
}

/// The text below `## title`, up to the next heading of that rank.
fn section<'a>(doc: &'a str, title: &str) -> &'a str {
    let heading = format!("\n## {title}\n");
    let start = doc.find(&heading).unwrap_or_else(|| panic!("docs/cli.md has no section `{title}`")) + heading.len();
    let end = doc[start..].find("\n## ").map_or(doc.len(), |end| start + end);
    &doc[start..end]
}

/// The flags in the first column of a section's tables.
fn flags_of_section(section: &str) -> BTreeSet<String> {
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `--"));
    rows.filter_map(|row| first_flag(&format!("--{row}"))).collect()
}

/// Its words are those of another program, whose own test compares them with the page.
const ENGINE: &str = "query";

fn every_command() -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for name in commands_of_help(&help(&[])) {
        if name == ENGINE {
            all.push(vec![name]);
            continue;
        }
        let below = commands_of_help(&help(&[&name]));
        if below.is_empty() {
            all.push(vec![name]);
        } else {
            all.extend(below.into_iter().map(|sub| vec![name.clone(), sub]));
        }
    }
    all
}

#[test]
fn every_flag_is_in_the_doc_and_every_documented_flag_exists() {
    let doc = read("docs/cli.md");
    let common = flags_of_section(section(&doc, "Flags of every stage"));
    for words in every_command() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let of_doc = section(&doc, &format!("finflow {}", words.join(" ")));
        let example = format!("$ finflow {} ", words.join(" "));
        assert!(of_doc.contains(&example), "the section of finflow {} has no example", words.join(" "));
        if words == [ENGINE] {
            continue;
        }
        let mut documented = flags_of_section(of_doc);
        if STAGES.contains(&words[0]) {
            documented.extend(common.iter().cloned());
        } else {
            documented.extend(["--help".to_owned(), "--version".to_owned()]);
        }
        assert_eq!(flags_of_help(&help(&words)), documented, "finflow {}: help, docs/cli.md", words.join(" "));
    }
}

#[test]
fn every_documented_command_exists() {
    let doc = read("docs/cli.md");
    let existing: BTreeSet<String> = every_command().into_iter().map(|words| words.join(" ")).collect();
    let documented = doc.lines().filter_map(|line| line.strip_prefix("## finflow ")).map(str::to_owned);
    assert_eq!(documented.collect::<BTreeSet<String>>(), existing, "docs/cli.md, finflow --help");
}

/// Names that the contract keeps for later. One that is there has a section instead.
#[test]
fn reserved_commands_are_listed_and_not_there_yet() {
    const RESERVED: [&str; 5] = ["dlq", "top", "plot", "alerts", "iam"];
    let doc = read("docs/cli.md");
    let table = doc.lines().skip_while(|line| !line.starts_with("Reserved, not there yet")).skip(4);
    let rows = table.take_while(|line| line.starts_with('|'));
    let listed: Vec<&str> = rows.filter_map(|row| row.strip_prefix("| `finflow ")?.split('`').next()).collect();
    assert_eq!(listed, RESERVED);
    let existing = every_command();
    assert!(!existing.iter().any(|words| RESERVED.contains(&words[0].as_str())), "{existing:?}");
}

/// The examples are complete command lines: their flags are known to the command.
#[test]
fn the_flags_of_the_examples_exist() {
    let doc = read("docs/cli.md");
    let mut seen = 0;
    for line in doc.lines().filter_map(|line| line.strip_prefix("$ finflow ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let names: Vec<&str> = words.iter().take_while(|word| !word.starts_with('-')).copied().collect();
        if names[0] == ENGINE {
            continue;
        }
        let depth = if ["topics", "catalog", "feeds", "lake"].contains(&names[0]) { 2 } else { 1 };
        let known = flags_of_help(&help(&names[..depth]));
        for flag in words.iter().filter(|word| word.starts_with("--")).filter_map(|word| first_flag(word)) {
            assert!(known.contains(&flag), "{flag} in `finflow {line}`");
            seen += 1;
        }
    }
    assert!(seen > 10, "the examples were not found");
}

/// Compares a file with what it should be, or writes it when `UPDATE` is set.
pub fn golden(path: &str, expected: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(root().join(path), expected).unwrap();
        return;
    }
    let found = std::fs::read_to_string(root().join(path)).unwrap_or_default();
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(
        found == expected,
        "{path} is not what the code says, at first in (file, code) {differs:?}: UPDATE=1 cargo test -p finflow docs"
    );
}

const CONFIG_HEAD: &str = "\
# Settings

Written from the code; do not edit: `UPDATE=1 cargo test -p finflow docs`. How settings are layered, and their names in the
environment, is in [cli.md](cli.md#settings). Each stage's settings as a commented file are in
`services/<stage>/config.example.yaml`. Durations and sizes carry their unit (`5s`, `8MiB`); secrets may also be given as
`<key>_file`.

## Every stage

The admin port differs per stage: [cli.md](cli.md#ports).

";

/// What every stage has is told once.
fn is_shared(key: &str) -> bool {
    harness::is_common(key) || key.starts_with("kafka.")
}

#[test]
fn the_settings_are_documented_from_the_code() {
    let shared = harness::docs_markdown::<logger::Config>("ingest", is_shared);
    let mut page = format!("{CONFIG_HEAD}{shared}");
    let mut missing = Vec::new();
    macro_rules! stages {
        ($($stage:ident),+) => {$({
            let name = stringify!($stage);
            missing.extend(harness::undocumented::<$stage::Config>().into_iter().map(|text| format!("{name}: {text}")));
            golden(&format!("services/{name}/config.example.yaml"), &harness::example_yaml::<$stage::Config>(name));
            let own = harness::docs_markdown::<$stage::Config>(name, |key| !is_shared(key));
            page.push_str(&format!("\n## {name}\n\n{own}"));
        })+};
    }
    stages!(ingest, aggregate, alert, store, logger, gateway);
    assert_eq!(missing, Vec::<String>::new());
    golden("docs/config.md", &page);
}

#[test]
fn the_examples_are_the_defaults() {
    if std::env::var_os("UPDATE").is_some() {
        eprintln!("skipped: the examples are being written");
        return;
    }
    for stage in STAGES {
        let print = |config: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_finflow"));
            command.env_clear().current_dir(root()).args([stage, "--print-config"]).args(config);
            if stage == "ingest" {
                // The one setting without a default: there must be something to read.
                command.args(["--feed", "Cargo.toml"]);
            }
            let output = command.output().unwrap();
            assert!(output.status.success(), "{stage}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let example = format!("services/{stage}/config.example.yaml");
        assert_eq!(print(&["--config", &example]), print(&[]), "{example}");
    }
}
