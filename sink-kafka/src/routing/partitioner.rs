//! Chooses the partition of a row: Java's `String.hashCode` of the table's name or of the row's key, as the documentation of DTS describes.
//!
//! These rules must never change, because a change would break the order of each key in running tasks. The hashed text of a key consists of
//! the canonical texts of its columns, in key order, joined with U+0001. The partition is the hash without its sign bit, modulo the number
//! of partitions.

use runtime::{Error, Result, Row, TableId, TableSchema, text};

/// The separator between the columns of a key: U+0001.
const SEPARATOR: u8 = 1;

/// Java's `String.hashCode`: for each UTF-16 unit, `h` becomes 31·h + unit, with 32-bit overflow.
fn java_hash(text: &str) -> i32 {
    let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    if text.is_ascii() { text.bytes().map(u16::from).fold(0, step) } else { text.encode_utf16().fold(0, step) }
}

/// The partition for a hash. A count of 0 is treated as 1, since a topic has at least one partition.
fn partition_of(hash: i32, partitions: usize) -> usize {
    (hash & 0x7fff_ffff) as usize % partitions.max(1)
}

/// The partition of all rows of a table under the policy `table`.
pub(crate) fn of_table(table: &TableId, partitions: usize) -> usize {
    partition_of(java_hash(&format!("{}.{}", table.database, table.table)), partitions)
}

/// The columns that the policy `primary_key` hashes: the primary key, or else the first unique key without nullable columns.
pub(crate) fn key_columns(schema: &TableSchema) -> Vec<usize> {
    if schema.primary_key.is_empty() { schema.effective_key() } else { schema.primary_key.clone() }
}

/// The partition of a row under the policy `primary_key`. Tables without a key use partition 0. A key value without a canonical text is an
/// error of kind `Data`. `scratch` is a reused buffer, so that no row needs an allocation.
pub(crate) fn of_key(schema: &TableSchema, key: &[usize], row: &Row, partitions: usize, scratch: &mut Vec<u8>) -> Result<usize> {
    if key.is_empty() {
        return Ok(0);
    }
    scratch.clear();
    for (index, &column) in key.iter().enumerate() {
        if index > 0 {
            scratch.push(SEPARATOR);
        }
        let description = schema.columns.get(column).ok_or_else(|| Error::data("the row's key has a column that the table lacks"))?;
        text::write_canonical(scratch, row.get(column), description)?;
    }
    let key = std::str::from_utf8(scratch).map_err(|error| Error::data("the row's key is not valid text").because(error))?;
    Ok(partition_of(java_hash(key), partitions))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use runtime::{Column, ColumnKind, UniqueKey, Value};

    use super::*;

    #[test]
    fn hashes_are_javas() {
        // The expected hashes were computed by a JVM.
        for (text, hash) in [
            ("", 0),
            ("a", 97),
            ("Aa", 2112),
            ("BB", 2112),
            ("hello", 99_162_322),
            ("polygenelubricants", i32::MIN),
            ("\u{e9}", 233),
            ("\u{4e2d}\u{6587}", 646_394),
            ("\u{1f600}", 1_772_899),
        ] {
            assert_eq!(java_hash(text), hash, "{text:?}");
        }
        assert_eq!(partition_of(i32::MIN, 7), 0, "the sign bit is dropped, not negated");
        assert_eq!(partition_of(-1, 10), 7);
    }

    fn schema() -> TableSchema {
        let column = |name: &str, kind| {
            let mut column = Column::new(name, kind, "");
            column.nullable = false;
            column
        };
        let columns = vec![
            column("id", ColumnKind::Int { bytes: 8 }),
            column("price", ColumnKind::Decimal { precision: 5, scale: 2 }),
            column("name", ColumnKind::Varchar { length: 10 }),
        ];
        TableSchema::new(TableId::new("shop", "orders"), columns)
    }

    #[test]
    fn keys_are_canonical_texts_with_a_separator() {
        let mut schema = schema();
        let row = Row::from_values([Value::Int(-12), Value::Decimal("1.50"), Value::Text("é".as_bytes())]);
        let mut scratch = Vec::new();
        assert_eq!(of_key(&schema, &key_columns(&schema), &row, 12, &mut scratch).unwrap(), 0);
        schema.unique_keys = vec![UniqueKey { name: "u".into(), columns: vec![2] }];
        let unique = of_key(&schema, &key_columns(&schema), &row, 12, &mut scratch).unwrap();
        assert_eq!(unique, partition_of(java_hash("é"), 12));
        schema.primary_key = vec![0, 1];
        let primary = of_key(&schema, &key_columns(&schema), &row, 12, &mut scratch).unwrap();
        assert_eq!(primary, partition_of(java_hash("-12\u{1}1.50"), 12));
        assert_eq!(of_table(&schema.id, 12), partition_of(java_hash("shop.orders"), 12));
    }

    #[test]
    fn a_key_that_is_not_valid_text_is_a_data_error() {
        let mut schema = schema();
        schema.primary_key = vec![2];
        let row = Row::from_values([Value::Int(1), Value::Null, Value::Text(b"\xff")]);
        assert_eq!(of_key(&schema, &[2], &row, 3, &mut Vec::new()).unwrap_err().kind(), runtime::Kind::Data);
        assert_eq!(of_key(&schema, &[9], &row, 3, &mut Vec::new()).unwrap_err().kind(), runtime::Kind::Data);
    }

    proptest! {
        #[test]
        fn the_ascii_path_is_the_same_hash(text in "[ -~]{0,40}", n in 1usize..100) {
            let slow = text.encode_utf16().fold(0i32, |h, unit| h.wrapping_mul(31).wrapping_add(i32::from(unit)));
            prop_assert_eq!(java_hash(&text), slow);
            prop_assert!(partition_of(slow, n) < n);
        }
    }
}
