//! QUERY events: DDL, and transaction boundaries that are logged as statements. Also the commit marks of PolarDB-X.

use std::sync::Arc;

use runtime::{SchemaChange, SchemaChangeKind, TableId, TableSchema};

use super::context::EventContext;
use super::expansion::Expansion;
use super::polardbx::StatementTexts;
use super::prepared::{Ended, read_xa_prepare};
use super::statement_text::StatementText;
use super::table_maps::TableMaps;
use super::{Decoder, followed, unstated};
use crate::binlog::error::{StreamError, shorten, shorten_without_values, unreadable};
use crate::binlog::event::{CommitMark, KeptEvent, Query, RawEvent, SessionVariables, Tso, kind, read_query};
use crate::binlog::position::FileOffset;
use crate::config::{ArchivedDeletes, DdlText, OnRowsWithoutEvents};
use crate::facts::DatabaseCollations;
use crate::schema::history::ChangeError;
use crate::schema::{
    Applied, Change, Dialect, Effect, ExplicitTimestamps, Statement, StatementContext, WithoutEvents, XaStatement, add_partitions,
    changes_only_named_tables, concerns_accounts, ends_with_words, loses_names, loses_partitions, partitions_only, read_statement,
    tables_named, without_leading_comma,
};
use crate::spool::SpoolReader;
use crate::table_phase::TablePhase;

/// The statement of a user from which PolarDB-X has made a statement for MySQL.
#[derive(Clone, Copy, Default)]
struct Original<'a> {
    /// Its text, if it can be read.
    text: Option<&'a str>,
    /// Whether another stream delivers it.
    is_elsewhere: bool,
}

impl Decoder {
    pub(super) fn query(&mut self, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
        let query = read_query(event.body, false)?;
        if self.profile.is_polardbx() {
            return self.logical_query(event, &query, read_ms);
        }
        match query.text {
            b"BEGIN" => {
                let context = EventContext::new(&self.tracker, &event.header, read_ms);
                self.transaction.begin(query.thread_id, query.status, &context);
                Ok(())
            }
            b"COMMIT" => match self.transaction.take_emptied() {
                Some(table) => self.emptied(event, &query, table, read_ms),
                None => self.commit(event, read_ms),
            },
            b"ROLLBACK" => {
                self.transaction.roll_back(&mut self.output)?;
                self.close_transaction()
            }
            _ => self.statement(event, &query, read_ms),
        }
    }

    /// Handles a statement other than BEGIN, COMMIT and ROLLBACK.
    pub(super) fn statement(&mut self, event: &RawEvent<'_>, query: &Query<'_>, read_ms: i64) -> Result<(), StreamError> {
        self.statement_of(Original::default(), event, query, read_ms)
    }

