//! The TABLE_MAP events of the binlog file that is being read.

use std::collections::HashMap;
use std::sync::Arc;

use runtime::TableId;

use crate::binlog::error::StreamError;
use crate::binlog::profile::ServerProfile;
use crate::binlog::row::RowLayout;
use crate::binlog::table_map::{read_table_id, read_table_map, row_layout};
use crate::schema::History;
use crate::selection::Selection;

/// The table id of row events that only mark the end of a statement.
const NO_TABLE: u64 = 0xff_ffff;

/// How many table ids are noted before the ids that were not seen meanwhile are forgotten. The server gives a table a new id whenever it
/// opens the table again, so old ids pile up. An id may be forgotten, because its TABLE_MAP comes again before the rows of each statement.
/// Invariant: this is more than the number of tables that one statement changes.
const REMEMBERED: usize = 4_096;

/// Maps the table ids in row events to tables. An id is valid within one file, until the next schema change.
#[derive(Debug, Default)]
pub(super) struct TableMaps {
    /// The ids of the latest TABLE_MAPs, at most [`REMEMBERED`].
    recent: HashMap<u64, MappedTable>,
    /// The ids of the TABLE_MAPs before them.
    older: HashMap<u64, MappedTable>,
    /// Selected tables whose rows are ignored.
    ignored: Vec<TableId>,
}

#[derive(Debug)]
struct MappedTable {
    /// The body of the TABLE_MAP event. If the next event with this table id has the same body, it is not parsed again.
    body: Vec<u8>,
    /// How the rows of the table are decoded; `None` if the rows are ignored, for example because the table is not selected.
    layout: Option<Arc<RowLayout>>,
}

impl TableMaps {
    /// Ignores the rows of these tables.
    pub(super) fn without(ignored: Vec<TableId>) -> Self {
        Self { ignored, ..Self::default() }
    }

    /// Forgets all ids, because another file begins or a schema has changed.
    pub(super) fn clear(&mut self) {
        self.recent.clear();
        self.older.clear();
    }

    /// Reads a TABLE_MAP. This is cheap if the previous TABLE_MAP with the same table id was identical. Otherwise it returns the table.
    pub(super) fn add(
        &mut self,
        body: &[u8],
        history: &History,
        selection: &Selection,
        profile: &ServerProfile,
    ) -> Result<Option<TableId>, StreamError> {
        let id = read_table_id(body)?;
        if self.recent.get(&id).is_some_and(|known| known.body == body) {
            return Ok(None);
        }
        if let Some(known) = self.older.remove(&id).filter(|known| known.body == body) {
            self.insert(id, known);
            return Ok(None);
        }
        let mut map = read_table_map(body)?;
        map.table = history.fold(&map.table);
        let layout = if selection.selects(&map.table) && !self.ignored.contains(&map.table) {
            match history.table(&map.table) {
                Some(schema) => Some(Arc::new(row_layout(&map, schema, profile)?)),
                // A sequence of MariaDB is logged like a table, but is not listed among the tables. Its rows are ignored.
                None if profile.dialect().is_mariadb() && map.is_sequence() => None,
                None => {
                    let what = "rows of a selected table whose schema is not known".to_owned();
                    return Err(StreamError::SchemaMismatch { table: map.table, what });
                }
            }
        } else {
            None
        };
        self.insert(map.table_id, MappedTable { body: body.to_vec(), layout });
        Ok(Some(map.table))
    }

    fn insert(&mut self, id: u64, table: MappedTable) {
        if self.recent.len() >= REMEMBERED {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(id, table);
    }

    /// The layout of a row event's table; `None` if the rows of the table are ignored, or if the event names no table.
    #[inline]
    pub(super) fn layout(&self, body: &[u8]) -> Result<Option<Arc<RowLayout>>, StreamError> {
        let id = read_table_id(body)?;
        match self.recent.get(&id).or_else(|| self.older.get(&id)) {
            Some(table) => Ok(table.layout.clone()),
            None if id == NO_TABLE => Ok(None),
            None => Err(StreamError::corrupt("a row event without its TABLE_MAP")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table_map(id: u64) -> Vec<u8> {
        [&id.to_le_bytes()[..6], &[1, 0, 1, b'd', 0, 1, b'x', 0, 1, 3, 0, 1]].concat()
    }

    #[test]
    fn old_table_ids_are_forgotten() {
        let selection = Selection::new(&["d.t".to_owned()], &[]).unwrap();
        let (history, profile) = (History::default(), ServerProfile::new("5.7.22-log"));
        let mut maps = TableMaps::default();
        for id in 1..=1_000_000u64 {
            // A statement that changes two tables: the first keeps its id, the second has a new one.
            maps.add(&table_map(0), &history, &selection, &profile).unwrap();
            maps.add(&table_map(id), &history, &selection, &profile).unwrap();
            assert!(maps.layout(&table_map(0)).unwrap().is_none() && maps.layout(&table_map(id)).unwrap().is_none());
        }
        assert!(maps.recent.len() + maps.older.len() <= 2 * REMEMBERED);
        assert!(maps.layout(&table_map(1)).is_err());
    }
}
