//! `finflow verify`: the lake against its claims, and the stored metrics against the stored events.

use std::process::ExitCode;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use lake::verify::{self, Audit};
use lake::{S3, S3Config, Source};
use market::window::Options;
use serde_json::json;

use crate::cli::VerifyArgs;
use crate::settings::Settings;
use crate::usage;

mod rebuild;

use rebuild::{Counts, Rebuild, Stored};

struct Plan {
    s3: S3Config,
    /// Topics of the events and of the metrics.
    events: String,
    metrics: String,
    /// The settings of the windows; the first that the stored metrics name are taken.
    options: Vec<Options>,
}

struct Report {
    lake: verify::Counts,
    metrics: Option<Counts>,
    differences: Vec<String>,
}

pub fn main(args: VerifyArgs) -> ExitCode {
    let plan = match plan(&args) {
        Ok(plan) => plan,
        Err(error) => return usage("verify", &error),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.context("start the threads").and_then(|runtime| runtime.block_on(run(&args, plan))) {
        Ok(report) => {
            report.print(args.json);
            ExitCode::from(u8::from(!report.differences.is_empty()))
        }
        Err(error) => {
            eprintln!("finflow verify: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn plan(args: &VerifyArgs) -> anyhow::Result<Plan> {
    let s3 = args.lake.config()?;
    let load = |own| -> anyhow::Result<aggregate::Config> {
        let words = args.set.iter().flat_map(|pair| ["--set".to_owned(), pair.clone()]).collect();
        let file = args.lake.config.as_deref();
        Ok(Settings { file, own, otherwise: Vec::new(), words }.load::<aggregate::Config>("aggregate")?.config)
    };
    let given = load(Vec::new())?;
    let mut options = vec![given.options()?];
    if args.set.is_empty() {
        // What `finflow up` chooses where somebody looks on.
        let windows = crate::up::WATCHED.iter().map(|(key, value)| (*key, (*value).to_owned()));
        options.push(load(windows.collect())?.options()?);
    }
    Ok(Plan { s3, events: given.input, metrics: given.output, options })
}

async fn run(args: &VerifyArgs, plan: Plan) -> anyhow::Result<Report> {
    let lake = args.lake.open(plan.s3).await?;
    let mut audit = Audit::open(lake.s3.clone(), lake.paths.clone()).await.context("list the claims")?;
    let mut sources = audit.sources();
    anyhow::ensure!(!sources.is_empty(), "there is no claim: no store has written to this bucket and prefix");
    // Metrics follow from all events before them, some of which are not there any more.
    let with_metrics = !args.no_metrics && audit.expired() == 0;
    // The metrics say with which settings they were made.
    sources.sort_by_key(|source| source.topic != plan.metrics);
    let bar = progress(audit.claims());
    let (mut stored, mut rebuild, mut broken) = (Stored::default(), None, Vec::new());
    for source in &sources {
        if source.topic == plan.metrics && with_metrics {
            check(&mut audit, source, &bar, &mut broken, |_, row| stored.push(&row.json)).await?;
        } else if source.topic == plan.events && with_metrics {
            let rebuild = rebuild.get_or_insert_with(|| Rebuild::new(chosen(&plan.options, &stored)));
            let mut end = 0;
            check(&mut audit, source, &bar, &mut broken, |claim, row| {
                end = claim.end + 1;
                rebuild.push(source, row.offset, &row.json)
            })
            .await?;
            rebuild.ends_at(source, end);
        } else {
            check(&mut audit, source, &bar, &mut broken, |_, _| Ok(())).await?;
        }
    }
    audit.strays().await.context("list the objects")?;
    bar.finish_and_clear();
    let mut differences: Vec<String> = audit.differences.iter().map(ToString::to_string).chain(broken).collect();
    let metrics = rebuild.map(|rebuild| rebuild.compare(stored, |difference| differences.push(difference)));
    if let Some(counts) = &metrics
        && counts.compared == 0
        && counts.other_settings > 0
    {
        differences.push(format!(
            "{} windows were made with other settings than these, and none could be compared: give those of aggregate \
             with --config or --set",
            counts.other_settings
        ));
    }
    if let Some(counts) = &metrics
        && counts.compared == 0
        && counts.behind > 0
    {
        differences.push(format!(
            "{} windows are closed by the stored events, and no metrics are stored at all",
            counts.behind
        ));
    }
    Ok(Report { lake: audit.counts, metrics, differences })
}

/// Checks a chain and hands out its rows; a row that cannot be used is a difference.
async fn check(
    audit: &mut Audit<S3>,
    source: &Source,
    bar: &ProgressBar,
    broken: &mut Vec<String>,
    mut row: impl FnMut(&lake::Claim, verify::StoredRow) -> Result<(), String>,
) -> anyhow::Result<()> {
    bar.set_message(source.to_string());
    let checked = audit.check(source, |claim, rows| {
        bar.inc(1);
        for stored in rows {
            let offset = stored.offset;
            if let Err(why) = row(claim, stored) {
                broken.push(format!("{source} offset {offset}: stored as a row that cannot be read: {why}"));
            }
        }
    });
    checked.await.with_context(|| format!("check {source}"))
}

fn chosen(options: &[Options], stored: &Stored) -> Options {
    let configs = stored.configs();
    let made = |options: &&Options| rebuild::config_of(options).is_ok_and(|config| configs.contains(config.as_str()));
    options.iter().find(made).unwrap_or(&options[0]).clone()
}

fn progress(claims: u64) -> ProgressBar {
    let bar = ProgressBar::new(claims);
    let style = ProgressStyle::with_template("{pos} of {len} claims, {eta} left, {msg}");
    bar.with_style(style.expect("the template has only known names"))
}

impl Report {
    fn print(&self, as_json: bool) {
        let Report { lake, metrics, differences } = self;
        if as_json {
            println!("{}", json!({"lake": lake, "metrics": metrics, "differences": differences}));
            return;
        }
        println!("claims       {} of {} partitions", lake.claims, lake.partitions);
        println!("rows         {} in {} objects", lake.rows, lake.objects);
        println!("besides      {} skips, {} markers, {} lost to retention", lake.skips, lake.markers, lake.lost);
        if lake.expired > 0 {
            println!(
                "expired      {} rows; metrics are not compared, since some of their events are gone",
                lake.expired
            );
        }
        if let Some(Counts { rebuilt, compared, open, ahead, behind, other_settings, split }) = metrics {
            println!(
                "metrics      {rebuilt} windows rebuilt, {compared} compared, {open} open, {ahead} of events not stored \
                 yet, {behind} not stored yet, {other_settings} of other settings, {split} of symbols that changed partition"
            );
        }
        println!(
            "differences  {}",
            if differences.is_empty() { "none".to_owned() } else { differences.len().to_string() }
        );
        differences.iter().for_each(|difference| println!("  {difference}"));
    }
}
