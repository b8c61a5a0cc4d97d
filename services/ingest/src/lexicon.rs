//! A score for news that comes without one: the words of its headline and summary, looked up.
//!
//! The lexicon is VADER's (Hutto and Gilbert, 2014; crate `vader_sentiment`): some 7,500 English words, each from −4 to 4 as ten people
//! rated it. A word that one of the three before it negates counts −0.74 times, as VADER has it; the sum `s` becomes
//! `s / √(s² + 15)`, which is above −1 and below 1. Left out is what VADER reads from capitals, exclamation marks and slang: headlines
//! use them otherwise, and there its crate's answer may differ from run to run. Of a text of which it knows no word the score is 0.
//!
//! Pure, and the same everywhere: sums are integers, and a square root is rounded in one way only.

use std::collections::HashMap;
use std::sync::LazyLock;

use market::Decimal;

/// The method, as `scored_by` names it.
pub const NAME: &str = "vader";
/// Digits after the point of a score.
const DIGITS: usize = 4;
/// VADER's own constants: of a negated word, and of the norm.
const NEGATED: i64 = -74;
const NORM: f64 = 15.0;
/// So many words before another are looked at for a negation.
const REACH: usize = 3;

/// Hundredths, by the word in small letters.
static WORDS: LazyLock<HashMap<String, i64>> = LazyLock::new(|| {
    let hundredths = |rated: f64| (rated * 100.0).round() as i64;
    vader_sentiment::LEXICON.iter().map(|(word, rated)| (word.to_lowercase(), hundredths(*rated))).collect()
});

/// From −1 (bad) to 1 (good).
pub fn score(headline: &str, summary: Option<&str>) -> Decimal {
    // In ten-thousandths, so that a negated word is exact. A sentence does not negate the next text.
    let sum: i64 = [Some(headline), summary].into_iter().flatten().map(sum).sum();
    let sum = sum as f64 / 10_000.0;
    Decimal::from_f64(sum / (sum * sum + NORM).sqrt(), DIGITS).expect("it is between -1 and 1")
}

fn sum(text: &str) -> i64 {
    // Typographers' apostrophes are those of the lexicon's `can't`.
    let text = text.to_lowercase().replace('’', "'");
    let words: Vec<&str> = text
        .split(|c: char| !(c.is_alphanumeric() || c == '\'' || c == '-'))
        .map(|word| word.trim_matches(['\'', '-']))
        .filter(|word| !word.is_empty())
        .collect();
    let valued = words.iter().enumerate().filter_map(|(at, word)| Some((at, *WORDS.get(*word)?)));
    valued
        .map(|(at, rated)| {
            let negated = words[at.saturating_sub(REACH)..at].iter().any(|word| negates(word));
            rated * if negated { NEGATED } else { 100 }
        })
        .sum()
}

fn negates(word: &str) -> bool {
    const NEGATIONS: [&str; 14] = [
        "not", "never", "cannot", "cant", "dont", "wont", "isnt", "without", "neither", "nor", "none", "rarely",
        "seldom", "despite",
    ];
    word.ends_with("n't") || NEGATIONS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headline: &str) -> String {
        score(headline, None).to_string()
    }

    #[test]
    fn scores_are_the_formula_of_the_ratings() {
        // Of these words the lexicon says 2.8, -1.3 and 1.9.
        let known = |word: &str| WORDS[word];
        assert_eq!((known("win"), known("loss"), known("good")), (280, -130, 190));
        assert_eq!(of("Good quarter"), "0.4404", "1.9 / sqrt(1.9² + 15)");
        assert_eq!(of("GOOD, quarter!!!"), "0.4404", "neither capitals nor marks count");
        assert_eq!(of("not a good quarter"), "-0.3412", "-1.406 / sqrt(1.406² + 15)");
        assert_eq!(of("It isn’t good"), "-0.3412");
        assert_eq!(of("not so much of a good quarter"), "0.4404", "further than three words before");
        assert_eq!(of("Quarterly filing of Form 10-K"), "0");
        assert_eq!(score("Good", Some("Good")).to_string(), "0.7003", "3.8 / sqrt(3.8² + 15)");
        assert_eq!(score("It is not", Some("Good")).to_string(), "0.4404", "a headline does not negate its summary");
    }

    #[test]
    fn headlines_of_either_kind_have_the_sign_that_readers_give_them() {
        for good in ["Shares rally after strong growth and improved profits", "Upgrade: a winner with great prospects"]
        {
            assert!(score(good, None) > Decimal::parse(b"0.3").unwrap(), "{good}: {}", of(good));
        }
        for bad in
            ["Fraud probe and lawsuit hurt troubled lender", "Bankrupt: warning of severe losses, fears of a crash"]
        {
            assert!(score(bad, None) < Decimal::parse(b"-0.3").unwrap(), "{bad}: {}", of(bad));
        }
    }

    proptest::proptest! {
        #[test]
        fn every_text_has_a_score_between_minus_one_and_one_and_the_same_each_time(a: String, b: String) {
            let text = format!("{a} not good {b} awful");
            let once = score(&text, Some(&b));
            proptest::prop_assert!(once >= Decimal::parse(b"-1").unwrap() && once <= Decimal::parse(b"1").unwrap());
            proptest::prop_assert_eq!(once, score(&text, Some(&b)));
        }
    }
}