    /// Like [`Decoder::statement`], for a statement that PolarDB-X has made from the statement of a user.
    fn statement_of(&mut self, original: Original<'_>, event: &RawEvent<'_>, query: &Query<'_>, read_ms: i64) -> Result<(), StreamError> {
        let Original { text: original, is_elsewhere } = original;
        if self.transaction.is_uncommitted_alter() {
            return self.close_transaction();
        }
        let variables = SessionVariables::read(query.status)?;
        let mut source = StatementText::read(query.text, &variables);
        source.shown = original.filter(|_| self.polardbx.ddl_text == DdlText::Original).map(str::to_owned);
        source.is_elsewhere = is_elsewhere;
        let text = &*source.text;
        let dialect = self.profile.dialect().with_sql_mode(variables.sql_mode.unwrap_or(0));
        if opens_transaction(text, dialect) {
            self.transaction.begin_with_statement(&EventContext::new(&self.tracker, &event.header, read_ms));
        }
        let begun = self.transaction.is_begun();
        let database = String::from_utf8_lossy(query.database);
        let context = StatementContext {
            database: &database,
            collations: &|name| self.history.collation(name),
            session: variables.collations(),
            dialect,
            explicit_timestamps: match variables.explicit_timestamps {
                Some(explicit) => ExplicitTimestamps::Known(explicit),
                None => ExplicitTimestamps::Assumed(self.profile.explicit_timestamps()),
            },
        };
        let mut statement = read_statement(text, &context);
        if let (Statement::Change(change), Some(original)) = (&mut statement, original)
            && let Err(error) = add_partitions(change, original, &context)
        {
            statement = Statement::Unreadable(error, tables_named(text, &context).unwrap_or_default());
        }
        if let Statement::Xa(statement) = statement {
            return self.xa(event, query.thread_id, statement, read_ms);
        }
        if self.resume.is_live() {
            let wanted = |table: &TableId| self.selection.selects(&self.history.fold(table));
            match statement {
                Statement::Change(_) | Statement::Rows(_) if source.not_in.is_some() && loses_names(text, context.dialect) => {
                    return Err(not_text(TableId::new(database.as_ref(), ""), &source));
                }
                Statement::Change(change) => self.change(event, query, &change, &source, &variables, read_ms)?,
                // Without a BEGIN there is no end that tells whether the server wrote it.
                Statement::Rows(tables) if begun && is_server_emptying(text, &tables) && self.transaction.note_emptied(&tables) => {}
                Statement::Rows(tables) => {
                    // Servers allow no triggers in this database.
                    let own = !tables.is_empty() && tables.iter().all(|table| table.database.eq_ignore_ascii_case("mysql"));
                    if !own || !changes_only_named_tables(text, &context) {
                        return Err(StreamError::StatementDml {
                            table: tables.into_iter().find(wanted),
                            statement: shorten_without_values(text),
                        });
                    }
                }
                Statement::Savepoint(name) => self.transaction.savepoint(name, self.tracker.at(), &self.output),
                Statement::RollbackTo(name) => self.transaction.return_to(&name, &mut self.output)?,
                Statement::Unreadable(error, tables) => {
                    // A statement that is not understood at all may concern any table.
                    let any = tables.is_empty();
                    let named = tables.clone();
                    let mut tables = tables.into_iter().filter(wanted).peekable();
                    if any || tables.peek().is_some() {
                        // A name that is not a known table may be a keyword.
                        let known = tables.find(|table| self.history.table(table).is_some());
                        let table = known.unwrap_or_else(|| TableId::new(database.as_ref(), ""));
                        return Err(unreadable(table, error, text));
                    }
                    // A table that is only followed may have another schema now.
                    named.iter().for_each(|table| self.history.lose(table));
                    followed::note(&self.stream, &mut self.history, &mut self.output)?;
                }
                // A name that is lost may be met again only at a statement that then cannot be applied.
                Statement::Others { .. } if source.not_in.is_some() && loses_names(text, context.dialect) => {}
                Statement::Others { names, exist } => {
                    self.history.note_others(&names, exist, &|table| self.selection.interest(table));
                    followed::note(&self.stream, &mut self.history, &mut self.output)?;
                }
                Statement::Nothing | Statement::Xa(_) | Statement::Unrelated => {}
            }
        }
        // Outside a transaction the statement is a group of its own, which ends here. For DDL, `change` may have closed the group already.
        if begun { Ok(()) } else { self.close_transaction() }
    }

    /// Handles the end of a group in which the server emptied a table of the engine MEMORY: this is a TRUNCATE TABLE, without BEGIN and COMMIT.
    fn emptied(&mut self, event: &RawEvent<'_>, query: &Query<'_>, table: TableId, read_ms: i64) -> Result<(), StreamError> {
        let source = StatementText::of_server(format!("TRUNCATE TABLE {}", in_backticks(&table)));
        let change = Change { kind: Some(SchemaChangeKind::TruncateTable), effects: vec![Effect::Truncate { table }] };
        let variables = SessionVariables::read(query.status)?;
        self.change(event, query, &change, &source, &variables, read_ms)?;
        self.close_transaction()
    }

