//! Whether definitions that were read from the server now hold at a former position of the stream.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use runtime::{TableId, TableSchema};

use super::baseline::Look;
use super::decode::TableMaps;
use super::error::StreamError;
use super::event::{RawEvent, kind};
use super::position::FileOffset;
use super::profile::ServerProfile;
use super::table_map::{read_table_id, read_table_map};
use crate::schema::{Change, Effect, History};
use crate::selection::Selection;

/// Tables whose definitions were read from the server. They hold at a former position if no statement since then has changed one of the
/// tables, and if they match all TABLE_MAPs since then.
pub(crate) struct RefetchedTables<'a> {
    selection: &'a Selection,
    profile: ServerProfile,
    history: History,
    maps: TableMaps,
    /// The ids of the tables in row events.
    ids: HashMap<u64, TableId>,
    /// Where the first rows of each table are; `None` if there are none.
    first_rows: BTreeMap<TableId, Option<FileOffset>>,
}

impl<'a> RefetchedTables<'a> {
    /// The tables must be selected.
    pub(crate) fn new(
        selection: &'a Selection,
        profile: &ServerProfile,
        schemas: impl IntoIterator<Item = Arc<TableSchema>> + Clone,
    ) -> Self {
        let history = History::new(schemas.clone(), [] as [(String, Option<runtime::Collation>); 0], profile.lower_case_names());
        let first_rows = schemas.into_iter().map(|schema| (history.fold(&schema.id), None)).collect();
        Self { selection, profile: profile.clone(), history, maps: TableMaps::default(), ids: HashMap::new(), first_rows }
    }

    /// Where the first rows of a table are; `None` if no rows of it were read.
    pub(crate) fn first_rows(&self, table: &TableId) -> Option<FileOffset> {
        self.first_rows.get(&self.history.fold(table)).copied().flatten()
    }

    fn own(&self, table: &TableId) -> Option<TableId> {
        Some(self.history.fold(table)).filter(|table| self.first_rows.contains_key(table))
    }
}

