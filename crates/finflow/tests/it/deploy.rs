//! What `deploy/` says of the code: versions, topics, groups, times, users, metrics. The chart itself is tested by `.ci/chart`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use harness::Config;
use serde_yaml_ng::Value;
use streams::topic::{self, Cleanup};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_yaml_ng::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_sequence().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn the_chart_has_the_version_of_the_code() {
    let chart = yaml("deploy/helm/finflow/Chart.yaml");
    assert_eq!(chart["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(chart["appVersion"].as_str(), Some(env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_chart_makes_the_topics_of_the_code() {
    let values = yaml("deploy/helm/finflow/values.yaml");
    let listed = values["topics"]["list"].as_mapping().expect("a map");
    assert_eq!(listed.len(), topic::all().len());
    for spec in topic::all() {
        let listed = &listed[&Value::from(spec.name.as_str())];
        assert_eq!(listed["partitions"].as_i64(), Some(spec.partitions.into()), "{}", spec.name);
        let cleanup = if spec.cleanup == Cleanup::Compact { "compact" } else { "delete" };
        assert_eq!(listed["cleanup"].as_str(), Some(cleanup), "{}", spec.name);
        // What the template says of every topic, and what this one has besides.
        let own: Vec<(String, String)> =
            spec.settings(3).into_iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let config = listed["config"].as_mapping().expect("a map");
        for (name, value) in own {
            match config.get(Value::from(name.as_str())) {
                Some(found) => assert_eq!(found.as_str(), Some(value.as_str()), "{}: {name}", spec.name),
                None => {
                    let template = read("deploy/helm/finflow/templates/topics.yaml");
                    assert!(template.contains(&format!("{name}: ")), "{}: the chart lacks {name}", spec.name);
                }
            }
        }
    }
}

/// The limit of scaling is counted from the topics, and KEDA asks for the group.
#[test]
fn the_chart_knows_what_each_stage_reads_and_in_which_group() {
    let values = yaml("deploy/helm/finflow/values.yaml");
    let (aggregate, alert) = (aggregate::Config::default(), alert::Config::default());
    let (store, logger) = (store::Config::default(), logger::Config::default());
    let stages = [
        ("aggregate", aggregate.group, vec![aggregate.input]),
        ("alert", alert.group, vec![alert.input]),
        ("store", store.group, vec![store.input, store.metrics, store.alerts, store.dead_letters]),
        ("logger", logger.group, logger.input),
    ];
    for (stage, group, reads) in stages {
        assert_eq!(values["stages"][stage]["group"].as_str(), Some(group.as_str()), "{stage}");
        assert_eq!(texts(&values["stages"][stage]["reads"]), reads, "{stage}");
    }
}

/// Else Kubernetes kills a process in the middle of its drain.
#[test]
fn a_pod_is_given_longer_to_end_than_the_process_takes() {
    let values = yaml("deploy/helm/finflow/values.yaml");
    let grace = values["defaults"]["terminationGracePeriodSeconds"].as_u64().expect("a number");
    let shutdown = store::Config::default().common().shutdown_timeout;
    assert!(grace >= shutdown.0.as_secs() + 10, "{grace} s for a shutdown of {shutdown:?}");
}

/// Each user is of a stage, or the one who makes the topics; what they may touch exists.
#[test]
fn the_users_of_strimzi_are_of_stages_and_their_topics_exist() {
    let text = read("deploy/strimzi/users.yaml");
    let users: Vec<Value> =
        text.split("\n---\n").skip(1).map(|document| serde_yaml_ng::from_str(document).expect("YAML")).collect();
    let names: Vec<&str> = users.iter().filter_map(|user| user["metadata"]["name"].as_str()).collect();
    let stages = ["ingest", "aggregate", "alert", "store", "logger", "gateway", "admin"];
    assert_eq!(names, stages.map(|stage| format!("finflow-{stage}")));
    let topics: BTreeSet<String> = topic::all().into_iter().map(|spec| spec.name).collect();
    for user in &users {
        for acl in user["spec"]["authorization"]["acls"].as_sequence().expect("a list") {
            let resource = &acl["resource"];
            let (kind, name) = (resource["type"].as_str().expect("text"), resource["name"].as_str().expect("text"));
            assert!(!texts(&acl["operations"]).contains(&"All"), "{names:?}: All is not the least");
            match (kind, resource["patternType"].as_str()) {
                ("topic", Some("literal")) => assert!(topics.contains(name), "there is no topic {name}"),
                (_, Some("prefix")) => {
                    assert!(name.starts_with("finflow-"), "the prefix {name} reaches beyond Finflow")
                }
                _ => assert!(name.starts_with("finflow-"), "{kind} {name}"),
            }
        }
    }
}

/// Names of metrics in a text, without what Prometheus appends to those of a histogram.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !word(c)).filter(|w| w.starts_with("finflow_") || w.starts_with("process_"));
    let stem = |w: &str| {
        let cut = ["_bucket", "_count", "_sum"].iter().find_map(|end| w.strip_suffix(end)).unwrap_or(w);
        cut.to_owned()
    };
    // A name that ends in `_` is the beginning of a pattern.
    words.filter(|w| !w.ends_with('_')).map(stem).collect()
}

/// `docs/metrics.md` is the code's own list.
#[test]
fn every_metric_of_the_dashboards_and_rules_exists() {
    let known = metrics_in(&read("docs/metrics.md"));
    let mut files = vec!["deploy/helm/finflow/rules/finflow.yaml".to_owned()];
    for entry in std::fs::read_dir(root().join("deploy/helm/finflow/dashboards")).expect("a folder").flatten() {
        files.push(format!("deploy/helm/finflow/dashboards/{}", entry.file_name().to_string_lossy()));
    }
    assert!(files.len() > 4, "the dashboards were not found: {files:?}");
    for file in files {
        let json: Value = serde_yaml_ng::from_str(&read(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut asked = Vec::new();
        expressions(&json, &mut asked);
        assert!(!asked.is_empty(), "{file} asks for nothing");
        for expression in asked {
            for name in metrics_in(&expression) {
                assert!(known.contains(&name), "{file}: no stage has {name}");
            }
        }
    }
}

fn expressions(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Mapping(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(text) if key.as_str() == Some("expr") => into.push(text.to_owned()),
                    _ => expressions(value, into),
                }
            }
        }
        Value::Sequence(list) => list.iter().for_each(|value| expressions(value, into)),
        _ => {}
    }
}

