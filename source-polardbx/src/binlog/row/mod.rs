//! Decodes row images from the bytes of a row event straight into packed cells; `decimal`, `time`, `json`, `uuid_inet` and `compressed`
//! decode the types that they are named after.

mod compressed;
mod decimal;
mod fields;
mod json;
mod layout;
mod time;
mod uuid_inet;

use runtime::{CellBlock, Row, RowWriter, Value};

use super::error::StreamError;
use super::event::{Reader, kind};
use decimal::DecimalBytes;
use fields::{big_endian, impossible, little_endian, prefixed, signed24};
pub(crate) use json::JsonStyle;
use json::write_json;
pub(crate) use layout::{CellFormat, RowLayout};
use time::{date, datetime, fraction, old_datetime, old_time, time};
pub(crate) use uuid_inet::UuidInet;

/// The kind of change that a row event makes to its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowsKind {
    Write,
    Update,
    Delete,
}

/// Flag of a row event of PolarDB-X: the last column is the hidden key.
const HIDDEN_KEY: u16 = 0x80;

impl RowsKind {
    /// The kind of a row event; `None` for other events.
    pub(crate) fn of(event: u8) -> Option<Self> {
        match event {
            kind::WRITE_ROWS | kind::WRITE_ROWS_V1 => Some(Self::Write),
            kind::UPDATE_ROWS | kind::UPDATE_ROWS_V1 => Some(Self::Update),
            kind::DELETE_ROWS | kind::DELETE_ROWS_V1 => Some(Self::Delete),
            _ => None,
        }
    }
}

/// The row images of one row event, which are read one after another.
#[derive(Debug)]
pub(crate) struct RowImages<'a> {
    reader: Reader<'a>,
}

impl<'a> RowImages<'a> {
    /// Reads the event up to its first image. Version 2 of row events has extra bytes before the columns.
    pub(crate) fn open(body: &'a [u8], event: u8, layout: &RowLayout) -> Result<Self, StreamError> {
        let (flags, columns, mut reader) = read_head(body, event)?;
        // Only PolarDB-X sets the flag. MariaDB's hidden columns belong to unique keys.
        if layout.is_hidden_key && flags & HIDDEN_KEY == 0 && !layout.schema.primary_key.is_empty() {
            let what =
                "the binlog shows one more column, and does not say that it is the hidden key of a table without primary key".to_owned();
            return Err(StreamError::SchemaMismatch { table: layout.schema.id.clone(), what });
        }
        if layout.image_width() == 0 {
            // Such an image would take no byte, so there would be no end of them.
            return Err(StreamError::corrupt("a row event without any column in its rows"));
        }
        if columns != layout.width() {
            return Err(StreamError::corrupt(format!("a row event of {columns} columns after a TABLE_MAP of {}", layout.width())));
        }
        let images = if RowsKind::of(event) == Some(RowsKind::Update) { 2 } else { 1 };
        for _ in 0..images {
            if !has_all(reader.take(columns.div_ceil(8))?, columns, &layout.absent) {
                return Err(StreamError::PartialImage { table: layout.schema.id.clone() });
            }
        }
        Ok(Self { reader })
    }

    /// Whether no image is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.reader.is_empty()
    }

    /// Decodes the next row image and packs it into `block`.
    pub(crate) fn decode(&mut self, layout: &RowLayout, block: &mut CellBlock) -> Result<Row, StreamError> {
        let nulls = self.reader.take(layout.image_width().div_ceil(8))?;
        let is_null = |index: usize| nulls.get(index / 8).is_some_and(|bits| bits >> (index % 8) & 1 == 1);
        let mut writer = block.row(layout.cells.len());
        for (index, &format) in layout.cells.iter().enumerate() {
            if is_null(index) {
                writer.push(Value::Null);
            } else {
                decode_cell(format, &mut self.reader, &mut writer).map_err(|error| in_column(error, layout, index))?;
            }
        }
        for hidden in 0..layout.hidden {
            if !is_null(layout.cells.len() + hidden) {
                self.reader.u64()?;
            }
        }
        Ok(writer.finish())
    }
}

