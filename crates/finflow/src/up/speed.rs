//! `--speed`, as ingest's settings.

use std::str::FromStr;

use crate::settings::Pairs;

/// `N`, `N/s`, `sample` or `max` as keys and values of ingest's config. A pace that is chosen replaces every other one.
#[derive(Clone, Debug, PartialEq)]
pub struct Speed(pub Pairs);

impl Speed {
    pub fn is_sample(&self) -> bool {
        self.0.contains(&("sample", "true".to_owned()))
    }
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "sample" {
            return Ok(Speed(vec![("sample", "true".to_owned())]));
        }
        if text == "max" {
            return Ok(Speed(pace("speed", text)));
        }
        let (key, number) = match text.strip_suffix("/s") {
            Some(number) => ("rate", number),
            None => ("speed", text),
        };
        match number.parse::<f64>() {
            Ok(value) if value.is_finite() && value > 0.0 => Ok(Speed(pace(key, number))),
            _ => Err(format!("`{text}` is not a speed: write 1 (as recorded), 60, 500/s, sample or max")),
        }
    }
}

fn pace(key: &'static str, value: &str) -> Pairs {
    let mut pairs = vec![(key, value.to_owned()), ("sample", "false".to_owned())];
    if key != "rate" {
        pairs.push(("rate", "0".to_owned()));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_sets_its_key() {
        let one = |speed: &str| speed.parse::<Speed>().map(|speed| speed.0[0].clone());
        assert_eq!(one("max"), Ok(("speed", "max".to_owned())));
        assert_eq!(one("60"), Ok(("speed", "60".to_owned())));
        assert_eq!(one("500/s"), Ok(("rate", "500".to_owned())));
        assert_eq!(one("sample"), Ok(("sample", "true".to_owned())));
    }

    #[test]
    fn what_is_no_speed_is_refused() {
        for speed in ["", "0", "-1", "fast", "inf", "NaN", "/s"] {
            assert!(speed.parse::<Speed>().is_err(), "{speed}");
        }
    }
}
