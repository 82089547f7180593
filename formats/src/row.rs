//! Which images a change has, and whether they can be read.

use runtime::{Op, Row, RowChange, Value};

use crate::error::FormatError;

/// The images of a change, as its kind demands them.
#[derive(Clone, Copy)]
pub(crate) enum Images<'a> {
    /// Read, inserted.
    After(&'a Row),
    /// Deleted.
    Before(&'a Row),
    /// Updated: before and after.
    Both(&'a Row, &'a Row),
}

impl<'a> Images<'a> {
    /// The images of `change`; an error if one is missing or not as wide as the table.
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
    let row = row.ok_or_else(|| FormatError::NoImage { image })?;
    // `values` tells how many cells can be read, which is less than `columns` if the row's block was never sealed.
    let (expected, found) = (change.schema.columns.len(), row.values().len());
    if row.columns() == expected && found == expected { Ok(row) } else { Err(FormatError::Width { expected, found }) }
}

/// Whether two cells of one column have different texts: 0.0 and -0.0 do, although they are equal numbers.
pub(crate) fn differ(before: &Value<'_>, after: &Value<'_>) -> bool {
    match (before, after) {
        (Value::Float(before), Value::Float(after)) => before.to_bits() != after.to_bits(),
        (Value::Double(before), Value::Double(after)) => before.to_bits() != after.to_bits(),
        (before, after) => before != after,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runtime::{CellBlock, Column, ColumnKind, TableId, TableSchema};

    use super::*;

    fn change(op: Op, before: Option<Row>, after: Option<Row>) -> RowChange {
        let columns = vec![Column::new("id", ColumnKind::Int { bytes: 4 }, "int(11)")];
        RowChange { schema: Arc::new(TableSchema::new(TableId::new("d", "t"), columns)), op, before, after }
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
