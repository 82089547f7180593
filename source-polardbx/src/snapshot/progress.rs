//! The progress of the snapshot, for display.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use runtime::{TableId, TableProgress, TableSchema};

use crate::facts::Cursor;
use crate::session::{Session, literal};

/// The server's estimates of how many rows the tables have. They are requested only once, and serve only for display.
#[derive(Default)]
pub(crate) struct Estimates(Mutex<Option<Arc<HashMap<TableId, u64>>>>);

/// The state of the snapshot from which its progress is computed.
pub(crate) struct SnapshotState<'a> {
    /// All tables, in the order in which they are read.
    pub(crate) tables: &'a [Arc<TableSchema>],
    /// Where the next chunk begins; `None` if all chunks are handed out.
    pub(crate) cursor: Option<&'a Cursor>,
    /// Where the next chunk begins of each table that is read again.
    pub(crate) again: &'a [Cursor],
    /// One entry for each chunk that is handed out and not done: the table of the chunk.
    pub(crate) open: Vec<&'a TableId>,
    /// The number of rows in a chunk.
    pub(crate) chunk_rows: u64,
}

impl Estimates {
    /// The progress of the tables in `changed`; in the first call, the progress of all tables.
    pub(crate) async fn progress(
        &self,
        session: &mut Session,
        state: &SnapshotState<'_>,
        changed: &BTreeSet<&TableId>,
    ) -> Vec<TableProgress> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_first = known.is_none();
        let estimates = match known {
            Some(estimates) => estimates,
            None => {
                // After the snapshot the estimates are not needed, so a restarted task does not request them.
                let over = state.cursor.is_none() && state.open.is_empty();
                let estimates = Arc::new(if over { HashMap::new() } else { estimate(session, state.tables).await });
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(estimates.clone());
                estimates
            }
        };
        let mut open: HashMap<&TableId, u64> = HashMap::new();
        state.open.iter().for_each(|&table| *open.entry(table).or_default() += 1);
        let progress = |table: &TableId| {
            let (estimate, open) = (estimates.get(table).copied().unwrap_or(0), open.get(table).copied().unwrap_or(0));
            progress_of(table, state, estimate, open)
        };
        if is_first {
            state.tables.iter().map(|schema| progress(&schema.id)).collect()
        } else {
            changed.iter().map(|table| progress(table)).collect()
        }
    }
}

/// The progress of one table. `open` is the number of the table's chunks that are handed out and not done.
fn progress_of(table: &TableId, state: &SnapshotState<'_>, estimate: u64, open: u64) -> TableProgress {
    let open_rows = open.saturating_mul(state.chunk_rows);
    let is_again = state.again.iter().any(|cursor| cursor.table == *table);
    let read = match state.cursor {
        // How many of its chunks are new ones is not known.
        _ if is_again => 0,
        Some(cursor) if *table > cursor.table => 0,
        Some(cursor) if *table == cursor.table => u64::from(cursor.chunk - 1).saturating_mul(state.chunk_rows).saturating_sub(open_rows),
        _ => estimate.saturating_sub(open_rows),
    };
    let is_planned = !is_again && state.cursor.is_none_or(|cursor| *table < cursor.table);
    TableProgress { table: table.clone(), estimate, read: read.min(estimate), done: is_planned && open == 0 }
}

/// Requests the server's estimates of how many rows the tables have. The result is empty if the request fails.
pub(crate) async fn estimate(session: &mut Session, tables: &[Arc<TableSchema>]) -> HashMap<TableId, u64> {
    let databases: BTreeSet<&str> = tables.iter().map(|schema| &*schema.id.database).collect();
    let databases = databases.into_iter().map(literal).collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ({databases})");
    match session.rows("ask for the sizes of the tables", sql).await {
        Ok(rows) => rows.iter().filter_map(|row| Some((TableId::new(row.text(0)?, row.text(1)?), row.text(2)?.parse().ok()?))).collect(),
        Err(error) => {
            tracing::debug!(%error, "the sizes of the tables are not known");
            HashMap::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_follows_from_the_cursor_and_the_open_chunks() {
        let cursor = Cursor { table: TableId::new("d", "b"), chunk: 6, after: Some("5".into()) };
        let state = |cursor| SnapshotState { tables: &[], cursor, again: &[], open: Vec::new(), chunk_rows: 10 };
        let of = |name: &str, cursor, open| {
            let progress = progress_of(&TableId::new("d", name), &state(cursor), 100, open);
            (progress.read, progress.done)
        };
        assert_eq!(of("a", Some(&cursor), 0), (100, true));
        assert_eq!(of("a", Some(&cursor), 2), (80, false));
        assert_eq!(of("b", Some(&cursor), 2), (30, false));
        assert_eq!(of("c", Some(&cursor), 0), (0, false));
        assert_eq!(of("c", None, 1), (90, false));
        assert_eq!(of("c", None, 0), (100, true));
    }
}
