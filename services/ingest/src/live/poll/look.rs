//! One look at a polled venue: is each thing that is asked of it answered? No Kafka, and nothing is tried twice.

use std::time::Duration;

use harness::Clock;
use market::time;
use tokio::time::Instant;

use super::feed::{PollFeed, masked};
use crate::config::Config;
use crate::live::rest::{Answer, Rest};
use crate::spec::Feed;
use crate::venues::poll::{self, Ask, Reach};

/// A feed of this text with these symbols; where none are given with the first of the venue's, as requests are dear.
pub fn feed(text: &str, symbols: &[String], config: &Config) -> Result<PollFeed, String> {
    let mut feed: Feed = text.parse()?;
    let first = poll::of(&feed.path).map(|venue| venue.limits().symbols[0].to_owned());
    if !symbols.is_empty() {
        feed.options.insert("symbols".to_owned(), symbols.join("+"));
    } else if let Some(first) = first {
        feed.options.entry("symbols".to_owned()).or_insert(first);
    }
    PollFeed::of(&feed, config)
}

/// Asks each once, no faster than the limits allow, and tells each outcome. The error counts what was not answered.
pub async fn look(
    feed: &PollFeed,
    clock: &dyn Clock,
    deadline: Duration,
    tell: &mut dyn FnMut(Result<String, String>),
) -> Result<(), String> {
    crate::live::install_tls();
    let rest = Rest::new(&feed.address, deadline).map_err(|error| format!("{error:#}"))?;
    let pause = feed.rates.iter().filter(|rate| rate.burst == 1).map(|rate| rate.per).max().unwrap_or_default();
    let mut failed = 0;
    for (number, ask) in feed.asks.iter().enumerate() {
        if number > 0 {
            tokio::time::sleep(pause).await;
        }
        let of = format!("{} of {}", ask.what, ask.symbol);
        let answered = one(feed, ask, &rest, clock).await;
        failed += usize::from(answered.is_err());
        tell(match answered {
            Ok(found) => Ok(format!("{of}: {found}")),
            Err(why) => Err(format!("{of}: {}", masked(&why, &feed.key))),
        });
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} requests were not answered", feed.asks.len())) }
}

async fn one(feed: &PollFeed, ask: &Ask, rest: &Rest, clock: &dyn Clock) -> Result<String, String> {
    let began = Instant::now();
    let reach = Reach { newest: None, follows: false, short: true, now: clock.now_ns() };
    let request = feed.venue.request(ask, reach, &feed.key);
    let answer = match rest.get(&request.path, request.header.as_ref()).await {
        Answer::Page(page) => page,
        Answer::Later(why, _) | Answer::Never(why) | Answer::Unauthorized(why) => return Err(why),
    };
    let now = clock.now_ns();
    let page = feed.venue.read(ask, Reach { now, ..reach }, &answer).map_err(|refusal| refusal.why().into_owned())?;
    let newest = page.events.iter().filter_map(market::Event::event_time).max();
    let newest = newest.map_or_else(String::new, |at| format!(", the newest of {}", time::rfc3339(at)));
    let bad = if page.bad.is_empty() { String::new() } else { format!(", {} cannot be read", page.bad.len()) };
    Ok(format!("{} items{newest}{bad}, after {:.1} s", page.events.len(), began.elapsed().as_secs_f64()))
}
