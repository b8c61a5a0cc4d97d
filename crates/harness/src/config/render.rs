//! A config as YAML to read: `--print-config`, `config.example.yaml`, and the table in `docs/config.md`.

use serde_yaml_ng::Value;

use super::{COMMON_DOCS, Config, default_admin};

/// Of the comments in an example file.
const WIDTH: usize = 100;

/// The settings in force, secrets masked.
pub fn print<C: Config>(config: &C) -> String {
    serde_yaml_ng::to_string(config).expect("a config is plain data, which YAML can hold")
}

/// Every key at its default with its meaning above it: the content of `config.example.yaml`.
pub fn example_yaml<C: Config>(service: &str) -> String {
    let mut text = format!(
        "# Settings of `{service}` at their defaults; leave out what you do not change.\n\
         # Written from the code: UPDATE=1 cargo test -p finflow docs\n"
    );
    let root = defaults::<C>(service);
    write(&root, &mut Vec::new(), &mut |path, indent, value| {
        let pad = "  ".repeat(indent);
        if indent == 0 {
            text.push('\n');
        }
        if let Some(doc) = doc::<C>(path) {
            wrapped(doc, WIDTH - pad.len()).iter().for_each(|line| text.push_str(&format!("{pad}# {line}\n")));
        }
        let key = path.rsplit('.').next().unwrap_or(path);
        match value {
            None => text.push_str(&format!("{pad}{key}:\n")),
            Some(value) => text.push_str(&format!("{pad}{key}:{}\n", inline(value, indent))),
        }
    });
    text
}

/// Key, default and meaning of every setting that `keep` wants, as a Markdown table.
pub fn docs_markdown<C: Config>(service: &str, keep: impl Fn(&str) -> bool) -> String {
    let mut text = "| Key | Default | Meaning |\n|---|---|---|\n".to_owned();
    let root = defaults::<C>(service);
    write(&root, &mut Vec::new(), &mut |path, _, value| {
        if let Some(value) = value.filter(|_| keep(path)) {
            let shown = serde_json::to_string(value).unwrap_or_default().replace('|', "\\|");
            let doc = doc::<C>(path).unwrap_or_default().replace('|', "\\|");
            text.push_str(&format!("| `{path}` | `{}` | {doc} |\n", shown.trim_matches('"')));
        }
    });
    text
}

/// Whether every stage has this key: those of [`super::Common`].
pub fn is_common(key: &str) -> bool {
    COMMON_DOCS.iter().any(|(common, _)| *common == key)
}

/// Keys without a line in the tables of docs, and lines without a key.
pub fn undocumented<C: Config>() -> Vec<String> {
    let mut wrong = Vec::new();
    let mut keys = Vec::new();
    write(&defaults::<C>("none"), &mut Vec::new(), &mut |path, _, value| {
        keys.push(path.to_owned());
        if value.is_some() && doc::<C>(path).is_none() {
            wrong.push(format!("no docs for the key {path}"));
        }
    });
    let described = C::DOCS.iter().copied().flatten().chain(COMMON_DOCS);
    wrong.extend(
        described
            .filter(|(key, _)| !keys.iter().any(|known| known == key))
            .map(|(key, _)| format!("docs for {key}, which is no key")),
    );
    wrong
}

fn defaults<C: Config>(service: &str) -> Value {
    let mut root = serde_yaml_ng::to_value(C::default()).expect("a config is plain data, which YAML can hold");
    if let Some(map) = root.as_mapping_mut() {
        map.insert("admin".into(), default_admin(service).to_string().into());
    }
    root
}

fn doc<C: Config>(path: &str) -> Option<&'static str> {
    let described = C::DOCS.iter().copied().flatten().chain(COMMON_DOCS);
    described.into_iter().find(|(key, _)| *key == path).map(|(_, doc)| *doc)
}

/// Visits each key in order; a value of None is a heading with keys below it.
fn write(node: &Value, path: &mut Vec<String>, visit: &mut impl FnMut(&str, usize, Option<&Value>)) {
    let Value::Mapping(map) = node else { return };
    for (key, value) in map {
        path.push(key.as_str().unwrap_or_default().to_owned());
        let is_heading = value.as_mapping().is_some_and(|map| !map.is_empty());
        visit(&path.join("."), path.len() - 1, (!is_heading).then_some(value));
        write(value, path, visit);
        path.pop();
    }
}

fn inline(value: &Value, indent: usize) -> String {
    let text = serde_yaml_ng::to_string(value).unwrap_or_default();
    let text = text.trim_end();
    if !text.contains('\n') && !matches!(value, Value::Sequence(items) if !items.is_empty()) {
        return format!(" {text}");
    }
    let pad = "  ".repeat(indent + 1);
    text.lines().map(|line| format!("\n{pad}{line}")).collect()
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
