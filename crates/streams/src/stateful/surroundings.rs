//! What a stage needs to find in the cluster, and what it is called there.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

use super::Settings;
use super::meta::{self, Expected};
use super::world::Input;
use crate::admin::Admin;
use crate::env::Env;

/// What is in the cluster that the stage depends on: waits for the topics, then looks at them.
pub(super) fn look_around(env: &Env, admin: &Admin, settings: &Settings) -> anyhow::Result<Input> {
    let mut topics = vec![settings.input.as_str(), settings.changelog.as_str(), settings.dead_letters.as_str()];
    topics.extend(settings.outputs.iter().map(String::as_str));
    admin.wait_for(&topics)?;
    let input = env.ask("describe the input", || admin.describe(&settings.input))?;
    let input = input.with_context(|| format!("the topic {} was deleted just now", settings.input))?;
    if input.topic_id.is_zero() {
        bail!("the broker gives {} no id: topics have one since Kafka 2.8, and the state needs it", settings.input);
    }
    let partitions = settings.only.unwrap_or(input.partitions);
    check_partitions(env.service, &env.ask("list the topics", || admin.list())?, settings, partitions)?;
    check_cleanup(env, admin, &settings.changelog)?;
    Ok(Input { topic_id: input.topic_id.to_string(), partitions })
}

/// Partition n of the changelog belongs to partition n of the input, for as long as both have as many as at the start.
pub(super) fn check_partitions(
    service: &str,
    there: &BTreeMap<String, i32>,
    settings: &Settings,
    expected: i32,
) -> anyhow::Result<()> {
    if settings.only.is_some() {
        return Ok(());
    }
    let count = |topic: &String| there.get(topic).copied().unwrap_or(0);
    let (input, changelog) = (count(&settings.input), count(&settings.changelog));
    check_count(service, settings, input, expected)?;
    if changelog != expected {
        let Settings { input: topic, changelog: state, .. } = settings;
        let steps = meta::steps(service, input.max(changelog));
        bail!("{topic} has {input} partitions and {state} {changelog}: they must have as many as each other. {steps}");
    }
    Ok(())
}

/// Every process looks before it begins: one that is given partitions without state alone would find nothing wrong.
pub(super) fn check_state(service: &str, settings: &Settings, found: i32, partitions: i32) -> anyhow::Result<()> {
    if found != partitions {
        let Settings { input, changelog, .. } = settings;
        let steps = meta::steps(service, partitions.max(found));
        bail!(
            "{changelog} holds the state of {found} partitions of {input}, which has {partitions} now: keys have moved between \
             partitions, and with them their records, but not their state. {steps}"
        );
    }
    Ok(())
}

/// The input is the one of the start.
pub(super) fn check_input(
    service: &str,
    settings: &Settings,
    found: &Input,
    expected: &Expected,
) -> anyhow::Result<()> {
    if found.topic_id != expected.topic_id {
        let Settings { input, changelog, .. } = settings;
        bail!(
            "{input} was deleted and made again while it was read: the state in {changelog} stands for records that are gone. {}",
            meta::REBUILD
        );
    }
    check_count(service, settings, found.partitions, expected.partitions)
}

/// The input has as many partitions as at the start.
fn check_count(service: &str, settings: &Settings, found: i32, expected: i32) -> anyhow::Result<()> {
    if found != expected {
        let (topic, steps) = (&settings.input, meta::steps(service, found.max(expected)));
        bail!("{topic} had {expected} partitions and has {found} now: keys have moved away from their state. {steps}");
    }
    Ok(())
}

/// With any other cleanup the state of a quiet key would be deleted by its age, and nobody would notice.
fn check_cleanup(env: &Env, admin: &Admin, changelog: &str) -> anyhow::Result<()> {
    let found = env.ask("read the settings of the changelog", || admin.settings(changelog))?;
    let found = found.get("cleanup.policy").map_or("", String::as_str);
    if found != "compact" {
        bail!(
            "{changelog} has cleanup.policy={found}, which would delete state that is still needed: set it to compact \
             (`kafka-configs --alter --topic {changelog} --add-config cleanup.policy=compact`)"
        );
    }
    Ok(())
}

/// The same at each start of this process, and never two processes at once.
pub(super) fn transactional_id(settings: &Settings) -> String {
    if !settings.transactional_id.is_empty() {
        return settings.transactional_id.clone();
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    let host = host.map(|host| host.trim().to_owned()).filter(|host| !host.is_empty());
    format!("{}-{}", settings.group, host.unwrap_or_else(|| "host".to_owned()))
}
