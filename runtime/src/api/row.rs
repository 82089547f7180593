//! Rows as packed cells: one block of bytes for a batch, nothing allocated per row, read as borrowed [`Value`]s.
//!
//! A row in a block is a table of `columns` little-endian u32 (the end of each cell, counted from the row's first cell) and then the
//! cells: one tag byte and a payload. The layout is private; writers use [`CellBlock`], readers [`Row::get`].

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// The value of one cell, borrowed from its row.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// SQL NULL.
    Null,
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// A 4-byte float.
    Float(f32),
    /// An 8-byte float.
    Double(f64),
    /// An exact number: `-`, digits, and with a scale a point and exactly as many digits; no exponent, no leading zeros.
    Decimal(&'a str),
    /// Characters in the column's character set.
    Text(&'a [u8]),
    /// Bytes; fixed-length columns padded to their length.
    Bytes(&'a [u8]),
    /// A bit field as a number.
    Bit(u64),
    /// A year, 0 or 1901 to 2155.
    Year(u16),
    /// A date.
    Date(Date),
    /// A signed duration in microseconds.
    Time(i64),
    /// A date and time without zone.
    DateTime(DateTime),
    /// Microseconds since 1970-01-01 00:00:00 UTC; 0 is also MySQL's zero timestamp (the binlog does not tell them apart).
    Timestamp(i64),
    /// The index of an enum's label from 1; 0 is the empty error value.
    Enum(u16),
    /// The bit mask of a set's labels.
    Set(u64),
    /// A JSON document as UTF-8 text.
    Json(&'a [u8]),
    /// A geometry: 4 bytes of SRID (little endian) and WKB.
    Geometry(&'a [u8]),
}

/// A calendar date; any part may be zero, as MySQL allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// 0 to 9999.
    pub year: u16,
    /// 0 to 12.
    pub month: u8,
    /// 0 to 31.
    pub day: u8,
}

/// A date and time without zone; any part of the date may be zero, as MySQL allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTime {
    /// The date.
    pub date: Date,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999,999.
    pub micros: u32,
}

/// A row: a share of its batch's block. Cheap to clone; readable once the block is sealed.
#[derive(Clone)]
pub struct Row {
    block: Arc<OnceLock<Vec<u8>>>,
    start: u32,
    columns: u16,
}

impl Row {
    /// A row with a block of its own. For tests and for sources that are not in a hurry; fast ones use [`CellBlock`].
    pub fn from_values<'a>(values: impl IntoIterator<Item = Value<'a>>) -> Self {
        let values: Vec<_> = values.into_iter().collect();
        let mut block = CellBlock::default();
        let mut writer = block.row(values.len());
        for value in values {
            writer.push(value);
        }
        let row = writer.finish();
        block.seal();
        row
    }

    /// How many cells it has.
    pub fn columns(&self) -> usize {
        usize::from(self.columns)
    }

    /// The cell of a column; NULL if the row is shorter, so check [`Row::columns`] first where that matters.
    pub fn get(&self, column: usize) -> Value<'_> {
        self.cells().nth(column).map_or(Value::Null, Cell::value)
    }

    /// All cells in column order.
    pub fn values(&self) -> impl ExactSizeIterator<Item = Value<'_>> {
        self.cells().map(Cell::value)
    }

    /// All cells in column order as they are packed, to be copied into another row ([`RowWriter::push_cell`]).
    pub fn packed(&self) -> impl ExactSizeIterator<Item = Cell<'_>> {
        self.cells()
    }

    /// The same row with another value in one column.
    #[must_use]
    pub fn with(&self, column: usize, value: Value<'_>) -> Row {
        Row::from_values(self.values().enumerate().map(|(index, old)| if index == column { value } else { old }))
    }

    /// Size in the block, in bytes.
    pub fn size(&self) -> usize {
        let ends = self.cells().ends;
        ends.len() * 4 + ends.last().map_or(0, |end| u32::from_le_bytes(*end) as usize)
    }

    /// The row as it is packed: what [`CellBlock::add_packed`] takes. The layout is private, and may be another one in another version of
    /// the program.
    pub fn packed_bytes(&self) -> &[u8] {
        let bytes: &[u8] = self.block.get().map_or(&[], Vec::as_slice);
        let start = self.start as usize;
        bytes.get(start..start + self.size()).unwrap_or(&[])
    }

    fn cells(&self) -> Cells<'_> {
        // Invariant: a block is sealed before any of its rows leaves the builder (CellBlock::seal); an unsealed row reads as empty.
        let bytes: &[u8] = self.block.get().map_or(&[], Vec::as_slice);
        let row = bytes.get(self.start as usize..).and_then(|row| row.split_at_checked(self.columns() * 4));
        let (ends, cells) = row.unwrap_or((&[], &[]));
        Cells { ends: ends.as_chunks().0.iter(), cells, start: 0 }
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.columns == other.columns && self.values().eq(other.values())
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values()).finish()
    }
}

