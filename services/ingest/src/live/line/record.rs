//! What a line keeps of what it is told.

use anyhow::Context as _;
use harness::Context;

use super::Line;
use crate::config::Config;
use crate::connection::LinkId;
use crate::recording::Begin;
use crate::recording::recorder::{Keep, Recorder};

impl Line {
    /// Keeps what it is told where the config says so. `number` is its own among the lines of its feed.
    pub fn recorded(mut self, ctx: &Context<Config>, number: usize) -> anyhow::Result<Line> {
        let live = &ctx.config.live;
        if live.record.is_empty() {
            return Ok(self);
        }
        let keep = Keep {
            dir: live.record.clone().into(),
            part_bytes: live.record_part.bytes().max(1),
            parts: usize::try_from(live.record_keep).unwrap_or(usize::MAX),
        };
        let begin = Begin {
            version: 1,
            feed: self.name.clone(),
            venue: self.machine.venue().limits().name.to_owned(),
            session: self.position.pass,
            line: number,
            quotes: self.quotes,
            reorder_ns: self.patience.reorder_ns,
            quiet_ns: self.patience.quiet_ns,
            unsure_ns: self.patience.unsure_ns,
            ..Begin::default()
        };
        let (written, failed) = (self.metrics.recorded.clone(), self.metrics.recordings_failed.clone());
        let recorder = Recorder::start(&keep, begin, written, failed).context("record (setting `live.record`)")?;
        self.recorder.insert(recorder).begin(self.clock.now_ns(), self.coverage.save());
        Ok(self)
    }

    pub(super) fn record(&mut self, now: i64, link: LinkId, word: &str, rest: &[u8]) {
        if let Some(recorder) = &mut self.recorder {
            recorder.add(now, link, word, rest);
        }
    }
}
