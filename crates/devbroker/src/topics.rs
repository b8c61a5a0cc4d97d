//! The topics there are: names, UUIDs, configuration and partitions, on disk and in memory.
//!
//! A topic is a folder named by its UUID, so one made again under the same name shares nothing with the one deleted.
//! `topic.json` is written last and moved away first: a folder without it is half made or half deleted, and is
//! removed at the next start.

use crate::{
    config::{Overrides, Settings},
    errors::Code,
    files::write_whole,
    partition::Partition,
    sync::Syncer,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, RwLock},
};
use uuid::Uuid;

const MAX_PARTITIONS: i32 = 1000;

pub struct Topics {
    dir: PathBuf,
    by_name: RwLock<BTreeMap<String, Arc<Topic>>>,
    /// Held while topics are made, changed or deleted: one such change at a time.
    change: Mutex<()>,
    syncer: Syncer,
}

pub struct Topic {
    pub name: String,
    pub id: Uuid,
    dir: PathBuf,
    shape: RwLock<Shape>,
}

/// What may change in the life of a topic.
#[derive(Clone)]
struct Shape {
    partitions: Vec<Arc<Partition>>,
    overrides: Overrides,
    settings: Arc<Settings>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    name: String,
    id: Uuid,
    partitions: i32,
    config: Overrides,
}

impl Topic {
    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        crate::read(&self.shape).partitions.clone()
    }

    pub fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        crate::read(&self.shape).partitions.get(usize::try_from(index).ok()?).cloned()
    }

    pub fn overrides(&self) -> Overrides {
        crate::read(&self.shape).overrides.clone()
    }

    pub fn settings(&self) -> Arc<Settings> {
        crate::read(&self.shape).settings.clone()
    }

    fn save(&self, partitions: usize, config: Overrides) -> io::Result<()> {
        let saved = Saved { name: self.name.clone(), id: self.id, partitions: partitions as i32, config };
        write_whole(&self.dir.join("topic.json"), &serde_json::to_vec_pretty(&saved)?)
    }
}

impl Topics {
    pub fn open(dir: PathBuf, syncer: Syncer) -> io::Result<Topics> {
        fs::create_dir_all(&dir)?;
        let mut by_name = BTreeMap::new();
        for entry in fs::read_dir(&dir)? {
            let dir = entry?.path();
            let text = match fs::read(dir.join("topic.json")) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::remove_dir_all(&dir)?;
                    continue;
                }
                text => text?,
            };
            let saved: Saved = serde_json::from_slice(&text)
                .map_err(|error| io::Error::other(format!("{}/topic.json: {error}", dir.display())))?;
            let partitions = open_partitions(&dir, 0..saved.partitions, &syncer)?;
            let settings = Arc::new(Settings::new(&saved.config));
            let shape = RwLock::new(Shape { partitions, overrides: saved.config, settings });
            by_name.insert(saved.name.clone(), Arc::new(Topic { name: saved.name, id: saved.id, dir, shape }));
        }
        Ok(Topics { dir, by_name: RwLock::new(by_name), change: Mutex::new(()), syncer })
    }

    pub fn all(&self) -> Vec<Arc<Topic>> {
        crate::read(&self.by_name).values().cloned().collect()
    }

    pub fn get(&self, name: &str) -> Option<Arc<Topic>> {
        crate::read(&self.by_name).get(name).cloned()
    }

    pub fn by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        crate::read(&self.by_name).values().find(|topic| topic.id == id).cloned()
    }

    pub fn partition(&self, name: &str, index: i32) -> Option<(Arc<Topic>, Arc<Partition>)> {
        let topic = self.get(name)?;
        let partition = topic.partition(index)?;
        Some((topic, partition))
    }

    /// Makes a topic, or with `dry` only says whether it could be made.
    pub fn create(&self, name: &str, partitions: i32, overrides: Overrides, dry: bool) -> Result<(), Code> {
        let _alone = crate::lock(&self.change);
        check_name(name)?;
        if self.get(name).is_some() {
            return Err(Code::TopicAlreadyExists);
        }
        if !(1..=MAX_PARTITIONS).contains(&partitions) {
            return Err(Code::InvalidPartitions);
        }
        if dry {
            return Ok(());
        }
        let id = Uuid::new_v4();
        let dir = self.dir.join(format!("{name:.200}~{}", id.simple()));
        let settings = Arc::new(Settings::new(&overrides));
        let opened = open_partitions(&dir, 0..partitions, &self.syncer).map_err(|error| not_saved(name, &error))?;
        let shape = Shape { partitions: opened, overrides: overrides.clone(), settings };
        let topic = Topic { name: name.to_owned(), id, dir, shape: RwLock::new(shape) };
        topic.save(partitions as usize, overrides).map_err(|error| {
            let _ = fs::remove_dir_all(&topic.dir);
            not_saved(name, &error)
        })?;
        tracing::info!(topic = name, %id, partitions, "made a topic");
        crate::write(&self.by_name).insert(name.to_owned(), Arc::new(topic));
        Ok(())
    }

    /// Deletes a topic and everything in it.
    pub fn delete(&self, name: &str) -> Result<(), Code> {
        let _alone = crate::lock(&self.change);
        let topic = self.get(name).ok_or(Code::UnknownTopicOrPartition)?;
        // Without this file the folder is rubbish, even if the rest cannot be removed now.
        fs::remove_file(topic.dir.join("topic.json")).map_err(|error| not_saved(name, &error))?;
        crate::write(&self.by_name).remove(name);
        for partition in topic.partitions() {
            partition.close();
        }
        if let Err(error) = fs::remove_dir_all(&topic.dir) {
            tracing::warn!(%error, dir = %topic.dir.display(), "a deleted topic's folder stays until the next start");
        }
        tracing::info!(topic = name, id = %topic.id, "deleted a topic");
        Ok(())
    }

    /// Adds partitions up to `count`.
    pub fn grow(&self, name: &str, count: i32, dry: bool) -> Result<(), Code> {
        let _alone = crate::lock(&self.change);
        let topic = self.get(name).ok_or(Code::UnknownTopicOrPartition)?;
        let mut shape = crate::read(&topic.shape).clone();
        let now = shape.partitions.len() as i32;
        if count <= now || count > MAX_PARTITIONS {
            return Err(Code::InvalidPartitions);
        }
        if dry {
            return Ok(());
        }
        let more = open_partitions(&topic.dir, now..count, &self.syncer).map_err(|error| not_saved(name, &error))?;
        shape.partitions.extend(more);
        topic.save(count as usize, shape.overrides.clone()).map_err(|error| not_saved(name, &error))?;
        tracing::info!(topic = name, partitions = count, "added partitions");
        *crate::write(&topic.shape) = shape;
        Ok(())
    }

    /// Replaces a topic's configuration by `overrides`, which were checked.
    pub fn configure(&self, name: &str, overrides: Overrides) -> Result<(), Code> {
        let _alone = crate::lock(&self.change);
        let topic = self.get(name).ok_or(Code::UnknownTopicOrPartition)?;
        let mut shape = crate::read(&topic.shape).clone();
        topic.save(shape.partitions.len(), overrides.clone()).map_err(|error| not_saved(name, &error))?;
        shape.settings = Arc::new(Settings::new(&overrides));
        shape.overrides = overrides;
        *crate::write(&topic.shape) = shape;
        Ok(())
    }
}