impl Look for RefetchedTables<'_> {
    fn begins_file(&mut self, server_version: &str) {
        self.profile.set_writer(server_version);
    }

    /// What an effect does to one of the tables, if its definition was another before.
    fn effect(&mut self, _text: &str, _change: &Change, effect: &Effect) -> Option<String> {
        match effect {
            Effect::Create { table, .. } | Effect::CreateLike { table, .. } | Effect::CreateUnlisted { table, .. } => {
                self.own(table).map(|table| format!("creates {table}"))
            }
            Effect::Drop { table } => self.own(table).map(|table| format!("drops {table}")),
            Effect::DropDatabase { database } => {
                let same = |table: &&TableId| *table.database == *self.history.fold(&TableId::new(database.as_str(), "")).database;
                self.first_rows.keys().find(same).map(|table| format!("drops the database of {table}"))
            }
            Effect::Rename { from, to } => {
                let (from, to) = (self.history.fold(from), self.history.fold(to));
                self.own(&from).or_else(|| self.own(&to)).map(|_| format!("renames {from} to {to}"))
            }
            Effect::Alter { table, .. } | Effect::Keys { table, .. } | Effect::Repartition { table, .. } => {
                self.own(table).map(|table| format!("changes {table}"))
            }
            Effect::Exchange { table } => self.own(table).map(|table| format!("exchanges rows of {table}")),
            Effect::Truncate { .. } | Effect::Keep { .. } | Effect::RemoveRows { .. } | Effect::DatabaseCollation { .. } => None,
        }
    }

    fn unreadable(&mut self, tables: &[TableId]) -> Option<TableId> {
        tables.iter().find_map(|table| self.own(table))
    }

    fn wants_rows(&self) -> bool {
        true
    }

    fn rows(&mut self, event: &RawEvent<'_>, at: FileOffset) -> Result<(), StreamError> {
        let id = read_table_id(event.body)?;
        if event.header.kind == kind::TABLE_MAP {
            match self.own(&read_table_map(event.body)?.table) {
                Some(table) => {
                    self.maps.add(event.body, &self.history, self.selection, &self.profile)?;
                    self.ids.insert(id, table);
                }
                // The id may have meant one of the tables before.
                None => _ = self.ids.remove(&id),
            }
        } else if let Some(table) = self.ids.get(&id) {
            self.maps.layout(event, &self.profile)?;
            if let Some(first) = self.first_rows.get_mut(table) {
                first.get_or_insert(at);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use runtime::{Column, ColumnKind};

    use super::*;
    use crate::binlog::event::Header;
    use crate::schema::{StatementContext, read_statement};

    #[test]
    fn a_statement_about_the_table_is_found() {
        let selection = Selection::new(&["d.*".to_owned()], &[]).unwrap();
        let profile = ServerProfile::new("5.7.22-log");
        let schema = Arc::new(TableSchema::new(TableId::new("d", "t"), vec![Column::new("a", ColumnKind::Int { bytes: 4 }, "int(11)")]));
        let mut tables = RefetchedTables::new(&selection, &profile, [schema]);
        let mut found = |sql: &str| tables.statement(sql, &read_statement(sql, &StatementContext::new("d", &|_| None)));
        for other in [
            "ALTER TABLE u ADD b INT",
            "TRUNCATE t",
            "ALTER TABLE t ENGINE = InnoDB",
            "ALTER DATABASE d CHARACTER SET gbk",
            "DROP TABLE x.t",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
        for (sql, what) in [
            ("ALTER TABLE t ADD b INT", "changes d.t"),
            ("CREATE INDEX i ON t (a)", "changes d.t"),
            ("DROP TABLE u, t", "drops d.t"),
            ("CREATE TABLE t (a INT)", "creates d.t"),
            ("CREATE TABLE t LIKE u", "creates d.t"),
            ("RENAME TABLE u TO v, v TO t", "renames d.v to d.t"),
            ("DROP DATABASE d", "drops the database of d.t"),
            ("ALTER TABLE t GIZMO", "cannot be read, and names d.t"),
            ("GIZMO", "cannot be read"),
        ] {
            assert_eq!(found(sql).as_deref(), Some(what), "{sql}");
        }
    }

    #[test]
    fn rows_of_the_table_must_match() {
        let selection = Selection::new(&["d.*".to_owned()], &[]).unwrap();
        let profile = ServerProfile::new("5.7.22-log");
        let table = TableId::new("d", "t");
        let schema = Arc::new(TableSchema::new(table.clone(), vec![Column::new("a", ColumnKind::Int { bytes: 4 }, "int(11)")]));
        let mut tables = RefetchedTables::new(&selection, &profile, [schema]);
        let mut take = |kind: u8, body: &[u8]| {
            let header = Header { kind, timestamp: 0, server_id: 0, size: 0, log_pos: 0, flags: 0 };
            tables.rows(&RawEvent { header, body, crc: 0 }, FileOffset::new(3, 99)).map(|()| tables.first_rows(&table))
        };
        let map = |name: u8, kind: u8| [&[5, 0, 0, 0, 0, 0, 1, 0, 1, b'd', 0, 1, name, 0, 1, kind, 0, 1][..], &[]].concat();
        let rows = [5, 0, 0, 0, 0, 0, 1, 0, 2, 0, 1, 1, 0, 7, 0, 0, 0];
        assert!(matches!(take(kind::TABLE_MAP, &map(b'u', 2)), Ok(None)));
        assert!(matches!(take(kind::WRITE_ROWS, &rows), Ok(None)), "rows of another table");
        assert!(matches!(take(kind::TABLE_MAP, &map(b't', 3)), Ok(None)));
        assert!(matches!(take(kind::WRITE_ROWS, &rows), Ok(Some(at)) if at == FileOffset::new(3, 99)));
        assert!(matches!(take(kind::TABLE_MAP, &map(b't', 2)), Err(StreamError::SchemaMismatch { .. })));
    }
}
