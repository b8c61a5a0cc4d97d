//! `--speed`, as ingest's settings.

/// `N`, `N/s`, `sample` or `max` as keys and values of ingest's config.
pub fn settings(speed: &str) -> Result<Vec<(&'static str, String)>, String> {
    if speed == "max" {
        return Ok(vec![("speed", "max".to_owned())]);
    }
    if speed == "sample" {
        return Ok(vec![("sample", "true".to_owned())]);
    }
    let (key, number) = match speed.strip_suffix("/s") {
        Some(number) => ("rate", number),
        None => ("speed", speed),
    };
    match number.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(vec![(key, number.to_owned())]),
        _ => Err(format!("`{speed}` is not a speed: write 1 (as recorded), 60, 500/s, sample or max")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_sets_its_key() {
        let one = |speed: &str| settings(speed).map(|pairs| pairs[0].clone());
        assert_eq!(one("max"), Ok(("speed", "max".to_owned())));
        assert_eq!(one("60"), Ok(("speed", "60".to_owned())));
        assert_eq!(one("500/s"), Ok(("rate", "500".to_owned())));
        assert_eq!(one("sample"), Ok(("sample", "true".to_owned())));
    }

    #[test]
    fn what_is_no_speed_is_refused() {
        for speed in ["", "0", "-1", "fast", "inf", "NaN", "/s"] {
            assert!(settings(speed).is_err(), "{speed}");
        }
    }
}
