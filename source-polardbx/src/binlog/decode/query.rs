//! Statements in the binlog: borders of transactions that are written as text, and changes of structures.

use std::sync::Arc;

use runtime::{Body, Event, SchemaChange, TableId, TableSchema};

use super::Decoder;
use super::resume_guard::Phase;
use super::statement_text::StatementText;
use super::transaction::make_facts;
use crate::binlog::error::{StreamError, shorten};
use crate::binlog::event::{Query, RawEvent, StatementFacts, read_query};
use crate::binlog::position::transaction_seq;
use crate::schema::{Change, Effect, Statement, StatementContext, loses_names, of_collation_number, read_statement};

impl Decoder {
    pub(super) fn query(&mut self, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
        let query = read_query(event.body, false)?;
        let end = self.tracker.at().offset;
        if query.text == b"BEGIN" {
            if let Some(group) = &mut self.group {
                group.begun = true;
                group.thread_id = query.thread_id;
                group.begin = Some((end, event.header.server_id, event.header.timestamp));
            }
            self.begin_status.clear();
            self.begin_status.extend_from_slice(query.status);
            return Ok(());
        }
        if query.text == b"COMMIT" {
            return self.commit(event, read_ms);
        }
        if query.text == b"ROLLBACK" {
            if self.in_transaction() {
                return Err(StreamError::RollbackGroup { what: "a transaction was rolled back after its rows were written" });
            }
            return self.close_group();
        }
        self.statement(event, &query, read_ms)
    }

    pub(super) fn statement(&mut self, event: &RawEvent<'_>, query: &Query<'_>, read_ms: i64) -> Result<(), StreamError> {
        let facts = StatementFacts::read(query.status)?;
        let source = StatementText::read(query.text, &facts);
        let text = source.text.as_str();
        if opens_transaction(text)
            && let Some(group) = &mut self.group
        {
            group.begun = true;
            group.begin.get_or_insert((self.tracker.at().offset, event.header.server_id, event.header.timestamp));
        }
        let begun = self.group.as_ref().is_some_and(|group| group.begun);
        let database = String::from_utf8_lossy(query.database);
        let context = StatementContext {
            database: &database,
            charsets: &|name| self.history.charset(name),
            dialect: self.dialect.with_sql_mode(facts.sql_mode.unwrap_or(0)),
            explicit_timestamps: facts.explicit_timestamps.unwrap_or(self.explicit_timestamps),
        };
        let statement = read_statement(text, &context);
        if let Statement::Xa(word) = &statement {
            return self.xa(word);
        }
        if self.phase == Phase::Live {
            let wanted = |table: &TableId| (self.selected)(&self.history.fold(table));
            match statement {
                Statement::Change(_) | Statement::Rows(_) if source.not_in.is_some() && loses_names(text, context.dialect) => {
                    return Err(not_text(TableId::new(database.as_ref(), ""), &source));
                }
                Statement::Change(change) => self.change(event, query, &change, &source, &facts, read_ms)?,
                Statement::Rows(tables) => {
                    if let Some(table) = tables.into_iter().find(wanted) {
                        return Err(StreamError::StatementDml { table });
                    }
                }
                Statement::RollbackTo if self.in_transaction() => {
                    return Err(StreamError::RollbackGroup {
                        what: "a transaction was rolled back to a savepoint after its rows were written",
                    });
                }
                Statement::Unreadable(error, tables) => {
                    // A text that cannot even be cut into words may name any table.
                    let table = if tables.is_empty() { Some(TableId::new(database.as_ref(), "")) } else { tables.into_iter().find(wanted) };
                    if let Some(table) = table {
                        return Err(StreamError::Unreadable { table, error, statement: shorten(text) });
                    }
                }
                Statement::Nothing | Statement::Savepoint | Statement::RollbackTo | Statement::Xa(_) | Statement::Unrelated => {}
            }
        }
        // A statement alone is its whole group; after a DDL statement the group may be closed already.
        if begun { Ok(()) } else { self.close_group() }
    }

    fn xa(&mut self, word: &str) -> Result<(), StreamError> {
        match word {
            "START" | "BEGIN" => {
                if let Some(group) = &mut self.group {
                    (group.xa, group.begun) = (true, true);
                }
                Ok(())
            }
            "END" => Ok(()),
            // The second half of a transaction whose first half had no row of a selected table.
            _ => self.close_group(),
        }
    }

