//! One look at a venue: does it let us in, does it take the subscription, does a trade come?
//!
//! The same machine, sockets and decoders as those of a feed, and no Kafka. Where a feed would try again this ends: it is
//! asked to say what is wrong.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use harness::Clock;
use market::{Event, Side, Trade};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::Instant;

use super::feed::LiveFeed;
use super::socket::{self, Order, Told};
use crate::config::Config;
use crate::connection::{Connection, Input, Life, LinkId, Output};
use crate::spec::Feed;
use crate::venues::{Acknowledgement, Heard, Said};

/// What has been reached.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Connected {
        took: Duration,
    },
    /// All of these, by our names. `said`: the venue said so; some never do.
    Subscribed {
        symbols: Vec<String>,
        said: bool,
        took: Duration,
    },
    Traded {
        trade: Box<Trade>,
        took: Duration,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Connected { took } => write!(f, "connected, after {}", seconds(*took)),
            Step::Subscribed { symbols, said: true, took } => {
                write!(f, "subscribed {}, after {}", symbols.join(", "), seconds(*took))
            }
            Step::Subscribed { symbols, said: false, .. } => {
                write!(f, "asked for {}; this venue never acknowledges", symbols.join(", "))
            }
            Step::Traded { trade, took } => {
                let side = match trade.side {
                    Some(Side::Buy) => ", bought",
                    Some(Side::Sell) => ", sold",
                    None => "",
                };
                let id = trade.trade_id.as_deref().map_or_else(String::new, |id| format!(" {id}"));
                let Trade { symbol, price, quantity, event_time, receive_time, .. } = &**trade;
                write!(f, "trade{id} of {symbol}: {quantity} at {price}{side}")?;
                if let Some(received) = receive_time {
                    write!(f, ", {:.3} s after it happened", (received - event_time) as f64 / 1e9)?;
                }
                write!(f, ", after {}", seconds(*took))
            }
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// A feed of this text, such as `binance?url=…`, with these symbols. A symbol may be given by the venue's own name.
pub fn feed(text: &str, symbols: &[String], config: &Config) -> Result<LiveFeed, String> {
    let mut feed: Feed = text.parse()?;
    if !feed.is_live() {
        let names = [&crate::venues::NAMES[..], &crate::venues::poll::NAMES[..]].concat().join(", ");
        return Err(format!("`{text}` is no live venue: use one of {names}"));
    }
    if !symbols.is_empty() {
        let venue = crate::venues::of(&feed.path);
        let ours = |symbol: &String| {
            let of_own_name = |name: &str| venue.as_ref().map(|venue| venue.symbol(name));
            match &venue {
                Some(venue) if venue.own_name(symbol).is_none() => {
                    // By its own name, if that is one.
                    let ours = of_own_name(&symbol.to_ascii_uppercase()).unwrap_or_default();
                    venue.own_name(&ours).map_or_else(|| symbol.clone(), |_| ours)
                }
                _ => symbol.clone(),
            }
        };
        let symbols: Vec<String> = symbols.iter().map(ours).collect();
        feed.options.insert("symbols".to_owned(), symbols.join("+"));
    }
    LiveFeed::of(&feed, config)
}

/// Goes as far as a trade, within `deadline`. Tells each step as it is reached. The error is a sentence that says what
/// failed, and what to do where that is known.
pub async fn look(
    feed: &LiveFeed,
    config: &Config,
    clock: Arc<dyn Clock>,
    deadline: Duration,
    tell: &mut dyn FnMut(Step),
) -> Result<(), String> {
    super::install_tls();
    let (tells, mut told) = mpsc::channel(64);
    let mut probe = Probe::new(feed, config, clock, deadline, tells);
    probe.turn(Input::Tick, tell)?;
    loop {
        let wake = probe.began + probe.machine.wake().min(deadline);
        let happened = tokio::time::timeout_at(wake, told.recv()).await;
        match happened {
            Ok(Some((link, told))) => probe.told(link, told, tell)?,
            Ok(None) | Err(_) => probe.turn(Input::Tick, tell)?,
        }
        if probe.traded {
            return Ok(());
        }
        if probe.began.elapsed() >= deadline {
            return Err(probe.late(deadline));
        }
    }
}

struct Probe<'a> {
    feed: &'a LiveFeed,
    machine: Connection,
    clock: Arc<dyn Clock>,
    began: Instant,
    life: Life,
    tells: Sender<(LinkId, Told)>,
    orders: Option<Sender<Order>>,
    /// What the socket said last of its end.
    end: Option<String>,
    /// What the venue said against us last.
    complaint: Option<String>,
    connected: bool,
    welcomed: bool,
    covered: BTreeSet<String>,
    traded: bool,
    frames: u64,
    old: u64,
    unread: Option<String>,
    heard: Heard,
}

