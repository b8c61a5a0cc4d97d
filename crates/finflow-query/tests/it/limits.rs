//! What a query may read is said before it reads, is no less than what it reads, and is refused above the limit.

use lake::Format;

use crate::world::{World, said};

/// The objects and the bytes that a query says it may read at most: `reads at most 12345 in 3 objects`.
fn most(said: &str) -> (u64, u64) {
    let line = said.lines().find_map(|line| line.strip_prefix("reads at most ")).unwrap_or_else(|| panic!("{said}"));
    let (bytes, objects) = line.split_once(" bytes in ").unwrap_or_else(|| panic!("{line}"));
    let objects = objects.split(' ').next().expect("a word");
    (bytes.replace(',', "").parse().expect("a number"), objects.parse().expect("a number"))
}

/// The bytes that it says it read: `6 rows, 1,234 of 5,678 bytes read`.
fn read(said: &str) -> u64 {
    let line = said.lines().find(|line| line.ends_with(" bytes read")).unwrap_or_else(|| panic!("{said}"));
    let (_, bytes) = line.split_once(" rows, ").expect("rows");
    bytes.split(' ').next().expect("a word").replace(',', "").parse().expect("a number")
}

/// Bytes and number of the objects of a folder. The end of a Parquet object is read first, and may be read again.
fn size(world: &World, table: &str, ending: &str) -> (u64, u64) {
    let tail = |size: u64| if ending == ".parquet" { size.min(16 << 10) } else { 0 };
    let mut sizes = (0, 0);
    let mut folders = vec![world.dir.path().join("s3/finflow").join(table)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if path.to_string_lossy().contains(ending) => {
                    let size = entry.metadata().expect("a file").len();
                    sizes = (sizes.0 + size + tail(size), sizes.1 + 1);
                }
                _ => {}
            }
        }
    }
    sizes
}

#[test]
fn partitions_are_pruned_and_columns_that_are_not_asked_for_are_not_read() {
    let world = World::new(&[Format::Parquet]);
    let whole = said(&world.ask(&["--sql", "SELECT avg(price) FROM trades"]));
    assert_eq!(most(&whole), size(&world, "trades", ".parquet"));
    // Price is one of fifteen columns.
    assert!(read(&whole) < most(&whole).0 / 2, "{whole}");
    let hour = said(&world.ask(&["--sql", "SELECT avg(price) FROM trades WHERE dt = '2024-08-09' AND hour = '00'"]));
    assert_eq!(most(&hour), size(&world, "trades/dt=2024-08-09/hour=00", ".parquet"));
    assert!(most(&hour).0 < most(&whole).0 / 2, "{hour}, {whole}");
    let named = said(&world.ask(&["vwap_by_hour", "--param", "from=2024-08-09"]));
    assert_eq!(most(&named), most(&hour), "a named query bounds its partition");
}

#[test]
fn json_lines_are_read_whole() {
    let world = World::new(&[Format::JsonlGz]);
    let whole = said(&world.ask(&["--sql", "SELECT avg(price) FROM trades"]));
    assert_eq!(read(&whole), most(&whole).0);
    assert_eq!(most(&whole), size(&world, "trades", ".jsonl.gz"));
}

#[test]
fn a_query_above_the_limit_reads_nothing_and_says_what_to_do() {
    let world = World::new(&[Format::Parquet]);
    let (bytes, _) = size(&world, "trades", ".parquet");
    let ask = |limit: u64| world.ask(&["--sql", "SELECT * FROM trades", "--max-bytes", &format!("{limit}B")]);
    let refused = ask(bytes - 1);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
    let words = said(&refused);
    assert!(words.contains("--max-bytes") && words.contains("dt"), "{words}");
    assert!(!words.contains("bytes read"), "{words}");
    assert!(ask(bytes).status.success());
    // A table that is named twice is read twice.
    let both = "SELECT count(a.price) FROM trades a JOIN trades b ON a._offset = b._offset AND a.symbol = b.symbol";
    assert_eq!(most(&said(&world.ask(&["--sql", both]))).0, 2 * bytes);
}
