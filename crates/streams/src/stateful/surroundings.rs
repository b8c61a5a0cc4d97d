//! What a stage needs to find in the cluster, and what it is called there.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

use super::Settings;
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
    check_partitions(&env.ask("list the topics", || admin.list())?, settings, input.partitions)?;
    check_cleanup(env, admin, &settings.changelog)?;
    Ok(Input { topic_id: input.topic_id.to_string(), partitions: input.partitions })
}

/// Partition n of the changelog belongs to partition n of the input, for as long as both have as many as at the start.
pub(super) fn check_partitions(
    there: &BTreeMap<String, i32>,
    settings: &Settings,
    expected: i32,
) -> anyhow::Result<()> {
    for topic in [&settings.input, &settings.changelog] {
        let found = there.get(topic).copied().unwrap_or(0);
        if found != expected {
            bail!(
                "{topic} has {found} partitions, expected {expected}: {} and {} must have as many as each other, and keep \
                 them. A different number moves keys between partitions, away from their state: make new topics with \
                 the number you want and let the stage finish the old ones first",
                settings.input,
                settings.changelog
            );
        }
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