    fn xa(&mut self, event: &RawEvent<'_>, thread_id: u32, statement: XaStatement, read_ms: i64) -> Result<(), StreamError> {
        let (xid, committed) = match statement {
            XaStatement::Start(xid) => {
                self.transaction.begin_xa(xid);
                return Ok(());
            }
            XaStatement::End => return Ok(()),
            XaStatement::Commit(xid) => (xid, true),
            // MySQL 5.7 logs a transaction that was not prepared in this way if it has dropped a temporary table.
            XaStatement::Rollback(_) if self.transaction.take_branch().is_some() => return self.close_transaction(),
            XaStatement::Rollback(xid) => (xid, false),
        };
        let Some(start) = self.transaction.start().filter(|_| self.resume.is_live()) else { return self.close_transaction() };
        match self.prepared.end(&xid, committed, start)? {
            Ended::Nothing => self.close_transaction(),
            Ended::Rows { start, spool, removed } => {
                self.commit_prepared(event, Some(thread_id), spool, start, TableMaps::without(removed), read_ms);
                Ok(())
            }
        }
    }

    /// Handles an XA_PREPARE event. With one phase it is the commit of its transaction.
    pub(super) fn xa_prepare(&mut self, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
        if !self.resume.is_live() {
            return self.close_transaction();
        }
        let (xid, one_phase) = read_xa_prepare(event.body)?;
        let Some((branch, start)) = self.transaction.take_branch().filter(|(branch, _)| branch.xid == xid) else {
            return Err(StreamError::corrupt("an XA PREPARE outside its transaction"));
        };
        if !one_phase {
            self.prepared.prepare(branch, start)?;
        } else if let Some(spool) = branch.into_reader()? {
            self.commit_prepared(event, None, spool, start, TableMaps::default(), read_ms);
            return Ok(());
        }
        self.close_transaction()
    }

    /// Begins to emit the rows of the XA transaction that begins at `start`, which `event` commits.
    fn commit_prepared(
        &mut self,
        event: &RawEvent<'_>,
        thread_id: Option<u32>,
        spool: SpoolReader,
        start: FileOffset,
        tables: TableMaps,
        read_ms: i64,
    ) {
        self.transaction.begin_committed(thread_id, &EventContext::new(&self.tracker, &event.header, read_ms));
        self.expansions.push(Expansion::Spool(Expansion::of_spool(spool, start, tables, event.header, read_ms)));
    }

