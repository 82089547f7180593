//! The TABLE_MAP events of the binlog file that is being read.

use std::collections::HashMap;
use std::sync::Arc;

use crate::binlog::error::StreamError;
use crate::binlog::profile::ServerProfile;
use crate::binlog::row::RowLayout;
use crate::binlog::table_map::{read_table_id, read_table_map, row_layout};
use crate::schema::History;
use crate::selection::Selection;

/// The table id of row events that only mark the end of a statement.
const NO_TABLE: u64 = 0xff_ffff;

/// Maps the table ids in row events to tables. An id is valid within one file, until the next schema change.
#[derive(Debug, Default)]
pub(super) struct TableMaps(HashMap<u64, MappedTable>);

#[derive(Debug)]
struct MappedTable {
    /// The body of the TABLE_MAP event. If the next event with this table id has the same body, it is not parsed again.
    body: Vec<u8>,
    /// How the rows of the table are decoded; `None` if the rows are ignored, for example because the table is not selected.
    layout: Option<Arc<RowLayout>>,
}

impl TableMaps {
    /// Forgets all ids, because another file begins or a schema has changed.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Reads a TABLE_MAP. This is cheap if the previous TABLE_MAP with the same table id was identical.
    pub(super) fn add(
        &mut self,
        body: &[u8],
        history: &History,
        selection: &Selection,
        profile: &ServerProfile,
    ) -> Result<(), StreamError> {
        let id = read_table_id(body)?;
        if self.0.get(&id).is_some_and(|known| known.body == body) {
            return Ok(());
        }
        let mut map = read_table_map(body)?;
        map.table = history.fold(&map.table);
        let layout = if selection.selects(&map.table) {
            match history.table(&map.table) {
                Some(schema) => Some(Arc::new(row_layout(&map, schema, profile.dialect())?)),
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
        self.0.insert(map.table_id, MappedTable { body: body.to_vec(), layout });
        Ok(())
    }

    /// The layout of a row event's table; `None` if the rows of the table are ignored, or if the event names no table.
    #[inline]
    pub(super) fn layout(&self, body: &[u8]) -> Result<Option<Arc<RowLayout>>, StreamError> {
        let id = read_table_id(body)?;
        match self.0.get(&id) {
            Some(table) => Ok(table.layout.clone()),
            None if id == NO_TABLE => Ok(None),
            None => Err(StreamError::corrupt("a row event without its TABLE_MAP")),
        }
    }
}
