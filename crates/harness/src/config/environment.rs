//! The environment as a source of settings: `FINFLOW_KAFKA__BROKERS` sets `kafka.brokers`; a `.env` file is read too.

use std::collections::BTreeMap;
use std::path::Path;

const PREFIX: &str = "FINFLOW_";

/// Names others have coined, and the key each sets where a config has it. The `FINFLOW_` name of the same key wins.
const ALIASES: &[(&str, &str)] =
    &[("KAFKA_BOOTSTRAP_SERVERS", "kafka.brokers"), ("FINNHUB_API_KEY", "finnhub.api_key")];

/// `FINFLOW_` names that are no settings: the path of the config file, and what tests, benches and scripts use.
const RESERVED: &[&str] = &["FINFLOW_CONFIG", "FINFLOW_SHARED"];
const RESERVED_PREFIXES: &[&str] = &["FINFLOW_TEST_", "FINFLOW_STACK_", "FINFLOW_BENCH_", "FINFLOW_CI_"];

/// Open maps whose keys have dots where an environment name can only have underscores.
const DOTTED: &[&str] = &["kafka.librdkafka"];

/// Variables by name, with where each came from.
#[derive(Debug, Default, Clone)]
pub(crate) struct Environment(BTreeMap<String, (String, &'static str)>);

pub(super) struct Variable<'a> {
    pub(super) path: Vec<String>,
    pub(super) text: &'a str,
    pub(super) origin: String,
    pub(super) is_alias: bool,
}

impl Environment {
    /// The process's variables, and those of `.env` that the process does not have.
    pub(super) fn of_process() -> Result<Self, String> {
        let mut variables = BTreeMap::new();
        if let Some((name, text)) = read_dotenv(Path::new(".env"))? {
            let parsed = parse_dotenv(&text).map_err(|error| format!("{name}: {error}"))?;
            adopt(&parsed);
            variables.extend(parsed.into_iter().map(|(name, value)| (name, (value, ".env"))));
        }
        for (name, value) in std::env::vars_os() {
            if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
                variables.insert(name, (value, "environment"));
            }
        }
        Ok(Environment(variables))
    }

    #[cfg(test)]
    pub(super) fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), ((*value).to_owned(), "environment"));
        Environment(pairs.iter().map(owned).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(value, _)| value.as_str())
    }

    /// Variables that are settings, aliases first so that the proper name wins.
    pub(super) fn settings(&self) -> Vec<Variable<'_>> {
        let alias = |(name, key): &(&str, &str)| {
            let (text, from) = self.0.get(*name)?;
            let path = key.split('.').map(str::to_owned).collect();
            Some(Variable { path, text, origin: format!("{from}: {name}"), is_alias: true })
        };
        let mut found: Vec<_> = ALIASES.iter().filter_map(alias).filter(|variable| !variable.text.is_empty()).collect();
        for (name, (text, from)) in &self.0 {
            if let Some(path) = path_of(name) {
                found.push(Variable { path, text, origin: format!("{from}: {name}"), is_alias: false });
            }
        }
        found
    }
}

/// `FINFLOW_A__B_C` as `[a, b_c]`; none for names that are no settings.
fn path_of(name: &str) -> Option<Vec<String>> {
    let rest = name.strip_prefix(PREFIX)?;
    let reserved = RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    if rest.is_empty() || reserved || is_service_link(rest) {
        return None;
    }
    let mut path: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
    let parent = path[..path.len() - 1].join(".");
    if DOTTED.contains(&parent.as_str())
        && let Some(last) = path.last_mut()
    {
        *last = last.replace('_', ".");
    }
    Some(path)
}

/// Kubernetes tells every pod of each service in its namespace: `FINFLOW_GATEWAY_SERVICE_HOST`,
/// `FINFLOW_GATEWAY_PORT_8080_TCP_ADDR`. A release named `finflow` must not break its own pods.
fn is_service_link(rest: &str) -> bool {
    rest.ends_with("_SERVICE_HOST")
        || rest.contains("_SERVICE_PORT")
        || rest.ends_with("_PORT")
        || ["_TCP", "_UDP"].iter().any(|protocol| rest.contains("_PORT_") && rest.contains(protocol))
}

/// How a key is spelt as a variable.
pub(super) fn spelt(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

fn read_dotenv(path: &Path) -> Result<Option<(String, String)>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.display().to_string(), text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// Reads `.env` for what others take from the process's environment, such as clap's `env`. The first thing in a `main`
/// that does not begin with [`crate::main`].
pub fn dotenv() -> Result<(), String> {
    Environment::of_process().map(drop)
}

/// Puts the variables that others read (`AWS_ACCESS_KEY_ID`) into the process's environment, where it lacks them. Only
/// while no second thread can be reading it; later callers leave it as it is.
fn adopt(variables: &[(String, String)]) {
    let threads = std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count);
    for (name, value) in variables {
        if threads == 1 && !name.starts_with(PREFIX) && std::env::var_os(name).is_none() {
            // SAFETY: this is the only thread of the process, so nothing reads the environment meanwhile.
            unsafe { std::env::set_var(name, value) };
        }
    }
}

/// Lines of `NAME=value`, `export NAME="value"` and comments. Nothing is expanded inside a value.
fn parse_dotenv(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut variables = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        // The line is not repeated: it may hold a secret.
        let (name, value) = line.split_once('=').ok_or_else(|| format!("line {}: expected NAME=value", index + 1))?;
        variables.push((name.trim().to_owned(), unquote(value.trim()).to_owned()));
    }
    Ok(variables)
}

fn unquote(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote)
            && let Some(end) = rest.find(quote)
        {
            return &rest[..end];
        }
    }
    value.split_once(" #").map_or(value, |(value, _)| value.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_settings_are_passed_over() {
        for name in [
            "FINFLOW_SHARED",
            "FINFLOW_TEST_BROKERS",
            "FINFLOW_STACK_DIR",
            "FINFLOW_GATEWAY_SERVICE_HOST",
            "FINFLOW_GATEWAY_SERVICE_PORT_HTTP",
            "FINFLOW_GATEWAY_PORT",
            "FINFLOW_GATEWAY_PORT_8080_TCP_ADDR",
            "FINFLOW_",
            "PATH",
        ] {
            assert_eq!(path_of(name), None, "{name}");
        }
    }

    #[test]
    fn two_underscores_nest_and_one_is_part_of_the_name() {
        assert_eq!(path_of("FINFLOW_SHUTDOWN_TIMEOUT").unwrap(), ["shutdown_timeout"]);
        assert_eq!(path_of("FINFLOW_KAFKA__CLIENT_ID").unwrap(), ["kafka", "client_id"]);
        assert_eq!(
            path_of("FINFLOW_KAFKA__LIBRDKAFKA__QUEUED_MIN_MESSAGES").unwrap(),
            ["kafka", "librdkafka", "queued.min.messages"]
        );
        assert_eq!(spelt("kafka.client_id"), "FINFLOW_KAFKA__CLIENT_ID");
    }

    #[test]
    fn dotenv_lines() {
        let text = "# comment\n\nexport A=1\nB=\"two words\" # why\nC='it''s'\nD=x # note\nE=a#b\nF=\n";
        let parsed = parse_dotenv(text).unwrap();
        let expected = [("A", "1"), ("B", "two words"), ("C", "it"), ("D", "x"), ("E", "a#b"), ("F", "")];
        let expected: Vec<_> = expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        assert_eq!(parsed, expected);
        assert_eq!(parse_dotenv("A=1\nhunter2\n").unwrap_err(), "line 2: expected NAME=value");
    }
}
