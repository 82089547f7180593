//! Schemas that the binlog itself shows: those of tables whose TABLE_MAPs have full metadata (`binlog_row_metadata=FULL`).

use std::collections::{BTreeMap, HashMap};

use runtime::{TableId, TableSchema};

use super::error::StreamError;
use super::event::{RawEvent, kind};
use super::profile::ServerProfile;
use super::row::absent_columns;
use super::table_map::{are_expressions, has_full_metadata, read_table_id, read_table_map, rebuilt_schema};
use crate::schema::{ColumnChange, Effect};

/// The tables of which a pass over the binlog has seen rows before any statement has changed them.
pub(crate) struct ShownTables<'a> {
    profile: &'a ServerProfile,
    /// TABLE_MAPs with full metadata whose first row event is still to come, by their ids.
    maps: HashMap<u64, Vec<u8>>,
    /// The TABLE_MAP that was passed over last. Most transactions repeat the one before, and it need not be read again.
    passed_over: Vec<u8>,
    tables: BTreeMap<TableId, ShownTable>,
    /// The tables whose default character sets are still those of the beginning: what they are called now, and what they were called there.
    names: HashMap<TableId, TableId>,
}

/// Under which name a table still has its default character set of the beginning.
enum Follow {
    Still,
    As(TableId),
    NoMore,
}

/// A table, as its first rows show it.
#[derive(Debug)]
pub(crate) struct ShownTable {
    schema: TableSchema,
    /// Whether a statement changes it later, so that the server shows another schema now.
    is_changed: bool,
    /// Whether its default character set may be another now. The TABLE_MAP does not show it.
    is_recoded: bool,
    /// Whether a later statement defines a column with the table's default character set.
    needs_charset: bool,
}

/// Whether the definition of a column depends on the default character set of its table.
fn depends_on_charset(change: &ColumnChange) -> bool {
    match change {
        ColumnChange::Add { column, .. } | ColumnChange::Change { column, .. } => column.resolve(None, None).is_err(),
        ColumnChange::Drop { .. } | ColumnChange::Rename { .. } => false,
    }
}

impl ShownTable {
    pub(crate) fn id(&self) -> &TableId {
        &self.schema.id
    }

    /// Notes that another table takes its name, or none.
    fn replace(&mut self) -> Follow {
        self.is_recoded = true;
        Follow::NoMore
    }

    /// The schema that the rows show. `now` is the present schema of the table: its default character set holds if no statement has set another.
    pub(crate) fn into_schema(mut self, now: Option<&TableSchema>) -> TableSchema {
        self.schema.collation = now.filter(|_| !self.is_recoded).and_then(|now| now.collation.clone());
        self.schema
    }
}

impl<'a> ShownTables<'a> {
    pub(crate) fn new(profile: &'a ServerProfile) -> Self {
        Self { profile, maps: HashMap::new(), passed_over: Vec::new(), tables: BTreeMap::new(), names: HashMap::new() }
    }

    /// Takes a TABLE_MAP or a row event. Only the tables for which `is_open` says so are noted.
    pub(super) fn rows(
        &mut self,
        event: &RawEvent<'_>,
        fold: impl Fn(&TableId) -> TableId,
        is_open: impl Fn(&TableId) -> bool,
    ) -> Result<(), StreamError> {
        if event.header.kind == kind::TABLE_MAP && event.body == self.passed_over {
            return Ok(());
        }
        let id = read_table_id(event.body)?;
        if event.header.kind == kind::TABLE_MAP {
            let map = read_table_map(event.body)?;
            let table = fold(&map.table);
            let is_wanted = !self.tables.contains_key(&table) && is_open(&table);
            if is_wanted && has_full_metadata(&map, self.profile)? {
                self.maps.insert(id, event.body.to_vec());
                self.passed_over.clear();
            } else {
                // The id may have meant another table before.
                self.maps.remove(&id);
                self.passed_over.clear();
                self.passed_over.extend_from_slice(event.body);
            }
            return Ok(());
        }
        if self.maps.is_empty() {
            return Ok(());
        }
        let Some(body) = self.maps.remove(&id) else { return Ok(()) };
        let mut map = read_table_map(&body)?;
        map.table = fold(&map.table);
        // Only the rows say which columns are not in them.
        let (width, absent) = absent_columns(event.body, event.header.kind)?;
        if width != map.width() || !are_expressions(&map, &absent, self.profile)? {
            return Ok(());
        }
        // A TABLE_MAP that leaves something open shows nothing.
        if let Ok(schema) = rebuilt_schema(&map, None, self.profile, &absent) {
            self.names.insert(map.table.clone(), map.table.clone());
            self.tables.insert(map.table, ShownTable { schema, is_changed: false, is_recoded: false, needs_charset: false });
        }
        Ok(())
    }

