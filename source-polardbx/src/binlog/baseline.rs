//! Proves that the definitions which the server shows now are those at the start of the stream, by a pass over the statements between.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use runtime::{Collation, TableId};

use super::BinlogCoordinates;
use super::decode::{StatementText, StatementTexts};
use super::error::{StreamError, shorten};
use super::event::{CommitMark, Payload, RawEvent, SessionVariables, kind, read_format, read_query};
use super::position::{FileOffset, location};
use super::profile::ServerProfile;
use super::row::RowsKind;
use super::scan::ScanError;
use super::shown::ShownTables;
use super::track::Tracker;
use super::transport::Upstream;
use crate::schema::{
    Change, Effect, ExplicitTimestamps, Interest, Statement, StatementContext, loses_names, read_statement, without_leading_comma,
};
use crate::selection::Selection;
use crate::wire::WireError;

/// A statement after which a selected table may have another schema than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChangedSchema {
    /// Where the statement is in the binlog.
    pub(crate) location: String,
    pub(crate) statement: String,
    /// What the statement does, such as `changes columns of shop.orders`.
    pub(crate) what: String,
}

/// Looks at the events between two positions.
pub(crate) trait Look {
    /// Takes an effect of a statement. Returns what the statement does, if this ends the pass.
    fn effect(&mut self, text: &str, change: &Change, effect: &Effect) -> Option<String>;

    /// Takes the tables that a statement names which cannot be read. Returns the table because of which this ends the pass.
    fn unreadable(&mut self, tables: &[TableId]) -> Option<TableId>;

    /// Takes views or sequences that a statement creates or drops.
    fn others(&mut self, names: &[TableId], exist: bool) {
        let _ = (names, exist);
    }

    /// A file begins that a server of this version wrote.
    fn begins_file(&mut self, server_version: &str) {
        let _ = server_version;
    }

    /// Takes a statement. Returns what it does, if this ends the pass.
    fn statement(&mut self, text: &str, statement: &Statement) -> Option<String> {
        match statement {
            Statement::Change(change) => change.effects.iter().find_map(|effect| self.effect(text, change, effect)),
            // It may be about any table.
            Statement::Unreadable(_, tables) if tables.is_empty() => Some("cannot be read".to_owned()),
            Statement::Unreadable(_, tables) => self.unreadable(tables).map(|table| format!("cannot be read, and names {table}")),
            Statement::Others { names, exist } => {
                self.others(names, *exist);
                None
            }
            Statement::Nothing
            | Statement::Rows(_)
            | Statement::Savepoint(_)
            | Statement::RollbackTo(_)
            | Statement::Xa(_)
            | Statement::Unrelated => None,
        }
    }

    /// Whether TABLE_MAPs and row events are looked at, too.
    fn wants_rows(&self) -> bool {
        false
    }

    /// Takes a TABLE_MAP or row event, which is at `at` or in a compressed transaction that begins there. An error ends the pass.
    fn rows(&mut self, event: &RawEvent<'_>, at: FileOffset) -> Result<(), StreamError> {
        let _ = (event, at);
        Ok(())
    }
}

/// How long PolarDB-X may need to write into its binlog what was committed before.
const LAG: Duration = Duration::from_secs(60);

