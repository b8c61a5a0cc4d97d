//! Every venue's words, read: the frames kept beside the project (where they are here), damaged ones, and the corners that
//! no recording has.

mod corners;
mod frames;
mod quotes;
mod words;

use super::{Heard, Said, of};
use market::Event;

const RECEIVED: i64 = 1_700_000_000_000_000_000;

fn heard(venue: &str, frame: &[u8]) -> (Heard, Option<&'static str>) {
    let mut heard = Heard::default();
    let bad = of(venue).unwrap().decode(frame, RECEIVED, &mut heard).err();
    (heard, bad.map(|bad| bad.reason))
}

/// What a frame says, in words short enough for a table.
fn told(venue: &str, frame: &[u8]) -> String {
    let (heard, bad) = heard(venue, frame);
    let mut parts: Vec<String> = heard.sequence.iter().map(|n| format!("#{n}")).collect();
    parts.extend(heard.found.events.iter().map(event));
    parts.extend(heard.said.iter().map(said));
    if heard.found.events.is_empty() && heard.said.is_empty() {
        parts.extend(heard.found.ignored.map(|kind| format!("ignored {kind}")));
    }
    parts.extend(bad.map(|reason| format!("bad {reason}")));
    parts.join("; ")
}

fn event(event: &Event) -> String {
    match event {
        Event::Trade(trade) => {
            let old = if trade.backfilled { " old" } else { "" };
            let side = trade.side.map_or("-", |side| side.as_str());
            let id = trade.trade_id.as_deref().unwrap_or("-");
            let mut text = format!("{} {id} {}x{} {side}", trade.symbol, trade.price, trade.quantity);
            text.push_str(&format!(" @{}{old}", trade.event_time / 1_000));
            if !trade.conditions.is_empty() {
                text.push_str(&format!(" [{}]", trade.conditions.join(" ")));
            }
            text
        }
        Event::News(news) => format!("news {} {} @{}", news.symbol, news.news_id, news.event_time / 1_000),
        Event::Cancel(cancel) => format!("cancel {} {}", cancel.symbol, cancel.trade_id),
        Event::Correction(correction) => {
            let id = correction.corrected_id.as_deref().unwrap_or("-");
            format!(
                "correction {} {}→{id} {}x{}",
                correction.symbol, correction.trade_id, correction.price, correction.quantity
            )
        }
        other => format!("{other:?}"),
    }
}

fn said(said: &Said) -> String {
    format!("{said:?}")
}