    fn change(
        &mut self,
        event: &RawEvent<'_>,
        query: &Query<'_>,
        change: &Change,
        source: &StatementText,
        facts: &StatementFacts,
        read_ms: i64,
    ) -> Result<(), StreamError> {
        let text = source.text.as_str();
        let server_charset = facts.charset.and_then(|[.., server]| of_collation_number(server));
        let selected = self.selected.clone();
        let touched = self
            .history
            .apply(change, event.header.timestamp, server_charset, &|table| selected(table))
            .map_err(|change| StreamError::Change { change, statement: shorten(text) })?;
        let mut of_database = false;
        for effect in &change.effects {
            if let Effect::DatabaseCharset { database, .. } | Effect::DropDatabase { database } = effect {
                self.databases_changed = true;
                of_database |= (self.selected_databases)(database);
            }
        }
        if touched.is_empty() && !of_database {
            return Ok(());
        }
        self.tables.clear();
        let Some(kind) = change.kind else { return Ok(()) };
        if source.not_in.is_some() || source.hides_labels_of(change) {
            let table = touched.into_iter().next().map(|(table, _)| table);
            return Err(not_text(table.unwrap_or_else(|| TableId::new(database_of(change, query, &[]), "")), source));
        }
        let begun = self.group.as_ref().is_some_and(|group| group.begun);
        if begun {
            self.begin(read_ms)?;
        }
        self.cut();
        let (file, end) = (self.tracker.at().file, self.tracker.at().offset);
        let Some(group) = &mut self.group else { return Err(StreamError::corrupt("a statement outside a group")) };
        if group.facts.is_none() {
            group.facts = Some(make_facts(group, file));
        }
        group.thread_id = query.thread_id;
        let (start, ord, txid) = (group.start, group.ord, group.facts.as_ref().and_then(|facts| facts.gtid.clone()));
        group.ord += 1;
        let mut named = facts.named();
        named.push(("commitTimestamp", event.header.timestamp.to_string()));
        named.push(("lowerCaseTableNames", self.history.is_lower_case().to_string()));
        let (mut origin, position) = self.place_event(event.header.server_id, end, read_ms, named);
        if let Some(origin) = Arc::get_mut(&mut origin) {
            // DTS prints its own end as the safe place of a statement.
            origin.safe_offset = origin.offset.clone();
        }
        let mut schema = SchemaChange::new(kind, database_of(change, query, &touched), text);
        schema.tables = touched;
        self.builder.push(Event {
            seq: transaction_seq(self.position.timeline, start, ord),
            position,
            timestamp_ms: i64::from(event.header.timestamp) * 1000,
            txid,
            origin,
            body: Body::Schema(schema),
        });
        if !begun {
            self.close_group()?;
        }
        // Invariant: a schema change travels alone.
        self.cut();
        Ok(())
    }
}

fn not_text(table: TableId, source: &StatementText) -> StreamError {
    let charset = source.not_in.clone().unwrap_or_else(|| "binary".to_owned());
    StreamError::NotText { table, charset, statement: shorten(&source.text) }
}

/// Whether rows of the same transaction follow a statement: CREATE TABLE … SELECT as MySQL 8.0.21 and later write it.
fn opens_transaction(text: &str) -> bool {
    const WORDS: &str = "START TRANSACTION";
    let text = text.trim_end();
    text.len().checked_sub(WORDS.len()).and_then(|at| text.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(WORDS))
}

/// The database that a statement is about, else the session's, else the one of the first table.
fn database_of(change: &Change, query: &Query<'_>, touched: &[(TableId, Option<Arc<TableSchema>>)]) -> String {
    let own = change.effects.iter().find_map(|effect| match effect {
        Effect::DropDatabase { database } | Effect::DatabaseCharset { database, .. } => Some(database.clone()),
        _ => None,
    });
    let session = || Some(String::from_utf8_lossy(query.database).into_owned()).filter(|name| !name.is_empty());
    let table = || touched.first().map(|(table, _)| table.database.to_string());
    own.or_else(session).or_else(table).unwrap_or_default()
}
