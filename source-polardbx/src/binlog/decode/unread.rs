//! Statements that cannot be read, in a task that then reads the schemas of their tables from the server (`on_unparsed_ddl = "refetch"`).
//!
//! The decoder does no I/O, so it stops behind such a statement until it is told the schemas, or that they cannot be known.

use std::sync::Arc;

use runtime::{SchemaChange, SchemaChangeKind, TableId, TableSchema};

use super::{Decoder, StatementText, unstated};
use crate::binlog::error::{StreamError, shorten};
use crate::binlog::event::{KeptEvent, RawEvent, SessionVariables, read_query};
use crate::binlog::position::FileOffset;
use crate::schema::history::ChangeError;
use crate::schema::{Change, Effect, StatementContext, tables_named};

/// A statement that cannot be read, while the schemas behind it are not known.
pub(super) struct Unread {
    event: KeptEvent,
    read_ms: i64,
    /// Where the statement begins.
    at: FileOffset,
    /// The selected tables that it may concern.
    tables: Vec<TableId>,
    /// The error if their schemas cannot be known.
    error: StreamError,
}

/// Takes a statement. If it cannot be read, the decoder waits for [`continue_behind`].
pub(super) fn take_statement(decoder: &mut Decoder, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
    let Err(error) = decoder.query(event, read_ms) else { return Ok(()) };
    let of = match &error {
        StreamError::Unreadable { table, .. } | StreamError::Change { change: ChangeError::Unread { table, .. }, .. } => table.clone(),
        _ => return Err(error),
    };
    if !decoder.refetches {
        return Err(error);
    }
    if of.table.is_empty() {
        return Err(not_refetched(error, "it names no known table, so it may concern any".to_owned()));
    }
    if decoder.transaction.is_begun() {
        return Err(not_refetched(error, "it is in a transaction, so rows may follow it".to_owned()));
    }
    let query = read_query(event.body, false)?;
    let variables = SessionVariables::read(query.status)?;
    let source = StatementText::read(query.text, &variables);
    if source.not_in.is_some() {
        return Err(error);
    }
    let dialect = decoder.profile.dialect().with_sql_mode(variables.sql_mode.unwrap_or(0));
    let database = String::from_utf8_lossy(query.database);
    let context = StatementContext { dialect, ..StatementContext::new(&database, &|_| None) };
    let named = match tables_named(&source.text, &context) {
        Ok(named) => named.into_iter().map(|table| decoder.history.fold(&table)),
        Err(why) => return Err(not_refetched(error, format!("the tables that it names cannot be found: {why}"))),
    };
    let mut tables: Vec<TableId> =
        named.filter(|table| decoder.selection.selects(table) && decoder.history.table(table).is_some()).collect();
    tables.push(decoder.history.fold(&of));
    tables.sort();
    tables.dedup();
    let end = decoder.tracker.at();
    let at = FileOffset::new(end.file, end.offset.saturating_sub(event.header.size.into()));
    decoder.unread = Some(Unread { at, event: KeptEvent::new(event), read_ms, tables, error });
    Ok(())
}

/// Where a statement begins that cannot be read, and the tables whose schemas must be read from the server before the next event is given.
pub(crate) fn wants_schemas(decoder: &Decoder) -> Option<(FileOffset, Vec<TableId>)> {
    decoder.unread.as_ref().map(|unread| (unread.at, unread.tables.clone()))
}

/// Continues behind the statement with these schemas, which hold there. Without them, fails as the statement does; `why` says why they
/// cannot be known.
pub(crate) fn continue_behind(decoder: &mut Decoder, schemas: Result<Vec<TableSchema>, String>) -> Result<(), StreamError> {
    let Some(Unread { event, read_ms, error, .. }) = decoder.unread.take() else { return Ok(()) };
    match schemas {
        Ok(schemas) => continue_with(decoder, schemas, &event.event(), read_ms),
        Err(why) => Err(not_refetched(error, why)),
    }
}

fn continue_with(decoder: &mut Decoder, schemas: Vec<TableSchema>, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
    let query = read_query(event.body, false)?;
    let variables = SessionVariables::read(query.status)?;
    let text = StatementText::read(query.text, &variables).text;
    // Invariant: what is known behind the statement is not committed with a resume point before it.
    decoder.cut();
    // Prepared rows of the tables are in doubt, as behind every change of a table.
    let effects = schemas.iter().map(|schema| Effect::Keys { table: schema.id.clone(), changes: Vec::new() }).collect();
    decoder.prepared.schema_changed(&Change { kind: None, effects }, &text, &decoder.history, &mut decoder.output)?;
    let mut change = SchemaChange::new(SchemaChangeKind::Other, String::from_utf8_lossy(query.database), &*text);
    for mut schema in schemas {
        let known = decoder.history.table(&schema.id).cloned();
        schema.version = known.as_ref().map_or(event.header.timestamp.max(1), |known| known.version);
        if let Some(known) = known.filter(|known| **known == schema) {
            change.tables.push((decoder.history.fold(&known.id), Some(known)));
            continue;
        }
        if decoder.history.table(&schema.id).is_some() {
            schema.version = schema.version.saturating_add(1);
        }
        let schema = Arc::new(schema);
        tracing::warn!(
            table = %schema.id,
            at = %decoder.tracker.at(),
            statement = shorten(&text),
            "a statement cannot be read, so the schema of its table was read from the server"
        );
        decoder.history.set(schema.clone());
        change.tables.push((decoder.history.fold(&schema.id), Some(schema)));
    }
    unstated::note(&decoder.stream, &mut decoder.history, &mut decoder.output)?;
    decoder.tables.clear();
    decoder.emit_alone(event, query.thread_id, &variables, change, read_ms)
}

fn not_refetched(error: StreamError, why: String) -> StreamError {
    StreamError::NotRefetched { error: Box::new(error), why }
}
