//! Folds a topic into tables, as a consumer would, and reports the differences from the source.

use std::collections::BTreeMap;

use super::{Change, Decoded, Image, Op, Record, Table};
use crate::{Failure, Result};

/// The rows of a table by their key.
pub(super) type Rows = BTreeMap<Vec<Option<String>>, Image>;

/// Tables by their names.
pub(super) type Tables = BTreeMap<Table, Rows>;

/// Folds the records of a topic into the tables that they describe.
///
/// A topic with one partition is folded in log order. With several partitions, log order is not enough: with `key_change = "keep"` an update
/// may move the row to another partition, and a DDL statement is in one partition only. The rows of the full phase are then folded first, and the changes follow in the
/// order of `seq`.
pub(super) fn fold(records: &[Record]) -> Result<Tables> {
    let mut ordered: Vec<&Record> = records.iter().collect();
    if ordered.iter().any(|record| record.entry.partition != 0) {
        ordered.sort_by_key(|record| (!record.header.inexact(), if record.header.inexact() { 0 } else { record.header.seq }));
    }
    fold_in_order(ordered)
}

/// Folds a topic as readers of single partitions do, whose speeds differ: the records of each partition come in log order, those of
/// different partitions in any order. Returns the tables of several such orders.
///
/// Only for topics whose partition is determined by the key of the row, and without DDL statements, which are in one partition only.
pub(super) fn fold_by_readers(records: &[Record]) -> Result<Vec<Tables>> {
    let mut partitions: BTreeMap<i32, Vec<&Record>> = BTreeMap::new();
    for record in records {
        partitions.entry(record.entry.partition).or_default().push(record);
    }
    let forwards = partitions.values().flatten().copied().collect();
    let backwards = partitions.values().rev().flatten().copied().collect();
    let longest = partitions.values().map(Vec::len).max().unwrap_or_default();
    let in_turn = (0..longest).flat_map(|at| partitions.values().filter_map(move |log| log.get(at).copied())).collect();
    [forwards, backwards, in_turn].into_iter().map(fold_in_order).collect()
}

fn fold_in_order(records: Vec<&Record>) -> Result<Tables> {
    let mut tables = BTreeMap::new();
    for record in records {
        match &record.decoded {
            Decoded::Rows(changes) => changes.iter().try_for_each(|change| apply(&mut tables, change))?,
            Decoded::Schema { database, sql } => clear(&mut tables, database, sql),
            Decoded::Control => {}
        }
    }
    Ok(tables)
}

fn apply(tables: &mut BTreeMap<Table, Rows>, change: &Change) -> Result<()> {
    let rows = tables.entry(change.table.clone()).or_default();
    let missing = || Failure::new(format!("{}: {:?} without its image", change.table, change.op));
    if matches!(change.op, Op::Update | Op::Delete) {
        rows.remove(&change.key_of(change.before.as_ref().ok_or_else(missing)?));
    }
    if change.op != Op::Delete {
        let after = change.after.as_ref().ok_or_else(missing)?;
        rows.insert(change.key_of(after), after.clone());
    }
    Ok(())
}

/// Empties the table that a TRUNCATE or DROP TABLE names, since such a statement has no event for each row.
fn clear(tables: &mut BTreeMap<Table, Rows>, database: &str, sql: &str) {
    let mut words: Vec<&str> = sql.split_whitespace().collect();
    // MariaDB logs the whole text of `SET STATEMENT variables FOR statement`.
    if let (Some(&"SET"), Some(&"STATEMENT"), Some(end)) = (words.first(), words.get(1), words.iter().position(|word| *word == "FOR")) {
        words.drain(..=end);
    }
    let emptied = matches!(words.as_slice(), [first, ..] if first.eq_ignore_ascii_case("truncate") || first.eq_ignore_ascii_case("drop"));
    if !emptied {
        return;
    }
    let plain = sql.replace(['`', ',', '.'], " ");
    tables.retain(|table, _| table.database != database || !plain.split_whitespace().any(|word| word == table.name));
}

/// Lists the differences between the folded topic and the source, row by row and column by column.
pub(super) fn differences(table: &Table, source: &Rows, folded: Option<&Rows>) -> Vec<String> {
    let empty = Rows::new();
    let folded = folded.unwrap_or(&empty);
    let mut wrong = Vec::new();
    for (key, row) in source {
        match folded.get(key) {
            None => wrong.push(format!("{table} {}: in the source, not in the topic", show(key))),
            Some(found) if found != row => {
                let columns = row.keys().chain(found.keys().filter(|column| !row.contains_key(*column)));
                let differ = columns.filter(|column| row.get(*column) != found.get(*column));
                for column in differ {
                    let text = |image: &Image| image.get(column).map_or("no such column".into(), cut);
                    wrong.push(format!("{table} {} column {column}: source {}, topic {}", show(key), text(row), text(found)));
                }
            }
            Some(_) => {}
        }
    }
    let extra = folded.keys().filter(|key| !source.contains_key(*key));
    wrong.extend(extra.map(|key| format!("{table} {}: in the topic, not in the source", show(key))));
    wrong
}

fn show(key: &[Option<String>]) -> String {
    let values: Vec<String> = key.iter().map(cut).collect();
    format!("key ({})", values.join(", "))
}

fn cut(value: &Option<String>) -> String {
    match value {
        None => "NULL".into(),
        Some(text) if text.chars().count() > 120 => format!("{:?}… ({} bytes)", text.chars().take(120).collect::<String>(), text.len()),
        Some(text) => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[(&str, &str)]) -> Rows {
        let image = |id: &str, a: &str| Image::from([("id".into(), Some(id.into())), ("a".into(), Some(a.into()))]);
        rows.iter().map(|(id, a)| (vec![Some((*id).to_owned())], image(id, a))).collect()
    }

    #[test]
    fn every_kind_of_difference_is_named() {
        let table = Table::new("d", "t");
        let source = rows(&[("1", "x"), ("2", "y"), ("3", "z")]);
        assert!(differences(&table, &source, Some(&source.clone())).is_empty());
        let wrong = differences(&table, &source, Some(&rows(&[("1", "x"), ("2", "other"), ("4", "w")])));
        assert_eq!(wrong.len(), 3);
        assert!(wrong[0].contains("column a: source \"y\", topic \"other\""), "{}", wrong[0]);
        assert!(wrong[1].contains("not in the topic") && wrong[2].contains("not in the source"));
    }

    #[test]
    fn truncate_empties_its_table_only() {
        let mut tables = BTreeMap::from([(Table::new("d", "t"), rows(&[("1", "x")])), (Table::new("d", "tt"), rows(&[("1", "x")]))]);
        clear(&mut tables, "d", "TRUNCATE TABLE `d`.`t`");
        assert_eq!(tables.len(), 1);
        clear(&mut tables, "d", "SET STATEMENT lock_wait_timeout = 1 FOR TRUNCATE tt");
        assert_eq!(tables.len(), 0);
    }
}
