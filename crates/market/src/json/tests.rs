use proptest::prelude::*;

use super::*;

/// The name and the value of each field of an object; nothing for other values.
fn fields(text: &str) -> Result<Vec<(Raw<'_>, Raw<'_>)>, Fault> {
    let mut scanner = Scanner::new(text);
    let begin = scanner.begin()?;
    assert_eq!(begin.is_some(), text.trim_start().starts_with('{'));
    let (mut fields, mut more) = (Vec::new(), begin.unwrap_or(false));
    while more {
        let name = scanner.name()?;
        let value;
        (value, more) = scanner.field()?;
        fields.push((name, value));
    }
    Ok(fields)
}

fn read(text: &str) -> Result<Vec<String>, Fault> {
    Ok(fields(text)?.iter().map(|(name, value)| format!("{}={value:?}", name.text().unwrap_or_default())).collect())
}

#[test]
fn values_stay_as_they_were_written() {
    let values =
        read(r#" { "a" : -1.50e+07 , "b":"x","c":"\u00e9\n","d":[1,{"e":[]}] ,"\u0066":null,"g":true} "#).unwrap();
    let expected = [
        r#"a=Number("-1.50e+07")"#,
        r#"b=Plain("x")"#,
        r#"c=Escaped("\\u00e9\\n")"#,
        r#"d=Array("[1,{\"e\":[]}]")"#,
        "f=Null",
        "g=Bool(true)",
    ];
    assert_eq!(values, expected);
}

#[test]
fn bare_not_a_number_is_told_apart_from_nonsense() {
    assert_eq!(read(r#"{"p":NaN}"#), Err(Fault::NotFinite(5)));
    assert_eq!(read(r#"{"p":-Infinity}"#), Err(Fault::NotFinite(5)));
    assert_eq!(read(r#"{"p":nil}"#), Err(Fault::Syntax(5)));
}

#[test]
fn nesting_ends_somewhere() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(32)).is_ok());
    assert!(matches!(read(&nested(33)), Err(Fault::TooDeep(_))));
    assert!(matches!(read(&format!("{{\"a\":{}", "[".repeat(1_000_000))), Err(Fault::TooDeep(_))));
}

#[test]
fn escapes_are_resolved_and_halves_of_pairs_are_not_characters() {
    assert_eq!(
        Raw::Escaped(r#"a\"\\\/\b\f\n\r\t\u20AC\ud83d\ude00z"#).text().as_deref(),
        Some("a\"\\/\u{8}\u{c}\n\r\t€😀z")
    );
    for half in [r"\ud83d", r"\ud83dx", r"\ud83d\u0041", r"\ud83d\ud83d", r"\ud83d\ue000", r"\ude00"] {
        assert_eq!(Raw::Escaped(half).text(), None, "{half}");
    }
}

/// Pieces that make texts near to JSON, so that the two readers are compared on both sides of the border.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just(",".to_owned()),
        Just(":".to_owned()),
        Just("\"a\"".to_owned()),
        Just("\"a\":".to_owned()),
        Just(" ".to_owned()),
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?[0-9]{1,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?",
        "\"(\\\\[\"\\\\/bfnrtux]|[a-z\u{1}é])*\"",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC{0,8}".prop_map(Into::into),
        "[\u{0}-\u{20}\"\\\\]{0,4}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            proptest::collection::btree_map("\\PC{0,4}", inner, 0..5).prop_map(|m| m.into_iter().collect()),
        ]
    })
}

fn agree(text: &str) -> bool {
    let ours = fields(text).is_ok();
    ours == serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn it_accepts_what_serde_json_accepts(text in nearly_json()) {
        prop_assert!(agree(&text), "{text:?}");
    }

    #[test]
    fn what_serde_json_writes_is_read_whole_or_cut_alike(value in json_value(), cut in any::<prop::sample::Index>()) {
        let text = value.to_string();
        prop_assert!(agree(&text), "{text:?}");
        let mut at = cut.index(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        prop_assert!(agree(&text[..at]), "{:?}", &text[..at]);
    }

    #[test]
    fn strings_mean_what_serde_json_says(text in "\\PC{0,6}[\u{0}-\u{20}\"\\\\]{0,3}") {
        let written = serde_json::to_string(&text).unwrap();
        let wrapped = format!("{{\"a\":{written}}}");
        let (_, value) = fields(&wrapped).unwrap()[0];
        prop_assert_eq!(value.text().unwrap(), text);
    }

    #[test]
    fn runs_of_eight_bytes_end_where_they_should(before in "[ -~é]{0,20}", byte in 0u8..128, after in "[ -~é]{0,20}") {
        let text = format!("{{\"a\":\"{before}{}{after}\"}}", char::from(byte));
        prop_assert!(agree(&text), "{text:?}");
    }

    #[test]
    fn long_numbers_end_where_they_should(digits in "[1-9][0-9]{0,40}", byte in 32u8..128) {
        for text in [format!("[{digits}{}]", char::from(byte)), format!("[0.{digits}{}1]", char::from(byte))] {
            prop_assert!(agree(&text), "{text:?}");
        }
    }
}
