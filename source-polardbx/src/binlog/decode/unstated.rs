//! Columns of which a CREATE TABLE does not say whether they are nullable: see [`Unstated`].

use super::output::BatchOutput;
use crate::binlog::error::StreamError;
use crate::binlog::table_map::read_table_map;
use crate::schema::{History, Unstated};

/// Takes from a TABLE_MAP, if it is the first of its table, which columns are nullable.
pub(super) fn settle(body: &[u8], stream: &str, history: &mut History, output: &mut BatchOutput) -> Result<(), StreamError> {
    if !history.has_unstated() {
        return Ok(());
    }
    let map = read_table_map(body)?;
    history.settle(&map.table, |column| map.is_nullable(column));
    note(stream, history, output)
}

/// Commits what has changed with the next resume point.
pub(super) fn note(stream: &str, history: &mut History, output: &mut BatchOutput) -> Result<(), StreamError> {
    for (table, unstated) in history.take_unstated() {
        let key = format!("{stream}/{table}");
        match unstated {
            Some(unstated) => output.set_fact(&key, &unstated)?,
            None => output.remove_fact::<Unstated>(&key),
        }
    }
    Ok(())
}