    /// Notes that a statement changes a table. Returns whether its schema before was shown, and this is the first change since then.
    pub(super) fn changes(&mut self, table: &TableId) -> bool {
        let shown = self.tables.get_mut(table).filter(|shown| !shown.is_changed);
        shown.is_some_and(|shown| {
            shown.is_changed = true;
            true
        })
    }

    /// Notes what an effect does to the default character sets of tables. Returns a table if its default character set at the beginning is not
    /// known and a statement depends on it.
    pub(super) fn note_charsets(&mut self, effect: &Effect, fold: impl Fn(&TableId) -> TableId) -> Option<TableId> {
        match effect {
            Effect::Alter { table, alter } => self.note(&fold(table), |shown| {
                if alter.collation.is_some() || alter.converts_to.is_some() {
                    shown.is_recoded = true;
                    Follow::NoMore
                } else {
                    shown.needs_charset |= alter.columns.iter().any(depends_on_charset);
                    Follow::Still
                }
            }),
            Effect::CreateLike { table, like, .. } => {
                let like = self.note(&fold(like), |shown| {
                    shown.needs_charset = true;
                    Follow::Still
                });
                like.or_else(|| self.note(&fold(table), ShownTable::replace))
            }
            Effect::Create { table, .. } | Effect::CreateUnlisted { table, .. } | Effect::Drop { table } => {
                self.note(&fold(table), ShownTable::replace)
            }
            Effect::Rename { from, to } => {
                let to = fold(to);
                self.note(&fold(from), |shown| {
                    shown.is_recoded = true;
                    Follow::As(to)
                })
            }
            Effect::DropDatabase { database } => {
                let database = fold(&TableId::new(database.as_str(), "")).database;
                let gone: Vec<TableId> = self.names.keys().filter(|table| table.database == database).cloned().collect();
                gone.iter().find_map(|table| self.note(table, ShownTable::replace))
            }
            Effect::Keys { .. }
            | Effect::Keep { .. }
            | Effect::Truncate { .. }
            | Effect::Repartition { .. }
            | Effect::Exchange { .. }
            | Effect::RemoveRows { .. }
            | Effect::DatabaseCollation { .. } => None,
        }
    }

    /// Notes what a statement does to the table that has this name now.
    fn note(&mut self, now: &TableId, change: impl FnOnce(&mut ShownTable) -> Follow) -> Option<TableId> {
        let table = self.names.remove(now)?;
        let shown = self.tables.get_mut(&table)?;
        let name = match change(shown) {
            Follow::Still => Some(now.clone()),
            Follow::As(name) => Some(name),
            Follow::NoMore => None,
        };
        let is_in_doubt = shown.is_recoded && shown.needs_charset;
        self.names.extend(name.map(|name| (name, table.clone())));
        is_in_doubt.then_some(table)
    }

