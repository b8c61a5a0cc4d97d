//! The sources of settings as one flat list of (key, value, where it came from), checked against the shape. Later entries
//! win.

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};
use serde_yaml_ng::Value as Yaml;

use super::SERVICES;
use super::shape::{Kind, Shape};

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) path: Vec<String>,
    pub(super) value: Value,
    /// How to read the same text if `value` does not fit: only for keys whose type the shape does not know.
    pub(super) otherwise: Option<Value>,
    /// `finflow.yaml: kafka.brokers`, `environment: FINFLOW_KAFKA__BROKERS`, `--brokers`.
    pub(super) origin: String,
    pub(super) secret: bool,
    /// The file that the secret was read from.
    pub(super) file: Option<String>,
}

impl Entry {
    pub(super) fn key(&self) -> String {
        self.path.join(".")
    }

    pub(super) fn shown(&self) -> String {
        if self.secret {
            return "***".to_owned();
        }
        match &self.value {
            Value::String(_, text) => format!("{text:?}"),
            other => serde_json::to_string(other).unwrap_or_else(|_| "this value".to_owned()),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Layers {
    pub(super) entries: Vec<Entry>,
    pub(super) problems: Vec<String>,
    /// Where the entries of the source now being read begin.
    began: usize,
}

/// What to do with a key in view of the sections that belong to services.
pub(super) enum Place {
    Own(Vec<String>),
    /// Inside this service's section: wins over what is outside.
    Section(Vec<String>),
    Others,
}

pub(super) fn place(service: &str, shape: &Shape, path: Vec<String>) -> Place {
    let is_section = path.first().is_some_and(|head| SERVICES.contains(&head.as_str()));
    if !is_section || shape.kind(&path[..1]).is_some() {
        return Place::Own(path);
    }
    if path[0] == service { Place::Section(path[1..].to_vec()) } else { Place::Others }
}

impl Layers {
    /// What follows is of another source and wins over what is there.
    pub(super) fn begin(&mut self) {
        self.began = self.entries.len();
    }

    /// Adds a value given as text, read by the type of the key.
    pub(super) fn text(
        &mut self,
        shape: &Shape,
        path: Vec<String>,
        text: &str,
        origin: &str,
        hint: impl Fn(&str) -> String,
    ) {
        let Some(kind) = shape.kind(&path) else {
            if let Some(secret) = secret_file(shape, &path) {
                self.file_secret(secret, text, origin);
                return;
            }
            self.unknown(shape, &path, origin, hint);
            return;
        };
        let key = path.join(".");
        let raw = || Value::from(text);
        let value = match kind {
            Kind::Map => Err("has keys of its own, set those".to_owned()),
            Kind::Open if text.trim_start().starts_with('{') => yaml(text),
            Kind::Open | Kind::Secret | Kind::Text | Kind::Unset => Ok(raw()),
            Kind::Bool => {
                text.trim().parse().map(|flag: bool| flag.into()).map_err(|_| "expected true or false".to_owned())
            }
            Kind::Number => number(text.trim()),
            Kind::List if text.trim_start().starts_with('[') => yaml(text),
            Kind::List => Ok(Value::from(list(text))),
        };
        let otherwise = (kind == Kind::Unset).then(|| yaml(text).ok()).flatten();
        match value {
            Ok(value) => self.push(path, value, otherwise, origin, kind),
            Err(why) => self.problems.push(format!("{origin}: `{key}` cannot be {text:?}: {why}")),
        }
    }

    /// Adds a YAML document, key by key.
    pub(super) fn document(&mut self, service: &str, shape: &Shape, file: &str, root: Yaml) {
        let Yaml::Mapping(root) = root else {
            if root != Yaml::Null {
                self.problems.push(format!("{file}: expected settings as `key: value` lines"));
            }
            return;
        };
        let mut section = Vec::new();
        for (key, value) in root {
            let Some(key) = key.as_str() else {
                self.problems.push(format!("{file}: the key {key:?} is not a text"));
                continue;
            };
            match place(service, shape, vec![key.to_owned()]) {
                Place::Own(path) => self.node(shape, file, path, value),
                Place::Section(_) => section.push(value),
                Place::Others => {}
            }
        }
        self.begin();
        for value in section {
            match value {
                Yaml::Mapping(map) => self.children(shape, &format!("{file} ({service})"), &[], map),
                Yaml::Null => {}
                _ => self.problems.push(format!("{file}: the section `{service}` holds no `key: value` lines")),
            }
        }
    }

    fn node(&mut self, shape: &Shape, file: &str, path: Vec<String>, value: Yaml) {
        let origin = format!("{file}: {}", path.join("."));
        match (shape.kind(&path), value) {
            (None, Yaml::String(text)) if secret_file(shape, &path).is_some() => {
                self.file_secret(secret_file(shape, &path).unwrap_or_default(), &text, &origin);
            }
            (None, _) => self.unknown(shape, &path, file, str::to_owned),
            (Some(Kind::Map), Yaml::Mapping(map)) => self.children(shape, file, &path, map),
            // A heading whose lines are all commented out.
            (Some(Kind::Map | Kind::Open), Yaml::Null) => {}
            (Some(Kind::Map), value) => {
                let shown = serde_yaml_ng::to_string(&value).unwrap_or_default();
                self.problems.push(format!("{origin}: has keys of its own, it cannot be {:?}", shown.trim()));
            }
            (Some(Kind::Open), Yaml::Mapping(map)) if map.is_empty() => {}
            (Some(kind), value) => match Value::serialize(&value) {
                Ok(value) => self.push(path, value, None, &origin, kind),
                Err(error) => self.problems.push(format!("{origin}: {error}")),
            },
        }
    }

    fn children(&mut self, shape: &Shape, file: &str, path: &[String], map: serde_yaml_ng::Mapping) {
        for (key, value) in map {
            let Some(key) = key.as_str() else {
                self.problems.push(format!("{file}: the key {key:?} under `{}` is not a text", path.join(".")));
                continue;
            };
            let path = path.iter().cloned().chain([key.to_owned()]).collect();
            self.node(shape, file, path, value);
        }
    }

    fn file_secret(&mut self, path: Vec<String>, file: &str, origin: &str) {
        match std::fs::read_to_string(file) {
            Ok(text) => {
                let text = text.trim_end_matches(['\r', '\n']);
                self.push(path, Value::from(text), None, origin, Kind::Secret);
                if let Some(entry) = self.entries.last_mut() {
                    entry.file = Some(file.to_owned());
                }
            }
            Err(error) => self.problems.push(format!("{origin}: cannot read the secret from {file:?}: {error}")),
        }
    }

    fn push(&mut self, path: Vec<String>, value: Value, otherwise: Option<Value>, origin: &str, kind: Kind) {
        let secret = kind == Kind::Secret;
        let earlier = &self.entries[self.began..];
        if secret && earlier.iter().any(|entry| entry.path == path) {
            let key = path.join(".");
            self.problems.push(format!("{origin}: `{key}` is given twice, as text and as a file"));
        }
        self.entries.push(Entry { path, value, otherwise, origin: origin.to_owned(), secret, file: None });
    }

    fn unknown(&mut self, shape: &Shape, path: &[String], origin: &str, spell: impl Fn(&str) -> String) {
        let advice = match shape.nearest(path) {
            Some(nearest) => format!("did you mean `{}`?", spell(&nearest)),
            None => "see --print-config for the keys there are".to_owned(),
        };
        self.problems.push(format!("{origin}: unknown key `{}`; {advice}", path.join(".")));
    }

    pub(super) fn dict(entries: &[Entry]) -> Dict {
        let mut dict = Dict::new();
        for entry in entries {
            insert(&mut dict, &entry.path, entry.value.clone());
        }
        dict
    }
}

/// `password_file` is the key `password` read from a file, where `password` is a secret.
fn secret_file(shape: &Shape, path: &[String]) -> Option<Vec<String>> {
    let (last, parents) = path.split_last()?;
    let mut secret = parents.to_vec();
    secret.push(last.strip_suffix("_file")?.to_owned());
    (shape.kind(&secret) == Some(Kind::Secret)).then_some(secret)
}

fn insert(dict: &mut Dict, path: &[String], value: Value) {
    let Some((head, rest)) = path.split_first() else {
        return;
    };
    match (dict.get_mut(head), value) {
        (Some(Value::Dict(_, child)), value) if !rest.is_empty() => insert(child, rest, value),
        // Two layers may each add keys to an open map.
        (Some(Value::Dict(_, child)), Value::Dict(_, more)) => {
            more.into_iter().for_each(|(key, value)| insert(child, &[key], value));
        }
        (_, value) => {
            let mut child = value;
            for key in rest.iter().rev() {
                child = Value::from(Dict::from([(key.clone(), child)]));
            }
            dict.insert(head.clone(), child);
        }
    }
}

fn number(text: &str) -> Result<Value, String> {
    if let Ok(whole) = text.parse::<i64>() {
        return Ok(whole.into());
    }
    if let Ok(whole) = text.parse::<u64>() {
        return Ok(whole.into());
    }
    let float = text.parse::<f64>().ok().filter(|float| float.is_finite());
    float.map(Value::from).ok_or_else(|| "expected a number".to_owned())
}

fn list(text: &str) -> Vec<Value> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Value::from).collect()
}

fn yaml(text: &str) -> Result<Value, String> {
    let value: Yaml = serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?;
    Value::serialize(&value).map_err(|error| error.to_string())
}

/// What figment merges.
pub(super) struct Source(pub(super) Dict);

impl Provider for Source {
    fn metadata(&self) -> Metadata {
        Metadata::named("settings")
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}
