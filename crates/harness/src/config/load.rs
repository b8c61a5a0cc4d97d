//! Puts the layers together and says all that is wrong with them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use figment::Figment;
use figment::providers::Serialized;

use super::environment::{Environment, spelt};
use super::layers::{Entry, Layers, Place, Source, place};
use super::shape::{Kind, Shape};
use super::{Config, ConfigError, default_admin};
use crate::flags::{self, Flag};

/// The settings of a service from the flags given, the file they name, and this process's environment.
pub fn load<C: Config>(service: &'static str, matches: &ArgMatches) -> Result<C, ConfigError> {
    load_with_files(service, matches).map(|(config, _)| config)
}

/// The same, and the files that its secrets were read from.
pub(crate) fn load_with_files<C: Config>(
    service: &'static str,
    matches: &ArgMatches,
) -> Result<(C, BTreeSet<PathBuf>), ConfigError> {
    let environment = Environment::of_process().map_err(|problem| ConfigError { problems: vec![problem] })?;
    load_from(service, matches, &environment)
}

/// The keys that the file, the environment or a flag sets. A program that hosts services decides the others.
pub fn given<C: Config>(service: &'static str, matches: &ArgMatches) -> Result<BTreeSet<String>, ConfigError> {
    let environment = Environment::of_process().map_err(|problem| ConfigError { problems: vec![problem] })?;
    Ok(layered::<C>(service, matches, &environment)?.iter().map(Entry::key).collect())
}

pub(super) fn load_from<C: Config>(
    service: &'static str,
    matches: &ArgMatches,
    environment: &Environment,
) -> Result<(C, BTreeSet<PathBuf>), ConfigError> {
    let entries = layered::<C>(service, matches, environment)?;
    let files = entries.iter().filter_map(|entry| entry.file.as_ref()).map(PathBuf::from).collect();
    Ok((assemble(service, entries)?, files))
}

fn layered<C: Config>(
    service: &'static str,
    matches: &ArgMatches,
    environment: &Environment,
) -> Result<Vec<Entry>, ConfigError> {
    let shape = Shape::of::<C>();
    let mut layers = Layers::default();
    let file: Option<&String> = matches.get_one(flags::CONFIG.name);
    if let Some(file) = file.map(String::as_str).or(environment.get("FINFLOW_CONFIG")) {
        add_file(&mut layers, service, &shape, file);
    }
    add_environment(&mut layers, service, &shape, environment);
    add_flags::<C>(&mut layers, &shape, matches);
    if !layers.problems.is_empty() {
        return Err(ConfigError { problems: layers.problems });
    }
    Ok(layers.entries)
}

fn add_file(layers: &mut Layers, service: &str, shape: &Shape, file: &str) {
    let text = match std::fs::read_to_string(Path::new(file)) {
        Ok(text) => text,
        Err(error) => {
            layers.problems.push(format!("cannot read the config file {file}: {error}"));
            return;
        }
    };
    match serde_yaml_ng::from_str(&text) {
        Ok(root) => layers.document(service, shape, file, root),
        Err(error) => layers.problems.push(format!("{file} is not YAML: {error}")),
    }
}

fn add_environment(layers: &mut Layers, service: &str, shape: &Shape, environment: &Environment) {
    layers.begin();
    let mut section = Vec::new();
    for variable in environment.settings() {
        if variable.is_alias && shape.kind(&variable.path).is_none() {
            continue;
        }
        match place(service, shape, variable.path) {
            Place::Own(path) => layers.text(shape, path, variable.text, &variable.origin, spelt),
            Place::Section(path) => section.push((path, variable.text, variable.origin)),
            Place::Others => {}
        }
    }
    layers.begin();
    for (path, text, origin) in section {
        layers.text(shape, path, text, &origin, spelt);
    }
}

fn add_flags<C: Config>(layers: &mut Layers, shape: &Shape, matches: &ArgMatches) {
    let path = |key: &str| key.split('.').map(str::to_owned).collect::<Vec<_>>();
    for pair in matches.get_many::<String>(flags::SET.name).into_iter().flatten() {
        let origin = format!("--set {}", pair.split('=').next().unwrap_or_default());
        let Some((key, text)) = pair.split_once('=') else {
            layers.problems.push(format!("{origin}: expected KEY=VALUE"));
            continue;
        };
        let path = path(key.trim());
        if shape.kind(&path) == Some(Kind::Secret) {
            layers
                .problems
                .push(format!("{origin}: a flag is seen by every user of the machine; set {} instead", spelt(key)));
            continue;
        }
        layers.text(shape, path, text, &origin, str::to_owned);
    }
    let common = [flags::ADMIN, flags::LOG_LEVEL];
    for flag in C::FLAGS.iter().chain(&common).filter(|flag| !flag.key.is_empty()) {
        let origin = format!("--{}", flag.name);
        let path = path(flag.key);
        match texts_of(flag, matches).as_slice() {
            [] => {}
            [text] => layers.text(shape, path, text, &origin, str::to_owned),
            texts if shape.kind(&path) == Some(Kind::List) => {
                layers.text(shape, path, &texts.join(","), &origin, str::to_owned);
            }
            _ => layers.problems.push(format!("{origin} is given more than once")),
        }
    }
}

fn texts_of<'a>(flag: &Flag, matches: &'a ArgMatches) -> Vec<&'a str> {
    if flag.value.is_empty() {
        return if matches.get_flag(flag.name) { vec!["true"] } else { Vec::new() };
    }
    matches.get_many::<String>(flag.name).into_iter().flatten().map(String::as_str).collect()
}

fn assemble<C: Config>(service: &str, mut entries: Vec<Entry>) -> Result<C, ConfigError> {
    let admin =
        Source(figment::util::nest("admin", default_admin(service).to_string().into()).into_dict().unwrap_or_default());
    let defaults = Figment::from(Serialized::defaults(C::default())).merge(admin);
    for entry in &mut entries {
        if let Some(otherwise) = &entry.otherwise
            && extract::<C>(&defaults, std::slice::from_ref(entry)).is_err()
        {
            let with_it = Entry { value: otherwise.clone(), otherwise: None, ..entry.clone() };
            if extract::<C>(&defaults, std::slice::from_ref(&with_it)).is_ok() {
                *entry = with_it;
            }
        }
    }
    let config = extract::<C>(&defaults, &entries).map_err(|error| blame::<C>(&defaults, &entries, &error))?;
    let valid = config.common().validate().and_then(|()| config.validate());
    valid.map_err(|problem| ConfigError { problems: vec![problem] })?;
    Ok(config)
}

fn extract<C: Config>(defaults: &Figment, entries: &[Entry]) -> Result<C, Box<figment::Error>> {
    defaults.clone().merge(Source(Layers::dict(entries))).extract().map_err(Box::new)
}

/// `flatten` makes serde forget which key an error belongs to. Trying each entry alone finds it again.
fn blame<C: Config>(defaults: &Figment, entries: &[Entry], error: &figment::Error) -> ConfigError {
    let mut problems = Vec::new();
    for entry in entries {
        if let Err(error) = extract::<C>(defaults, std::slice::from_ref(entry)) {
            let (origin, key, shown) = (&entry.origin, entry.key(), entry.shown());
            problems.push(format!("{origin}: `{key}` cannot be {shown}: {}", error.kind));
        }
    }
    if problems.is_empty() {
        problems.push(error.to_string());
    }
    ConfigError { problems }
}
