//! The command `schema`: mends what a stopped task knows of its tables.

use std::process::ExitCode;

use runtime::{Error, Refetched, Registry, Result, TableId};

use crate::args::RefetchArguments;
use crate::config::Task;
use crate::report;

pub(crate) async fn refetch(registry: Registry, args: &RefetchArguments) -> ExitCode {
    match refetched(registry, args).await {
        Ok((task, table, Refetched { schemas, proof, .. })) => {
            let columns = schemas.first().map_or(0, |(_, schema)| schema.columns.len());
            report::say(format_args!("the task {task} has a new schema of {table}, with {columns} columns: {proof}"));
            report::say(format_args!("start the task with `connector-cli run {}`", args.file.display()));
            ExitCode::SUCCESS
        }
        Err(error) => report::fail(&error),
    }
}

async fn refetched(registry: Registry, args: &RefetchArguments) -> Result<(String, TableId, Refetched)> {
    let task = Task::load(&args.file)?;
    let table = table_of(&args.table)?;
    let refetched = task.pipeline(&registry)?.refetch_schema(&table).await?;
    Ok((task.name().to_owned(), table, refetched))
}

/// The table that the argument TABLE names.
pub(crate) fn table_of(text: &str) -> Result<TableId> {
    text.parse().map_err(|why: String| {
        Error::config(format!("the argument TABLE is not valid: {why}")).with_help("give the table as database.table, such as shop.orders")
    })
}
