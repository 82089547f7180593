//! The keys of rows: as values in SQL, and as texts that are compared.

use runtime::{Column, ColumnKind, Result, Row, TableSchema, Value, text};

use crate::snapshot::range::Key;

/// The key of a row in the form in which a range of keys holds it; `None` if a value has no such form. `columns` are the places of the columns
/// of [`chunk_key`], with the columns themselves.
///
/// [`chunk_key`]: crate::snapshot::range::chunk_key
pub(super) fn key_of(row: &Row, columns: &[(usize, &Column)]) -> Option<Key> {
    columns.iter().map(|(place, column)| value_of(row.get(*place), column)).collect()
}

fn value_of(value: Value<'_>, column: &Column) -> Option<Vec<u8>> {
    let fsp = match column.kind {
        ColumnKind::Time { fsp } | ColumnKind::DateTime { fsp } | ColumnKind::Timestamp { fsp } => fsp,
        _ => 0,
    };
    let mut out = Vec::new();
    match value {
        Value::Int(value) => text::write_i64(&mut out, value),
        Value::UInt(value) => text::write_u64(&mut out, value),
        Value::Decimal(value) => out.extend_from_slice(value.as_bytes()),
        // Texts stay in the character set of their column, in which the bound is written.
        Value::Text(value) | Value::Bytes(value) => out.extend_from_slice(value),
        Value::Date(value) => text::write_date(&mut out, value),
        Value::Time(value) => text::write_time(&mut out, value, fsp),
        Value::DateTime(value) => text::write_datetime(&mut out, value, fsp),
        // The sessions that read rows are in UTC.
        Value::Timestamp(value) => text::write_timestamp(&mut out, value, fsp, 0),
        _ => return None,
    }
    Some(out)
}

/// Writes the key of a row as a text that no other key of the table has, whether the row comes from the binlog or from a SELECT. `key` are
/// the places of the key's columns. Fails with an error of kind `Data` if a text is not valid in its character set.
pub(super) fn write_key(row: &Row, schema: &TableSchema, key: &[usize], out: &mut Vec<u8>) -> Result<()> {
    out.clear();
    for &place in key {
        let Some(column) = schema.columns.get(place) else { continue };
        let length = out.len();
        out.extend_from_slice(&[0; 4]);
        text::write_canonical(out, row.get(place), column)?;
        let written = (out.len() - length - 4) as u32;
        if let Some(slot) = out.get_mut(length..length + 4) {
            slot.copy_from_slice(&written.to_le_bytes());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use runtime::{Collation, Date, DateTime, TableId};

    use super::*;

    fn column(kind: ColumnKind, collation: Option<&str>) -> Column {
        let mut column = Column::new("c", kind, "");
        column.collation = collation.map(Collation::new);
        column
    }

    #[test]
    fn a_key_is_written_as_the_server_writes_it() {
        let at = DateTime { date: Date { year: 2024, month: 2, day: 3 }, hour: 4, minute: 5, second: 6, micros: 120_000 };
        let cases = [
            (ColumnKind::Int { bytes: 8 }, Value::Int(-7), "-7"),
            (ColumnKind::Int { bytes: 8 }, Value::UInt(u64::MAX), "18446744073709551615"),
            (ColumnKind::Decimal { precision: 9, scale: 2 }, Value::Decimal("1.50"), "1.50"),
            (ColumnKind::DateTime { fsp: 2 }, Value::DateTime(at), "2024-02-03 04:05:06.12"),
            (ColumnKind::Date, Value::Date(at.date), "2024-02-03"),
            (ColumnKind::Timestamp { fsp: 0 }, Value::Timestamp(1_000_000), "1970-01-01 00:00:01"),
            (ColumnKind::Timestamp { fsp: 0 }, Value::Timestamp(0), "0000-00-00 00:00:00"),
            (ColumnKind::Varchar { length: 9 }, Value::Text(b"\xe9'"), "\u{e9}'"),
        ];
        for (kind, value, expected) in cases {
            let column = column(kind, Some("latin1_swedish_ci"));
            let key = key_of(&Row::from_values([value]), &[(0, &column)]).unwrap();
            let expected = if matches!(value, Value::Text(_)) { b"\xe9'".to_vec() } else { expected.as_bytes().to_vec() };
            assert_eq!(key, [expected]);
        }
        assert_eq!(key_of(&Row::from_values([Value::Null]), &[(0, &column(ColumnKind::Date, None))]), None);
    }

    #[test]
    fn different_keys_have_different_texts_and_character_sets_do_not_matter() {
        let schema = |charset: &str| {
            let of = || column(ColumnKind::Varchar { length: 9 }, Some(charset));
            TableSchema::new(TableId::new("d", "t"), vec![of(), of()])
        };
        let text = |charset: &str, one: &[u8], other: &[u8]| {
            let mut out = Vec::new();
            write_key(&Row::from_values([Value::Text(one), Value::Text(other)]), &schema(charset), &[0, 1], &mut out).unwrap();
            out
        };
        assert_ne!(text("utf8mb4_bin", b"a", b"bc"), text("utf8mb4_bin", b"ab", b"c"));
        assert_eq!(text("latin1_bin", b"\xe9", b"x"), text("utf8mb4_bin", "\u{e9}".as_bytes(), b"x"));
    }
}
