//! Has the rows of a table read again, in a task that is stopped.

use runtime::{Committed, Facts, Resnapshot, TableId};

use crate::check::same_task;
use crate::config::SourceSettings;
use crate::error::{Result, SourceError};
use crate::facts::{TaskFacts, selection_of_task};
use crate::server::Server;
use crate::session::Endpoint;
use crate::snapshot::plan::table_name;
use crate::splits::SplitName;
use crate::table_phase::TablePhase;

/// The change of the task's facts by which the rows of a table are read again and merged into the stream. Fails if the task cannot do that, or
/// if the server does not understand the condition.
pub(crate) async fn resnapshot(settings: &SourceSettings, endpoint: &Endpoint, committed: &Committed, what: &Resnapshot) -> Result<Facts> {
    let Resnapshot { table, condition, .. } = what;
    let task = TaskFacts::read(committed)?;
    if !task.in_band {
        let help = "a task with `handover = \"in_band\"`, which is the default with both phases and one stream, can read a table again";
        return Err(refused(table, "its task does not merge rows into the stream", help));
    }
    endpoint.expect(Some(task.identity.clone()));
    let mut session = endpoint.connect().await?;
    let server = Server::identify(&mut session).await?;
    same_task(settings, &server, &task)?;
    let selection = selection_of_task(settings, &server, committed)?;
    let stream = committed.splits().find(|(split, _)| matches!(SplitName::parse(split), Ok(SplitName::Stream(_))));
    let (split, _) = stream.ok_or_else(|| refused(table, "the task has not begun to read the binlog", "start the task first"))?;
    let known = committed.split_schemas(split).into_iter().find(|known| selection.same(&known.id, table));
    let Some(schema) = known else {
        let help = "name a table that `tables` selects and that exists where the task has stopped, as database.table";
        return Err(refused(table, "the task does not know it", help));
    };
    let name = schema.id.to_string();
    if committed.fact_at::<TablePhase>(&name)?.is_some() {
        return Err(refused(&schema.id, "its rows are being read already", "start the task, which reads them to the end"));
    }
    let filter = condition.as_ref().map(|condition| format!(" WHERE ({condition})")).unwrap_or_default();
    let sql = format!("SELECT 1 FROM {}{filter} LIMIT 0", table_name(&schema.id));
    session.rows(format!("try to read table {}", schema.id), sql).await.map_err(|error| match error.code() {
        Some(_) => refused(
            &schema.id,
            &format!("the server refuses to read it: {error}"),
            "correct the condition, or let the account read the table",
        ),
        None => error,
    })?;
    session.close().await;
    let mut facts = Facts::new();
    facts.set_at(&name, &TablePhase::planned(schema.id.clone()).of_rows(condition.clone()))?;
    Ok(facts)
}

fn refused(table: &TableId, why: &str, help: &str) -> SourceError {
    let error = runtime::Error::config("the rows of the table cannot be read again").with_code("E_RESNAPSHOT_REFUSED");
    error.because(why.to_owned()).of_table(table).with_help(help.to_owned()).into()
}