impl<'a> Probe<'a> {
    fn new(
        feed: &'a LiveFeed,
        config: &Config,
        clock: Arc<dyn Clock>,
        deadline: Duration,
        tells: Sender<(LinkId, Told)>,
    ) -> Self {
        let live = &config.live;
        let life = Life {
            handshake: (*live.handshake).min(deadline),
            acknowledgement: (*live.acknowledgement).min(deadline),
            ..Life::default()
        };
        let keys = (feed.key.clone(), feed.secret.clone());
        Probe {
            feed,
            machine: Connection::new(feed.venue(), feed.limits, life, keys, feed.symbols.clone()),
            clock,
            began: Instant::now(),
            life,
            tells,
            orders: None,
            end: None,
            complaint: None,
            connected: false,
            welcomed: !feed.limits.greets,
            covered: BTreeSet::new(),
            traded: false,
            frames: 0,
            old: 0,
            unread: None,
            heard: Heard::default(),
        }
    }

    fn told(&mut self, link: LinkId, told: Told, tell: &mut dyn FnMut(Step)) -> Result<(), String> {
        match told {
            Told::Opened => {
                self.connected = true;
                tell(Step::Connected { took: self.began.elapsed() });
                self.turn(Input::Opened(link), tell)
            }
            Told::Refused(status, wait) => {
                let retry = wait.map_or_else(String::new, |wait| format!(", and to wait {} s", wait.as_secs()));
                self.end = Some(format!("answered the handshake with HTTP {status}{retry}"));
                self.turn(Input::Refused(link, status, wait), tell)
            }
            Told::Closed(why) => {
                self.end = Some(why);
                self.turn(Input::Closed(link), tell)
            }
            Told::Alive => self.turn(Input::Alive(link), tell),
            Told::Frames(frames) => frames.iter().try_for_each(|frame| self.frame(link, frame, tell)),
        }
    }

    fn frame(&mut self, link: LinkId, frame: &[u8], tell: &mut dyn FnMut(Step)) -> Result<(), String> {
        let mut heard = std::mem::take(&mut self.heard);
        heard.clear();
        self.frames += 1;
        let now = self.clock.now_ns();
        if let Err(bad) = self.machine.venue().decode(frame, now, &mut heard) {
            self.unread = Some(format!("{}: {}", bad.reason, bad.detail));
        }
        for said in &heard.said {
            match said {
                Said::Welcome => self.welcomed = true,
                Said::KeyRefused(text) | Said::KeyInUse(text) | Said::TooFast(text) => {
                    self.complaint = Some(text.clone());
                }
                Said::Refused { reason, .. } => self.complaint = Some(reason.clone()),
                _ => {}
            }
        }
        self.turn(Input::Frame(link, &heard.said, heard.sequence), tell)?;
        for event in &heard.found.events {
            match event {
                // Of before the subscription: it does not show that anything comes now.
                Event::Trade(trade) if trade.backfilled => self.old += 1,
                Event::Trade(trade) if !self.traded => {
                    self.traded = true;
                    let (trade, took) = (Box::new(trade.clone()), self.began.elapsed());
                    tell(Step::Traded { trade, took });
                }
                _ => {}
            }
        }
        self.heard = heard;
        Ok(())
    }

