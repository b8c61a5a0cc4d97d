//! The symbols of a feed while it runs: a file that is watched, or a call of the admin port, changes them. Sockets stay open.
//!
//! What is asked for is taken whole or not at all, and each change is logged under `audit`: who made it, what came and what went.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use harness::{Call, Reply};
use tokio::sync::watch;

use super::feed::LiveFeed;
use super::lease::share_of;
use crate::observe::live::FeedMetrics;
use crate::venues::Venue;

/// The symbols in a text: words between blanks, commas or `+`; what follows a `#` in a line is for people.
pub fn parse(text: &str) -> Vec<String> {
    let plain = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let words = plain.flat_map(|line| line.split(|c: char| c.is_whitespace() || c == ',' || c == '+'));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

pub fn read(path: &Path) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(path);
    text.map(|text| parse(&text)).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

pub struct Symbols {
    feed: String,
    venue: Mutex<Box<dyn Venue>>,
    /// The symbols of one connection.
    most: usize,
    /// Whose symbols are in a file are changed there.
    pub file: Option<PathBuf>,
    metrics: FeedMetrics,
    /// Of each share of the feed, whoever reads it now.
    shares: Mutex<Vec<Lines>>,
}

struct Lines {
    wanted: Vec<watch::Sender<BTreeSet<String>>>,
    /// Where a symbol has ever been: what is known of it is there.
    homes: BTreeMap<String, usize>,
}

struct Placed {
    parts: Vec<BTreeSet<String>>,
    homes: BTreeMap<String, usize>,
}

/// By the venue's own names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub added: BTreeSet<String>,
    pub removed: BTreeSet<String>,
}

impl Symbols {
    pub fn new(feed: &LiveFeed, metrics: FeedMetrics) -> Symbols {
        Symbols {
            feed: feed.name.clone(),
            venue: Mutex::new(feed.venue()),
            most: feed.limits.most_symbols,
            file: feed.symbols_file.clone(),
            metrics,
            shares: Mutex::new(feed.lines().into_iter().map(Lines::new).collect()),
        }
    }

    /// What each line of a share is to serve, now and from now on.
    pub fn of_share(&self, share: usize) -> Vec<watch::Receiver<BTreeSet<String>>> {
        self.lock()[share].wanted.iter().map(watch::Sender::subscribe).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Lines>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Our names of all that is wanted now.
    pub fn now(&self) -> Vec<String> {
        let venue = self.venue.lock().unwrap_or_else(PoisonError::into_inner);
        let names: BTreeSet<String> = self.lock().iter().flat_map(Lines::all).collect();
        names.iter().map(|name| venue.symbol(name)).collect()
    }

    /// From now on exactly these are wanted. `by` is who says so. The error is a sentence, and nothing has changed.
    pub fn set(&self, symbols: &[String], by: &str) -> Result<Change, String> {
        let desired = self.own_names(symbols)?;
        let mut shares = self.lock();
        let before: BTreeSet<String> = shares.iter().flat_map(Lines::all).collect();
        let change = Change {
            added: desired.difference(&before).cloned().collect(),
            removed: before.difference(&desired).cloned().collect(),
        };
        if change == Change::default() {
            return Ok(change);
        }
        let mut parts = vec![BTreeSet::new(); shares.len()];
        for (name, symbol) in desired.iter().zip(self.symbols(&desired)) {
            parts[share_of(&symbol, shares.len())].insert(name.clone());
        }
        // All of them or none.
        let placed = shares.iter().zip(&parts).map(|(lines, part)| lines.place(part, self.most));
        let placed = placed.collect::<Result<Vec<_>, String>>()?;
        for (lines, placed) in shares.iter_mut().zip(placed) {
            lines.want(placed);
        }
        self.metrics.symbols_changed.inc();
        let (added, removed) = (&change.added, &change.removed);
        tracing::info!(target: "audit", feed = self.feed, by, ?added, ?removed, symbols = desired.len(), "symbols changed");
        Ok(change)
    }

    fn symbols(&self, names: &BTreeSet<String>) -> Vec<String> {
        let venue = self.venue.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().map(|name| venue.symbol(name)).collect()
    }

    fn own_names(&self, symbols: &[String]) -> Result<BTreeSet<String>, String> {
        let venue = self.venue.lock().unwrap_or_else(PoisonError::into_inner);
        let own = |symbol: &String| {
            let example = venue.limits().symbols[0];
            let no =
                || format!("`{symbol}` is no symbol of {}, whose symbols are such as `{example}`", venue.limits().name);
            venue.own_name(symbol).ok_or_else(no)
        };
        let names = symbols.iter().map(own).collect::<Result<BTreeSet<String>, String>>()?;
        // A file that is being written is empty for a moment.
        if names.is_empty() { Err("no symbols: stop the feed instead".to_owned()) } else { Ok(names) }
    }

    /// `GET` and `PUT /feeds/<name>/symbols`.
    fn call(&self, call: &Call) -> Reply {
        match (call.method.as_str(), &self.file) {
            ("GET", _) => (200, self.now().iter().map(|symbol| format!("{symbol}\n")).collect()),
            ("PUT", Some(file)) => {
                (409, format!("the symbols of `{}` are in {}: change that\n", self.feed, file.display()))
            }
            ("PUT", None) => match self.set(&parse(&call.body), &call.peer) {
                Ok(change) => (200, format!("{} added, {} removed\n", change.added.len(), change.removed.len())),
                Err(problem) => {
                    self.metrics.symbols_refused.inc();
                    (400, format!("{problem}\n"))
                }
            },
            _ => (405, "GET shows the symbols, PUT sets them\n".to_owned()),
        }
    }
}

impl Lines {
    fn new(parts: Vec<BTreeSet<String>>) -> Lines {
        let homes = (0..).zip(&parts).flat_map(|(line, part)| part.iter().map(move |name| (name.clone(), line)));
        Lines { homes: homes.collect(), wanted: parts.into_iter().map(watch::Sender::new).collect() }
    }

