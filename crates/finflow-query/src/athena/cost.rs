//! What a query costs: AWS bills what it scans, in whole megabytes, and so many at least.

use std::fmt;
use std::str::FromStr;

/// Of a terabyte, in US dollars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Price(f64);

const MEGABYTE: u64 = 1_000_000;
const LEAST_MEGABYTES: u64 = 10;
const MEGABYTES_PER_TERABYTE: f64 = 1e6;

impl Price {
    pub(crate) fn of(self, bytes: u64) -> f64 {
        let megabytes = bytes.div_ceil(MEGABYTE).max(LEAST_MEGABYTES);
        megabytes as f64 * self.0 / MEGABYTES_PER_TERABYTE
    }
}

impl FromStr for Price {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let price = text.parse().ok().filter(|price: &f64| price.is_finite() && *price >= 0.0);
        price.map(Self).ok_or_else(|| "a price is a number of US dollars, such as 5 or 6.75".to_owned())
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} USD per TB, {LEAST_MEGABYTES} MB at least", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_megabytes_are_the_least_and_a_started_megabyte_is_whole() {
        let price: Price = "5".parse().unwrap();
        let cost = |bytes| format!("{:.6}", price.of(bytes));
        assert_eq!(
            (cost(0), cost(10_000_000), cost(10_000_001)),
            ("0.000050".into(), "0.000050".into(), "0.000055".into())
        );
        assert_eq!(cost(1_000_000_000_000), "5.000000");
        assert!("-1".parse::<Price>().is_err() && "NaN".parse::<Price>().is_err() && "five".parse::<Price>().is_err());
    }
}
