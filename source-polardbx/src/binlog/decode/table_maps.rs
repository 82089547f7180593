//! The TABLE_MAP events of the binlog file that is being read.
//!
//! Each is compared with the known schema. Two things are known only when the first row event follows: which columns are not in the rows
//! (those that MySQL adds for the expressions of keys), and so the schema of a table that is corrected by its TABLE_MAP. Until then the
//! TABLE_MAP is open.

use std::collections::HashMap;
use std::sync::Arc;

use runtime::{TableId, TableSchema};

use crate::binlog::error::StreamError;
use crate::binlog::event::RawEvent;
use crate::binlog::profile::ServerProfile;
use crate::binlog::row::{CellFormat, RowLayout, absent_columns};
use crate::binlog::table_map::{
    TableMap, are_expressions, expression_count, has_full_metadata, read_table_id, read_table_map, rebuilt_schema, row_layout,
    unknown_schema, with_shown_collations,
};
use crate::schema::History;
use crate::selection::Selection;

/// The table id of row events that only mark the end of a statement.
const NO_TABLE: u64 = 0xff_ffff;

/// How many table ids are noted before the ids that were not seen meanwhile are forgotten. The server gives a table a new id whenever it
/// opens the table again, so old ids pile up. An id may be forgotten, because its TABLE_MAP comes again before the rows of each statement.
/// Invariant: this is more than the number of tables that one statement changes.
const REMEMBERED: usize = 4_096;

/// How many bytes the noted TABLE_MAPs may take before the older ones are forgotten, too. A TABLE_MAP takes some hundred, if a server has
/// written it.
const REMEMBERED_BYTES: usize = 32 << 20;

/// Maps the table ids in row events to tables. An id is valid within one file, until the next schema change.
#[derive(Debug, Default)]
pub(crate) struct TableMaps {
    /// The ids of the latest TABLE_MAPs, at most [`REMEMBERED`].
    recent: HashMap<u64, MappedTable>,
    /// What they take, in bytes.
    recent_bytes: usize,
    /// The ids of the TABLE_MAPs before them.
    older: HashMap<u64, MappedTable>,
    /// Selected tables whose rows are ignored.
    ignored: Vec<TableId>,
    /// Whether a table that does not match its TABLE_MAP is rebuilt from it.
    rebuilds: bool,
    /// The schema that was corrected last, until it is taken.
    corrected: Option<Corrected>,
}

/// A schema that differs from the known one, because a TABLE_MAP shows something else.
#[derive(Debug)]
pub(super) enum Corrected {
    /// Only collations are others.
    Collations(Arc<TableSchema>),
    /// It is made of the TABLE_MAP.
    Rebuilt(Arc<TableSchema>),
}

#[derive(Debug)]
struct MappedTable {
    /// The body of the TABLE_MAP event. If the next event with this table id has the same body, it is not parsed again.
    body: Vec<u8>,
    rows: Rows,
}

impl MappedTable {
    /// About what it takes, in bytes.
    fn bytes(&self) -> usize {
        let columns = if let Rows::Known(layout) = &self.rows { layout.width() } else { 0 };
        self.body.len() + columns * size_of::<CellFormat>()
    }
}

/// What is done with the rows of a table.
#[derive(Debug)]
enum Rows {
    /// They are ignored, for example because the table is not selected.
    Ignored,
    /// They are decoded.
    Known(Arc<RowLayout>),
    /// Their first event decides. The table is known, or is rebuilt.
    Open(TableId, Option<Arc<TableSchema>>),
}

impl TableMaps {
    /// Ignores the rows of these tables.
    pub(super) fn without(ignored: Vec<TableId>) -> Self {
        Self { ignored, ..Self::default() }
    }

    /// Rebuilds tables that do not match their TABLE_MAPs, if these have the full optional metadata. [`TableMaps::take_corrected`] must be called
    /// after every [`TableMaps::layout`].
    pub(super) fn that_rebuild() -> Self {
        Self { rebuilds: true, ..Self::default() }
    }

