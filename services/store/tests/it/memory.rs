//! How much memory a backlog takes. A measurement, for builds with optimisation:
//! `cargo test --release -p store --test it memory -- --ignored --nocapture --test-threads 1`.
//! `FINFLOW_TEST_BACKLOG_MIB`: size of the backlog. `FINFLOW_TEST_FORMAT`: one format alone.

use std::time::{Duration, Instant};

use lake::Format;
use testkit::{eventually, from_env};

use crate::process::Process;
use crate::world::{MIDNIGHT, World};

const PARTITIONS: i32 = 12;
/// What the process may take, with settings at their defaults.
const MOST_MIB: u64 = 256;

#[test]
#[ignore = "a measurement, not a check"]
fn a_backlog_is_stored_in_256_mib() {
    let world = World::new("backlog", [PARTITIONS, 1, 1, 1]);
    let size_bytes = from_env("FINFLOW_TEST_BACKLOG_MIB", 2048) as usize * 1024 * 1024;
    let (mut random, mut sent_bytes, mut sent) = (fastrand::Rng::with_seed(7), 0, 0i64);
    while sent_bytes < size_bytes {
        let (symbol, price, quantity) = (random.u32(0..50), random.u32(100_000..200_000), random.u32(1..9_999_999));
        let time = MIDNIGHT + sent * 2_000_000;
        let value = format!(
            r#"{{"kind":"trade","schema_version":1,"venue":"X","symbol":"X:S{symbol}","trade_id":"{sent}","price":{price}e-2,"quantity":{quantity}e-5,"event_time":{time},"receive_time":{time}}}"#
        );
        world.send(&world.config.input, i32::try_from(sent % 12).expect("below 12"), value.as_bytes());
        sent_bytes += value.len();
        sent += 1;
    }
    world.flush();
    println!("{sent} trades, {} MiB", sent_bytes >> 20);
    let only = std::env::var("FINFLOW_TEST_FORMAT").ok();
    for format in [Format::Parquet, Format::JsonlZst, Format::JsonlGz] {
        if only.as_ref().is_some_and(|only| only != format.extension()) {
            continue;
        }
        let mut here = world.clone_at(format.extension());
        here.config.format = format;
        let began = Instant::now();
        let mut process = Process::start(&here, &here.config.s3.endpoint, &here.config.group, true);
        let mut peak_mib = 0;
        eventually(Duration::from_secs(1200), "all is stored", || {
            peak_mib = peak_mib.max(peak_mib_of(process.0.id()));
            process.has_ended().then_some(())
        });
        println!("{}: {:.1?}, peak {peak_mib} MiB", format.extension(), began.elapsed());
        let end = sent / i64::from(PARTITIONS);
        let claims = here.claims(&here.config.input, 0);
        assert!(claims.last().is_some_and(|claim| claim.claim.end + 1 >= end), "all is claimed");
        assert!(peak_mib <= MOST_MIB, "{}: {peak_mib} MiB", format.extension());
    }
}

/// Resident memory of a running process at its peak; 0 once it has ended.
fn peak_mib_of(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