    /// Hands what happened to the machine and does what it says, up to the first thing that is wrong.
    fn turn(&mut self, input: Input<'_>, tell: &mut dyn FnMut(Step)) -> Result<(), String> {
        let mut out = Vec::new();
        self.machine.handle(input, self.began.elapsed(), 0.0, &mut out);
        for out in out {
            match out {
                Output::Open(link) => {
                    let (orders, taken): (_, Receiver<Order>) = mpsc::channel(64);
                    self.orders = Some(orders);
                    tokio::spawn(socket::run(link, self.address(), self.tells.clone(), taken));
                }
                Output::Send(_, text) => self.order(Order::Send(text)),
                Output::Ping(_) => self.order(Order::Ping),
                Output::Covered(name) => drop(self.covered.insert(name)),
                Output::Ended("planned" | "leaving") => {}
                Output::Ended(cause) => return Err(self.ended(cause)),
                Output::Stopped(reason) => return Err(self.with_complaint(reason)),
                Output::Close(_) | Output::Uncovered(_) | Output::Missed(_) => {}
            }
        }
        // A refused symbol is not asked for again: no use in waiting for it.
        if let Some(trouble) = self.machine.trouble().filter(|text| text.starts_with("refused:")) {
            return Err(format!("the subscription was {trouble}"));
        }
        if self.covered.len() == self.feed.symbols.len() && !self.covered.is_empty() {
            let venue = self.machine.venue();
            let symbols = std::mem::take(&mut self.covered).iter().map(|name| venue.symbol(name)).collect();
            let said = self.feed.limits.acknowledgement != Acknowledgement::None;
            tell(Step::Subscribed { symbols, said, took: self.began.elapsed() });
        }
        Ok(())
    }

    fn address(&mut self) -> String {
        self.machine.venue().address(&self.feed.address, &self.feed.key)
    }

    fn order(&mut self, order: Order) {
        if let Some(orders) = &self.orders {
            orders.try_send(order).ok();
        }
    }

    /// Why the connection is over, in the words of whoever ended it.
    fn ended(&mut self, cause: &'static str) -> String {
        let (address, why) = (self.feed.address.clone(), self.end.clone().unwrap_or_default());
        let reason = match cause {
            "closed" if !self.connected => format!("{address} cannot be reached: {why}"),
            "closed" => format!("the venue ended the connection: {why}"),
            "refused" => format!("the venue {why}"),
            "too_fast" if !self.connected => {
                format!("the venue {why}: too many attempts from this address, try again later")
            }
            "too_fast" => "the venue was asked too often, try again later".to_owned(),
            "key_in_use" => "the key is in use elsewhere: this venue allows one connection per key".to_owned(),
            "handshake" if !self.connected => {
                format!("{address} did not answer the handshake within {}", seconds(self.life.handshake))
            }
            "handshake" => format!("connected, and nothing came within {}", seconds(self.life.handshake)),
            "unacknowledged" => {
                format!("no acknowledgement of the subscription within {}", seconds(self.life.acknowledgement))
            }
            "silence" => format!("connected, and silent for {}", seconds(self.feed.limits.silence)),
            other => other.to_owned(),
        };
        self.with_complaint(reason)
    }

    fn with_complaint(&self, reason: String) -> String {
        match &self.complaint {
            Some(text) if !reason.contains(text.as_str()) => format!("{reason} (it says: {text})"),
            _ => reason,
        }
    }

    /// What was missing when the time was over.
    fn late(&mut self, deadline: Duration) -> String {
        let within = format!("within {}", seconds(deadline));
        let reason = if !self.connected {
            format!("{} did not answer the handshake {within}", self.feed.address)
        } else if !self.welcomed {
            format!("connected, and nothing came {within}")
        } else if let Some(trouble) = self.machine.trouble() {
            format!("not subscribed {within}: {trouble}")
        } else {
            let old = if self.old > 0 { format!(", {} old trades among them", self.old) } else { String::new() };
            let unread =
                self.unread.as_ref().map_or_else(String::new, |bad| format!("; one was not understood: {bad}"));
            format!(
                "subscribed, and no trade came {within} ({} messages did{old}{unread}): is the market open?",
                self.frames
            )
        };
        self.with_complaint(reason)
    }
}
