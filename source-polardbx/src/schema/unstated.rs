//! TIMESTAMP columns of which nobody says whether they are nullable: neither the CREATE TABLE, nor the session's
//! `explicit_defaults_for_timestamp`, which some servers do not write into the binlog. The first TABLE_MAP of the table decides.

use runtime::{TableId, TableSchema};
use serde::{Deserialize, Serialize};

/// The columns of a table of which its CREATE TABLE does not say whether they are nullable. Until it is known, the schema says what the
/// server's own setting implies. Before the first TABLE_MAP the table has no rows, so nothing depends on it yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unstated {
    pub(crate) table: TableId,
    /// Indexes into the table's columns.
    columns: Vec<usize>,
    /// Whether each of the columns is nullable, as the first TABLE_MAP showed; `None` before it.
    nullable: Option<Vec<bool>>,
}

impl Unstated {
    pub(super) fn new(table: TableId, columns: Vec<usize>) -> Self {
        Self { table, columns, nullable: None }
    }

    /// The same columns of another table, which was created LIKE this one. `None` if it is known whether they are nullable.
    pub(super) fn like(&self, table: &TableId) -> Option<Self> {
        self.is_open().then(|| Self::new(table.clone(), self.columns.clone()))
    }

    /// The columns of which it is not known whether they are nullable.
    pub(super) fn open(&self) -> &[usize] {
        if self.is_open() { &self.columns } else { &[] }
    }

    /// Whether no TABLE_MAP of the table was read yet.
    pub(super) fn is_open(&self) -> bool {
        self.nullable.is_none()
    }

    /// Notes what the first TABLE_MAP shows.
    pub(super) fn settle(&mut self, is_nullable: impl Fn(usize) -> bool) {
        self.nullable = Some(self.columns.iter().map(|&column| is_nullable(column)).collect());
    }

    /// The schema with what is known; `None` if the schema says the same, or nothing is known.
    pub(super) fn corrected(&self, schema: &TableSchema) -> Option<TableSchema> {
        let mut corrected = schema.clone();
        for (&column, &nullable) in self.columns.iter().zip(self.nullable.as_ref()?) {
            corrected.columns.get_mut(column)?.nullable = nullable;
        }
        let differs = corrected != *schema;
        corrected.version = schema.version.saturating_add(1);
        differs.then_some(corrected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ExplicitTimestamps, History, Interest, Statement, StatementContext, read_statement};

    fn apply(history: &mut History, sql: &str) {
        let context = StatementContext { explicit_timestamps: ExplicitTimestamps::Assumed(true), ..StatementContext::new("d", &|_| None) };
        let Statement::Change(change) = read_statement(sql, &context) else { panic!("{sql}") };
        history.apply(&change, 10, &|_| Interest::Selected).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn taken(history: &mut History) -> Vec<(String, Option<Unstated>)> {
        history.take_unstated().into_iter().map(|(table, unstated)| (table.table.to_string(), unstated)).collect()
    }

    #[test]
    fn only_what_nobody_says_is_left_open() {
        let mut history = History::default();
        apply(&mut history, "CREATE TABLE a (n TIMESTAMP NULL, m TIMESTAMP NOT NULL, p TIMESTAMP PRIMARY KEY, d DATETIME)");
        assert!(!history.has_unstated() && taken(&mut history).is_empty());
        apply(&mut history, "CREATE TABLE b (n TIMESTAMP NULL, x TIMESTAMP, p TIMESTAMP, y TIMESTAMP(3) DEFAULT NULL, PRIMARY KEY (p))");
        let open = |table: &str| Unstated::new(TableId::new("d", table), vec![1, 3]);
        assert_eq!(taken(&mut history), [("b".to_owned(), Some(open("b")))]);
        apply(&mut history, "CREATE TABLE c LIKE b");
        assert_eq!(taken(&mut history), [("c".to_owned(), Some(open("c")))]);
        apply(&mut history, "DROP TABLE b, c");
        assert_eq!(taken(&mut history), [("b".to_owned(), None), ("c".to_owned(), None)]);
        assert!(!history.has_unstated());
    }

    #[test]
    fn what_is_known_is_restored_after_a_restart() {
        let mut history = History::default();
        let table = TableId::new("d", "t");
        apply(&mut history, "CREATE TABLE t (a TIMESTAMP, b TIMESTAMP, UNIQUE KEY (a))");
        let committed = history.table(&table).unwrap().clone();
        assert_eq!((committed.effective_key(), committed.version), (vec![], 10));
        // A key may still change, because the table has no rows yet.
        apply(&mut history, "ALTER TABLE t ADD UNIQUE KEY u (b)");
        let mut other = History::new([committed.clone()], [("d".to_owned(), None)], false);
        other.restore_unstated(taken(&mut history).into_iter().filter_map(|(_, unstated)| unstated));
        for history in [&mut history, &mut other] {
            let before = history.table(&table).unwrap().version;
            assert!(history.has_unstated());
            history.settle(&table, |column| column == 1);
            history.settle(&table, |_| panic!("only the first TABLE_MAP counts"));
            let settled = history.table(&table).unwrap().clone();
            assert!(!history.has_unstated() && settled.effective_key() == [0] && settled.version == before + 1);
        }
        let facts: Vec<Unstated> = taken(&mut other).into_iter().filter_map(|(_, unstated)| unstated).collect();
        let mut again = History::new([committed], [("d".to_owned(), None)], false);
        again.restore_unstated(facts.clone());
        assert_eq!(again.table(&table), other.table(&table));
        // A schema that was committed later says it already.
        let mut later = History::new([other.table(&table).unwrap().clone()], [("d".to_owned(), None)], false);
        later.restore_unstated(facts);
        assert_eq!(later.table(&table), other.table(&table));
        // If the assumption was right, nothing needs to be remembered.
        apply(&mut history, "CREATE TABLE u (a TIMESTAMP)");
        history.settle(&TableId::new("d", "u"), |_| true);
        assert_eq!(taken(&mut history).last(), Some(&("u".to_owned(), None)));
    }
}