#[test]
fn every_alert_has_a_page_and_a_test() {
    let rules = yaml("deploy/helm/finflow/rules/finflow.yaml");
    let tests = read("deploy/helm/finflow/rules/finflow.test.yaml");
    let mut pages = BTreeSet::new();
    for rule in rules["groups"]
        .as_sequence()
        .expect("a list")
        .iter()
        .flat_map(|group| group["rules"].as_sequence().expect("a list"))
    {
        let name = rule["alert"].as_str().expect("a name");
        let page = rule["annotations"]["runbook_url"].as_str().expect("a page");
        assert!(page.ends_with(&format!("/{name}.md")), "{name}: {page}");
        let runbook = read(&format!("docs/runbooks/{name}.md"));
        assert!(runbook.starts_with(&format!("# {name}\n")), "docs/runbooks/{name}.md");
        let fires = tests
            .split(&format!("alertname: {name}\n"))
            .skip(1)
            .any(|test| test.trim_start().starts_with("exp_alerts:\n"));
        assert!(fires, "no test sees {name} fire");
        assert!(tests.contains(&format!("alertname: {name}, exp_alerts: []")), "no test sees {name} keep still");
        pages.insert(format!("{name}.md"));
    }
    let files = std::fs::read_dir(root().join("docs/runbooks")).expect("a folder").flatten();
    let files: BTreeSet<String> = files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(files, pages, "pages of docs/runbooks and alerts");
}