/// A cell as it is packed in its row.
#[derive(Clone, Copy)]
pub struct Cell<'a>(&'a [u8]);

impl<'a> Cell<'a> {
    /// The cell's value.
    #[inline]
    pub fn value(self) -> Value<'a> {
        unpack(self.0)
    }
}

struct Cells<'a> {
    ends: std::slice::Iter<'a, [u8; 4]>,
    cells: &'a [u8],
    start: usize,
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    #[inline]
    fn next(&mut self) -> Option<Cell<'a>> {
        let end = u32::from_le_bytes(*self.ends.next()?) as usize;
        let cell = self.cells.get(self.start..end).unwrap_or(&[]);
        self.start = end;
        Some(Cell(cell))
    }

    fn nth(&mut self, n: usize) -> Option<Cell<'a>> {
        if let Some(skipped) = n.checked_sub(1) {
            self.start = u32::from_le_bytes(*self.ends.nth(skipped)?) as usize;
        }
        self.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ends.size_hint()
    }
}

impl ExactSizeIterator for Cells<'_> {}

/// The block that the rows of one batch are packed into.
#[derive(Default)]
pub struct CellBlock {
    shared: Arc<OnceLock<Vec<u8>>>,
    bytes: Vec<u8>,
}

impl CellBlock {
    /// A block that will hold about `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { shared: Arc::default(), bytes: Vec::with_capacity(capacity) }
    }

    /// Begins a row of `columns` cells (at most 65,535). Dropping the writer without `finish` takes the row back.
    pub fn row(&mut self, columns: usize) -> RowWriter<'_> {
        let start = self.bytes.len();
        self.bytes.resize(start + columns * 4, 0);
        RowWriter { start, cells: self.bytes.len(), next: start, columns, finished: false, block: self }
    }

    /// Adds a row of `columns` cells from [`Row::packed_bytes`]; `None` if the bytes are no such row.
    pub fn add_packed(&mut self, columns: usize, bytes: &[u8]) -> Option<Row> {
        let (ends, cells) = bytes.split_at_checked(columns * 4)?;
        let mut last = 0;
        for end in ends.as_chunks().0 {
            let end = u32::from_le_bytes(*end);
            if end <= last {
                return None;
            }
            last = end;
        }
        if last as usize != cells.len() {
            return None;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Some(Row { block: self.shared.clone(), start: u32::try_from(start).ok()?, columns: u16::try_from(columns).ok()? })
    }

    /// Bytes packed so far. A block takes at most 4 GiB; batches are cut long before.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was packed yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Makes the rows readable. Nothing can be added afterwards.
    pub fn seal(self) {
        // The cell is set here and nowhere else, and `seal` takes the block: it cannot be set twice.
        let _ = self.shared.set(self.bytes);
    }
}

/// Writes the cells of one row, in column order.
pub struct RowWriter<'b> {
    block: &'b mut CellBlock,
    start: usize,
    cells: usize,
    next: usize,
    columns: usize,
    finished: bool,
}