/// Reads the statements between `from` and `to`. Returns the first that ends the pass: for [`Baseline`], the first after which the definitions
/// that were read at `to` do not hold before.
/// PolarDB-X writes its binlog behind the commits, so there the statements before the timestamp with the number `until` are read, too.
pub(crate) async fn first_schema_change(
    upstream: &Upstream,
    profile: &ServerProfile,
    from: &BinlogCoordinates,
    to: &BinlogCoordinates,
    until: Option<i64>,
    look: &mut impl Look,
) -> Result<Option<ChangedSchema>, ScanError> {
    let base = from.base.as_str();
    let wraps = profile.is_polardbx();
    if to.base != base || to.at.is_before(from.at, wraps) {
        let what = format!("the binlog ends in {}, and the stream starts in {}", to.file_name(), from.file_name());
        return Err(ScanError::Stream(StreamError::HistoryDiverged { what }, from.at));
    }
    let mut is_there = until.is_none();
    if from.at == to.at && is_there {
        return Ok(None);
    }
    let deadline = Instant::now() + LAG;
    // A connection that ends early is replaced by another one, as long as each of them comes further.
    let (mut next, mut begun) = (from.at, from.at.dump_start());
    let mut transport = upstream.open_to_end(base, begun).await.map_err(ScanError::Wire)?;
    let mut tracker = Tracker::new(base, begun);
    while tracker.at().is_before(to.at, wraps) || !is_there {
        if !tracker.at().is_before(to.at, wraps) && Instant::now() > deadline {
            let what = format!("the binlog of the server is more than {} s behind its commits", LAG.as_secs());
            return Err(ScanError::Wire(WireError::Lost(what)));
        }
        let bytes = match transport.next_unless_silent().await {
            Some(Ok(bytes)) => bytes,
            Some(Err(_)) if next != from.at && next != begun => {
                begun = next;
                transport = upstream.open_to_end(base, next.dump_start()).await.map_err(ScanError::Wire)?;
                tracker = Tracker::new(base, next.dump_start());
                continue;
            }
            Some(Err(error)) => return Err(ScanError::Wire(error)),
            None => return Err(ScanError::Wire(WireError::Lost("the server sent nothing before the end of the binlog".to_owned()))),
        };
        let here = tracker.at();
        let broken = |error: StreamError| ScanError::Stream(error, here);
        let (event, at) = tracker.pass(bytes).map_err(broken)?;
        let is_new = !at.is_before(next, wraps);
        if event.header.is_real() && is_new {
            next = tracker.at();
        }
        match event.header.kind {
            kind::FORMAT_DESCRIPTION => {
                let format = read_format(event.body).map_err(broken)?;
                tracker.checksums = format.checksums;
                look.begins_file(format.server);
            }
            kind::ROTATE => {
                tracker.rotate(&event, wraps).map_err(broken)?;
                if is_new {
                    // The end of a file that is full is no position at which a dump may begin.
                    next = tracker.at();
                }
            }
            kind::ROWS_QUERY if wraps && is_new => {
                if let (Some(CommitMark::End(tso)), Some(number)) = (CommitMark::read(event.body).map_err(broken)?, until) {
                    is_there |= tso.reaches(number);
                }
            }
            kind::QUERY if is_new => {
                let query = read_query(event.body, false).map_err(broken)?;
                if matches!(query.text, b"BEGIN" | b"COMMIT" | b"ROLLBACK") {
                    continue;
                }
                let variables = SessionVariables::read(query.status).map_err(broken)?;
                let bytes = if wraps { StatementTexts::read(query.text).mysql } else { query.text };
                let mut text = StatementText::read(bytes, &variables);
                if let Some(repaired) = wraps.then(|| without_leading_comma(&text.text, profile.dialect())).flatten() {
                    text.text = repaired.into();
                }
                if text.text.trim().is_empty() {
                    continue;
                }
                let database = String::from_utf8_lossy(query.database);
                let context = StatementContext {
                    dialect: profile.dialect().with_sql_mode(variables.sql_mode.unwrap_or(0)),
                    explicit_timestamps: ExplicitTimestamps::Assumed(false),
                    ..StatementContext::new(&database, &any_collation)
                };
                let what = if text.not_in.is_some() && loses_names(&text.text, context.dialect) {
                    Some("names tables in bytes that are not text".to_owned())
                } else {
                    look.statement(&text.text, &read_statement(&text.text, &context))
                };
                if let Some(what) = what {
                    return Ok(Some(ChangedSchema { location: location(base, at), statement: shorten(&text.text), what }));
                }
            }
            kind::TRANSACTION_PAYLOAD if is_new && look.wants_rows() => {
                let mut payload = Payload::open(event.body).map_err(broken)?;
                while let Some(event) = payload.next().map_err(broken)? {
                    if is_of_rows(&event) {
                        look.rows(&event, at).map_err(broken)?;
                    }
                }
            }
            _ if is_new && look.wants_rows() && is_of_rows(&event) => look.rows(&event, at).map_err(broken)?,
            _ => {}
        }
    }
    Ok(None)
}