    /// Applies a DDL statement to the known schemas and, if it concerns a selected table or database, emits it as an event.
    fn change(
        &mut self,
        event: &RawEvent<'_>,
        query: &Query<'_>,
        change: &Change,
        source: &StatementText<'_>,
        variables: &SessionVariables,
        read_ms: i64,
    ) -> Result<(), StreamError> {
        let text = &*source.text;
        let refuse = |change| StreamError::Change { change, statement: shorten(text) };
        let Applied { touched, without_events } =
            self.history.apply(change, event.header.timestamp, &|table| self.selection.interest(table)).map_err(refuse)?;
        for effect in &change.effects {
            if let Effect::Create { table, .. } | Effect::CreateLike { table, .. } | Effect::Rename { to: table, .. } = effect {
                self.ignored.note(&self.history.fold(table), &self.selection);
            }
        }
        let (new, without_events): (Vec<_>, Vec<_>) =
            without_events.into_iter().partition(|found| found.is_new && self.rows_without_events.new_are_read);
        for WithoutEvents { table, what, .. } in without_events {
            if self.rows_without_events.then == OnRowsWithoutEvents::Fail {
                return Err(refuse(ChangeError::WithoutEvents { table, what }));
            }
            tracing::warn!(statement = shorten(text), "a statement {what} {table}, and the binlog does not hold these rows");
        }
        if self.polardbx.lacks_keyless
            && let Some((table, _)) = touched.iter().find(|(_, schema)| schema.as_ref().is_some_and(|schema| schema.primary_key.is_empty()))
        {
            return Err(StreamError::NoRows { table: table.clone(), statement: shorten(text) });
        }
        let databases = || {
            change.effects.iter().filter_map(|effect| match effect {
                Effect::DatabaseCollation { database, .. } | Effect::DropDatabase { database } => Some(database),
                _ => None,
            })
        };
        let concerns = !touched.is_empty() || databases().any(|database| self.selection.selects_database(database));
        if concerns && change.kind.is_some() && !source.is_elsewhere {
            // Invariant: what is known behind the statement is not committed with a resume point before it. The statement is applied to what is
            // known, and twice is not once.
            self.cut();
        }
        for WithoutEvents { table, what, .. } in new {
            tracing::info!(statement = shorten(text), "a statement {what} {table}: its rows are read");
            self.output.set_fact(&table.to_string(), &TablePhase::planned(table.clone()))?;
        }
        unstated::note(&self.stream, &mut self.history, &mut self.output)?;
        followed::note(&self.stream, &mut self.history, &mut self.output)?;
        self.prepared.schema_changed(change, text, &self.history, &mut self.output)?;
        if databases().next().is_some() {
            self.output.set_fact(&self.stream, &DatabaseCollations::new(self.history.databases().iter()))?;
        }
        if !concerns {
            return Ok(());
        }
        self.tables.clear();
        if change.kind.is_some() && (source.not_in.is_some() || source.hides_labels_of(change)) {
            let table = touched.into_iter().next().map(|(table, _)| table);
            return Err(not_text(table.unwrap_or_else(|| TableId::new(database_of(change, query, &[]), "")), source));
        }
        let Some(kind) = change.kind.filter(|_| !source.is_elsewhere) else {
            self.output.set_schemas(touched);
            return Ok(());
        };
        let shown = source.shown.as_deref().unwrap_or(text);
        let mut schema_change = SchemaChange::new(kind, database_of(change, query, &touched), shown);
        schema_change.tables = touched;
        self.emit_alone(event, query.thread_id, variables, schema_change, read_ms)
    }

    /// Emits the event of a statement. If the statement is not inside a transaction, it is a group of its own, which ends here.
    pub(super) fn emit_alone(
        &mut self,
        event: &RawEvent<'_>,
        thread_id: u32,
        variables: &SessionVariables,
        change: SchemaChange,
        read_ms: i64,
    ) -> Result<(), StreamError> {
        let begun = self.transaction.is_begun();
        if begun {
            self.transaction.emit_begin(&EventContext::new(&self.tracker, &event.header, read_ms), &mut self.output)?;
            self.transaction.schema_changed();
        }
        // Invariant: a schema change is alone in its batch.
        self.cut();
        let mut facts = variables.named();
        facts.push(("commitTimestamp", event.header.timestamp.to_string()));
        facts.push(("lowerCaseTableNames", self.history.is_lower_case().to_string()));
        let context = EventContext::new(&self.tracker, &event.header, read_ms);
        self.transaction.emit_ddl(thread_id, &context, facts, change, &mut self.output)?;
        if !begun {
            self.close_transaction()?;
        }
        self.cut();
        Ok(())
    }

    /// Handles a QUERY event of PolarDB-X.
    fn logical_query(&mut self, event: &RawEvent<'_>, query: &Query<'_>, read_ms: i64) -> Result<(), StreamError> {
        if self.transaction.is_begun() || self.logged.is_some() {
            return Err(StreamError::corrupt("a statement in the middle of a transaction"));
        }
        if query.text == b"BEGIN" {
            self.transaction.begin(query.thread_id, query.status, &EventContext::new(&self.tracker, &event.header, read_ms));
        } else {
            self.logged = Some(KeptEvent::new(event));
        }
        Ok(())
    }