    fn all(&self) -> BTreeSet<String> {
        self.wanted.iter().flat_map(|part| part.borrow().clone()).collect()
    }

    /// Divides the names among the lines. A name that has been with one stays with it.
    fn place(&self, desired: &BTreeSet<String>, most: usize) -> Result<Placed, String> {
        let mut parts = vec![BTreeSet::new(); self.wanted.len()];
        let (known, new): (Vec<&String>, Vec<&String>) =
            desired.iter().partition(|name| self.homes.contains_key(*name));
        for name in known {
            parts[self.homes[name]].insert(name.clone());
        }
        let mut homes = self.homes.clone();
        for name in new {
            let least = (0..parts.len()).min_by_key(|line| parts[*line].len()).unwrap_or(0);
            parts[least].insert(name.clone());
            homes.insert(name.clone(), least);
        }
        if parts.iter().any(|part| part.len() > most) {
            let room = most * parts.len();
            return Err(format!(
                "{} symbols do not fit: this part of the feed was started with {} connections, of {most} symbols each ({room} in all); start it anew",
                desired.len(),
                parts.len()
            ));
        }
        Ok(Placed { parts, homes })
    }

    fn want(&mut self, placed: Placed) {
        self.homes = placed.homes;
        for (sender, part) in self.wanted.iter().zip(placed.parts) {
            sender.send_if_modified(|now| std::mem::replace(now, part.clone()) != part);
        }
    }
}

/// Answers calls for any of these feeds.
pub fn answer(feeds: &[Arc<Symbols>], call: &Call) -> Reply {
    let name = call.path.strip_prefix("/feeds/").and_then(|rest| rest.strip_suffix("/symbols"));
    match feeds.iter().find(|symbols| Some(symbols.feed.as_str()) == name) {
        Some(symbols) => symbols.call(call),
        None => {
            let names: Vec<&str> = feeds.iter().map(|symbols| symbols.feed.as_str()).collect();
            (
                404,
                format!(
                    "there is no such feed: /feeds/<name>/symbols, where the name is one of {}\n",
                    names.join(", ")
                ),
            )
        }
    }
}

/// Follows the file for ever. What is wrong with it is said once, and the symbols stay as they are.
pub async fn follow(symbols: Arc<Symbols>, file: PathBuf, every: Duration) {
    let mut seen: Option<(SystemTime, u64)> = None;
    let mut problem: Option<String> = None;
    loop {
        let stamp = tokio::fs::metadata(&file).await.and_then(|data| Ok((data.modified()?, data.len())));
        let looked = match stamp {
            Ok(stamp) if seen == Some(stamp) => None,
            Ok(stamp) => {
                seen = Some(stamp);
                let by = file.display().to_string();
                Some(read(&file).and_then(|wanted| symbols.set(&wanted, &by)).map(drop))
            }
            Err(error) => {
                seen = None;
                Some(Err(format!("cannot read `{}`: {error}", file.display())))
            }
        };
        match looked {
            None => {}
            Some(Ok(())) => problem = None,
            Some(Err(new)) if problem.as_ref() == Some(&new) => {}
            Some(Err(new)) => {
                symbols.metrics.symbols_refused.inc();
                tracing::warn!(feed = symbols.feed, problem = new, "the symbols stay as they are");
                problem = Some(new);
            }
        }
        tokio::time::sleep(every).await;
    }
}
