//! The command `resnapshot`: has the rows of a table read again.

use std::process::ExitCode;

use runtime::{Registry, Resnapshot, Result, TableId};

use crate::args::ResnapshotArguments;
use crate::config::Task;
use crate::report;
use crate::schema::table_of;

pub(crate) async fn resnapshot(registry: Registry, args: &ResnapshotArguments) -> ExitCode {
    match noted(registry, args).await {
        Ok((task, table)) => {
            let which = if args.condition.is_some() { "the rows that meet the condition" } else { "all rows" };
            report::say(format_args!("the task {task} reads {which} of {table} again when it starts"));
            report::say(format_args!("start the task with `connector-cli run {}`", args.file.display()));
            ExitCode::SUCCESS
        }
        Err(error) => report::fail(&error),
    }
}

async fn noted(registry: Registry, args: &ResnapshotArguments) -> Result<(String, TableId)> {
    let task = Task::load(&args.file)?;
    let table = table_of(&args.table)?;
    let what = Resnapshot::new(table.clone()).with_condition(args.condition.clone());
    task.pipeline(&registry)?.resnapshot(&what).await?;
    Ok((task.name().to_owned(), table))
}
