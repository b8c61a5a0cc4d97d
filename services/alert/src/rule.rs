//! One rule, judged against one record of metrics. Pure: the verdict depends on the rule, what it remembers of the
//! symbol, and the record.
//!
//! A rule fires when its condition comes true and stays fired until the value has come back beyond `clear`, so that a
//! value swinging around the level makes one alert and not a hundred; coming back is the `resolved` alert.

use market::{Alert, AlertState, Coordinates, Decimal, Direction, Metrics, Price, RuleKind, Span};
use serde::{Deserialize, Serialize};

/// What to look at and when to fire. Exactly one of `above`, `below`, `move_pct`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Names the rule in alerts and state; renaming it forgets what has fired.
    pub name: String,
    /// A symbol, or a pattern in which `*` stands for any characters.
    #[serde(default = "any")]
    pub symbols: String,
    pub window: Span,
    /// The field of the metrics record; `change_pct` for `move_pct`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<Decimal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<Decimal>,
    /// Percent, up or down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub move_pct: Option<Decimal>,
    /// The level that resolves it; the firing level itself if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear: Option<Decimal>,
}

fn any() -> String {
    "*".to_owned()
}

/// What a rule remembers of one symbol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The direction it fired in, while it has not come back.
    pub fired: Option<String>,
    /// Start and revision of the window judged last.
    pub seen: Option<(i64, u32)>,
}

/// What became of a record under one rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The rule looks at other windows, other symbols, or a field that is null here.
    NotMine,
    /// A window before, or the same revision of, the one judged last.
    Stale,
    Judged(Option<Box<Alert>>),
}

const METRICS: [&str; 14] = [
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "vwap",
    "twap",
    "average",
    "min",
    "max",
    "change_pct",
    "volatility",
    "sentiment",
];

impl Rule {
    pub fn validate(&self) -> Result<(), String> {
        let name = &self.name;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(format!("rule `{name}`: a name is made of letters, digits, `-`, `_` and `.`"));
        }
        let given = [self.above, self.below, self.move_pct].iter().flatten().count();
        if given != 1 {
            return Err(format!("rule `{name}`: give exactly one of above, below, move_pct"));
        }
        if let Some(metric) = &self.metric
            && !METRICS.contains(&metric.as_str())
        {
            return Err(format!("rule `{name}`: metric `{metric}` is not one of {}", METRICS.join(", ")));
        }
        if self.move_pct.is_some_and(|pct| pct <= Decimal::ZERO) {
            return Err(format!("rule `{name}`: move_pct is a size, above 0; both directions fire"));
        }
        let clear = self.clear.unwrap_or(self.level());
        let wrong_side = match (self.above.or(self.move_pct), self.below) {
            (Some(level), _) => clear > level,
            (None, Some(level)) => clear < level,
            (None, None) => false,
        };
        if wrong_side {
            return Err(format!("rule `{name}`: clear {clear} lies beyond {}, it would resolve at once", self.level()));
        }
        Ok(())
    }

    /// Judges a record, and remembers it.
    pub fn judge(&self, metrics: &Metrics, input: (i32, i64), memory: &mut Memory, config: &str) -> Verdict {
        if metrics.window != self.window || !glob(&self.symbols, &metrics.symbol) {
            return Verdict::NotMine;
        }
        let Some(value) = self.value(metrics) else { return Verdict::NotMine };
        let this = (metrics.window_start, metrics.rev);
        if memory.seen.is_some_and(|seen| this <= seen) {
            return Verdict::Stale;
        }
        memory.seen = Some(this);
        let fired = memory.fired.as_deref().and_then(Direction::parse);
        let alert = match (fired, self.firing(value)) {
            (fired, Some(direction)) if fired != Some(direction) => {
                memory.fired = Some(direction.as_str().to_owned());
                Some((AlertState::Fired, direction))
            }
            (Some(direction), None) if self.has_come_back(value) => {
                memory.fired = None;
                Some((AlertState::Resolved, direction))
            }
            _ => None,
        };
        Verdict::Judged(
            alert.map(|(state, direction)| Box::new(self.alert(metrics, input, value, state, direction, config))),
        )
    }

    fn alert(
        &self,
        metrics: &Metrics,
        (partition, offset): (i32, i64),
        value: Decimal,
        state: AlertState,
        direction: Direction,
        config: &str,
    ) -> Alert {
        Alert {
            alert_id: Alert::id(&self.name, &metrics.symbol, metrics.window, metrics.window_start, state),
            rule: self.name.clone(),
            rule_kind: if self.move_pct.is_some() { RuleKind::Move } else { RuleKind::Threshold },
            state,
            symbol: metrics.symbol.clone(),
            metric: self.metric().to_owned(),
            window: metrics.window,
            window_start: metrics.window_start,
            window_end: metrics.window_end,
            direction,
            value,
            threshold: if state == AlertState::Fired { self.level() } else { self.clear.unwrap_or(self.level()) },
            event_time: metrics.window_end,
            input: Coordinates { partition, offset, rev: metrics.rev },
            config: config.to_owned(),
        }
    }

    fn metric(&self) -> &str {
        match (&self.metric, self.move_pct) {
            (Some(metric), _) => metric,
            (None, Some(_)) => "change_pct",
            (None, None) => "close",
        }
    }

    fn level(&self) -> Decimal {
        self.above.or(self.below).or(self.move_pct).unwrap_or(Decimal::ZERO)
    }

    fn firing(&self, value: Decimal) -> Option<Direction> {
        match (self.above, self.below, self.move_pct) {
            (Some(level), ..) => (value > level).then_some(Direction::Above),
            (_, Some(level), _) => (value < level).then_some(Direction::Below),
            (.., Some(size)) if value.abs() >= size => {
                Some(if value.is_negative() { Direction::Down } else { Direction::Up })
            }
            _ => None,
        }
    }

    fn has_come_back(&self, value: Decimal) -> bool {
        let clear = self.clear.unwrap_or(self.level());
        match (self.above, self.below) {
            (Some(_), _) => value <= clear,
            (_, Some(_)) => value >= clear,
            _ => value.abs() <= clear,
        }
    }

    fn value(&self, metrics: &Metrics) -> Option<Decimal> {
        let price = |price: Option<Price>| price.map(Price::get);
        match self.metric() {
            "open" => price(metrics.open),
            "high" => price(metrics.high),
            "low" => price(metrics.low),
            "close" => price(metrics.close),
            "min" => price(metrics.min),
            "max" => price(metrics.max),
            "volume" => Some(metrics.volume.get()),
            "quote_volume" => metrics.quote_volume,
            "vwap" => metrics.vwap,
            "twap" => metrics.twap,
            "average" => metrics.average,
            "change_pct" => metrics.change_pct,
            "volatility" => metrics.volatility,
            "sentiment" => metrics.sentiment.and_then(|sentiment| sentiment.mean),
            _ => None,
        }
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any characters, also none.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests;
