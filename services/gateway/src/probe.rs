//! Looks at Kafka from outside, once a second: where the topics end, what each stage has committed. Out: the state of
//! the pipeline for the view, and for the loop the partitions that there are.
//!
//! On a thread of its own, as a broker that is away makes every question wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use streams::{Admin, Env, StreamError, TopicPartition};

use crate::config::{Config, Group as GroupConfig};
use crate::hub::Hub;
use crate::lag::{Ends, Rate};
use crate::observe::{Metrics, ROLES};
use crate::pipeline::{Progress, Watermarks};
use crate::wire::{DeadLetters, Group, Pipeline, Size, State, Time, Topic};

/// So long without an event is worth a word.
const IDLE_SECONDS: f64 = 30.0;
const DRAIN_PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Probe {
    admin: Admin,
    env: Env,
    config: Config,
    hub: Hub,
    metrics: Metrics,
    progress: Arc<Progress>,
    ends: BTreeMap<TopicPartition, Ends>,
    rates: BTreeMap<String, Rate>,
    /// Since when Kafka has not answered.
    down_since: Option<i64>,
    last: Option<Pipeline>,
}

impl Probe {
    pub(crate) fn new(
        env: Env,
        config: Config,
        hub: Hub,
        metrics: Metrics,
        progress: Arc<Progress>,
    ) -> streams::Result<Self> {
        let admin = Admin::new(&env, &config.kafka)?;
        Ok(Probe {
            admin,
            env,
            config,
            hub,
            metrics,
            progress,
            ends: BTreeMap::new(),
            rates: BTreeMap::new(),
            down_since: None,
            last: None,
        })
    }

    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        loop {
            let pipeline = match self.look() {
                Ok(pipeline) => pipeline,
                Err(error) if error.is_fatal() => return Err(error.into()),
                Err(error) => {
                    self.metrics.probe_failed(&error);
                    self.unanswered()
                }
            };
            self.last = Some(pipeline.clone());
            let mut view = self.hub.view();
            view.pipeline(pipeline.clone());
            let size = view.size();
            drop(view);
            self.metrics.probed(&pipeline, size);
            // Who drains waits for the next look.
            let pause = if self.env.drain.is_set() { DRAIN_PAUSE } else { *self.config.view.probe };
            if self.env.shutdown.wait_timeout(pause) {
                return Ok(());
            }
        }
    }

    fn look(&mut self) -> streams::Result<Pipeline> {
        let topics = self.topics();
        let there = self.admin.list()?;
        let mut watermarks = Watermarks::new();
        for (topic, partitions) in there.iter().filter(|(topic, _)| topics.contains(topic)) {
            for partition in 0..*partitions {
                let marks = self.admin.watermarks_of(topic, partition)?;
                watermarks.insert(TopicPartition::new(topic.as_str(), partition), marks);
            }
        }
        let now_ns = self.env.clock.now_ns();
        for (partition, (_, end)) in &watermarks {
            self.ends.entry(partition.clone()).or_default().look(now_ns, *end);
        }
        let groups = self.config.groups.clone();
        let groups =
            groups.iter().map(|group| self.group(group, &watermarks, now_ns)).collect::<Result<Vec<_>, _>>()?;
        self.down_since = None;
        self.progress.publish(watermarks.clone());
        Ok(self.pipeline(&watermarks, groups, now_ns))
    }

    /// Every topic that is read here or by a stage.
    fn topics(&self) -> Vec<String> {
        let mut topics: Vec<String> = self.config.topics().map(str::to_owned).to_vec();
        topics.extend(self.config.groups.iter().flat_map(|group| group.topics.iter().cloned()));
        topics
    }

    fn group(&self, group: &GroupConfig, watermarks: &Watermarks, now_ns: i64) -> streams::Result<Group> {
        let mut answer = Group {
            stage: group.stage.clone(),
            group: group.group.clone(),
            lag: None,
            lag_seconds: None,
            lag_at_least: false,
            behind: false,
            problem: None,
        };
        let partitions: Vec<TopicPartition> =
            watermarks.keys().filter(|tp| group.topics.iter().any(|topic| *topic == *tp.topic)).cloned().collect();
        let committed = match self.admin.committed_in(&group.group, &partitions) {
            Ok(committed) => committed,
            // Not allowed to look, or no such group yet; the rest can still be shown.
            Err(error) if !matches!(error, StreamError::Retry { .. }) => {
                answer.problem = Some("its position cannot be read".to_owned());
                self.metrics.probe_failed(&error);
                return Ok(answer);
            }
            Err(error) => return Err(error),
        };
        if committed.iter().all(Option::is_none) {
            answer.problem = Some("no position yet".to_owned());
            return Ok(answer);
        }
        let (mut lag, mut seconds, mut at_least) = (0, 0.0_f64, false);
        for (partition, committed) in partitions.iter().zip(committed) {
            let (low, _) = watermarks[partition];
            // What retention took before it was read is lost, not waiting.
            let position = committed.unwrap_or(low).max(low);
            let Some(ends) = self.ends.get(partition) else { continue };
            let behind = ends.behind(position, now_ns);
            lag += behind.records;
            if behind.seconds > seconds {
                (seconds, at_least) = (behind.seconds, behind.at_least);
            }
        }
        let behind = seconds > group.patience.as_secs_f64();
        Ok(Group { lag: Some(lag), lag_seconds: Some(round(seconds)), lag_at_least: at_least, behind, ..answer })
    }

    fn pipeline(&mut self, watermarks: &Watermarks, groups: Vec<Group>, now_ns: i64) -> Pipeline {
        let named: Vec<(&'static str, String)> =
            ROLES.into_iter().zip(self.config.topics().map(str::to_owned)).collect();
        let mut topics = Vec::new();
        for (role, name) in named {
            let marks: Vec<(i64, i64)> =
                watermarks.iter().filter(|(tp, _)| *tp.topic == *name).map(|(_, marks)| *marks).collect();
            if marks.is_empty() {
                continue;
            }
            let end = marks.iter().map(|(_, end)| end).sum();
            let rate = self.rates.entry(name.clone()).or_default().look(now_ns, end);
            let newest = self.progress.newest(role);
            topics.push(Topic {
                role,
                topic: name,
                partitions: marks.len(),
                end,
                records: marks.iter().map(|(low, end)| end - low).sum(),
                rate,
                age_seconds: newest.map(|at| round((now_ns - at).max(0) as f64 / 1e9)),
            });
        }
        let dead = topics.iter().find(|topic| topic.role == "dead_letters");
        let dead_letters =
            dead.map(|topic| DeadLetters { count: topic.records, rate: topic.rate, reasons: Vec::new() });
        let (state, waiting_for) = self.state(&topics, &groups);
        Pipeline {
            as_of: Time(now_ns),
            state,
            waiting_for,
            problem: None,
            topics,
            groups,
            dead_letters: dead_letters.unwrap_or_default(),
            view: Size::default(),
        }
    }

    fn state(&self, topics: &[Topic], groups: &[Group]) -> (State, Option<String>) {
        let input = &self.config.input;
        let Some(events) = topics.iter().find(|topic| topic.role == "events") else {
            return (State::Waiting, Some(format!("Waiting for the topic {input}. `finflow topics apply` makes it.")));
        };
        if events.end == 0 {
            let why = format!("Waiting for the first record on {input}. Is the ingest stage running?");
            return (State::Waiting, Some(why));
        }
        if self.hub.view().size().symbols == 0 {
            return (State::Waiting, Some(format!("Reading {input}: nothing with a price so far.")));
        }
        if groups.iter().any(|group| group.behind) {
            return (State::Behind, None);
        }
        match events.age_seconds {
            Some(age) if age > IDLE_SECONDS && events.rate == 0.0 => (State::Idle, None),
            _ => (State::Flowing, None),
        }
    }

    /// The last picture, and that it is old.
    fn unanswered(&mut self) -> Pipeline {
        let now_ns = self.env.clock.now_ns();
        let since = *self.down_since.get_or_insert(now_ns);
        let at = Time(since).to_string();
        let problem = format!("Kafka has not answered since {} UTC. What is shown is from before.", &at[11..19]);
        let mut pipeline = self.last.clone().unwrap_or_else(|| Pipeline {
            as_of: Time(now_ns),
            state: State::Down,
            waiting_for: None,
            problem: None,
            topics: Vec::new(),
            groups: Vec::new(),
            dead_letters: DeadLetters::default(),
            view: Size::default(),
        });
        pipeline.as_of = Time(now_ns);
        pipeline.state = State::Down;
        pipeline.problem = Some(problem);
        if self.hub.view().size().symbols == 0 {
            pipeline.waiting_for = Some("Waiting for Kafka, which does not answer.".to_owned());
        }
        for topic in &mut pipeline.topics {
            topic.rate = 0.0;
            let newest = self.progress.newest(topic.role);
            topic.age_seconds = newest.map(|at| round((now_ns - at).max(0) as f64 / 1e9));
        }
        pipeline
    }
}

/// To tenths: more would change with every look and say nothing.
fn round(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

impl Progress {
    /// When Kafka took the newest record read of that role.
    fn newest(&self, role: &str) -> Option<i64> {
        let at = ROLES.iter().position(|known| *known == role)?;
        Some(self.newest[at].load(Ordering::Relaxed)).filter(|at| *at > i64::MIN)
    }
}