/// Only whether a statement can be read matters here, so any default collation will do.
fn any_collation(_database: &str) -> Option<Collation> {
    Some(Collation::new("utf8mb4_general_ci"))
}

fn is_of_rows(event: &RawEvent<'_>) -> bool {
    event.header.kind == kind::TABLE_MAP || RowsKind::of(event.header.kind).is_some()
}

/// Takes the statements of the binlog one after the other, and finds the first that gives a table another schema.
pub(crate) struct Baseline<'a> {
    selection: &'a Selection,
    lower_case: bool,
    /// The selected and followed tables that exist after the last statement.
    tables: BTreeSet<TableId>,
    /// The followed tables whose schemas at the beginning are not known.
    unknown: BTreeSet<TableId>,
    /// Tables that a statement has created, or whose schemas at the beginning are known otherwise. The stream knows their schemas from there.
    created: BTreeSet<TableId>,
    created_databases: BTreeSet<String>,
    /// The tables whose schemas at the beginning the user has given, and that no statement has changed yet.
    given: BTreeSet<TableId>,
    /// The tables whose schemas at the beginning are shown by the binlog; `None` if rows are not looked at.
    shown: Option<ShownTables<'a>>,
}

impl<'a> Baseline<'a> {
    /// `tables` are the selected and followed tables that exist now.
    pub(crate) fn new(selection: &'a Selection, lower_case: bool, tables: impl IntoIterator<Item = TableId>) -> Self {
        let mut baseline = Self {
            selection,
            lower_case,
            tables: BTreeSet::new(),
            unknown: BTreeSet::new(),
            created: BTreeSet::new(),
            created_databases: BTreeSet::new(),
            given: BTreeSet::new(),
            shown: None,
        };
        baseline.tables = tables.into_iter().map(|table| baseline.fold(&table)).collect();
        baseline
    }

    fn fold(&self, table: &TableId) -> TableId {
        folded(table, self.lower_case)
    }

    /// Notes a table whose schema at the beginning the user has given.
    pub(crate) fn give(&mut self, table: &TableId) {
        let table = self.fold(table);
        self.given.insert(table.clone());
        self.created.insert(table);
    }

    /// Whether the user has given the schema of a table, and no statement has changed it. So the table must have this schema now.
    pub(crate) fn has_unchanged(&self, table: &TableId) -> bool {
        let table = self.fold(table);
        self.given.contains(&table) && self.tables.contains(&table)
    }

    /// Whether a table is selected.
    pub(crate) fn selects(&self, table: &TableId) -> bool {
        self.selection.selects(&self.fold(table))
    }

    /// Looks at rows, too: they may show the schemas of tables before a statement changes them.
    pub(crate) fn look_at_rows(&mut self, profile: &'a ServerProfile) {
        self.shown = Some(ShownTables::new(profile));
    }

    /// The followed tables whose schemas at the beginning are not known, and the tables whose schemas the binlog shows.
    pub(crate) fn into_parts(self) -> (BTreeSet<TableId>, Option<ShownTables<'a>>) {
        (self.unknown, self.shown)
    }

    /// Notes that the schema of a table has changed, unless the stream knows it from an earlier statement. Returns the table if it is
    /// selected.
    fn changed(&mut self, table: &TableId) -> Option<TableId> {
        let table = self.fold(table);
        self.given.remove(&table);
        let table = Some(table).filter(|table| !self.created.contains(table))?;
        match self.selection.interest(&table) {
            Interest::Selected if self.shown.as_mut().is_some_and(|shown| shown.changes(&table)) => {
                self.created.insert(table);
                None
            }
            Interest::Selected => Some(table),
            Interest::Followed => {
                self.unknown.insert(table);
                None
            }
            Interest::None => None,
        }
    }
}

fn folded(table: &TableId, lower_case: bool) -> TableId {
    if lower_case { TableId::new(table.database.to_lowercase(), table.table.to_lowercase()) } else { table.clone() }
}

