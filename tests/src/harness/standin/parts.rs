//! How the changes of an instance are split over the streams of a group.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::events::{Event, TABLE_MAP};
use super::transactions::Transaction;
use crate::{Failure, Result};

/// By what the changes are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// By the primary key. Rows of tables without one are in no stream.
    Record,
    Table,
    Database,
}

impl Split {
    pub(super) fn parse(text: &str) -> Result<Self> {
        match text {
            "record" => Ok(Self::Record),
            "table" => Ok(Self::Table),
            "database" => Ok(Self::Database),
            _ => Failure::err(format!("{text} is not record, table or database")),
        }
    }
}

/// One of the streams of a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) split: Split,
    pub(super) number: usize,
    /// The number of streams in the group.
    pub(super) count: usize,
}

impl Place {
    /// Whether everything with this value is in this stream.
    fn has(&self, value: impl Hash) -> bool {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish() % self.count as u64 == self.number as u64
    }

    /// Whether this stream is the only one with all changes of a database.
    pub(super) fn has_database(&self, database: &str) -> bool {
        self.has(database.to_lowercase())
    }

    fn has_row(&self, row: &Row) -> bool {
        match self.split {
            Split::Record => row.key.as_ref().is_some_and(|key| self.has((&row.database, &row.table, key))),
            Split::Table => self.has((&row.database, &row.table)),
            Split::Database => self.has_database(&row.database),
        }
    }

    /// The part of a transaction that is in this stream; `None` if nothing is.
    pub(super) fn part(&self, transaction: &Transaction) -> Option<Transaction> {
        let mut part = Transaction { deleted: transaction.deleted.clone(), ..Transaction::default() };
        for rows in &transaction.rows {
            let mut statement: Vec<Event> = Vec::new();
            for row in rows.iter().filter(|row| self.has_row(row)) {
                let known = statement.iter().rev().find(|event| event.kind == TABLE_MAP);
                if known.is_none_or(|known| known.body != row.map.body) {
                    statement.push(row.map.clone());
                }
                statement.push(row.event.clone());
            }
            if let Some(flags) = statement.last_mut().and_then(|last| last.body.get_mut(6)) {
                *flags |= 1;
                part.statements.push(statement);
            }
        }
        (!part.statements.is_empty()).then_some(part)
    }
}

/// A changed row, as an event of its own.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) database: String,
    pub(super) table: String,
    /// The cells of the primary key; `None` for a table without one.
    pub(super) key: Option<Vec<Option<Vec<u8>>>>,
    pub(super) map: Event,
    pub(super) event: Event,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_in_one_stream_and_rows_without_a_key_in_none() {
        let row = |table: &str, key: Option<u8>| Row {
            database: "d".to_owned(),
            table: table.to_owned(),
            key: key.map(|value| vec![Some(vec![value])]),
            map: Event::new(TABLE_MAP, 0, table.as_bytes().to_vec()),
            event: Event::new(30, 0, vec![key.unwrap_or_default(); 8]),
        };
        let mut rows: Vec<Row> = (0..40).map(|key| row(if key % 2 == 0 { "t" } else { "u" }, Some(key & !1))).collect();
        rows.push(row("nopk", None));
        let transaction = Transaction { rows: vec![rows], ..Transaction::default() };
        let events = |split: Split| {
            let part = |number| Place { split, number, count: 4 }.part(&transaction);
            let parts: Vec<Transaction> = (0..4).filter_map(part).collect();
            let of_rows = parts.iter().flat_map(|part| &part.statements[0]).filter(|event| event.kind != TABLE_MAP);
            assert!(parts.iter().all(|part| part.statements[0].last().unwrap().body[6] & 1 == 1));
            (parts.len(), of_rows.count())
        };
        assert_eq!(events(Split::Record), (4, 40));
        assert_eq!(events(Split::Table).1, 41);
        assert_eq!(events(Split::Database), (1, 41));
        assert!(Split::parse("row").is_err());
    }
}