    /// The tables that a statement has changed later.
    pub(crate) fn into_changed(self) -> Vec<ShownTable> {
        self.tables.into_values().filter(|shown| shown.is_changed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Selection;
    use crate::binlog::baseline::{Baseline, Look};
    use crate::binlog::event::Header;
    use crate::binlog::position::FileOffset;
    use crate::schema::{StatementContext, read_statement};

    /// The TABLE_MAP of the table `d.t` with an INT called `a`, which is the primary key.
    const MAP: &[u8] = &[5, 0, 0, 0, 0, 0, 1, 0, 1, b'd', 0, 1, b't', 0, 1, 3, 0, 0];
    const METADATA: &[u8] = &[1, 1, 0, 4, 2, 1, b'a', 8, 1, 0];
    const ROWS: &[u8] = &[5, 0, 0, 0, 0, 0, 1, 0, 2, 0, 1, 1, 0, 7, 0, 0, 0];

    /// What a pass over an optional TABLE_MAP, a row event and statements ends with, or the schemas that were shown.
    fn pass(map: Option<&[u8]>, has_rows: bool, statements: &[&str]) -> Result<Vec<TableSchema>, String> {
        let (selection, profile) = (Selection::new(&["d.*".to_owned()], &[]).unwrap(), ServerProfile::new("8.0.33"));
        let mut baseline = Baseline::new(&selection, false, ["t", "n"].map(|table| TableId::new("d", table)));
        baseline.look_at_rows(&profile);
        let mut take = |kind: u8, body: &[u8]| {
            let header = Header { kind, timestamp: 0, server_id: 0, size: 0, log_pos: 0, flags: 0 };
            baseline.rows(&RawEvent { header, body, crc: 0 }, FileOffset::new(1, 4)).unwrap();
        };
        if let Some(map) = map {
            take(kind::TABLE_MAP, map);
        }
        if has_rows {
            take(kind::WRITE_ROWS, ROWS);
        }
        for sql in statements {
            if let Some(what) = baseline.statement(sql, &read_statement(sql, &StatementContext::new("d", &|_| None))) {
                return Err(what);
            }
        }
        let mut now = TableSchema::new(TableId::new("d", "t"), Vec::new());
        now.collation = Some(runtime::Collation::new("gbk_bin"));
        let (_, shown) = baseline.into_parts();
        Ok(shown.unwrap().into_changed().into_iter().map(|shown| shown.into_schema(Some(&now))).collect())
    }

    #[test]
    fn rows_with_full_metadata_show_the_schema_before_a_change() {
        let full = [MAP, METADATA].concat();
        let shown =
            pass(Some(&full), true, &["TRUNCATE t", "ALTER TABLE t CHANGE a b BIGINT, ADD c TEXT", "ALTER TABLE t DROP c"]).unwrap();
        let columns: Vec<_> = shown[0].columns.iter().map(|column| (column.name.as_str(), column.source_type.as_str())).collect();
        assert_eq!(
            (columns, &shown[0].primary_key[..], shown[0].collation.as_ref().map(runtime::Collation::name)),
            (vec![("a", "int")], &[0][..], Some("gbk_bin"))
        );
        assert_eq!(pass(Some(&full), true, &["TRUNCATE t", "ALTER TABLE t ENGINE = InnoDB"]), Ok(Vec::new()), "the present schema holds");
        for statements in [
            &["ALTER TABLE t ADD b INT", "ALTER TABLE t CONVERT TO CHARACTER SET latin1"][..],
            &["DROP TABLE t", "CREATE TABLE t (c INT)"],
            &["RENAME TABLE t TO old, old TO t"],
        ] {
            let shown = pass(Some(&full), true, statements).unwrap();
            assert_eq!(shown.first().map(|schema| schema.collation.clone()), Some(None), "{statements:?}");
        }
    }

    #[test]
    fn a_default_character_set_that_is_needed_and_not_known_is_refused() {
        let full = [MAP, METADATA].concat();
        for statements in [
            &["ALTER TABLE t ADD b TEXT", "ALTER TABLE t CONVERT TO CHARACTER SET latin1"][..],
            &["ALTER TABLE t ADD b TEXT", "DROP TABLE t"],
            &["RENAME TABLE t TO old", "ALTER TABLE old MODIFY a VARCHAR(5)"],
            &["CREATE TABLE x LIKE t", "ALTER TABLE t CHARACTER SET gbk"],
        ] {
            let error = pass(Some(&full), true, statements).unwrap_err();
            assert!(error.contains("character set") && error.contains("d.t"), "{error}");
        }
        for statements in [
            &["ALTER TABLE t CONVERT TO CHARACTER SET latin1", "ALTER TABLE t ADD b TEXT"][..],
            &["ALTER TABLE t ADD b TEXT CHARACTER SET latin1, ADD c INT", "RENAME TABLE t TO old"],
        ] {
            assert!(pass(Some(&full), true, statements).is_ok(), "{statements:?}");
        }
    }

    #[test]
    fn nothing_else_shows_a_schema() {
        let full = [MAP, METADATA].concat();
        let alter = "ALTER TABLE t ADD b INT";
        assert!(pass(None, false, &[alter]).unwrap_err().contains("of d.t"));
        assert!(pass(Some(&full), false, &[alter]).unwrap_err().contains("of d.t"), "only rows say which columns are not in them");
        assert!(pass(Some(MAP), true, &[alter]).unwrap_err().contains("of d.t"), "there is no full metadata");
        assert!(pass(Some(&full), true, &["ALTER TABLE n ADD b INT"]).unwrap_err().contains("of d.n"));
        // Another table has the name now.
        assert!(pass(Some(&full), true, &["RENAME TABLE t TO old, x.u TO t"]).unwrap_err().contains("renames x.u to d.t"));
        assert!(pass(Some(&full), true, &["RENAME TABLE t TO old", "ALTER TABLE t ADD b INT"]).unwrap_err().contains("of d.t"));
    }
}
