//! What to run: SQL, or a query of the library with its parameters.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use anyhow::{Context as _, bail, ensure};
use lake::queries;

use crate::args::{Args, Engine, Format};

/// `None` where only something is to be shown.
pub(crate) fn of(args: &Args) -> anyhow::Result<Option<String>> {
    if args.list {
        queries::all().iter().for_each(list);
        return Ok(None);
    }
    let words = args.sql.as_deref().or(args.query.as_deref()).unwrap_or_default();
    let named = if args.sql.is_some() { None } else { queries::named(words) };
    let values = values(&args.param)?;
    let sql = match named {
        Some(query) if args.engine == Engine::Athena => query.athena_sql(&values).map_err(anyhow::Error::msg)?,
        Some(query) => query.sql(&values).map_err(anyhow::Error::msg)?,
        None if args.sql.is_none() && !words.trim().contains(char::is_whitespace) => {
            bail!("`{words}` is no named query and no SQL; `finflow query --list` shows the names")
        }
        None => {
            ensure!(values.is_empty(), "only named queries have parameters: write the values into the SQL");
            words.to_owned()
        }
    };
    // This machine's engine refuses by itself what does not only read.
    ensure!(
        args.engine == Engine::Local || only_reads(&sql),
        "only SELECT and WITH are sent to Athena: nothing here writes"
    );
    let to_terminal = args.out.is_none() && std::io::stdout().is_terminal();
    ensure!(
        args.format != Format::Parquet || !to_terminal,
        "Parquet is nothing to look at: name a file with --out, or send it on"
    );
    if args.show {
        println!("{sql}");
        return Ok(None);
    }
    Ok(Some(sql))
}

/// The column that people look at before the numbers, of queries whose rows are a series.
pub(crate) fn curve(args: &Args) -> Option<&'static str> {
    match args.query.as_deref()? {
        "price_history" | "moving_average" => Some("close"),
        "vwap_by_hour" => Some("vwap"),
        "symbol_comparison" => Some("ratio"),
        _ => None,
    }
}

fn only_reads(sql: &str) -> bool {
    let first = sql.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    let first = first.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    ["select", "with"].contains(&&*first.to_ascii_lowercase())
}

fn values(pairs: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let pair = |pair: &String| {
        let (name, value) = pair.split_once('=').with_context(|| format!("--param {pair}: it is no NAME=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    pairs.iter().map(pair).collect()
}

fn list(query: &queries::Query) {
    println!("{}\n    {}", query.name, query.about());
    for (name, default) in query.parameters() {
        println!("    {name}={default}");
    }
}
