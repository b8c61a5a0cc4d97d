//! What Alpha Vantage says instead of an answer: sentences, told apart by their words.

use super::messages::Top;
use crate::venues::json::{Text, read};
use crate::venues::poll::Refusal;

/// The top-level keys of an answer that is one. `long`: what was asked for reaches back further than a short answer.
pub fn judged(answer: &[u8], long: bool) -> Result<Top<'_>, Refusal> {
    let top: Top = read(answer).map_err(Refusal::Unread)?;
    for key in ["Error Message", "Information", "Note"] {
        if let Some(said) = top.get(key) {
            let said: Text = read(said.get().as_bytes()).map_err(Refusal::Unread)?;
            return Err(sentence(key, said.into_owned(), long));
        }
    }
    Ok(top)
}

fn sentence(key: &str, said: String, long: bool) -> Refusal {
    let lower = said.to_ascii_lowercase();
    let has = |word: &str| lower.contains(word);
    if has("apikey is invalid") || has("api key is invalid") {
        return Refusal::Key(said);
    }
    if key == "Error Message" {
        return Refusal::Never(said);
    }
    if has("no articles found") {
        return Refusal::Nothing(said);
    }
    // In this order: what is said of the burst, and of the day, advertises premium endpoints, too.
    if has("sparingly") || has("calls per minute") || has("requests per minute") {
        Refusal::Later(said)
    } else if has("per day") {
        Refusal::Tomorrow(said)
    } else if has("premium") && long {
        Refusal::TooLong(said)
    } else if has("premium") || has("demo") {
        Refusal::Never(said)
    } else {
        Refusal::Later(said)
    }
}