fn open_partitions(dir: &Path, indexes: std::ops::Range<i32>, syncer: &Syncer) -> io::Result<Vec<Arc<Partition>>> {
    let open = |index: i32| Partition::open(dir.join(index.to_string()), syncer.clone()).map(Arc::new);
    indexes.map(open).collect()
}

fn not_saved(topic: &str, error: &io::Error) -> Code {
    tracing::error!(topic, %error, "cannot change the topic's folder");
    Code::KafkaStorageError
}

/// The names Apache Kafka allows; nothing else can become a path.
fn check_name(name: &str) -> Result<(), Code> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let fine = !name.is_empty() && name.len() <= 249 && name.chars().all(legal) && name != "." && name != "..";
    if fine { Ok(()) } else { Err(Code::InvalidTopic) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> Topics {
        Topics::open(dir.to_owned(), Syncer::start().unwrap().0).unwrap()
    }

    #[test]
    fn a_topic_made_again_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let topics = open(dir.path());
        topics.create("t", 2, Overrides::from([("retention.ms".into(), "5".into())]), false).unwrap();
        let first = topics.get("t").unwrap();
        assert_eq!(topics.create("t", 2, Overrides::new(), false), Err(Code::TopicAlreadyExists));
        topics.delete("t").unwrap();
        assert!(first.partition(0).unwrap().lock().gone);
        topics.create("t", 1, Overrides::new(), false).unwrap();
        let second = topics.get("t").unwrap();
        assert_ne!(first.id, second.id);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

        let again = open(dir.path());
        assert_eq!(again.get("t").unwrap().id, second.id);
        assert!(again.by_id(first.id).is_none());
    }

    #[test]
    fn growth_and_configuration_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let topics = open(dir.path());
        topics.create("t", 1, Overrides::new(), false).unwrap();
        assert_eq!(topics.grow("t", 1, false), Err(Code::InvalidPartitions));
        topics.grow("t", 3, false).unwrap();
        topics.configure("t", Overrides::from([("retention.ms".into(), "7".into())])).unwrap();
        let again = open(dir.path()).get("t").unwrap();
        assert_eq!((again.partitions().len(), again.settings().retention_ms), (3, Some(7)));
    }

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        for name in ["", ".", "..", "a/b", "a b", "ü", &"x".repeat(250)] {
            assert_eq!(check_name(name), Err(Code::InvalidTopic), "{name}");
        }
        check_name(&"x".repeat(249)).unwrap();
    }

    #[test]
    fn half_made_topics_are_swept_away() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("t~1234/0")).unwrap();
        assert!(open(dir.path()).all().is_empty());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