    /// Handles a ROWS_QUERY event of PolarDB-X: a commit mark, or the trace of a statement.
    pub(super) fn rows_query(&mut self, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
        // Most transactions end with the timestamp that they have announced. It need not be read again.
        if let Some(tso) = self.transaction.announced().filter(|tso| tso.is_marked_by(event.body)) {
            return self.commit_mark(tso, event, read_ms);
        }
        match CommitMark::read(event.body)? {
            Some(CommitMark::End(tso)) => self.commit_mark(tso, event, read_ms),
            Some(CommitMark::Announced { tso, is_archive }) => self.transaction.announce(tso, is_archive),
            None if self.transaction.is_begun() => Ok(()),
            None => Err(StreamError::corrupt("a text (ROWS_QUERY) outside a transaction")),
        }
    }

    fn commit_mark(&mut self, tso: Tso, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
        let is_alone = self.logged.is_none() && !self.transaction.is_begun();
        self.resume.check_timestamp(tso, is_alone)?;
        self.transaction.mark(tso, &mut self.output)?;
        if self.resume.is_live() {
            self.heartbeats.note_time(tso.ms());
        }
        if let Some(statement) = self.logged.take() {
            self.logical_statement(&statement.event(), read_ms)?;
        } else if self.transaction.is_begun() {
            return self.commit(event, read_ms);
        }
        self.close_transaction()
    }

    /// Handles a statement of PolarDB-X. Its text for MySQL says what it does.
    fn logical_statement(&mut self, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
        let query = read_query(event.body, false)?;
        let texts = StatementTexts::read(query.text);
        let original = texts.original.as_deref();
        let is_elsewhere = self.polardbx.is_later_stream && !texts.is_in_one_stream;
        if texts.mysql.trim_ascii().is_empty() {
            return match original {
                _ if !self.resume.is_live() => Ok(()),
                Some(text) => self.untranslated(text, is_elsewhere, event, &query, read_ms),
                // It may be about any table.
                None if texts.is_unreadable => {
                    Err(StreamError::corrupt("a statement whose only text, ORIGIN_SQL, has wrong Base64 or is not UTF-8"))
                }
                None => Ok(()),
            };
        }
        let repaired = std::str::from_utf8(texts.mysql).ok().and_then(|text| without_leading_comma(text, self.profile.dialect()));
        let text = repaired.as_deref().map_or(texts.mysql, str::as_bytes);
        self.statement_of(Original { text: original, is_elsewhere }, event, &Query { text, ..query }, read_ms)
    }

    /// Handles a statement that MySQL does not have. It changes no column, but it may change by which columns a table is partitioned. It is
    /// delivered, where this is wanted, if it names a selected table. A statement about accounts may hold a password, and is never delivered.
    fn untranslated(
        &mut self,
        text: &str,
        is_elsewhere: bool,
        event: &RawEvent<'_>,
        query: &Query<'_>,
        read_ms: i64,
    ) -> Result<(), StreamError> {
        let variables = SessionVariables::read(query.status)?;
        let database = String::from_utf8_lossy(query.database);
        let context = StatementContext { dialect: self.profile.dialect(), ..StatementContext::new(&database, &|_| None) };
        if concerns_accounts(text, &context) {
            return Ok(());
        }
        let is_selected = |table: &TableId| self.selection.selects(&self.history.fold(table));
        if let Some(table) = loses_partitions(text, &context).filter(is_selected) {
            if self.rows_without_events.then == OnRowsWithoutEvents::Fail {
                let change = ChangeError::WithoutEvents { table, what: "removes rows of".to_owned() };
                return Err(StreamError::Change { change, statement: shorten(text) });
            }
            tracing::warn!(statement = shorten(text), "a statement removes rows of {table}, and the binlog does not hold these rows");
        }
        let named = match tables_named(text, &context) {
            Ok(named) => named,
            // It may concern any table.
            Err(error) => return Err(unreadable(TableId::new(database.as_ref(), ""), error, text)),
        };
        match partitions_only(text, &context) {
            Ok(Some(change)) => self.change(event, query, &change, &StatementText::of_server(text), &variables, read_ms)?,
            Ok(None) => {}
            Err(error) => {
                if let Some(table) = named.iter().find(|table| is_selected(table)) {
                    return Err(unreadable(table.clone(), error, text));
                }
            }
        }
        if is_elsewhere || self.polardbx.ddl_text != DdlText::Original {
            return Ok(());
        }
        let named = named.iter().map(|table| self.history.fold(table));
        let mut tables: Vec<TableId> = named.filter(|table| self.selection.selects(table) && self.history.table(table).is_some()).collect();
        tables.sort();
        tables.dedup();
        if tables.is_empty() {
            return Ok(());
        }
        let mut change = SchemaChange::new(SchemaChangeKind::Other, database, text);
        change.tables = tables.into_iter().map(|table| (table.clone(), self.history.table(&table).cloned())).collect();
        self.emit_alone(event, query.thread_id, &variables, change, read_ms)
    }

