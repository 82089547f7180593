//! The keys of rows that the stream has changed.

use std::collections::HashMap;

use runtime::{Body, Event, Result, RowChange, TableId};

use super::key::write_key;

/// Memory of an entry besides its key, about.
const ENTRY_BYTES: usize = 48;

/// The keys of the rows that the stream has changed, for tables whose rows are still being read.
///
/// Time is counted in generations. A generation begins whenever a barrier does: once the barrier is passed, every SELECT sees all changes of
/// earlier generations.
///
/// Invariant: a key is in here from the moment at which the stream has handed over a change of it, at least until every SELECT whose rows
/// are still to be inserted has seen this change. A key that is in here for longer does no harm: the stream has delivered the row.
#[derive(Debug, Default)]
pub(super) struct Touched {
    tables: HashMap<TableId, HashMap<Box<[u8]>, u64>>,
    bytes: usize,
    buffer: Vec<u8>,
}

impl Touched {
    /// Notes the rows of an event, before and after their change. Events of tables that are not [followed](Touched::follow) change nothing.
    pub(super) fn note(&mut self, event: &Event, generation: u64) -> Result<()> {
        let Body::Row(RowChange { schema, before, after, .. }) = &event.body else { return Ok(()) };
        let Some(keys) = self.tables.get_mut(&schema.id) else { return Ok(()) };
        let columns = schema.effective_key();
        for row in [before, after].into_iter().flatten() {
            write_key(row, schema, &columns, &mut self.buffer)?;
            match keys.get_mut(self.buffer.as_slice()) {
                Some(known) => *known = generation,
                None => {
                    self.bytes += self.buffer.len() + ENTRY_BYTES;
                    keys.insert(self.buffer.as_slice().into(), generation);
                }
            }
        }
        Ok(())
    }

    /// Whether the stream has changed the row with this key in this generation or a later one.
    pub(super) fn contains(&self, table: &TableId, key: &[u8], since: u64) -> bool {
        self.tables.get(table).and_then(|keys| keys.get(key)).is_some_and(|generation| *generation >= since)
    }

    /// Whether the stream has changed no row of the table, as far as that is noted.
    pub(super) fn is_untouched(&self, table: &TableId) -> bool {
        self.tables.get(table).is_none_or(HashMap::is_empty)
    }

    /// Begins to note the changes of a table.
    pub(super) fn follow(&mut self, table: &TableId) {
        self.tables.entry(table.clone()).or_default();
    }

    /// Forgets a table.
    pub(super) fn forget(&mut self, table: &TableId) {
        if let Some(keys) = self.tables.remove(table) {
            self.bytes -= keys.keys().map(|key| key.len() + ENTRY_BYTES).sum::<usize>();
        }
    }

    /// Forgets what was changed last in an earlier generation.
    pub(super) fn prune(&mut self, before: u64) {
        let mut freed = 0;
        for keys in self.tables.values_mut() {
            keys.retain(|key, generation| {
                let is_kept = *generation >= before;
                if !is_kept {
                    freed += key.len() + ENTRY_BYTES;
                }
                is_kept
            });
            if keys.capacity() > 4 * keys.len() + 1024 {
                keys.shrink_to_fit();
            }
        }
        self.bytes -= freed;
    }

    /// Memory in bytes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runtime::{Column, ColumnKind, Op, Origin, Row, Seq, TableSchema, Value};

    use super::*;

    fn schema(table: &str) -> Arc<TableSchema> {
        let mut column = Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint");
        column.nullable = false;
        let mut schema = TableSchema::new(TableId::new("d", table), vec![column]);
        schema.primary_key = vec![0];
        Arc::new(schema)
    }

    fn event(table: &str, before: Option<i64>, after: Option<i64>) -> Event {
        let row = |id: i64| Row::from_values([Value::Int(id)]);
        let body = Body::Row(RowChange::new(schema(table), Op::Update, before.map(row), after.map(row)));
        Event { seq: Seq(1), position: "p".into(), timestamp_ms: 0, txid: None, origin: Arc::new(Origin::default()), body }
    }

    fn key(id: i64) -> Vec<u8> {
        let mut out = Vec::new();
        write_key(&Row::from_values([Value::Int(id)]), &schema("t"), &[0], &mut out).unwrap();
        out
    }

    #[test]
    fn both_images_are_noted_and_forgotten_by_generation() {
        let (mut touched, table) = (Touched::default(), TableId::new("d", "t"));
        touched.note(&event("t", Some(1), Some(2)), 5).unwrap();
        assert_eq!(touched.bytes(), 0, "the table is not followed");
        touched.follow(&table);
        touched.note(&event("t", Some(1), Some(2)), 5).unwrap();
        touched.note(&event("t", None, Some(3)), 6).unwrap();
        touched.note(&event("other", None, Some(4)), 6).unwrap();
        let known = |touched: &Touched, since| [1, 2, 3, 4].map(|id| touched.contains(&table, &key(id), since));
        assert_eq!(known(&touched, 5), [true, true, true, false]);
        assert_eq!(known(&touched, 6), [false, false, true, false]);
        touched.note(&event("t", Some(1), None), 7).unwrap();
        touched.prune(6);
        assert_eq!(known(&touched, 0), [true, false, true, false]);
        touched.forget(&table);
        assert_eq!((touched.bytes(), known(&touched, 0)), (0, [false; 4]));
    }
}
