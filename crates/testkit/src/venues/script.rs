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
    /// A frame that comes twice.
    Doubled,
    Unheard,
    /// Closed with a code, and with a close frame.
    Closed(u16),
    /// Cut without a word.
    Aborted,
    /// The socket stays open and nothing comes any more.
    Stalled,
    /// The next handshakes are refused.
    Refused(u16),
    /// The next request is not answered.
    Unanswered,
    TooFast,
    KeyTaken,
}

/// What happens, and in what order.
pub fn steps(kind: Kind, seed: u64, length: usize) -> Vec<Step> {
    let mut rng = Rng::with_seed(seed);
    let mut steps = vec![Step::Trades(3)];
    for _ in 0..length {
        steps.push(match rng.u32(0..100) {
            0..52 => Step::Trades(rng.u8(1..6)),
            // Where nothing counts the trades nobody could know.
            52..58 if kind.counts_trades() => Step::Overtaken,
            58..64 if kind.counts_trades() || kind == Kind::Advanced => Step::Lost,
            64..68 if kind.counts_trades() => Step::Doubled,
            68..72 => Step::Unheard,
            72..77 => Step::Closed([1000, 1001, 1006, 1008, 1011][rng.usize(0..5)]),
            77..82 => Step::Aborted,
            82..85 => Step::Stalled,
            85..89 => Step::Refused([429, 503, 500, 502][rng.usize(0..4)]),
            // Of a venue that never answers nobody could know.
            89..92 if kind != Kind::Finnhub => Step::Unanswered,
            92..95 => Step::TooFast,
            95..97 => Step::KeyTaken,
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
                let (first, second) = (venue.make(&name), venue.make(&name));
                venue.send(&[second]);
                venue.send(&[first]);
            }
            Step::Lost => {
                venue.make(&name(&mut rng));
                venue.lose_message();
            }
            Step::Doubled => {
                let made = venue.make(&name(&mut rng));
                venue.send(&[made]);
                venue.send(&[made]);
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
            Step::Unanswered => {
                venue.leave_unanswered(1);
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