/// The number of columns of a row event, and the columns that are not in its rows: in the first image of each row, if there are two.
pub(crate) fn absent_columns(body: &[u8], event: u8) -> Result<(usize, Vec<usize>), StreamError> {
    let (_, columns, mut reader) = read_head(body, event)?;
    Ok((columns, absent(reader.take(columns.div_ceil(8))?, columns).collect()))
}

/// Reads a row event up to the bitmaps of its columns. Returns its flags and the number of its columns.
fn read_head(body: &[u8], event: u8) -> Result<(u16, usize, Reader<'_>), StreamError> {
    let mut reader = Reader::new(body);
    reader.u48()?;
    let flags = reader.u16()?;
    if matches!(event, kind::WRITE_ROWS | kind::UPDATE_ROWS | kind::DELETE_ROWS) {
        // The length of the extra bytes includes the two bytes of the length itself.
        let extra =
            usize::from(reader.u16()?).checked_sub(2).ok_or_else(|| StreamError::corrupt("a row event with a length below its own"))?;
        reader.take(extra)?;
    }
    let columns = reader.length_encoded()?;
    Ok((flags, columns, reader))
}

/// The columns whose bits are not set. Bits behind the last column have no meaning.
fn absent(bitmap: &[u8], columns: usize) -> impl Iterator<Item = usize> {
    (0..columns).filter(|column| bitmap.get(column / 8).is_none_or(|bits| bits >> (column % 8) & 1 == 0))
}

/// Whether the bitmap has all columns but these.
fn has_all(bitmap: &[u8], columns: usize, but: &[usize]) -> bool {
    if but.is_empty() { is_full(bitmap, columns) } else { absent(bitmap, columns).eq(but.iter().copied()) }
}

fn is_full(bitmap: &[u8], columns: usize) -> bool {
    let Some((last, whole)) = bitmap.split_last() else { return columns == 0 };
    let used = (columns - 1) % 8 + 1;
    whole.iter().all(|&bits| bits == 0xff) && last.trailing_ones() as usize >= used
}

