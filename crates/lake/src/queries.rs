//! The library of SQL: named queries with parameters, in `crates/lake/sql`.
//!
//! A file begins with what the query tells, in comments, then has a comment per parameter with its default, `-- from:
//! 2024-01-01`. `{from}` in the text stands for the value as a string literal, `{limit:number}` for a whole number. The
//! dialect is that of Athena and Trino, kept plain: no function that only they have but `date_diff`.

use std::collections::BTreeMap;

/// A query of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    pub name: &'static str,
    text: &'static str,
}

macro_rules! library {
    ($($name:literal),* $(,)?) => {
        &[$(Query { name: $name, text: include_str!(concat!("../sql/", $name, ".sql")) }),*]
    };
}

const LIBRARY: &[Query] = library![
    "correlation",
    "daily_average",
    "data_quality",
    "dead_letters",
    "drawdown",
    "gaps",
    "latency",
    "moving_average",
    "price_history",
    "sentiment",
    "symbol_comparison",
    "top_gainers",
    "top_losers",
    "volatility",
    "volume_leaders",
    "vwap_by_hour",
];

pub fn all() -> &'static [Query] {
    LIBRARY
}

pub fn named(name: &str) -> Option<&'static Query> {
    LIBRARY.iter().find(|query| query.name == name)
}

impl Query {
    /// What it tells, in a sentence or two.
    pub fn about(&self) -> String {
        let lines = self.comments().take_while(|line| parameter(line).is_none());
        lines.collect::<Vec<_>>().join(" ")
    }

    /// As it stands in the file.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// Parameters and their defaults.
    pub fn parameters(&self) -> Vec<(&'static str, &'static str)> {
        self.comments().filter_map(parameter).collect()
    }

    fn comments(&self) -> impl Iterator<Item = &'static str> {
        self.text.lines().map_while(|line| line.strip_prefix("-- "))
    }

    /// The SQL with these values, and the defaults where there is none. Values cannot leave their literal.
    pub fn sql(&self, values: &BTreeMap<String, String>) -> Result<String, String> {
        let parameters = self.parameters();
        if let Some(unknown) = values.keys().find(|key| !parameters.iter().any(|(name, _)| name == key)) {
            let known: Vec<&str> = parameters.iter().map(|(name, _)| *name).collect();
            return Err(format!("{} has no parameter `{unknown}`; it has: {}", self.name, known.join(", ")));
        }
        let body: Vec<&str> = self.text.lines().filter(|line| !line.starts_with("--")).collect();
        let mut sql = body.join("\n").trim().trim_end_matches(';').to_owned();
        for (name, default) in parameters {
            let value = values.get(name).map_or(default, String::as_str);
            let number = format!("{{{name}:number}}");
            if sql.contains(&number) {
                value.parse::<u64>().map_err(|_| format!("{name}: `{value}` is no whole number"))?;
                sql = sql.replace(&number, value);
            }
            sql = sql.replace(&format!("{{{name}}}"), &format!("'{}'", value.replace('\'', "''")));
        }
        Ok(sql)
    }

    /// The same as Athena and Trino take it: they refuse an alias in GROUP BY, which the tutorials' query has.
    pub fn athena_sql(&self, values: &BTreeMap<String, String>) -> Result<String, String> {
        Ok(self.sql(values)?.replace("GROUP BY symbol, trading_day", "GROUP BY 1, 2"))
    }
}

/// `from: 2024-01-01`, but no sentence.
fn parameter(line: &'static str) -> Option<(&'static str, &'static str)> {
    let (name, default) = line.split_once(": ")?;
    name.chars().all(|c| c.is_ascii_lowercase()).then_some((name, default.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_the_library_and_says_what_it_tells() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/sql");
        let mut files: Vec<String> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort();
        assert_eq!(files, all().iter().map(|query| query.name).collect::<Vec<_>>());
        for query in all() {
            assert!(query.about().len() > 20, "{}", query.name);
            let sql = query.sql(&BTreeMap::new()).unwrap();
            assert!(!sql.contains('{') && !sql.contains(';'), "{sql}");
        }
    }

    #[test]
    fn every_query_of_a_table_bounds_its_partition() {
        for query in all().iter().filter(|query| query.name != "daily_average") {
            let sql = query.sql(&BTreeMap::new()).unwrap();
            let scans = crate::Table::ALL.iter().map(|table| sql.matches(&format!("FROM {} ", table.name())).count());
            let bounds = sql.matches("dt BETWEEN '").count() + sql.matches("year BETWEEN '").count();
            assert_eq!(scans.sum::<usize>(), bounds, "{sql}");
            assert!(bounds > 0, "{sql}");
        }
    }

    #[test]
    fn a_value_stays_inside_its_literal() {
        let values = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let query = named("top_gainers").unwrap();
        let sql = query.sql(&values(&[("from", "x' OR '1'='1"), ("limit", "3")])).unwrap();
        assert!(sql.contains("BETWEEN 'x'' OR ''1''=''1' AND"), "{sql}");
        assert!(sql.ends_with("LIMIT 3"), "{sql}");
        assert!(query.sql(&values(&[("limit", "3; DROP")])).unwrap_err().contains("whole number"));
        assert!(query.sql(&values(&[("symbol", "A")])).unwrap_err().contains("it has: from, to, limit"));
    }
}