impl RowWriter<'_> {
    /// Packs the next cell.
    #[inline]
    pub fn push(&mut self, value: Value<'_>) {
        pack(&mut self.block.bytes, value);
        self.close_cell();
    }

    /// Copies a cell of another row.
    #[inline]
    pub fn push_cell(&mut self, cell: Cell<'_>) {
        self.block.bytes.extend_from_slice(cell.0);
        self.close_cell();
    }

    /// Copies consecutive cells of another row, which is faster than one by one. Cells that the row does not have are NULL.
    #[inline]
    pub fn push_cells(&mut self, row: &Row, columns: Range<usize>) {
        let from = row.cells();
        let ends = from.ends.as_slice();
        let end_of = |column: usize| ends.get(column).map_or(0, |end| u32::from_le_bytes(*end) as usize);
        let start = columns.start.checked_sub(1).map_or(0, end_of);
        let (Some(run), Some(last)) = (ends.get(columns.clone()), columns.end.checked_sub(1)) else {
            columns.for_each(|column| self.push(row.get(column)));
            return;
        };
        // Each end counts from the first cell of its row, so all ends move by the same distance.
        let written = self.block.bytes.len() - self.cells;
        self.block.bytes.extend_from_slice(from.cells.get(start..end_of(last)).unwrap_or(&[]));
        debug_assert!(self.next + run.len() * 4 <= self.cells, "more cells than the row has columns");
        if let Some(slots) = self.block.bytes.get_mut(self.next..self.next + run.len() * 4) {
            for (slot, end) in slots.as_chunks_mut().0.iter_mut().zip(run) {
                *slot = ((u32::from_le_bytes(*end) as usize - start + written) as u32).to_le_bytes();
            }
        }
        self.next += run.len() * 4;
    }

    /// Packs a decimal from its pieces, for decoders that make its text in parts.
    pub fn push_decimal(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.block.bytes.push(tag::DECIMAL);
        write(&mut self.block.bytes);
        self.close_cell();
    }

    /// Packs a JSON document whose text `write` makes in parts. If `write` fails, nothing is packed.
    pub fn push_json<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.block.bytes.len();
        self.block.bytes.push(tag::JSON);
        match write(&mut self.block.bytes) {
            Ok(()) => self.close_cell(),
            Err(error) => {
                self.block.bytes.truncate(start);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends the row. Cells that were not pushed are NULL.
    #[inline]
    pub fn finish(mut self) -> Row {
        while self.next < self.cells {
            self.push(Value::Null);
        }
        self.finished = true;
        Row { block: self.block.shared.clone(), start: self.start as u32, columns: self.columns as u16 }
    }

    /// Ends the row, appends it to `out` as [`Row::packed_bytes`], and takes it back from the block.
    pub fn finish_into(mut self, out: &mut Vec<u8>) {
        while self.next < self.cells {
            self.push(Value::Null);
        }
        // Dropping the unfinished writer takes the row back.
        out.extend_from_slice(self.block.bytes.get(self.start..).unwrap_or(&[]));
    }

    #[inline]
    fn close_cell(&mut self) {
        let end = (self.block.bytes.len() - self.cells) as u32;
        debug_assert!(self.next < self.cells, "more cells than the row has columns");
        if let Some(slot) = self.block.bytes.get_mut(self.next..self.next + 4) {
            slot.copy_from_slice(&end.to_le_bytes());
        }
        self.next += 4;
    }
}

impl Drop for RowWriter<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.block.bytes.truncate(self.start);
        }
    }
}

mod tag {
    pub(super) const NULL: u8 = 0;
    pub(super) const INT: u8 = 1;
    pub(super) const UINT: u8 = 2;
    pub(super) const FLOAT: u8 = 3;
    pub(super) const DOUBLE: u8 = 4;
    pub(super) const DECIMAL: u8 = 5;
    pub(super) const TEXT: u8 = 6;
    pub(super) const BYTES: u8 = 7;
    pub(super) const BIT: u8 = 8;
    pub(super) const YEAR: u8 = 9;
    pub(super) const DATE: u8 = 10;
    pub(super) const TIME: u8 = 11;
    pub(super) const DATETIME: u8 = 12;
    pub(super) const TIMESTAMP: u8 = 13;
    pub(super) const ENUM: u8 = 14;
    pub(super) const SET: u8 = 15;
    pub(super) const JSON: u8 = 16;
    pub(super) const GEOMETRY: u8 = 17;
}

