//! Columns of which a CREATE TABLE does not say whether they are nullable: see [`Unstated`].

use super::Decoder;
use crate::binlog::error::StreamError;
use crate::binlog::table_map::read_table_map;
use crate::schema::Unstated;

impl Decoder {
    /// Takes from a TABLE_MAP, if it is the first of its table, which columns are nullable.
    pub(super) fn settle(&mut self, body: &[u8]) -> Result<(), StreamError> {
        if !self.history.has_unstated() {
            return Ok(());
        }
        let map = read_table_map(body)?;
        self.history.settle(&map.table, |column| map.is_nullable(column));
        self.note_unstated()
    }

    /// Commits what has changed with the next resume point.
    pub(super) fn note_unstated(&mut self) -> Result<(), StreamError> {
        for (table, unstated) in self.history.take_unstated() {
            let key = format!("{}/{table}", self.stream);
            match unstated {
                Some(unstated) => self.output.set_fact(&key, &unstated)?,
                None => self.output.remove_fact::<Unstated>(&key),
            }
        }
        Ok(())
    }
}
