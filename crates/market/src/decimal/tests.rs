use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<String, NumberError> {
    text.parse::<Decimal>().map(|d| d.to_string())
}

#[test]
fn the_shortest_exact_form_comes_back() {
    for (text, shortest) in [
        ("0", "0"),
        ("-0.0", "0"),
        ("1", "1"),
        ("61837.63000000", "61837.63"),
        ("-61837.63", "-61837.63"),
        ("3.844E-5", "0.00003844"),
        ("6.8581834E7", "68581834"),
        ("1e+2", "100"),
        ("007.50", "7.5"),
        ("1495365300.0", "1495365300"),
        ("335.90698726000005", "335.90698726000005"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("-99999999999999999999.999999999999999999", "-99999999999999999999.999999999999999999"),
        ("1.00000000000000000000000000000000000000000", "1"),
        ("0.1e-17", "0.000000000000000001"),
        ("100000000000000000000000e-4", "10000000000000000000"),
        ("0e999999999999999999999", "0"),
        ("0.0000000000000000000000000000e-99999", "0"),
    ] {
        assert_eq!(parse(text).as_deref(), Ok(shortest), "{text}");
    }
}

#[test]
fn more_digits_than_there_is_room_for_are_refused_not_rounded() {
    for text in [
        "100000000000000000000",
        "0.0000000000000000001",
        "1.0000000000000000001",
        "1e400",
        "-1e400",
        "1e-400",
        "1e99999999999999999999999999",
        "1e-99999999999999999999999999",
        "123456789012345678901234567890",
    ] {
        assert_eq!(parse(text), Err(NumberError::Precision), "{text}");
    }
}

#[test]
fn what_is_no_number_is_refused() {
    for text in ["", "-", "+1", ".5", "5.", "1.e5", "1e", "1e+", "--1", "1 ", " 1", "0x10", "1_000", "1,5", "१"] {
        assert_eq!(parse(text), Err(NumberError::Syntax), "{text:?}");
    }
    for text in ["NaN", "nan", "inf", "-Infinity", "+Inf"] {
        assert_eq!(parse(text), Err(NumberError::NotFinite), "{text:?}");
    }
}

#[test]
fn half_goes_to_even() {
    let round = |text: &str, decimals| text.parse::<Decimal>().unwrap().rounded(decimals).unwrap().to_string();
    assert_eq!(round("2.5", 0), "2");
    assert_eq!(round("3.5", 0), "4");
    assert_eq!(round("-2.5", 0), "-2");
    assert_eq!(round("-3.5", 0), "-4");
    assert_eq!(round("-2.500000000000000001", 0), "-3");
    assert_eq!(round("0.1234567890125", 12), "0.123456789012");
    assert_eq!(round("0.1234567890135", 12), "0.123456789014");
    assert_eq!(Decimal::MAX.rounded(0), None);
}

#[test]
fn serde_keeps_the_value_or_refuses() {
    let json = |text: &str| serde_json::to_string(&text.parse::<Decimal>().unwrap()).unwrap();
    assert_eq!(json("61837.63"), "61837.63");
    assert_eq!(json("-5"), "-5");
    assert_eq!(json("0.123456789012345678"), "0.123456789012345678");
    assert_eq!(json("99999999999999999999"), "99999999999999999999");
    let read = |text: &str| serde_json::from_str::<Decimal>(text).map(|d| d.to_string());
    assert_eq!(read("61837.63").unwrap(), "61837.63");
    assert_eq!(read("18446744073709551615").unwrap(), "18446744073709551615");
    assert_eq!(read("\"0.123456789012345678\"").unwrap(), "0.123456789012345678");
    assert!(read("0.12345678901234567").unwrap_err().to_string().contains("write it as a string"));
    assert!(read("\"NaN\"").is_err());
}

#[test]
fn the_first_value_that_does_not_fit_is_refused_everywhere() {
    assert_eq!(Decimal::from_units(Decimal::MAX.units() + 1), None);
    assert_eq!(Decimal::MAX.checked_add(Decimal::MAX), None);
    assert_eq!(Decimal::MIN.checked_sub(Decimal::MAX), None);
    assert_eq!(Decimal::from_f64(f64::NAN, 12), None);
    assert_eq!(Decimal::from_f64(1e300, 12), None);
    assert_eq!(Decimal::from_f64(0.1 + 0.2, 12).unwrap().to_string(), "0.3");
}

proptest! {
    #[test]
    fn every_value_round_trips(units in -(LIMIT as i128 - 1)..(LIMIT as i128)) {
        let value = Decimal::from_units(units).unwrap();
        prop_assert_eq!(value.to_string().parse::<Decimal>(), Ok(value));
    }

    #[test]
    fn the_short_and_the_long_parser_agree(text in "-?[0-9]{0,12}\\.?[0-9]{0,12}") {
        if let Some(units) = parse_short(text.as_bytes()) {
            prop_assert_eq!(parse_long(text.as_bytes()), Ok(units));
        }
    }

    #[test]
    fn an_exponent_moves_the_point(digits in 1i64..1_000_000_000_000, shift in 0u32..8) {
        let moved = format!("{digits}e-{shift}").parse::<Decimal>().unwrap();
        prop_assert_eq!(moved.units(), Decimal::from_int(digits).units() / 10i128.pow(shift));
    }

    #[test]
    fn any_text_is_answered(text in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = Decimal::parse(&text);
    }
}
