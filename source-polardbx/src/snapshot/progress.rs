//! How far the snapshot is, for people who watch it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use runtime::{TableId, TableProgress};

use super::plan::Planned;
use crate::session::{Session, literal, nth};

/// What the last plan found, and the server's guess of every table's size.
#[derive(Default)]
pub(crate) struct Overview {
    estimates: Mutex<Option<HashMap<TableId, u64>>>,
    tables: Mutex<Vec<TableProgress>>,
}

impl Overview {
    /// Notes how far `tables` are. Guesses are asked for once; without an answer they are 0, for nothing depends on them.
    pub(crate) async fn note(&self, session: &mut Session, tables: &[TableId], planned: &[Planned], chunk_rows: u64) {
        let known = self.estimates.lock().unwrap_or_else(PoisonError::into_inner).take();
        let estimates = match known {
            Some(estimates) => estimates,
            // Nobody watches any more, and the server need not be asked at every start.
            None if planned.iter().all(Planned::is_read) => HashMap::new(),
            None => estimate(session, tables).await,
        };
        let progress = |(table, planned): (&TableId, &Planned)| {
            let estimate = estimates.get(table).copied().unwrap_or(0);
            let read = planned.chunks_read().saturating_mul(chunk_rows).min(estimate);
            TableProgress { table: table.clone(), estimate, read, done: planned.is_read() }
        };
        let progress = tables.iter().zip(planned).map(progress).collect();
        *self.tables.lock().unwrap_or_else(PoisonError::into_inner) = progress;
        *self.estimates.lock().unwrap_or_else(PoisonError::into_inner) = Some(estimates);
    }

    /// The tables in the order of reading.
    pub(crate) fn tables(&self) -> Vec<TableProgress> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The server's guess of how many rows tables have.
async fn estimate(session: &mut Session, tables: &[TableId]) -> HashMap<TableId, u64> {
    let databases: BTreeSet<&str> = tables.iter().map(|table| &*table.database).collect();
    let databases = databases.into_iter().map(literal).collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ({databases})");
    match session.rows("ask for the sizes of the tables", sql).await {
        Ok(rows) => rows.iter().filter_map(|row| Some((TableId::new(nth(row, 0)?, nth(row, 1)?), nth(row, 2)?.parse().ok()?))).collect(),
        Err(error) => {
            tracing::debug!(%error, "the sizes of the tables are not known");
            HashMap::new()
        }
    }
}
