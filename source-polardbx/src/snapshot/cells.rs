//! Converts the cells that a SELECT returns in the binary protocol to the same values that are decoded from the binlog.

use std::sync::Arc;

use runtime::{Collation, Column, ColumnKind, Date, DateTime, RowWriter, TableSchema, Value};

use crate::session::quoted;
use crate::wire::Cell;

/// The select list of a table. It names the columns, because `*` omits invisible columns. It selects ENUM and SET values as numbers,
/// because labels can be ambiguous.
pub(crate) fn select_list(schema: &TableSchema) -> String {
    let item = |column: &Column| match column.kind {
        ColumnKind::Enum { .. } | ColumnKind::Set { .. } => format!("CAST({} AS UNSIGNED)", quoted(&column.name)),
        _ => quoted(&column.name),
    };
    schema.columns.iter().map(item).collect::<Vec<_>>().join(", ")
}

/// The table as its rows arrive from a SELECT. PolarDB-X converts all text to the character set of the session, which is utf8mb4. Of a text
/// that was in another character set, the collation is no longer known, because its rule is about the codes of that character set.
pub(crate) fn as_read(schema: &Arc<TableSchema>, is_polardbx: bool) -> Arc<TableSchema> {
    if !is_polardbx {
        return schema.clone();
    }
    let mut read = TableSchema::clone(schema);
    for column in &mut read.columns {
        if matches!(column.kind, ColumnKind::Char { .. } | ColumnKind::Varchar { .. } | ColumnKind::Text { .. }) {
            let rest = column.collation.as_ref().and_then(|collation| match collation.name().split_once('_') {
                Some(("utf8" | "utf8mb4", rest)) => Some(rest.to_owned()),
                _ => None,
            });
            column.collation = Some(Collation::new(rest.map_or("utf8mb4".to_owned(), |rest| format!("utf8mb4_{rest}"))));
        }
    }
    Arc::new(read)
}

/// Packs a cell; `None` if its value does not fit the column's type.
pub(crate) fn push(row: &mut RowWriter<'_>, cell: Cell<'_>, column: &Column) -> Option<()> {
    if let Cell::Null = cell {
        row.push(Value::Null);
        return Some(());
    }
    let value = match (&column.kind, cell) {
        (ColumnKind::Int { .. }, _) if column.unsigned => Value::UInt(unsigned(cell)?),
        (ColumnKind::Int { .. }, _) => Value::Int(signed(cell)?),
        (ColumnKind::Decimal { .. }, Cell::Bytes(bytes)) => return push_decimal(row, bytes),
        (ColumnKind::Float, Cell::Float(value)) => Value::Float(value),
        (ColumnKind::Double, Cell::Double(value)) => Value::Double(value),
        (ColumnKind::Bit { .. }, Cell::Bytes(bytes)) => Value::Bit(big_endian(bytes)?),
        (ColumnKind::Year, _) => Value::Year(unsigned(cell)?.try_into().ok()?),
        (ColumnKind::Date, Cell::Date(year, month, day, 0, 0, 0, 0)) => Value::Date(Date { year, month, day }),
        (ColumnKind::DateTime { .. }, cell) => Value::DateTime(date_time(cell)?),
        (ColumnKind::Timestamp { .. }, cell) => Value::Timestamp(timestamp(date_time(cell)?)?),
        (ColumnKind::Time { .. }, cell) => Value::Time(duration(cell)?),
        (ColumnKind::Char { .. } | ColumnKind::Varchar { .. } | ColumnKind::Text { .. }, Cell::Bytes(bytes)) => Value::Text(bytes),
        (ColumnKind::Binary { length }, Cell::Bytes(bytes)) if bytes.len() == *length as usize => Value::Bytes(bytes),
        (ColumnKind::Varbinary { .. } | ColumnKind::Blob { .. }, Cell::Bytes(bytes)) => Value::Bytes(bytes),
        // The server has printed the document as text. For the binlog, the connector makes the same text from the binary format.
        (ColumnKind::Json, Cell::Bytes(bytes)) => Value::Json(bytes),
        (ColumnKind::Geometry, Cell::Bytes(bytes)) => Value::Geometry(bytes),
        (ColumnKind::Enum { .. }, _) => Value::Enum(unsigned(cell)?.try_into().ok()?),
        (ColumnKind::Set { .. }, _) => Value::Set(unsigned(cell)?),
        _ => return None,
    };
    row.push(value);
    Some(())
}

