//! What the thread that writes is to do at a certain place of the queue.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use super::memory::Memory;
use super::queue::{Entry, Item, Queue};
use crate::position::Position;

pub enum Control {
    /// Records of this share follow, and this is what is in Kafka of it.
    Begin { share: usize, turn: u64, memory: Memory },
    /// There are no more. It is told when all of them are in Kafka.
    End { share: usize, done: oneshot::Sender<()> },
}

/// The queue may put what it holds on disk: it has numbers, and what they stand for is here.
#[derive(Default)]
pub struct Board(Mutex<(u64, BTreeMap<u64, Control>)>);

impl Board {
    pub fn put(&self, queue: &Queue, control: Control) {
        let (Control::Begin { share, .. } | Control::End { share, .. }) = &control;
        let feed = *share;
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.0 += 1;
        let number = board.0;
        board.1.insert(number, control);
        queue.mark(Entry { feed, position: Position::default(), item: Item::Mark(number) });
    }

    pub fn take(&self, number: u64) -> Option<Control> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&number)
    }
}
