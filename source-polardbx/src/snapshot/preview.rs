//! Reads the first rows of a table, for people who want to see what a configuration makes of them.

use std::sync::Arc;

use runtime::{Context, Event, Origin, TableId};

use super::cells::as_read;
use super::chunk::{Chunk, first_rows, now_ms};
use super::range::KeyRange;
use crate::check::{columns, demand};
use crate::config::SourceSettings;
use crate::error::{Result, SourceError};
use crate::server::{Server, parse_definition, read_ddl};
use crate::session::Endpoint;

/// The first rows of `table`, at most `limit`, as the full phase would read them. Reads only; nothing of the task is looked at or changed.
pub(crate) async fn preview(
    settings: &SourceSettings,
    endpoint: &Endpoint,
    context: &Context,
    table: &TableId,
    limit: usize,
) -> Result<Vec<Event>> {
    let mut session = endpoint.connect_reader().await?;
    let server = Server::identify(&mut session).await?;
    let table = &if server.lower_case() { TableId::new(table.database.to_lowercase(), table.table.to_lowercase()) } else { table.clone() };
    if !settings.selection.clone().folded(server.lower_case()).selects(table) {
        let help = "name a table that `tables` selects and `exclude` does not, as database.table";
        return Err(runtime::Error::config(format!("the task does not copy table {table}")).with_help(help).into());
    }
    let ddl = read_ddl(&mut session, table).await.map_err(|error| missing(SourceError::or_table_is_gone(error, table)))?;
    let schema = Arc::new(parse_definition(table, &ddl)?);
    demand(columns(&schema))?;
    let mut origin = Origin::default();
    (origin.server_id, origin.server_version) = (server.server_id(), server.version.as_str().into());
    (origin.offset, origin.safe_offset, origin.read_ms) = ("0@0".into(), "0@0".into(), now_ms());
    let chunk = Chunk {
        id: table.to_string().as_str().into(),
        start: KeyRange { after: None, upto: None }.position(),
        read_as: as_read(&schema, server.is_polardbx()),
        schema,
        // What the transforms would drop is shown as well.
        conditions: Vec::new(),
        origin,
        batch_max_bytes: context.batch_max_bytes(),
        on_ddl: settings.config.on_ddl_in_full,
        announced: Arc::default(),
    };
    let rows = first_rows(&mut session, &chunk, limit).await.map_err(missing)?;
    session.close().await;
    Ok(rows)
}

/// The error as it is to be shown where no task runs.
fn missing(error: SourceError) -> SourceError {
    match error {
        SourceError::TableGone { table } => runtime::Error::config(format!("the server has no table {table}"))
            .with_help("name a table that exists, as database.table; the account needs SELECT on it")
            .into(),
        SourceError::TableChanged { table, what } => runtime::Error::retryable("the table was changed while its rows were read")
            .of_table(&table)
            .because(what)
            .with_help("try again")
            .into(),
        error => error,
    }
}