impl Look for Baseline<'_> {
    /// Finds the first effect before which the schema of a table may have been another.
    fn effect(&mut self, text: &str, change: &Change, effect: &Effect) -> Option<String> {
        if let Effect::Create { table, .. } | Effect::CreateLike { table, .. } | Effect::Rename { from: table, .. } = effect {
            let table = self.fold(table);
            self.given.remove(&table);
        }
        if let Effect::Rename { to, .. } = effect {
            let to = self.fold(to);
            self.given.remove(&to);
        }
        let lower_case = self.lower_case;
        let shown = self.shown.as_mut();
        if let Some(table) = shown.and_then(|shown| shown.note_charsets(effect, |table| folded(table, lower_case))) {
            return Some(format!("leaves open which default character set {table} had before, on which its columns depend"));
        }
        match effect {
            // The statement does nothing if the table exists with IF NOT EXISTS, and then the stream does not know it from here.
            Effect::Create { table, definition } => {
                let table = self.fold(table);
                let replaces = text.to_ascii_uppercase().contains("OR REPLACE");
                if replaces
                    && self.tables.contains(&table)
                    && let Some(table) = self.changed(&table)
                {
                    return Some(format!("replaces {table}"));
                }
                if definition.as_ref().is_ok_and(|create| !(create.if_not_exists && self.tables.contains(&table))) {
                    self.created.insert(table);
                }
                None
            }
            Effect::CreateLike { table, like, if_not_exists } => {
                let (table, like) = (self.fold(table), self.fold(like));
                if *if_not_exists && self.tables.contains(&table) {
                    return None;
                }
                let is_known = !self.unknown.contains(&like) && (self.created.contains(&like) || self.tables.contains(&like));
                if is_known {
                    self.created.insert(table);
                    return None;
                }
                self.changed(&table).map(|table| format!("creates {table} like {like}, whose schema is not known"))
            }
            Effect::CreateUnlisted { table, error } => {
                self.changed(table).map(|table| format!("creates {table} without a list of columns ({error})"))
            }
            Effect::Drop { table } => {
                let is_there = self.tables.contains(&self.fold(table));
                let changed = self.changed(table).filter(|_| is_there);
                changed.map(|table| format!("drops {table}, which was created again later"))
            }
            Effect::DropDatabase { database } => {
                let folded = self.fold(&TableId::new(database.as_str(), "")).database;
                let gone: Vec<TableId> = self.tables.iter().filter(|table| table.database == folded).cloned().collect();
                let changed = gone.iter().filter_map(|table| self.changed(table)).next();
                changed.map(|table| format!("drops the database of {table}, which was created again later"))
            }
            Effect::Rename { from, to } => {
                let (old, new) = (self.fold(from), self.fold(to));
                if self.created.remove(&old) {
                    self.created.insert(new);
                    return None;
                }
                let changed = self.changed(from);
                if self.created.remove(&old) {
                    // The binlog shows the schema of the table.
                    self.created.insert(new);
                    return None;
                }
                changed.or(self.changed(to)).map(|_| format!("renames {old} to {new}"))
            }
            Effect::Alter { table, .. } => self.changed(table).map(|table| format!("changes columns or the primary key of {table}")),
            // CREATE DATABASE has a kind, ALTER DATABASE has none.
            Effect::DatabaseCollation { database, .. } if change.kind.is_some() => {
                self.created_databases.insert(database.clone());
                None
            }
            Effect::DatabaseCollation { database, .. } => (self.selection.may_select_from(database)
                && !self.created_databases.contains(database))
            .then(|| format!("changes the character set of new tables in {database}")),
            // Nothing but rows changes, and the stream has a key of its own for that.
            Effect::Exchange { .. } | Effect::RemoveRows { .. } => None,
            Effect::Truncate { .. } | Effect::Keep { .. } | Effect::Keys { .. } | Effect::Repartition { .. } => None,
        }
    }

    fn unreadable(&mut self, tables: &[TableId]) -> Option<TableId> {
        let named: Vec<TableId> = tables.iter().map(|table| self.fold(table)).collect();
        let selected = named.iter().find(|table| self.selection.selects(table)).cloned();
        self.unknown.extend(named);
        selected
    }

    fn wants_rows(&self) -> bool {
        self.shown.is_some()
    }

    fn rows(&mut self, event: &RawEvent<'_>, _at: FileOffset) -> Result<(), StreamError> {
        let (lower_case, selection, created) = (self.lower_case, self.selection, &self.created);
        let Some(shown) = &mut self.shown else { return Ok(()) };
        let is_open = |table: &TableId| selection.selects(table) && !created.contains(table);
        shown.rows(event, |table| folded(table, lower_case), is_open)
    }

    fn others(&mut self, names: &[TableId], exist: bool) {
        for name in names {
            let name = self.fold(name);
            if exist {
                self.created.insert(name);
            } else {
                self.created.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_give_a_table_another_schema_are_found() {
        let selection = Selection::new(&["d.*".to_owned()], &[]).unwrap();
        let first = |statements: &[&str]| {
            let mut baseline = Baseline::new(&selection, false, ["t", "u"].map(|table| TableId::new("d", table)));
            statements.iter().find_map(|sql| {
                let context = StatementContext::new("d", &any_collation);
                baseline.statement(sql, &read_statement(sql, &context)).map(|what| format!("{sql}: {what}"))
            })
        };
        for statements in [
            &["ALTER TABLE t EXCHANGE PARTITION p WITH TABLE x", "ALTER TABLE t DROP PARTITION p"][..],
            &["CREATE TABLE t (a INT)", "ALTER TABLE t ADD b INT", "RENAME TABLE t TO n", "ALTER TABLE n DROP a"][..],
            &["CREATE TABLE t (a INT)", "DROP TABLE t", "CREATE TABLE t (b INT)", "TRUNCATE t", "CREATE INDEX i ON t (b)"][..],
            &["DROP TABLE gone", "CREATE TABLE gone (a INT)", "DROP TABLE gone", "ALTER TABLE x.t ADD a INT", "DROP TABLE x.t"],
            &["CREATE TABLE v (a VARCHAR(9), e ENUM('x'))", "ALTER TABLE v ADD b TEXT"],
            &["CREATE TABLE IF NOT EXISTS t (a INT)", "ALTER TABLE t ADD UNIQUE KEY k (a)", "ALTER TABLE t ENGINE = InnoDB"],
            &["INSERT INTO t VALUES (1)", "CREATE VIEW v AS SELECT 1", "GRANT ALL ON d.* TO x", "RENAME TABLE x.a TO x.b"],
            &[
                "CREATE DATABASE d",
                "ALTER DATABASE d CHARACTER SET latin1",
                "CREATE TABLE t (a INT)",
                "CREATE TABLE u LIKE t",
                "DROP DATABASE d",
            ],
            &["DROP DATABASE x", "ALTER DATABASE x CHARACTER SET latin1", "CREATE OR REPLACE TABLE v (a INT)"],
        ] {
            assert_eq!(first(statements), None);
        }
        for (statement, what) in [
            ("ALTER TABLE t CHANGE a b INT, CHANGE b a INT", "changes columns or the primary key of d.t"),
            ("ALTER TABLE d.u ADD c INT", "of d.u"),
            ("CREATE TABLE IF NOT EXISTS t (a INT); ALTER TABLE t CHANGE a b INT", "of d.t"),
            ("CREATE TABLE IF NOT EXISTS t LIKE u; ALTER TABLE t CHANGE a b INT", "of d.t"),
            ("RENAME TABLE t TO u2", "renames d.t to d.u2"),
            ("RENAME TABLE x.t TO d.t", "renames x.t to d.t"),
            ("DROP TABLE IF EXISTS t", "drops d.t"),
            ("CREATE OR REPLACE TABLE t (a INT)", "replaces d.t"),
            ("DROP DATABASE d", "drops the database of d.t"),
            ("CREATE TABLE n ENGINE=x", "creates d.n without a list of columns (expected the columns of the table near `ENGINE=x`)"),
            ("ALTER DATABASE d CHARACTER SET latin1", "character set of new tables in d"),
            ("CREATE TABLE n LIKE x.t", "creates d.n like x.t"),
            ("ALTER TABLE t GIZMO", "cannot be read, and names d.t"),
            ("GIZMO", "cannot be read"),
        ] {
            let statements: Vec<&str> = std::iter::once("TRUNCATE t").chain(statement.split("; ")).collect();
            let found = first(&statements).unwrap_or_default();
            assert!(statement.ends_with(found.split(": ").next().unwrap_or_default()) && found.contains(what), "{statement}: {found}");
        }
    }
}
