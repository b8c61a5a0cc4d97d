//! Kafka itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Committed, Failure, Input, Pending, Position, Replay, World};
use crate::admin::Admin;
use crate::config::KafkaConfig;
use crate::consumer::{Consumer, ConsumerOptions, Polled, TopicPartition};
use crate::env::Env;
use crate::error::Result;
use crate::native::membership::Membership;
use crate::reader::Reader;
use crate::stateful::transaction::{ENDED, Transactions};
use crate::stateful::{Settings, marks, surroundings};

pub(in crate::stateful) struct Kafka<'a> {
    env: &'a Env,
    kafka: &'a KafkaConfig,
    admin: Admin,
    consumer: Consumer,
    transactions: Transactions,
}

impl<'a> Kafka<'a> {
    pub fn connect(env: &'a Env, kafka: &'a KafkaConfig, settings: &Settings) -> anyhow::Result<(Self, Input)> {
        let admin = Admin::new(env, kafka)?;
        let input = surroundings::look_around(env, &admin, settings)?;
        if let Some(found) = marks::partitions(env, kafka, settings)? {
            surroundings::check_state(env.service, settings, found, input.partitions)?;
        }
        let id = surroundings::transactional_id(settings);
        let transactions = Transactions::new(env, kafka, &id, settings.transaction_timeout)?;
        let options = ConsumerOptions::new(&settings.group, [&settings.input]).start(settings.start);
        let consumer = Consumer::new(env, kafka, options)?;
        Ok((Kafka { env, kafka, admin, consumer, transactions }, input))
    }

    fn assigned(&self) -> Vec<TopicPartition> {
        self.consumer.assigned().cloned().collect()
    }
}

impl World for Kafka<'_> {
    type Membership = Membership;
    type Reader = Reader;

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wait(&self, timeout: Duration) -> bool {
        self.env.shutdown.wait_timeout(timeout)
    }

    fn poll(&mut self, timeout: Duration) -> Result<Polled<'_>> {
        self.consumer.poll(timeout)
    }

    fn assign_at(&mut self, positions: &[(TopicPartition, i64)]) -> Result<()> {
        self.consumer.assign_at(positions)
    }

    fn release(&mut self) -> Result<()> {
        self.consumer.release()
    }

    fn is_settled(&self) -> bool {
        self.consumer.is_settled()
    }

    fn seek(&mut self, positions: &[(TopicPartition, i64)]) -> Result<()> {
        self.consumer.seek(positions)
    }

    fn pause(&mut self) -> Result<()> {
        let partitions = self.assigned();
        self.consumer.pause(&partitions)
    }

    fn resume(&mut self) -> Result<()> {
        let partitions = self.assigned();
        self.consumer.resume(&partitions)
    }

    fn membership(&mut self) -> Option<Arc<Membership>> {
        self.consumer.membership()
    }

    fn keep_alive(&mut self) {
        self.consumer.keep_alive();
    }

    fn has_event(&self) -> bool {
        self.consumer.has_event()
    }

    fn committed(&self, partitions: &[TopicPartition], limit: Duration) -> Result<Vec<Option<Committed>>> {
        let found = self.consumer.committed_with(partitions, limit)?.into_iter();
        let committed = |(offset, note): (i64, String)| Committed { offset, ended: note == ENDED };
        Ok(found.map(|found| found.map(committed)).collect())
    }

    fn start_of(&self, partition: &TopicPartition) -> Result<i64> {
        self.consumer.start_of(partition)
    }

    fn topics(&self) -> Result<BTreeMap<String, i32>> {
        self.env.ask("list the topics", || self.admin.list())
    }

    fn input_within(&self, topic: &str, limit: Duration) -> Result<Option<Input>> {
        let found = self.admin.identity_within(topic, limit)?;
        Ok(found.map(|(id, partitions)| Input { topic_id: id.to_string(), partitions }))
    }

    fn true_end(&self, topic: &str, partition: i32) -> Result<i64> {
        self.env.ask("read the end of a partition", || Ok(self.admin.watermarks_of(topic, partition)?.1))
    }

    fn true_end_within(&self, topic: &str, partition: i32, limit: Duration) -> Result<i64> {
        self.admin.true_end(topic, partition, limit)
    }

    fn reader(&self, name: &str) -> Result<Reader> {
        Reader::new(self.env, self.kafka, name)
    }

    fn commit(&self, pending: &Pending, positions: &[Position<'_>], membership: &Membership) -> Result<(), Failure> {
        self.transactions.commit(pending, positions, membership)
    }

    fn is_fenced(&self) -> bool {
        self.transactions.is_fenced()
    }

    fn reconnect(&mut self) -> Result<()> {
        self.transactions.reconnect()
    }

    fn close(self) -> Result<()> {
        self.consumer.close()
    }
}

impl Replay for Reader {
    fn watermarks(&self, partition: &TopicPartition) -> Result<(i64, i64)> {
        Reader::watermarks(self, partition)
    }

    fn assign(&mut self, positions: &[(TopicPartition, i64)]) -> Result<()> {
        Reader::assign(self, positions)
    }

    fn poll(&mut self, timeout: Duration) -> Result<Polled<'_>> {
        Reader::poll(self, timeout)
    }

    fn position(&self, partition: &TopicPartition) -> Option<i64> {
        Reader::position(self, partition)
    }
}