    /// Whether the rows of the event are not wanted. Fails if the transaction does not say who has deleted them.
    pub(super) fn passes_over(&self, event: &RawEvent<'_>) -> Result<bool, StreamError> {
        let is_delete = matches!(event.header.kind, kind::DELETE_ROWS | kind::DELETE_ROWS_V1);
        if self.polardbx.archived_deletes != ArchivedDeletes::Skip || !is_delete || !self.profile.is_polardbx() {
            return Ok(false);
        }
        if self.transaction.announced().is_none() {
            return Err(StreamError::Unsupported {
                what: "a DELETE of which the binlog does not say whether the archiving made it (archived_deletes = \"skip\")".to_owned(),
                help: "set archived_deletes = \"deliver\", or let the CDC nodes write the texts of statements (ROWS_QUERY events)",
            });
        }
        Ok(self.transaction.is_archive())
    }
}

/// Whether the statement is the text that a server writes when it opens an empty table of the engine MEMORY for the first time after a
/// restart. No trigger runs then. A session may write the same text, see [`Transaction::note_emptied`].
///
/// [`Transaction::note_emptied`]: super::transaction::Transaction::note_emptied
fn is_server_emptying(text: &str, tables: &[TableId]) -> bool {
    matches!(tables, [table] if text == format!("DELETE FROM {}", in_backticks(table)))
}

fn in_backticks(table: &TableId) -> String {
    let quoted = |name: &str| name.replace('`', "``");
    format!("`{}`.`{}`", quoted(&table.database), quoted(&table.table))
}

fn not_text(table: TableId, source: &StatementText<'_>) -> StreamError {
    let charset = source.not_in.clone().unwrap_or_else(|| "binary".to_owned());
    StreamError::NotText { table, charset, statement: shorten(&source.text) }
}

/// Whether the statement is followed by rows of the same transaction. MySQL 8.0.21 and later log CREATE TABLE … SELECT in this way: they
/// append START TRANSACTION to the statement. The body of a procedure, or a comment, may end in the same words.
fn opens_transaction(text: &str, dialect: Dialect) -> bool {
    const WORDS: &str = "START TRANSACTION";
    text.starts_with("CREATE TABLE ") && text.ends_with(WORDS) && ends_with_words(text, dialect, ["START", "TRANSACTION"])
}

/// The database of a DDL statement: the database that the statement drops or alters itself, else the default database of the session, else
/// the database of the first touched table.
fn database_of(change: &Change, query: &Query<'_>, touched: &[(TableId, Option<Arc<TableSchema>>)]) -> String {
    let own = change.effects.iter().find_map(|effect| match effect {
        Effect::DropDatabase { database } | Effect::DatabaseCollation { database, .. } => Some(database.clone()),
        _ => None,
    });
    let session = || Some(String::from_utf8_lossy(query.database).into_owned()).filter(|name| !name.is_empty());
    let table = || touched.first().map(|(table, _)| table.database.to_string());
    own.or_else(session).or_else(table).unwrap_or_default()
}