#[inline]
fn pack(out: &mut Vec<u8>, value: Value<'_>) {
    fn put(out: &mut Vec<u8>, tag: u8, payload: &[u8]) {
        out.push(tag);
        out.extend_from_slice(payload);
    }
    match value {
        Value::Null => out.push(tag::NULL),
        Value::Int(v) => put(out, tag::INT, &v.to_le_bytes()),
        Value::UInt(v) => put(out, tag::UINT, &v.to_le_bytes()),
        Value::Float(v) => put(out, tag::FLOAT, &v.to_le_bytes()),
        Value::Double(v) => put(out, tag::DOUBLE, &v.to_le_bytes()),
        Value::Decimal(v) => put(out, tag::DECIMAL, v.as_bytes()),
        Value::Text(v) => put(out, tag::TEXT, v),
        Value::Bytes(v) => put(out, tag::BYTES, v),
        Value::Bit(v) => put(out, tag::BIT, &v.to_le_bytes()),
        Value::Year(v) => put(out, tag::YEAR, &v.to_le_bytes()),
        Value::Date(v) => put(out, tag::DATE, &pack_date(v)),
        Value::Time(v) => put(out, tag::TIME, &v.to_le_bytes()),
        Value::DateTime(v) => {
            put(out, tag::DATETIME, &pack_date(v.date));
            out.extend_from_slice(&[v.hour, v.minute, v.second]);
            out.extend_from_slice(&v.micros.to_le_bytes());
        }
        Value::Timestamp(v) => put(out, tag::TIMESTAMP, &v.to_le_bytes()),
        Value::Enum(v) => put(out, tag::ENUM, &v.to_le_bytes()),
        Value::Set(v) => put(out, tag::SET, &v.to_le_bytes()),
        Value::Json(v) => put(out, tag::JSON, v),
        Value::Geometry(v) => put(out, tag::GEOMETRY, v),
    }
}

fn pack_date(date: Date) -> [u8; 4] {
    let [low, high] = date.year.to_le_bytes();
    [low, high, date.month, date.day]
}

