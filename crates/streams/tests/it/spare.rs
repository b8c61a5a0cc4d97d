//! A member of a group for which there is nothing.

use std::time::Duration;

use streams::{Consumer, ConsumerOptions, Polled};
use testkit::{eventually, unique};

use crate::kit::{Kit, LONG, join};

const TURN: Duration = Duration::from_millis(50);

/// It is ready, and stands by.
#[test]
fn a_member_for_which_there_is_nothing_is_told_so_and_inherits() {
    let kit = Kit::new();
    let (topic, group) = (kit.topic(1), unique("g"));
    let member = || Consumer::new(&kit.env, &kit.kafka, ConsumerOptions::new(&group, [&topic])).unwrap();
    let mut first = member();
    join(&mut first);
    let mut spare = member();
    eventually(LONG, "the spare hears of nothing", || {
        // Neither may keep the other waiting.
        match first.poll(Duration::from_millis(10)).unwrap() {
            Polled::Assigned(_) => first.assign().unwrap(),
            Polled::Revoked(_) | Polled::Lost(_) => first.release().unwrap(),
            _ => {}
        }
        match spare.poll(Duration::from_millis(10)).unwrap() {
            Polled::Assigned(partitions) => {
                assert!(partitions.is_empty(), "{partitions:?} belongs to the first");
                spare.assign().unwrap();
                Some(())
            }
            _ => None,
        }
    });
    assert!(spare.is_settled());
    first.close().unwrap();
    eventually(LONG, "the spare inherits", || match spare.poll(TURN).unwrap() {
        Polled::Assigned(partitions) => {
            spare.assign().unwrap();
            (partitions.len() == 1).then_some(())
        }
        Polled::Revoked(_) | Polled::Lost(_) => {
            spare.release().unwrap();
            None
        }
        _ => None,
    });
}
