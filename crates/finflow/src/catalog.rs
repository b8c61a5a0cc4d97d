//! `finflow catalog apply`: the lake's tables in Glue.

use std::process::ExitCode;

use anyhow::Context as _;
use harness::{Clock, SystemClock};
use lake::catalog::{self, GlueService, Options, Step};
use lake::{Dir, S3Config, Table};

use crate::cli::{CatalogApplyArgs, CatalogCommand};
use crate::usage;

const DAY_NS: i64 = 86_400_000_000_000;

pub fn main(command: CatalogCommand) -> ExitCode {
    let CatalogCommand::Apply(args) = command;
    let (s3, options) = match plan(&args) {
        Ok(plan) => plan,
        Err(error) => return usage("catalog apply", &error),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.context("start the threads").and_then(|runtime| runtime.block_on(run(&args, s3, options))) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("finflow catalog apply: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn plan(args: &CatalogApplyArgs) -> anyhow::Result<(S3Config, Options)> {
    let store = args.lake.store()?;
    let day = |name: &str| -> anyhow::Result<()> {
        let dir = format!("metrics/dt={name}");
        dir.parse::<Dir>().ok().with_context(|| format!("--from: `{name}` is no day such as 2024-01-01")).map(drop)
    };
    day(&args.from)?;
    let plain = |name: &str, flag: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        anyhow::ensure!(
            !name.is_empty() && name.chars().all(fits),
            "{flag}: `{name}` has other characters than lower-case letters, digits and underscores"
        );
        Ok(())
    };
    plain(&args.database, "--database")?;
    plain(&args.catalog, "--catalog")?;
    let tomorrow = Dir::of(Table::Metrics, SystemClock.now_ns() + DAY_NS).to_string();
    let prefix = store.s3.prefix.trim_matches('/');
    let options = Options {
        database: args.database.clone(),
        format: store.format,
        place: Options::place(&store.s3.bucket, prefix),
        from: args.from.clone(),
        tomorrow: tomorrow.trim_start_matches("metrics/dt=").to_owned(),
        catalog: args.catalog.clone(),
        register: args.register,
        crawler: args.crawler_role.clone(),
    };
    Ok((store.s3, options))
}

async fn run(args: &CatalogApplyArgs, s3: S3Config, options: Options) -> anyhow::Result<ExitCode> {
    let glue = GlueService::connect(&s3, args.glue_endpoint.as_deref().unwrap_or_default()).await;
    let lake = args.lake.open(s3).await?;
    let plan = catalog::plan(&lake.s3, &lake.paths, &glue, &options).await?;
    print!("{plan}");
    if args.dry_run {
        println!("dry run: {} changes, none made", plan.steps.len());
    } else {
        catalog::apply(&glue, &plan, |step: &Step| eprintln!("{}", step.what)).await?;
        println!("{} changes made", plan.steps.len());
    }
    if plan.conflicts.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("finflow catalog apply: {} of the catalog contradict the lake, see above", plan.conflicts.len());
    Ok(ExitCode::FAILURE)
}