fn signed(cell: Cell<'_>) -> Option<i64> {
    match cell {
        Cell::Int(value) => Some(value),
        Cell::UInt(value) => i64::try_from(value).ok(),
        _ => None,
    }
}

fn unsigned(cell: Cell<'_>) -> Option<u64> {
    match cell {
        Cell::UInt(value) => Some(value),
        Cell::Int(value) => u64::try_from(value).ok(),
        _ => None,
    }
}

/// Packs a decimal without the leading zeros that ZEROFILL adds; `None` if `text` is not a decimal.
fn push_decimal(row: &mut RowWriter<'_>, text: &[u8]) -> Option<()> {
    let (sign, digits): (&[u8], &[u8]) = match text.strip_prefix(b"-") {
        Some(digits) => (b"-", digits),
        None => (b"", text),
    };
    let whole = digits.iter().position(|&byte| byte == b'.').unwrap_or(digits.len());
    let zeros = digits.iter().take(whole.saturating_sub(1)).take_while(|&&byte| byte == b'0').count();
    let digits = digits.get(zeros..)?;
    let points = digits.iter().filter(|&&byte| byte == b'.').count();
    if whole == 0 || points > 1 || digits.last() == Some(&b'.') || !digits.iter().all(|&byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    // The binlog has no negative zero, so the sign of a zero is dropped.
    let zero = digits.iter().all(|&byte| matches!(byte, b'0' | b'.'));
    row.push_decimal(|out| {
        if !zero {
            out.extend_from_slice(sign);
        }
        out.extend_from_slice(digits);
    });
    Some(())
}

fn big_endian(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn date_time(cell: Cell<'_>) -> Option<DateTime> {
    match cell {
        Cell::Date(year, month, day, hour, minute, second, micros) => {
            Some(DateTime { date: Date { year, month, day }, hour, minute, second, micros })
        }
        _ => None,
    }
}

/// Converts a time in UTC, which is the session's time zone, to microseconds since the epoch. The zero timestamp becomes 0; any other value
/// without month or day becomes `None`.
fn timestamp(value: DateTime) -> Option<i64> {
    if value == DateTime::default() {
        return Some(0);
    }
    (value.date.month > 0 && value.date.day > 0).then(|| runtime::text::from_civil(value))
}

/// A time in microseconds; `None` for a longer one than any server has.
fn duration(cell: Cell<'_>) -> Option<i64> {
    const MOST_HOURS: i64 = 838;
    match cell {
        Cell::Time(negative, days, hours, minutes, seconds, micros) => {
            let hours = Some(i64::from(days) * 24 + i64::from(hours)).filter(|hours| *hours <= MOST_HOURS)?;
            let seconds = (hours * 60 + i64::from(minutes)) * 60 + i64::from(seconds);
            let micros = seconds * 1_000_000 + i64::from(micros);
            Some(if negative { -micros } else { micros })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use runtime::{CellBlock, TableId};

    use super::*;

    fn decode(kind: ColumnKind, unsigned: bool, cell: Cell<'_>) -> Option<String> {
        let mut column = Column::new("c", kind, "");
        column.unsigned = unsigned;
        let mut block = CellBlock::default();
        let mut writer = block.row(1);
        push(&mut writer, cell, &column)?;
        let row = writer.finish();
        block.seal();
        Some(format!("{:?}", row.get(0)))
    }

    fn bytes(text: &str) -> Cell<'_> {
        Cell::Bytes(text.as_bytes())
    }

    #[test]
    fn decimals_have_one_form() {
        for (text, expected) in
            [("000012.50", "12.50"), ("-0.50", "-0.50"), ("0.00", "0.00"), ("-0.00", "0.00"), ("007", "7"), ("0", "0"), ("-12", "-12")]
        {
            let got = decode(ColumnKind::Decimal { precision: 10, scale: 2 }, false, bytes(text));
            assert_eq!(got, Some(format!("Decimal({expected:?})")), "{text}");
        }
        for odd in ["", "-", ".5", "1.", "1e5", "1.2.3", "a"] {
            assert_eq!(decode(ColumnKind::Decimal { precision: 10, scale: 2 }, false, bytes(odd)), None, "{odd}");
        }
    }

    #[test]
    fn numbers_by_signedness() {
        let int = || ColumnKind::Int { bytes: 8 };
        assert_eq!(decode(int(), false, Cell::Int(-1)).as_deref(), Some("Int(-1)"));
        assert_eq!(decode(int(), true, Cell::UInt(u64::MAX)).as_deref(), Some("UInt(18446744073709551615)"));
        assert_eq!(decode(int(), true, Cell::Int(5)).as_deref(), Some("UInt(5)"));
        assert_eq!(decode(int(), true, Cell::Int(-5)), None);
        assert_eq!(decode(int(), false, Cell::UInt(u64::MAX)), None);
        assert_eq!(decode(int(), false, bytes("5")), None);
        assert_eq!(decode(ColumnKind::Bit { bits: 12 }, false, Cell::Bytes(&[0x0f, 0xff])).as_deref(), Some("Bit(4095)"));
        assert_eq!(decode(ColumnKind::Year, false, Cell::Int(0)).as_deref(), Some("Year(0)"));
        assert_eq!(decode(ColumnKind::Enum { labels: vec![] }, false, Cell::UInt(3)).as_deref(), Some("Enum(3)"));
        assert_eq!(decode(ColumnKind::Float, false, Cell::Float(1.1)).as_deref(), Some("Float(1.1)"));
    }

    #[test]
    fn times() {
        // No server has such times.
        for impossible in [Cell::Time(false, u32::MAX, 255, 255, 255, u32::MAX), Cell::Time(true, 34, 23, 0, 0, 0)] {
            assert_eq!(decode(ColumnKind::Time { fsp: 6 }, false, impossible), None);
        }
        assert_eq!(
            decode(ColumnKind::Time { fsp: 6 }, false, Cell::Time(true, 34, 22, 59, 59, 1)).as_deref(),
            Some("Time(-3020399000001)")
        );
        let timestamp = || ColumnKind::Timestamp { fsp: 6 };
        assert_eq!(decode(timestamp(), false, Cell::Date(0, 0, 0, 0, 0, 0, 0)).as_deref(), Some("Timestamp(0)"));
        assert_eq!(decode(timestamp(), false, Cell::Date(2023, 11, 14, 22, 13, 20, 5)).as_deref(), Some("Timestamp(1700000000000005)"));
        assert_eq!(decode(timestamp(), false, Cell::Date(2023, 0, 14, 22, 13, 20, 5)), None);
    }

    #[test]
    fn fixed_bytes_must_have_their_length() {
        assert!(decode(ColumnKind::Binary { length: 2 }, false, Cell::Bytes(&[1, 0])).is_some());
        assert_eq!(decode(ColumnKind::Binary { length: 2 }, false, Cell::Bytes(&[1])), None);
    }

    #[test]
    fn enums_and_sets_are_selected_by_number() {
        let columns = vec![Column::new("a`b", ColumnKind::Date, ""), Column::new("e", ColumnKind::Enum { labels: vec![] }, "")];
        assert_eq!(select_list(&TableSchema::new(TableId::new("d", "t"), columns)), "`a``b`, CAST(`e` AS UNSIGNED)");
    }
}