    /// Forgets all ids, because another file begins or a schema has changed.
    pub(super) fn clear(&mut self) {
        self.recent.clear();
        self.recent_bytes = 0;
        self.older.clear();
    }

    /// Reads a TABLE_MAP. This is cheap if the previous TABLE_MAP with the same table id was identical. Otherwise it returns the table.
    pub(crate) fn add(
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
        let is_wanted = selection.selects(&map.table) && !self.ignored.contains(&map.table);
        let rows = if is_wanted { self.rows(&map, history, profile)? } else { Rows::Ignored };
        self.insert(map.table_id, MappedTable { body: body.to_vec(), rows });
        Ok(Some(map.table))
    }

    /// What is done with the rows of a selected table.
    fn rows(&self, map: &TableMap<'_>, history: &History, profile: &ServerProfile) -> Result<Rows, StreamError> {
        let Some(schema) = history.table(&map.table) else {
            // A sequence of MariaDB is logged like a table, but is not listed among the tables. Its rows are ignored.
            if profile.dialect().is_mariadb() && map.is_sequence() {
                return Ok(Rows::Ignored);
            }
            if self.rebuilds && has_full_metadata(map, profile)? {
                return Ok(Rows::Open(map.table.clone(), None));
            }
            return Err(unknown_schema(map, profile)?);
        };
        let open = || Rows::Open(map.table.clone(), Some(schema.clone()));
        if expression_count(schema) > 0 && !profile.is_polardbx() {
            return Ok(open());
        }
        match row_layout(map, schema, profile, &[]) {
            Ok(_) if self.rebuilds && with_shown_collations(map, schema, profile, &[])?.is_some() => Ok(open()),
            Ok(layout) => Ok(Rows::Known(Arc::new(layout))),
            Err(StreamError::SchemaMismatch { .. }) if self.rebuilds && has_full_metadata(map, profile)? => Ok(open()),
            Err(error) => Err(error),
        }
    }

    fn insert(&mut self, id: u64, table: MappedTable) {
        let bytes = table.bytes();
        if self.recent.len() >= REMEMBERED || self.recent_bytes.saturating_add(bytes) > REMEMBERED_BYTES {
            self.older = std::mem::take(&mut self.recent);
            self.recent_bytes = 0;
        }
        self.recent_bytes += bytes;
        self.recent.insert(id, table);
    }

    /// The layout of a row event's table; `None` if the rows of the table are ignored, or if the event names no table.
    #[inline]
    pub(crate) fn layout(&mut self, event: &RawEvent<'_>, profile: &ServerProfile) -> Result<Option<Arc<RowLayout>>, StreamError> {
        let id = read_table_id(event.body)?;
        match self.find(id)?.map(|table| &table.rows) {
            Some(Rows::Known(layout)) => Ok(Some(layout.clone())),
            Some(Rows::Ignored) | None => Ok(None),
            Some(Rows::Open(..)) => self.decide(id, event, profile).map(Some),
        }
    }

    /// The table of a row event or a TABLE_MAP; `None` if its rows are ignored, or if the event names no table.
    pub(super) fn table(&self, body: &[u8]) -> Result<Option<&TableId>, StreamError> {
        Ok(match self.find(read_table_id(body)?)?.map(|table| &table.rows) {
            Some(Rows::Known(layout)) => Some(&layout.schema.id),
            Some(Rows::Open(table, _)) => Some(table),
            Some(Rows::Ignored) | None => None,
        })
    }

    /// The schema that the last call of [`TableMaps::layout`] has corrected.
    #[inline]
    pub(super) fn take_corrected(&mut self) -> Option<Corrected> {
        self.corrected.take()
    }

    #[inline]
    fn find(&self, id: u64) -> Result<Option<&MappedTable>, StreamError> {
        match self.recent.get(&id).or_else(|| self.older.get(&id)) {
            None if id != NO_TABLE => Err(StreamError::corrupt("a row event without its TABLE_MAP")),
            found => Ok(found),
        }
    }

