//! `docs/cli.md` under `finflow query` against the program itself: neither has a flag that the other lacks.

use std::collections::BTreeSet;
use std::path::Path;

use crate::world::program;

fn section() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let (_, below) = page.split_once("\n## finflow query\n").expect("the page has the section");
    below.split("\n## ").next().expect("a part").to_owned()
}

/// The flag that a text begins with.
fn flag(text: &str) -> Option<String> {
    let name = text.trim_start_matches('`').strip_prefix("--")?;
    let end = name.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '-').unwrap_or(name.len());
    Some(format!("--{}", &name[..end]))
}

#[test]
fn every_flag_is_on_the_page_and_every_flag_of_the_page_exists() {
    let help = program().arg("--help").output().expect("it starts");
    let help = String::from_utf8(help.stdout).expect("text");
    let lines = help.lines().map(|line| line.trim_start().trim_start_matches("-h, ").trim_start_matches("-V, "));
    let known: BTreeSet<String> = lines.filter_map(flag).collect();
    let section = section();
    let mut documented: BTreeSet<String> = section.lines().filter_map(|line| flag(line.strip_prefix("| ")?)).collect();
    documented.extend(["--help".to_owned(), "--version".to_owned()]);
    assert_eq!(known, documented, "finflow-query --help, docs/cli.md");
    for line in section.lines().filter(|line| line.starts_with("$ finflow query ")) {
        assert!(line.split(' ').filter_map(flag).all(|flag| known.contains(&flag)), "{line}");
    }
}
