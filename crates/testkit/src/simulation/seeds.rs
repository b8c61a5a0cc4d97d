//! Many histories, and what to say of the first that went wrong.

use std::fmt;

use streams::OwnedRecord;
use streams::stateful::Stage;

use super::history::History;
use super::log::Log;
use super::{Ended, Lie, Simulation, Stats};

/// Played again with `FINFLOW_SIM_SEED`.
pub struct Failed {
    pub seed: u64,
    pub what: String,
    /// What went on, step by step.
    pub story: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Played {
    pub histories: u64,
    pub stats: Stats,
}

impl<S: Stage + 'static> Simulation<S> {
    /// Plays the history of one seed.
    pub fn run(&self, seed: u64, lie: Option<Lie>) -> Result<Ended, Box<Failed>> {
        match self.once(seed, lie, false) {
            Ok(ended) => Ok(ended),
            // Again, and this time with the story.
            Err(_) => match self.once(seed, lie, true) {
                Err((what, story)) => Err(Box::new(Failed { seed, what, story })),
                Ok(_) => panic!("the history of seed {seed} is not the same each time"),
            },
        }
    }

    fn once(&self, seed: u64, lie: Option<Lie>, told: bool) -> Result<Ended, (String, Vec<String>)> {
        let (result, story) = History::new(self, seed, lie, told).play();
        let checked = result.and_then(|ended| (self.check)(&ended).map(|()| ended));
        checked.map_err(|what| (what, story))
    }

    /// The first of these seeds whose history fails.
    pub fn find(&self, seeds: std::ops::Range<u64>, lie: Option<Lie>) -> Result<Played, Box<Failed>> {
        let mut played = Played::default();
        for seed in seeds {
            let ended = self.run(seed, lie)?;
            played.histories += 1;
            played.stats.add(&ended.stats);
        }
        Ok(played)
    }
}

/// Plays as many histories as `FINFLOW_SIM_HISTORIES` says, else `histories`; or the one of `FINFLOW_SIM_SEED`.
///
/// # Panics
/// When one fails, with its seed and its story.
pub fn play<S: Stage + 'static>(simulation: &Simulation<S>, histories: u64) -> Played {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("FINFLOW_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FINFLOW_SIM_HISTORIES").unwrap_or(histories),
    };
    match simulation.find(seeds, None) {
        Ok(played) => {
            println!("{} histories: {:?}", played.histories, played.stats);
            played
        }
        Err(failed) => panic!("{failed}"),
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.story {
            writeln!(f, "{line}")?;
        }
        write!(f, "seed {}: {}", self.seed, self.what)
    }
}

/// The committed records of a partition.
pub(super) fn records(topic: &str, partition: i32, log: &Log) -> Vec<OwnedRecord> {
    log.committed().map(|(offset, entry)| entry.record(topic, partition, offset)).collect()
}
