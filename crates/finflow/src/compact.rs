//! `finflow compact`: the lake once more, in fewer and larger objects.

use std::process::ExitCode;

use anyhow::Context as _;
use harness::{Clock, SystemClock, grouped};
use lake::S3Config;
use lake::compact::{Compactor, Made, Options};

use crate::cli::CompactArgs;
use crate::usage;

pub fn main(args: &CompactArgs) -> ExitCode {
    let s3 = match args.lake.config() {
        Ok(s3) => s3,
        Err(error) => return usage("compact", &error),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.context("start the threads").and_then(|runtime| runtime.block_on(run(args, s3))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("finflow compact: {error:#}; run it again to go on");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &CompactArgs, s3: S3Config) -> anyhow::Result<()> {
    let lake = args.lake.open(s3).await?;
    let root = lake.paths.compact();
    lake.s3.check(&root).await.context("see whether the store is fit for it")?;
    let now = SystemClock.now_ns();
    let memory_bytes = usize::try_from(args.memory.bytes()).context("--memory")?;
    let object_bytes = usize::try_from(args.object_size.bytes()).context("--object-size")?;
    let now_settled = now.saturating_sub(args.settled.as_ns());
    let options = Options { object_bytes, memory_bytes, now: now_settled, ..Options::default() };
    let writer = format!("compact-{}-{now}", std::process::id());
    let compactor = Compactor::open(lake.s3.clone(), lake.paths.clone(), options, writer).await?;
    let (mut claims, mut objects, mut before) = (0, 0, 0);
    for source in compactor.sources() {
        let made = |made: Made| {
            let Made { from_claims, from_objects, size } = made;
            println!(
                "{source}: {from_claims} claims with {} objects into {} objects, {} rows, {} bytes",
                grouped(from_objects),
                grouped(size.objects),
                grouped(size.rows),
                grouped(size.bytes)
            );
            claims += 1;
            objects += size.objects;
            before += from_objects;
        };
        compactor.run(&source, made).await.with_context(|| format!("compact {source}"))?;
    }
    println!("{claims} claims made, {} objects of {}", grouped(objects), grouped(before));
    Ok(())
}
