//! Moving averages by name: `sma:20`, `ema:12`.

use std::fmt;
use std::str::FromStr;

use crate::interval::serde_as_text;
use crate::words::words;

/// The most bars an average is taken over.
const MOST_BARS: u16 = 1_000;

words! {
    /// How bars are weighted.
    AverageKind {
        /// All alike.
        Simple = "sma",
        /// The newest with `2 / (bars + 1)`, the average before it with the rest.
        Exponential = "ema",
    }
}

/// An average of the closing prices of so many bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Average {
    pub kind: AverageKind,
    bars: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no moving average: write sma or ema and the number of bars, 1 to {MOST_BARS}, such as sma:20")]
pub struct AverageError(String);

impl Average {
    pub fn new(kind: AverageKind, bars: u16) -> Option<Self> {
        (1..=MOST_BARS).contains(&bars).then_some(Self { kind, bars })
    }

    pub fn bars(self) -> u16 {
        self.bars
    }

    /// The name of its field: `sma_20`.
    pub fn field(self) -> String {
        format!("{}_{}", self.kind, self.bars)
    }

    /// What [`Average::field`] gave.
    pub fn of_field(name: &str) -> Option<Self> {
        Self::parts(name.split_once('_')?)
    }

    fn parts((kind, bars): (&str, &str)) -> Option<Self> {
        let digits = bars.bytes().all(|b| b.is_ascii_digit()) && !bars.starts_with('0');
        digits.then(|| Self::new(AverageKind::parse(kind)?, bars.parse().ok()?)).flatten()
    }
}

impl fmt::Display for Average {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.bars)
    }
}

impl FromStr for Average {
    type Err = AverageError;

    fn from_str(text: &str) -> Result<Self, AverageError> {
        text.split_once(':').and_then(Self::parts).ok_or_else(|| AverageError(text.chars().take(40).collect()))
    }
}

serde_as_text!(Average);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_round() {
        for text in ["sma:1", "sma:20", "ema:12", "ema:1000"] {
            let average: Average = text.parse().unwrap();
            assert_eq!(average.to_string(), text);
            assert_eq!(Average::of_field(&average.field()), Some(average));
        }
        for text in ["", "sma", "sma:", "sma:0", "sma:1001", "sma:020", "wma:5", "sma:+5", "sma_5", "sma:5:5"] {
            assert!(text.parse::<Average>().is_err(), "{text}");
        }
    }
}
