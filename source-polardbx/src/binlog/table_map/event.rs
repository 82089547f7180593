//! The contents of a TABLE_MAP event.

use runtime::TableId;

use super::cell::field;
use crate::binlog::error::StreamError;
use crate::binlog::event::Reader;

/// The contents of a TABLE_MAP.
#[derive(Debug)]
pub(crate) struct TableMap<'a> {
    pub(crate) table_id: u64,
    pub(crate) table: TableId,
    pub(super) types: &'a [u8],
    pub(super) metadata: &'a [u8],
    pub(super) nullable: &'a [u8],
    /// The optional metadata; empty if the server does not write it.
    pub(super) optional: &'a [u8],
}

impl TableMap<'_> {
    /// Whether the column with this index is nullable.
    pub(crate) fn is_nullable(&self, index: usize) -> bool {
        self.nullable.get(index / 8).is_some_and(|bits| bits >> (index % 8) & 1 == 1)
    }

    /// The number of columns, with those that servers add for the expressions of keys.
    pub(crate) fn width(&self) -> usize {
        self.types.len()
    }

    /// Whether the table has the columns of a MariaDB sequence, which is stored like a table with one row.
    pub(crate) fn is_sequence(&self) -> bool {
        let mut types = [field::LONGLONG; 8];
        types[6] = field::TINY;
        self.types == types && self.metadata.is_empty() && self.nullable == [0]
    }
}

/// Reads the table id, by which row events refer to a TABLE_MAP.
pub(crate) fn read_table_id(body: &[u8]) -> Result<u64, StreamError> {
    Reader::new(body).u48()
}

/// More columns than this are in no table, with those that servers add for the expressions of keys.
const MOST_COLUMNS: usize = 2 * 4_096;

/// Reads the body of a TABLE_MAP.
pub(crate) fn read_table_map(body: &[u8]) -> Result<TableMap<'_>, StreamError> {
    let mut reader = Reader::new(body);
    let table_id = reader.u48()?;
    reader.u16()?;
    let mut name = || -> Result<&str, StreamError> {
        let length = reader.u8()?;
        let name = reader.take(length.into())?;
        reader.u8()?;
        std::str::from_utf8(name).map_err(|_| StreamError::corrupt("the name of a table is not UTF-8"))
    };
    let table = TableId::new(name()?, name()?);
    let columns = reader.length_encoded()?;
    if columns > MOST_COLUMNS {
        return Err(StreamError::corrupt(format!("a TABLE_MAP of {table} with {columns} columns")));
    }
    let types = reader.take(columns)?;
    let metadata_length = reader.length_encoded()?;
    let metadata = reader.take(metadata_length)?;
    let nullable = reader.take(columns.div_ceil(8))?;
    Ok(TableMap { table_id, table, types, metadata, nullable, optional: reader.rest() })
}
