//! Names of the headers that our records carry, save those of the internal topics.

/// W3C trace context; absent when nothing is traced.
pub const TRACEPARENT: &str = harness::traces::TRACEPARENT;
pub const CONTENT_TYPE: &str = "content-type";
pub const SCHEMA_VERSION: &str = "schema_version";
/// Where the data come from: a feed's format and name, or [`source_of`] what was read.
pub const SOURCE: &str = "source";
/// The same however often the record is produced.
pub const EVENT_ID: &str = "event_id";

/// In the order of `docs/topics.md`.
pub const ALL: [&str; 5] = [TRACEPARENT, CONTENT_TYPE, SCHEMA_VERSION, SOURCE, EVENT_ID];

/// `source` of what a stage computes from the records of a topic.
pub fn source_of(topic: &str) -> String {
    format!("kafka:{topic}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_table_is_the_code() {
        let page = include_str!("../../../docs/topics.md");
        let rows: Vec<&str> = page
            .lines()
            .skip_while(|line| *line != "## Headers")
            .skip_while(|line| !line.starts_with("| Header |"))
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .collect();
        let names: Vec<&str> = rows.iter().filter_map(|row| row.split('`').nth(1)).collect();
        assert_eq!(names, ALL);
        assert!(rows[3].contains(&format!("`{}`", source_of("raw-market-data"))), "{}", rows[3]);
    }
}
