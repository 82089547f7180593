//! What both formats need to know about a row: its images, and the limits, labels, character sets and errors of its cells.

use runtime::{Charset, Column, Op, Row, RowChange, Value};

use crate::error::FormatError;

/// The longest TIME, 838:59:59.999999, in microseconds.
pub(crate) const MAX_TIME: u64 = (838 * 3600 + 59 * 60 + 59) * 1_000_000 + 999_999;

/// The last microsecond of the year 9999, in microseconds since the epoch; no server stores a later TIMESTAMP.
pub(crate) const MAX_TIMESTAMP: i64 = 253_402_300_799_999_999;

/// The row images that the operation of a change requires.
#[derive(Clone, Copy)]
pub(crate) enum Images<'a> {
    /// The image of a row that was read or inserted.
    After(&'a Row),
    /// The image of a row that was deleted.
    Before(&'a Row),
    /// The images of a row that was updated: before and after the update.
    Both(&'a Row, &'a Row),
}

impl<'a> Images<'a> {
    /// Returns the images of `change`; an error if one is missing or does not have one cell per column.
    pub(crate) fn of(change: &'a RowChange) -> Result<Self, FormatError> {
        let before = || image(change, change.before.as_ref(), "before");
        let after = || image(change, change.after.as_ref(), "after");
        Ok(match change.op {
            Op::Read | Op::Insert => Images::After(after()?),
            Op::Update => Images::Both(before()?, after()?),
            Op::Delete => Images::Before(before()?),
        })
    }
}

fn image<'a>(change: &RowChange, row: Option<&'a Row>, image: &'static str) -> Result<&'a Row, FormatError> {
    let Some(row) = row else { return Err(FormatError::NoImage { image }) };
    // `values` yields only the readable cells: fewer than `columns` if the row's block was never sealed.
    let (expected, found) = (change.schema.columns.len(), row.values().len());
    if row.columns() == expected && found == expected { Ok(row) } else { Err(FormatError::Width { expected, found }) }
}

/// Whether two cells of one column are written differently. This is true for 0.0 and -0.0, although these numbers are equal.
pub(crate) fn differ(before: &Value<'_>, after: &Value<'_>) -> bool {
    match (before, after) {
        (Value::Float(before), Value::Float(after)) => before.to_bits() != after.to_bits(),
        (Value::Double(before), Value::Double(after)) => before.to_bits() != after.to_bits(),
        (before, after) => before != after,
    }
}

/// The label of an ENUM index. Indexes count from 1; index 0 is the empty text, which the server stores in place of an invalid value.
pub(crate) fn enum_label(index: u16, labels: &[String]) -> Result<&str, CellError> {
    match usize::from(index).checked_sub(1) {
        None => Ok(""),
        Some(index) => labels.get(index).map(String::as_str).ok_or(CellError::NoLabel),
    }
}

/// The labels whose bit is set in a SET's mask, in the order in which the column defines them.
pub(crate) fn set_labels(mask: u64, labels: &[String]) -> Result<impl Iterator<Item = &str> + Clone, CellError> {
    if mask.checked_shr(labels.len() as u32).unwrap_or(0) != 0 {
        return Err(CellError::NoLabel);
    }
    let chosen = (0..u64::BITS).zip(labels).filter(move |(bit, _)| mask >> bit & 1 == 1);
    Ok(chosen.map(|(_, label)| label.as_str()))
}

/// The name of a text column's character set; `utf8mb4` if the column does not specify one.
pub(crate) fn charset_name(column: &Column) -> &str {
    column.charset().unwrap_or("utf8mb4")
}

/// The character set of a text column.
pub(crate) fn charset(column: &Column) -> Result<Charset, FormatError> {
    let name = charset_name(column);
    Charset::from_name(name).ok_or_else(|| FormatError::UnsupportedCharset { column: column.name.clone(), charset: name.to_owned() })
}

/// Why a cell cannot be encoded. The type is small, because every function that writes a cell returns it; [`CellError::of`] adds the
/// column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CellError {
    InvalidText,
    InvalidJson,
    WrongCell,
    OutOfRange,
    NoLabel,
}

impl CellError {
    /// The error for a cell of `column`.
    #[cold]
    pub(crate) fn of(self, column: &Column) -> FormatError {
        let (name, source_type) = (column.name.clone(), column.source_type.clone());
        match self {
            CellError::InvalidText => FormatError::InvalidText { column: name, charset: charset_name(column).to_owned() },
            CellError::InvalidJson => FormatError::InvalidJson { column: name },
            CellError::WrongCell => FormatError::WrongCell { column: name, source_type },
            CellError::OutOfRange => FormatError::OutOfRange { column: name, source_type },
            CellError::NoLabel => FormatError::NoLabel { column: name, source_type },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runtime::{CellBlock, Column, ColumnKind, TableId, TableSchema};

    use super::*;

    fn change(op: Op, before: Option<Row>, after: Option<Row>) -> RowChange {
        let columns = vec![Column::new("id", ColumnKind::Int { bytes: 4 }, "int(11)")];
        RowChange::new(Arc::new(TableSchema::new(TableId::new("d", "t"), columns)), op, before, after)
    }

    #[test]
    fn a_missing_image_is_named() {
        let row = || Some(Row::from_values([Value::Int(1)]));
        let error = |change| Images::of(&change).err().map(|error| error.to_string());
        assert_eq!(error(change(Op::Insert, row(), None)).as_deref(), Some("the after image is missing"));
        assert_eq!(error(change(Op::Update, None, row())).as_deref(), Some("the before image is missing"));
        assert_eq!(error(change(Op::Delete, None, row())).as_deref(), Some("the before image is missing"));
        assert_eq!(error(change(Op::Read, None, row())), None);
    }

    #[test]
    fn an_image_of_another_width_or_without_its_block_is_refused() {
        let wide = Row::from_values([Value::Int(1), Value::Int(2)]);
        assert!(matches!(Images::of(&change(Op::Insert, None, Some(wide))), Err(FormatError::Width { expected: 1, found: 2 })));
        let mut block = CellBlock::default();
        let mut writer = block.row(1);
        writer.push(Value::Int(1));
        let unsealed = writer.finish();
        assert!(matches!(Images::of(&change(Op::Insert, None, Some(unsealed))), Err(FormatError::Width { expected: 1, found: 0 })));
    }

    #[test]
    fn signed_zeros_differ() {
        assert!(differ(&Value::Double(0.0), &Value::Double(-0.0)));
        assert!(differ(&Value::Null, &Value::Text(b"")));
        assert!(!differ(&Value::Float(1.5), &Value::Float(1.5)));
    }
}
