//! The rules as a transactional stage: the loop itself is `streams::stateful`.

use std::collections::{BTreeMap, BTreeSet};

use harness::Registry;
use market::{Metrics, Reason};
use streams::stateful::{Changelog, Outbox, Outcome, Settings, Stage, Tick};
use streams::{Record, header};

use crate::config::{Config, Judge};
use crate::error::AlertError;
use crate::observe::Observe;
use crate::rule::{Memory, Rule, Verdict};

/// Between rule and symbol in the keys of the state. No rule's name holds one.
const SEPARATOR: char = '/';

pub struct Alerts {
    rules: Vec<Rule>,
    /// Hash of each rule as it is now, carried by its alerts.
    hashes: Vec<String>,
    judge: Judge,
    output: String,
    /// Header `source` of the alerts.
    source: String,
    observe: Observe,
    value: Vec<u8>,
}

/// What the rules remember of the symbols of one partition, by state key.
#[derive(Default)]
pub struct Part {
    partition: i32,
    memories: BTreeMap<String, Memory>,
    changed: BTreeSet<String>,
}

impl Alerts {
    pub fn new(config: &Config, registry: &Registry) -> Self {
        Alerts {
            rules: config.rules.clone(),
            hashes: config.rules.iter().map(hash).collect(),
            judge: config.judge,
            output: config.output.clone(),
            source: header::source_of(&config.input),
            observe: Observe::new(registry, &config.rules),
            value: Vec::new(),
        }
    }

    pub fn settings(config: &Config) -> Settings {
        Settings {
            outputs: vec![config.output.clone()],
            dead_letters: config.dead_letters.clone(),
            reasons: Reason::ALL.iter().map(|reason| reason.as_str()).collect(),
            transactional_id: config.transactional_id.clone(),
            commit_interval: *config.commit_interval,
            ..Settings::new(config.group.as_str(), config.input.as_str(), config.state.as_str())
        }
    }

    fn judge(&mut self, part: &mut Part, metrics: &Metrics, offset: i64, out: &mut Outbox<'_>) -> Outcome {
        let mut outcome = Outcome::OtherKind;
        for (rule, hash) in self.rules.iter().zip(&self.hashes) {
            let key = state_key(&rule.name, &metrics.symbol);
            let mut memory = part.memories.get(&key).cloned().unwrap_or_default();
            match rule.judge(metrics, (part.partition, offset), &mut memory, hash) {
                Verdict::NotMine => continue,
                Verdict::Stale => {
                    if outcome == Outcome::OtherKind {
                        outcome = Outcome::Duplicate;
                    }
                    continue;
                }
                Verdict::Judged(alert) => {
                    outcome = Outcome::Folded;
                    if let Some(alert) = alert {
                        self.value.clear();
                        alert.encode(&mut self.value);
                        let headers: [(&str, &[u8]); 4] = [
                            (header::CONTENT_TYPE, b"application/json"),
                            (header::SCHEMA_VERSION, b"1"),
                            (header::SOURCE, self.source.as_bytes()),
                            (header::EVENT_ID, alert.alert_id.as_bytes()),
                        ];
                        out.emit(&self.output, alert.symbol.as_bytes(), &self.value, &headers);
                        self.observe.alert(&alert);
                    }
                }
            }
            part.changed.insert(key.clone());
            part.memories.insert(key, memory);
        }
        outcome
    }
}

fn state_key(rule: &str, symbol: &str) -> String {
    format!("{rule}{SEPARATOR}{symbol}")
}

/// Tells alerts of a changed rule from those before the change. Not a secret, not a checksum: FNV-1a.
fn hash(rule: &Rule) -> String {
    let text = serde_json::to_vec(rule).expect("a rule is plain data");
    let hash = text
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

impl Stage for Alerts {
    type Part = Part;

    fn new_part(&mut self, partition: i32) -> Part {
        Part { partition, ..Part::default() }
    }

    fn restore(&mut self, part: &mut Part, key: &[u8], value: Option<&[u8]>) -> anyhow::Result<()> {
        let key = String::from_utf8_lossy(key).into_owned();
        let Some((name, _)) = key.split_once(SEPARATOR) else {
            self.observe.alien_state(part.partition, &key);
            return Ok(());
        };
        let Some(value) = value else {
            part.memories.remove(&key);
            return Ok(());
        };
        match serde_json::from_slice(value) {
            Ok(memory) => drop(part.memories.insert(key, memory)),
            // A symbol may hold the separator, too: only a rule's own name makes the record one of ours.
            Err(_) if !self.rules.iter().any(|rule| rule.name == name) => {
                self.observe.alien_state(part.partition, &key);
            }
            Err(source) => return Err(AlertError::State { key, source }.into()),
        }
        Ok(())
    }

    fn owner<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        let at = key.iter().position(|byte| *byte == SEPARATOR as u8)?;
        Some(&key[at + 1..])
    }

    fn record(&mut self, part: &mut Part, record: &Record<'_>, out: &mut Outbox<'_>) -> Outcome {
        out.follow(record);
        let metrics = match Metrics::decode(record.value.unwrap_or_default()) {
            Ok(metrics) => metrics,
            Err(error) => {
                self.observe.invalid(record, &error);
                out.dead_letter(record, error.reason.as_str(), &error.detail);
                return Outcome::Invalid;
            }
        };
        if self.judge == Judge::Final && !metrics.is_final {
            return Outcome::OtherKind;
        }
        self.judge(part, &metrics, record.offset, out)
    }

    fn tick(&mut self, _part: &mut Part, _tick: Tick, _out: &mut Outbox<'_>) {}

    fn snapshot(&mut self, part: &mut Part, log: &mut Changelog<'_>) {
        for key in std::mem::take(&mut part.changed) {
            let memory = &part.memories[&key];
            log.put(key.as_bytes(), &serde_json::to_vec(memory).expect("a memory is plain data"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_key_is_the_code() {
        let page = include_str!("../../../docs/topics.md");
        let row = format!("| `{}` | `{}` |", streams::topic::ALERT_STATE, state_key("<rule>", "<symbol>"));
        assert!(page.lines().any(|line| line.starts_with(&row)), "{row}");
    }
}