// Only `pack` writes cells, so a payload always has its tag's size; anything else reads as NULL instead of panicking.
#[inline]
fn unpack(cell: &[u8]) -> Value<'_> {
    fn fixed<const N: usize>(payload: &[u8]) -> [u8; N] {
        payload.first_chunk::<N>().copied().unwrap_or([0; N])
    }
    fn date(payload: &[u8]) -> Date {
        let [low, high, month, day] = fixed(payload);
        Date { year: u16::from_le_bytes([low, high]), month, day }
    }
    let Some((&tag, payload)) = cell.split_first() else { return Value::Null };
    match tag {
        tag::INT => Value::Int(i64::from_le_bytes(fixed(payload))),
        tag::UINT => Value::UInt(u64::from_le_bytes(fixed(payload))),
        tag::FLOAT => Value::Float(f32::from_le_bytes(fixed(payload))),
        tag::DOUBLE => Value::Double(f64::from_le_bytes(fixed(payload))),
        tag::DECIMAL => Value::Decimal(std::str::from_utf8(payload).unwrap_or("")),
        tag::TEXT => Value::Text(payload),
        tag::BYTES => Value::Bytes(payload),
        tag::BIT => Value::Bit(u64::from_le_bytes(fixed(payload))),
        tag::YEAR => Value::Year(u16::from_le_bytes(fixed(payload))),
        tag::DATE => Value::Date(date(payload)),
        tag::TIME => Value::Time(i64::from_le_bytes(fixed(payload))),
        tag::DATETIME => {
            let [_, _, _, _, hour, minute, second, m0, m1, m2, m3] = fixed(payload);
            Value::DateTime(DateTime { date: date(payload), hour, minute, second, micros: u32::from_le_bytes([m0, m1, m2, m3]) })
        }
        tag::TIMESTAMP => Value::Timestamp(i64::from_le_bytes(fixed(payload))),
        tag::ENUM => Value::Enum(u16::from_le_bytes(fixed(payload))),
        tag::SET => Value::Set(u64::from_le_bytes(fixed(payload))),
        tag::JSON => Value::Json(payload),
        tag::GEOMETRY => Value::Geometry(payload),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Owned {
        Null,
        Int(i64),
        UInt(u64),
        Double(f64),
        Decimal(String),
        Text(Vec<u8>),
        DateTime(u16, u8, u8, u8, u8, u8, u32),
        Time(i64),
        Enum(u16),
    }

    impl Owned {
        fn value(&self) -> Value<'_> {
            match self {
                Owned::Null => Value::Null,
                Owned::Int(v) => Value::Int(*v),
                Owned::UInt(v) => Value::UInt(*v),
                Owned::Double(v) => Value::Double(*v),
                Owned::Decimal(v) => Value::Decimal(v),
                Owned::Text(v) => Value::Text(v),
                Owned::Time(v) => Value::Time(*v),
                Owned::Enum(v) => Value::Enum(*v),
                Owned::DateTime(year, month, day, hour, minute, second, micros) => Value::DateTime(DateTime {
                    date: Date { year: *year, month: *month, day: *day },
                    hour: *hour,
                    minute: *minute,
                    second: *second,
                    micros: *micros,
                }),
            }
        }
    }

    fn owned() -> impl Strategy<Value = Owned> {
        prop_oneof![
            Just(Owned::Null),
            any::<i64>().prop_map(Owned::Int),
            any::<u64>().prop_map(Owned::UInt),
            any::<f64>().prop_filter("NaN is not equal to itself", |v| !v.is_nan()).prop_map(Owned::Double),
            "-?[0-9]{1,30}\\.[0-9]{1,20}".prop_map(Owned::Decimal),
            proptest::collection::vec(any::<u8>(), 0..60).prop_map(Owned::Text),
            any::<(u16, u8, u8, u8, u8, u8, u32)>().prop_map(|(a, b, c, d, e, f, g)| Owned::DateTime(a, b, c, d, e, f, g)),
            any::<i64>().prop_map(Owned::Time),
            any::<u16>().prop_map(Owned::Enum),
        ]
    }

    proptest! {
        #[test]
        fn rows_of_a_block_read_back_as_written(rows in proptest::collection::vec(proptest::collection::vec(owned(), 0..12), 0..8)) {
            let mut block = CellBlock::default();
            let packed: Vec<Row> = rows.iter().map(|row| {
                let mut writer = block.row(row.len());
                row.iter().for_each(|cell| writer.push(cell.value()));
                writer.finish()
            }).collect();
            block.seal();
            for (row, packed) in rows.iter().zip(&packed) {
                prop_assert_eq!(packed.columns(), row.len());
                prop_assert!(packed.values().eq(row.iter().map(Owned::value)));
                for (index, cell) in row.iter().enumerate() {
                    prop_assert_eq!(packed.get(index), cell.value());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn cells_are_copied_together(cells in proptest::collection::vec(owned(), 0..12), cuts in (0usize..14, 0usize..14)) {
            let row = Row::from_values(cells.iter().map(Owned::value));
            let columns = cuts.0.min(cuts.1)..cuts.0.max(cuts.1);
            let mut block = CellBlock::default();
            block.row(1).push(Value::Null);
            let mut writer = block.row(2 + columns.len());
            writer.push(Value::Int(1));
            writer.push_cells(&row, columns.clone());
            writer.push(Value::Int(2));
            let copy = writer.finish();
            block.seal();
            let expected = columns.map(|column| cells.get(column).map_or(Value::Null, Owned::value));
            prop_assert!(copy.values().eq([Value::Int(1)].into_iter().chain(expected).chain([Value::Int(2)])));
        }
    }

    #[test]
    fn an_unfinished_row_leaves_no_trace() {
        let mut block = CellBlock::default();
        {
            let mut writer = block.row(3);
            writer.push(Value::Int(1));
        }
        assert!(block.is_empty());
    }

    #[test]
    fn with_replaces_one_cell() {
        let row = Row::from_values([Value::Int(1), Value::Null, Value::Text(b"x")]);
        assert_eq!(row.with(1, Value::UInt(9)), Row::from_values([Value::Int(1), Value::UInt(9), Value::Text(b"x")]));
        assert_eq!(row.get(7), Value::Null);
    }
}