    /// Decides by the first row event how the rows are decoded that follow the TABLE_MAP with this id.
    #[cold]
    fn decide(&mut self, id: u64, event: &RawEvent<'_>, profile: &ServerProfile) -> Result<Arc<RowLayout>, StreamError> {
        let open = self.recent.remove(&id).or_else(|| self.older.remove(&id));
        let Some(MappedTable { body, rows: Rows::Open(table, schema) }) = open else {
            return Err(StreamError::corrupt("a row event without its TABLE_MAP"));
        };
        let mut map = read_table_map(&body)?;
        map.table = table;
        let (width, absent) = absent_columns(event.body, event.header.kind)?;
        if width != map.width() {
            return Err(StreamError::corrupt(format!("a row event of {width} columns after a TABLE_MAP of {}", map.width())));
        }
        let is_usual = absent.is_empty() || schema.as_deref().is_some_and(|schema| expression_count(schema) == absent.len());
        if !is_usual && !are_expressions(&map, &absent, profile)? {
            return Err(StreamError::PartialImage { table: map.table });
        }
        let known = match &schema {
            Some(schema) => match row_layout(&map, schema, profile, &absent) {
                Err(StreamError::SchemaMismatch { .. }) if self.rebuilds && has_full_metadata(&map, profile)? => None,
                other => Some(other?),
            },
            None => None,
        };
        let collations = match &known {
            Some(layout) if self.rebuilds => with_shown_collations(&map, &layout.schema, profile, &absent)?.map(Arc::new),
            _ => None,
        };
        let layout = match (known, collations) {
            (Some(_), Some(corrected)) => {
                self.corrected = Some(Corrected::Collations(corrected.clone()));
                row_layout(&map, &corrected, profile, &absent)?
            }
            (Some(layout), None) => layout,
            (None, _) => {
                let mut rebuilt = rebuilt_schema(&map, schema.as_deref(), profile, &absent)?;
                if schema.is_none() {
                    // As for a table that a statement creates: a table of this name that was forgotten had a smaller version.
                    rebuilt.version = event.header.timestamp.max(1);
                }
                let rebuilt = Arc::new(rebuilt);
                self.corrected = Some(Corrected::Rebuilt(rebuilt.clone()));
                row_layout(&map, &rebuilt, profile, &absent)?
            }
        };
        // Other TABLE_MAPs of this table were compared with the schema before.
        let is_other = |table: &MappedTable| !matches!(&table.rows, Rows::Known(other) if other.schema.id == layout.schema.id);
        if self.corrected.is_some() {
            self.recent.retain(|_, table| is_other(table));
            self.older.retain(|_, table| is_other(table));
        }
        let layout = Arc::new(layout);
        self.insert(id, MappedTable { body, rows: Rows::Known(layout.clone()) });
        Ok(layout)
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
            assert!(maps.table(&table_map(0)).unwrap().is_none() && maps.table(&table_map(id)).unwrap().is_none());
        }
        assert!(maps.recent.len() + maps.older.len() <= 2 * REMEMBERED);
        assert!(maps.table(&table_map(1)).is_err());
    }

    #[test]
    fn long_table_maps_are_forgotten_sooner() {
        let selection = Selection::new(&["d.t".to_owned()], &[]).unwrap();
        let (history, profile) = (History::default(), ServerProfile::new("5.7.22-log"));
        let mut maps = TableMaps::default();
        let taken = |maps: &TableMaps| maps.recent.values().chain(maps.older.values()).map(MappedTable::bytes).sum::<usize>();
        for id in 1..=200 {
            let long = [table_map(id), vec![0; 1 << 20]].concat();
            maps.add(&long, &history, &selection, &profile).unwrap();
            assert!(maps.table(&table_map(id)).unwrap().is_none() && taken(&maps) <= 2 * REMEMBERED_BYTES, "{id}: {}", taken(&maps));
        }
    }
}
