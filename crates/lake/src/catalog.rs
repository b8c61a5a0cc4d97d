//! The lake's tables in a Glue catalog, so that Athena, Trino and their like can query them.
//!
//! In: the tables and their columns, what lies in the bucket, what the catalog has. Out: a [`Plan`], which says what
//! would change, and its application. Tables use partition projection: partitions are computed from the properties of
//! the table, so there is no crawler to wait for and nothing to register when an hour begins. Whoever needs registered
//! partitions may ask for them.
//!
//! The catalog is only added to. A table that says something else (another place, another format, a column of another
//! type) is named and left alone; columns and properties of others stay.

use std::fmt;

use serde_json::{Value, json};

use crate::aws::AwsError;
use crate::bucket::{Bucket, BucketError, list_all};
use crate::format::Format;
use crate::layout::Paths;
use crate::table::{Grain, Table};

mod desired;
mod diff;
mod glue;
mod partitions;
mod registrar;
mod view;

pub use glue::{Glue, GlueService};
pub use registrar::{Registrar, RegistrarWatcher};

/// Name of the view that the seeds' queries use.
pub const VIEW: &str = "stock_data";

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Options {
    pub database: String,
    pub format: Format,
    /// `s3://bucket/prefix`, without a slash at the end.
    pub place: String,
    /// The first partition that is queried where older objects are not there yet: `2024-01-01`.
    pub from: String,
    /// The day after today, as `2024-01-02`: what lies beyond it is not queried.
    pub tomorrow: String,
    /// The catalog's own name in queries, to which the view's tables belong.
    pub catalog: String,
    /// Register every partition that has objects.
    pub register: bool,
    /// Define a crawler over the tables, with this role.
    pub crawler: Option<String>,
}

impl Options {
    /// What [`Registrar`] needs to know of tables that are there already.
    pub fn to_register(database: &str, format: Format, bucket: &str, prefix: &str) -> Self {
        Self {
            database: database.to_owned(),
            format,
            place: Self::place(bucket, prefix),
            from: String::new(),
            tomorrow: String::new(),
            catalog: String::new(),
            register: true,
            crawler: None,
        }
    }

    pub fn place(bucket: &str, prefix: &str) -> String {
        format!("s3://{bucket}/{prefix}").trim_end_matches('/').to_owned()
    }
}

/// One request to the catalog, and what it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub what: String,
    pub changes: Vec<String>,
    pub action: &'static str,
    pub body: Value,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub unchanged: Vec<String>,
    /// What is there and contradicts: nothing of it is changed.
    pub conflicts: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error(transparent)]
    Glue(#[from] AwsError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error("register partitions of {table}: {why}")]
    Partitions { table: String, why: String },
}

/// The first partition of a table, as the projection's range says it, and whether objects lie beyond its end.
struct Extent {
    first: String,
    beyond: Option<String>,
}

/// Compares what is wanted with what is there. Nothing is changed.
pub async fn plan<B: Bucket, G: Glue>(
    bucket: &B,
    paths: &Paths,
    glue: &G,
    options: &Options,
) -> Result<Plan, CatalogError> {
    let mut plan = Plan::default();
    let database = &options.database;
    let is_there = match glue.call("GetDatabase", json!({"Name": database})).await {
        Ok(_) => true,
        Err(error) if error.is_not_found() => false,
        Err(error) => return Err(error.into()),
    };
    if is_there {
        plan.unchanged.push(format!("database {database}"));
    } else {
        plan.steps.push(Step {
            what: format!("create database {database}"),
            changes: Vec::new(),
            action: "CreateDatabase",
            body: json!({"DatabaseInput": {"Name": database, "Description": "Market data stored by Finflow"}}),
        });
    }
    for table in Table::ALL {
        let extent = extent(bucket, paths, table, options).await?;
        if let Some(partition) = &extent.beyond {
            plan.warnings.push(format!(
                "{}: {partition} and what follows lies beyond tomorrow and is not queried; are the producer's clocks right?",
                table.name()
            ));
        }
        let name = desired::name(options, table);
        let found = if is_there { table_of(glue, database, &name).await? } else { None };
        diff::table(&mut plan, options, table, &extent.first, found.as_ref());
        if options.register {
            let known = match &found {
                Some(_) => partitions::registered(glue, database, &name).await?,
                None => Default::default(),
            };
            let keys = list_all(bucket, &paths.table(table)).await?;
            partitions::plan(&mut plan, options, table, &known, &keys, paths);
        }
    }
    for view in view::all(options) {
        let found = if is_there { table_of(glue, database, view.name).await? } else { None };
        diff::view(&mut plan, options, &view, found.as_ref());
    }
    if let Some(role) = &options.crawler {
        crawler(&mut plan, glue, options, role).await?;
    }
    Ok(plan)
}

/// Carries the plan out. A table that somebody else changed since the plan was made is an error of the catalog's own
/// words; planning again sees their change.
pub async fn apply<G: Glue>(glue: &G, plan: &Plan, mut each: impl FnMut(&Step)) -> Result<(), CatalogError> {
    for step in &plan.steps {
        each(step);
        match glue.call(step.action, step.body.clone()).await {
            Ok(answer) => partitions::check(step, &answer)?,
            // Somebody else, or a request before its answer was lost, made it.
            Err(error) if error.code == "AlreadyExistsException" => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn table_of<G: Glue>(glue: &G, database: &str, name: &str) -> Result<Option<Value>, AwsError> {
    match glue.call("GetTable", json!({"DatabaseName": database, "Name": name})).await {
        Ok(mut answer) => Ok(Some(answer["Table"].take())),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn extent<B: Bucket>(bucket: &B, paths: &Paths, table: Table, options: &Options) -> Result<Extent, BucketError> {
    let prefix = paths.table(table);
    let unit = |key: &String| {
        let folder = key.strip_prefix(&prefix)?.split('/').next()?;
        Some(folder.split_once('=')?.1.to_owned())
    };
    let first = bucket.list(&prefix, None, 1).await?.first().and_then(unit);
    let (from, last) = match table.grain() {
        Grain::Year => (&options.from[..4], format!("{prefix}year={}/~", &options.tomorrow[..4])),
        _ => (&*options.from, format!("{prefix}dt={}/~", options.tomorrow)),
    };
    let beyond = bucket.list(&prefix, Some(&last), 1).await?.first().and_then(unit);
    let first = first.filter(|first| first.as_str() < from).unwrap_or_else(|| from.to_owned());
    Ok(Extent { first, beyond })
}

async fn crawler<G: Glue>(plan: &mut Plan, glue: &G, options: &Options, role: &str) -> Result<(), AwsError> {
    let name = format!("{}-lake", options.database);
    match glue.call("GetCrawler", json!({"Name": name})).await {
        Ok(_) => plan.unchanged.push(format!("crawler {name}")),
        Err(error) if error.is_not_found() => plan.steps.push(Step {
            what: format!("create crawler {name}"),
            changes: Vec::new(),
            action: "CreateCrawler",
            body: desired::crawler(options, &name, role),
        }),
        Err(error) => return Err(error),
    }
    Ok(())
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.unchanged.iter().try_for_each(|what| writeln!(f, "unchanged  {what}"))?;
        for Step { what, changes, .. } in &self.steps {
            writeln!(f, "{what}")?;
            changes.iter().try_for_each(|change| writeln!(f, "    {change}"))?;
        }
        self.warnings.iter().try_for_each(|warning| writeln!(f, "warning    {warning}"))?;
        self.conflicts.iter().try_for_each(|conflict| writeln!(f, "conflict   {conflict}"))
    }
}

#[cfg(test)]
mod tests;
