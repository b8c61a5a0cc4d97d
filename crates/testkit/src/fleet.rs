//! Processes of one group that are killed, stopped and woken up, started beside each other and ended.

use std::fs::OpenOptions;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::signal;

/// The processes, each in a place of its own. Killed when it goes out of scope.
pub struct Fleet<'a> {
    start: Box<dyn Fn(usize, Stdio) -> Child + 'a>,
    /// What all of them say: a pipe that nobody reads would stop them.
    log: tempfile::NamedTempFile,
    children: Vec<Child>,
    rng: fastrand::Rng,
}

impl<'a> Fleet<'a> {
    /// One process. `start` gets the number of its place, from 0, and where it is to write what it has to say.
    pub fn new(seed: u64, start: impl Fn(usize, Stdio) -> Child + 'a) -> Self {
        let log = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut fleet = Self { start: Box::new(start), log, children: Vec::new(), rng: fastrand::Rng::with_seed(seed) };
        fleet.grow();
        fleet
    }

    /// So many kills; meanwhile five rounds (fewer, where there are not many kills) of 1 → 3 → 1, and of one that is
    /// stopped and woken up again. `sleep` is how long that takes. At the end everybody is told to end, and does. `load`
    /// runs beside it, until it is told to stop.
    pub fn storm(self, kills: u64, sleep: impl Fn(), load: impl FnOnce(&AtomicBool) + Send) {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| load(&stop));
            let _stop = StopAtEnd(&stop);
            self.kill(kills, sleep);
        });
    }

    fn kill(mut self, kills: u64, sleep: impl Fn()) {
        let begun = Instant::now();
        let round = kills.div_ceil(5).max(4);
        for kill in 0..kills {
            self.pause();
            match kill % round {
                1 => (0..2).for_each(|_| self.grow()),
                2 => self.stop_and_wake(&sleep),
                3 => (0..2).for_each(|_| self.shrink()),
                _ => {}
            }
            self.pause();
            self.kill_one();
            if kill % 10 == 9 {
                println!("{} of {kills} kills in {:?}", kill + 1, begun.elapsed());
            }
        }
        self.pause();
        while !self.children.is_empty() {
            self.shrink();
        }
    }

    fn grow(&mut self) {
        self.children.push(self.child(self.children.len()));
    }

    fn child(&self, place: usize) -> Child {
        let log = OpenOptions::new().append(true).open(self.log.path()).expect("our own file");
        (self.start)(place, log.into())
    }

    fn kill_one(&mut self) {
        let place = self.rng.usize(..self.children.len());
        self.all_alive();
        self.children[place].kill().expect("SIGKILL");
        self.children[place].wait().expect("it ends");
        self.children[place] = self.child(place);
    }

    /// Drains the last one.
    fn shrink(&mut self) {
        let child = self.children.pop().expect("there is one");
        signal(&child, "TERM");
        assert!(child.wait_with_output().expect("it ends").status.success(), "{}", self.last_words());
    }

    fn stop_and_wake(&mut self, sleep: impl Fn()) {
        let place = self.rng.usize(..self.children.len());
        signal(&self.children[place], "STOP");
        sleep();
        signal(&self.children[place], "CONT");
    }

    fn all_alive(&mut self) {
        let ended = self.children.iter_mut().find_map(|child| child.try_wait().expect("the process is ours"));
        assert_eq!(ended, None, "one ended by itself: {}", self.last_words());
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(self.log.path()).expect("our own file");
        let lines: Vec<&str> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn pause(&mut self) {
        std::thread::sleep(Duration::from_millis(self.rng.u64(..1_500)));
    }
}

/// Ends the load even where the test fails: the scope waits for it.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        for child in &mut self.children {
            // One that ended by itself cannot be killed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