#[inline]
fn decode_cell(format: CellFormat, reader: &mut Reader<'_>, writer: &mut RowWriter<'_>) -> Result<(), StreamError> {
    let value = match format {
        CellFormat::Int1 => Value::Int(i64::from(reader.u8()? as i8)),
        CellFormat::Int2 => Value::Int(i64::from(reader.u16()? as i16)),
        CellFormat::Int3 => Value::Int(i64::from(signed24(reader.u24()?))),
        CellFormat::Int4 => Value::Int(i64::from(reader.u32()? as i32)),
        CellFormat::Int8 => Value::Int(reader.u64()? as i64),
        CellFormat::UInt1 => Value::UInt(reader.u8()?.into()),
        CellFormat::UInt2 => Value::UInt(reader.u16()?.into()),
        CellFormat::UInt3 => Value::UInt(reader.u24()?.into()),
        CellFormat::UInt4 => Value::UInt(reader.u32()?.into()),
        CellFormat::UInt8 => Value::UInt(reader.u64()?),
        CellFormat::Float => Value::Float(f32::from_le_bytes(reader.array()?)),
        CellFormat::Double => Value::Double(f64::from_le_bytes(reader.array()?)),
        CellFormat::Decimal { precision, scale } => {
            let number = DecimalBytes::read(reader, precision, scale)?;
            writer.push_decimal(|out| number.write(out));
            return Ok(());
        }
        CellFormat::Bit { bytes } => Value::Bit(big_endian(reader, bytes)?),
        CellFormat::Year => Value::Year(match reader.u8()? {
            0 => 0,
            year => 1900 + u16::from(year),
        }),
        CellFormat::Date => Value::Date(date(reader.u24()?)?),
        CellFormat::OldTime => Value::Time(old_time(signed24(reader.u24()?))?),
        CellFormat::OldDateTime => Value::DateTime(old_datetime(reader.u64()?)?),
        CellFormat::OldTimestamp => Value::Timestamp(i64::from(reader.u32()?) * 1_000_000),
        CellFormat::Time { fsp } => Value::Time(time(reader, fsp)?),
        CellFormat::DateTime { fsp } => Value::DateTime(datetime(reader, fsp)?),
        CellFormat::Timestamp { fsp } => {
            let seconds = u32::from_be_bytes(reader.array()?);
            Value::Timestamp(i64::from(seconds) * 1_000_000 + i64::from(fraction(reader, fsp)?))
        }
        CellFormat::Text { prefix } => Value::Text(prefixed(reader, prefix)?),
        CellFormat::Bytes { prefix } => Value::Bytes(prefixed(reader, prefix)?),
        CellFormat::Json { prefix, style } => {
            let document = prefixed(reader, prefix)?;
            return writer.push_json(|out| write_json(document, style, out));
        }
        CellFormat::UuidInet(kind) => return kind.decode(reader, writer),
        CellFormat::Geometry { prefix } => Value::Geometry(prefixed(reader, prefix)?),
        CellFormat::Compressed { prefix, text, most } => {
            let mut scratch = Vec::new();
            let value = compressed::read(reader, prefix, most, &mut scratch)?;
            writer.push(if text { Value::Text(value) } else { Value::Bytes(value) });
            return Ok(());
        }
        CellFormat::Padded { prefix, length } => return padded(reader, prefix, length, writer),
        CellFormat::Enum { bytes } => Value::Enum(if bytes == 1 { reader.u8()?.into() } else { reader.u16()? }),
        CellFormat::Set { bytes } => Value::Set(little_endian(reader, bytes)?),
    };
    writer.push(value);
    Ok(())
}

/// Adds the name of the column and of its table to an error.
#[cold]
fn in_column(error: StreamError, layout: &RowLayout, index: usize) -> StreamError {
    let Some(column) = layout.schema.columns.get(index) else { return error };
    match error {
        StreamError::Corrupt { what } => StreamError::corrupt(format!("column `{}` of {}: {what}", column.name, layout.schema.id)),
        other => other,
    }
}

/// Decodes a BINARY value. The binlog omits the zero bytes at its end, so they are added here.
fn padded(reader: &mut Reader<'_>, prefix: u8, length: u32, writer: &mut RowWriter<'_>) -> Result<(), StreamError> {
    // A BINARY has at most 255 bytes.
    const ZEROS: [u8; 256] = [0; 256];
    let bytes = prefixed(reader, prefix)?;
    let length = length as usize;
    if bytes.len() > length || length > ZEROS.len() {
        return Err(impossible("more bytes than its BINARY column"));
    }
    if bytes.len() == length {
        writer.push(Value::Bytes(bytes));
        return Ok(());
    }
    let mut full = ZEROS;
    if let Some(head) = full.get_mut(..bytes.len()) {
        head.copy_from_slice(bytes);
    }
    writer.push(Value::Bytes(full.get(..length).unwrap_or(&[])));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runtime::{TableId, TableSchema};

    use super::*;
    use crate::binlog::event::kind;

    #[test]
    fn images_without_columns_would_have_no_end_and_are_refused() {
        let schema = Arc::new(TableSchema::new(TableId::new("d", "t"), Vec::new()));
        let layout = RowLayout { schema, cells: Vec::new(), hidden: 0, is_hidden_key: false, absent: vec![0] };
        // The table's id, the flags, no extra bytes, one column, which is in no image, and a byte of rows.
        let body = [1, 0, 0, 0, 0, 0, 1, 0, 2, 0, 1, 0, 7];
        let error = RowImages::open(&body, kind::WRITE_ROWS, &layout).err();
        assert!(matches!(error, Some(StreamError::Corrupt { .. })), "{error:?}");
    }
}
