//! Statements that cannot be read, in a task that then reads the schemas of their tables from the server (`on_unparsed_ddl = "refetch"`).
//!
//! The decoder does no I/O, so it stops behind such a statement until it is told the schemas, or that they cannot be known.

use std::sync::Arc;

use runtime::{SchemaChange, SchemaChangeKind, TableId, TableSchema};

use super::context::EventContext;
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

impl Decoder {
    /// Says whether the schemas of tables are read from the server behind a statement that cannot be read.
    pub(crate) fn refetching(mut self, refetches: bool) -> Self {
        self.refetches = refetches;
        self
    }

    /// Takes the result of a statement. If the statement cannot be read, it waits for [`Decoder::schemas_are_read`].
    pub(super) fn or_unread(&mut self, taken: Result<(), StreamError>, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
        let Err(error) = taken else { return Ok(()) };
        let of = match &error {
            StreamError::Unreadable { table, .. } | StreamError::Change { change: ChangeError::Unread { table, .. }, .. } => table.clone(),
            _ => return Err(error),
        };
        // A statement that names no known table may concern any. One inside a transaction is followed by rows.
        if !self.refetches || self.transaction.is_begun() || of.table.is_empty() {
            return Err(error);
        }
        let query = read_query(event.body, false)?;
        let variables = SessionVariables::read(query.status)?;
        let source = StatementText::read(query.text, &variables);
        if source.not_in.is_some() {
            return Err(error);
        }
        let dialect = self.profile.dialect().with_sql_mode(variables.sql_mode.unwrap_or(0));
        let database = String::from_utf8_lossy(query.database);
        let context = StatementContext { dialect, ..StatementContext::new(&database, &|_| None) };
        let named = tables_named(&source.text, &context).into_iter().map(|table| self.history.fold(&table));
        let mut tables: Vec<TableId> = named.filter(|table| self.selection.selects(table) && self.history.table(table).is_some()).collect();
        tables.push(self.history.fold(&of));
        tables.sort();
        tables.dedup();
        let end = self.tracker.at();
        let at = FileOffset::new(end.file, end.offset.saturating_sub(event.header.size.into()));
        self.unread = Some(Unread { at, event: KeptEvent::new(event), read_ms, tables, error });
        Ok(())
    }

    /// Where a statement begins that cannot be read, and the tables whose schemas must be read from the server before the next event is given.
    pub(crate) fn wants_schemas(&self) -> Option<(FileOffset, Vec<TableId>)> {
        self.unread.as_ref().map(|unread| (unread.at, unread.tables.clone()))
    }

    /// Goes on behind the statement with these schemas, which hold there. Without them, fails as the statement does; `why` says why they
    /// cannot be known.
    pub(crate) fn schemas_are_read(&mut self, schemas: Result<Vec<TableSchema>, String>) -> Result<(), StreamError> {
        let Some(Unread { event, read_ms, error, .. }) = self.unread.take() else { return Ok(()) };
        match schemas {
            Ok(schemas) => self.continue_with(schemas, &event.event(), read_ms),
            Err(why) => Err(with_reason(error, &why)),
        }
    }

    fn continue_with(&mut self, schemas: Vec<TableSchema>, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
        let query = read_query(event.body, false)?;
        let variables = SessionVariables::read(query.status)?;
        let text = StatementText::read(query.text, &variables).text;
        // Prepared rows of the tables are in doubt, as behind every change of a table.
        let effects = schemas.iter().map(|schema| Effect::Keys { table: schema.id.clone(), changes: Vec::new() }).collect();
        self.prepared.schema_changed(&Change { kind: None, effects }, &text, &self.history, &mut self.output)?;
        let mut change = SchemaChange::new(SchemaChangeKind::Other, String::from_utf8_lossy(query.database), text.as_str());
        for mut schema in schemas {
            let known = self.history.table(&schema.id).cloned();
            schema.version = known.as_ref().map_or(event.header.timestamp.max(1), |known| known.version);
            if let Some(known) = known.filter(|known| **known == schema) {
                change.tables.push((self.history.fold(&known.id), Some(known)));
                continue;
            }
            if self.history.table(&schema.id).is_some() {
                schema.version = schema.version.saturating_add(1);
            }
            let schema = Arc::new(schema);
            tracing::warn!(
                table = %schema.id,
                at = %self.tracker.at(),
                statement = shorten(&text),
                "a statement cannot be read, so the schema of its table was read from the server"
            );
            self.history.set(schema.clone());
            change.tables.push((self.history.fold(&schema.id), Some(schema)));
        }
        unstated::note(&self.stream, &mut self.history, &mut self.output)?;
        self.tables.clear();
        self.cut();
        let context = EventContext::new(&self.tracker, &event.header, read_ms);
        let mut facts = variables.named();
        facts.push(("commitTimestamp", event.header.timestamp.to_string()));
        facts.push(("lowerCaseTableNames", self.history.is_lower_case().to_string()));
        self.transaction.emit_ddl(query.thread_id, &context, facts, change, &mut self.output)?;
        self.close_transaction()?;
        // Invariant: a schema change is alone in its batch.
        self.cut();
        Ok(())
    }
}

fn with_reason(error: StreamError, why: &str) -> StreamError {
    let reason = |what: &str| format!("{what}, and the schema of its table cannot be read from the server instead: {why}");
    match error {
        StreamError::Unreadable { table, mut error, statement } => {
            error.what = reason(&error.to_string());
            error.near.clear();
            StreamError::Unreadable { table, error, statement }
        }
        StreamError::Change { change: ChangeError::Unread { table, mut error }, statement } => {
            error.what = reason(&error.to_string());
            error.near.clear();
            StreamError::Change { change: ChangeError::Unread { table, error }, statement }
        }
        other => other,
    }
}
