//! Which keys exist and of what type they are, read off the serialised default.

use serde_yaml_ng::Value;

use super::Config;
use crate::secret;

pub(super) struct Shape {
    root: Value,
    open: &'static [&'static str],
}

/// What the shape says about a dotted key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Has keys of its own, all of them known.
    Map,
    /// Takes any key below it, or is below such a map.
    Open,
    Secret,
    Text,
    Bool,
    Number,
    List,
    /// `None` by default, or below a key that is.
    Unset,
}

impl Shape {
    pub(super) fn of<C: Config>() -> Self {
        let root = secret::marking(|| serde_yaml_ng::to_value(C::default()));
        Shape { root: root.expect("a config is plain data, which YAML can hold"), open: C::OPEN }
    }

    /// None: no such key.
    pub(super) fn kind(&self, path: &[String]) -> Option<Kind> {
        let mut node = &self.root;
        for (depth, key) in path.iter().enumerate() {
            if self.is_open(&path[..depth]) {
                return Some(Kind::Open);
            }
            node = match node {
                Value::Mapping(map) => map.get(key.as_str())?,
                Value::Null => return Some(Kind::Unset),
                _ => return None,
            };
        }
        Some(match node {
            _ if self.is_open(path) => Kind::Open,
            Value::Mapping(_) => Kind::Map,
            Value::Null => Kind::Unset,
            Value::Bool(_) => Kind::Bool,
            Value::Number(_) => Kind::Number,
            Value::Sequence(_) => Kind::List,
            Value::String(text) if text == secret::MARK => Kind::Secret,
            Value::String(_) | Value::Tagged(_) => Kind::Text,
        })
    }

    /// All keys that hold a value, dotted.
    pub(super) fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        self.collect(&self.root, &mut Vec::new(), &mut keys);
        keys
    }

    /// The known key that an unknown one most likely meant.
    pub(super) fn nearest(&self, path: &[String]) -> Option<String> {
        let wanted = path.join(".");
        let last = path.last()?;
        let score = |known: &String| {
            let whole = strsim::normalized_damerau_levenshtein(&wanted, known);
            // `brokers` for `kafka.brokers`: right name, wrong place.
            let tail = known.rsplit('.').next().unwrap_or(known);
            whole.max(strsim::normalized_damerau_levenshtein(last, tail) * 0.9)
        };
        let scored = self.keys().into_iter().map(|known| (score(&known), known));
        let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
        (best.0 >= 0.6).then_some(best.1)
    }

    fn is_open(&self, path: &[String]) -> bool {
        self.open.iter().any(|open| open.split('.').eq(path.iter().map(String::as_str)))
    }

    fn collect(&self, node: &Value, path: &mut Vec<String>, keys: &mut Vec<String>) {
        match node {
            Value::Mapping(map) if !self.is_open(path) => {
                for (key, value) in map {
                    path.push(key.as_str().unwrap_or_default().to_owned());
                    self.collect(value, path, keys);
                    path.pop();
                }
            }
            _ => keys.push(path.join(".")),
        }
    }
}
