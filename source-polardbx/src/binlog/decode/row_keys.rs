//! The keys of changed rows, by which a later change of the same row is found.

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher};

use runtime::{CellBlock, Row, TableSchema, Value};

use crate::binlog::error::StreamError;
use crate::binlog::event::RawEvent;
use crate::binlog::row::{RowImages, RowLayout, RowsKind};

/// The keys of the changed rows of one table, as hashes: the effective key and all unique keys. In a table without an effective key, whole
/// rows are compared.
#[derive(Debug, Default)]
pub(super) struct RowKeys {
    /// The keys of the rows, before and after their changes.
    keys: HashSet<u64>,
    /// Without an effective key: the rows that were changed or deleted, as they were.
    before: HashSet<u64>,
    /// Without an effective key: the rows that were changed or inserted, as they are now.
    after: HashSet<u64>,
}

impl RowKeys {
    /// Adds the rows of a row event.
    pub(super) fn add(&mut self, event: &RawEvent<'_>, layout: &RowLayout) -> Result<(), StreamError> {
        let Some(kind) = RowsKind::of(event.header.kind) else { return Ok(()) };
        let mut images = RowImages::open(event.body, event.header.kind, layout)?;
        let mut block = CellBlock::default();
        while !images.is_empty() {
            let first = images.decode(layout, &mut block)?;
            let second = if kind == RowsKind::Update { Some(images.decode(layout, &mut block)?) } else { None };
            // The rows share the block, so it is replaced together with them.
            std::mem::take(&mut block).seal();
            self.add_row(&layout.schema, &first, kind != RowsKind::Write);
            if let Some(second) = second {
                self.add_row(&layout.schema, &second, false);
            }
        }
        Ok(())
    }

    fn add_row(&mut self, schema: &TableSchema, row: &Row, is_before: bool) {
        let effective = schema.effective_key();
        if effective.is_empty() {
            let images = if is_before { &mut self.before } else { &mut self.after };
            images.insert(hash(0, row, 0..row.columns()));
            return;
        }
        let unique = schema.unique_keys.iter().map(|key| &key.columns);
        for (number, columns) in [&effective].into_iter().chain(unique).enumerate() {
            // NULL is equal to nothing.
            if columns.iter().all(|&column| row.get(column) != Value::Null) {
                self.keys.insert(hash(number, row, columns.iter().copied()));
            }
        }
    }

    /// Whether a row was changed that `earlier` has changed before.
    pub(super) fn follow(&self, earlier: &Self) -> bool {
        !self.keys.is_disjoint(&earlier.keys) || !self.before.is_disjoint(&earlier.after)
    }
}

/// The hash of some columns of a row, which are the key with this number.
fn hash(number: usize, row: &Row, columns: impl IntoIterator<Item = usize>) -> u64 {
    let mut text = HashedText(DefaultHasher::new());
    text.0.write_usize(number);
    for column in columns {
        match row.get(column) {
            Value::Text(bytes) | Value::Bytes(bytes) | Value::Json(bytes) | Value::Geometry(bytes) => {
                text.0.write_usize(bytes.len());
                text.0.write(bytes);
            }
            // Writing into a hash never fails, so the result is ignored.
            other => _ = write!(text, "{other:?};"),
        }
    }
    text.0.finish()
}

/// Hashes what is written to it.
struct HashedText(DefaultHasher);

impl fmt::Write for HashedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}
