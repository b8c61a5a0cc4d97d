//! Seeded histories of a venue: trades, and everything that goes wrong between them.

use std::time::Duration;

use fastrand::Rng;

use super::{FakeVenue, Kind, words};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Trades(u8),
    /// Two trades that overtake each other.
    Overtaken,
    /// A trade that is made and never delivered to anybody.
    Lost,
    /// A frame that comes twice, perhaps with another one between.
    Doubled(bool),
    /// Trades of before come in a frame of their own, perhaps once more.
    Repeated,
    Unheard,
    /// Closed with a code, and with a close frame.
    Closed(u16),
    /// Cut without a word.
    Aborted,
    /// The socket stays open and nothing comes any more.
    Stalled,
    /// The next handshakes are refused.
    Refused(u16),
    /// A request of the next connection is not answered, after so many that are.
    Unanswered(u8),
    /// It is answered late.
    Slow(Slow),
    TooFast,
    KeyTaken,
}

/// How late a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow {
    /// So many requests before it are answered at once.
    pub behind: u8,
    pub after_ms: u64,
    /// What is asked for is served at once all the same.
    pub serves: bool,
}

/// Late answers take so many milliseconds: a client that waits 400 ms hears the first in time and the second too late.
pub const IN_TIME_MS: std::ops::Range<u64> = 20..200;
pub const TOO_LATE_MS: std::ops::Range<u64> = 450..900;

/// What happens, and in what order.
pub fn steps(kind: Kind, seed: u64, length: usize) -> Vec<Step> {
    let mut rng = Rng::with_seed(seed);
    let mut steps = vec![Step::Trades(3)];
    for _ in 0..length {
        let behind = rng.u8(0..=kind.requests_before());
        steps.push(match rng.u32(0..100) {
            0..48 => Step::Trades(rng.u8(1..6)),
            48..52 => Step::Repeated,
            52..58 => Step::Overtaken,
            // Where nothing counts the trades nobody could know.
            58..64 if kind.counts_trades() || kind.counts_messages() => Step::Lost,
            64..68 => Step::Doubled(rng.bool()),
            68..72 => Step::Unheard,
            72..77 => Step::Closed([1000, 1001, 1006, 1008, 1011][rng.usize(0..5)]),
            77..82 => Step::Aborted,
            82..85 => Step::Stalled,
            85..89 => Step::Refused([429, 503, 500, 502][rng.usize(0..4)]),
            // Of a venue that never answers nobody could know.
            89..91 if kind.acknowledges() => Step::Unanswered(behind),
            91..93 => Step::TooFast,
            93..95 => Step::KeyTaken,
            95..100 => {
                let range = if rng.u8(0..3) < 2 { IN_TIME_MS } else { TOO_LATE_MS };
                Step::Slow(Slow { behind, after_ms: rng.u64(range), serves: rng.bool() })
            }
            _ => Step::Trades(1),
        });
    }
    steps
}

/// Plays a history. Between the steps a moment passes, in which a heartbeat shows that all is well.
pub async fn play(venue: &FakeVenue, own_names: &[String], steps: &[Step], seed: u64, moment: Duration) {
    let mut rng = Rng::with_seed(seed ^ 0x5eed);
    let name = |rng: &mut Rng| own_names[rng.usize(0..own_names.len())].clone();
    for step in steps {
        match *step {
            Step::Trades(count) => {
                let made: Vec<usize> = (0..count).map(|_| venue.make(&name(&mut rng))).collect();
                venue.send(&made);
            }
            Step::Overtaken => {
                let name = name(&mut rng);
                let (first, second) = venue.make_two(&name);
                venue.deliver(&[&[first], &[second]], &[1, 0]);
            }
            Step::Lost => {
                venue.make(&name(&mut rng));
                venue.lose_message();
            }
            Step::Doubled(apart) => {
                let first: Vec<usize> = (0..rng.u8(1..4)).map(|_| venue.make(&name(&mut rng))).collect();
                if apart {
                    let second = venue.make(&name(&mut rng));
                    venue.deliver(&[&first, &[second]], &[0, 1, 0]);
                } else {
                    venue.deliver(&[&first], &[0, 0]);
                }
            }
            Step::Repeated => {
                let all = venue.made().len();
                let again: Vec<usize> = (0..rng.usize(1..4)).map(|_| all - 1 - rng.usize(0..all.min(12))).collect();
                venue.send(&again);
            }
            Step::Unheard => venue.say(words::unheard_of(venue.kind)),
            // 1006 is never sent: it is what the absence of a close frame is called.
            Step::Closed(1006) | Step::Aborted => venue.abort(),
            Step::Closed(code) => venue.close(code),
            Step::Stalled => venue.stall(),
            Step::Refused(status) => {
                venue.refuse(&[status, status]);
                venue.abort();
            }
            Step::Unanswered(behind) => {
                venue.answer(behind.into());
                venue.leave_unanswered(1);
                venue.close(1001);
            }
            Step::Slow(Slow { behind, after_ms, serves }) => {
                venue.answer(behind.into());
                venue.answer_late(Duration::from_millis(after_ms), serves);
                venue.close(1001);
            }
            Step::TooFast => {
                venue.call_too_fast(1);
                venue.close(1001);
            }
            Step::KeyTaken => venue.take_the_key_away(),
        }
        for _ in 0..rng.u32(1..4) {
            tokio::time::sleep(moment).await;
            venue.heartbeat();
        }
    }
}
