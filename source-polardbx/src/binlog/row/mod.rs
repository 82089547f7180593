//! Decodes row images from the bytes of a row event straight into packed cells; `decimal`, `time`, `json`, `shown` and `compressed` know
//! the forms of their types.

mod compressed;
mod decimal;
mod json;
mod time;
mod uuid_inet;

use runtime::{CellBlock, Row, RowWriter, Value};

use super::error::StreamError;
use super::event::{Reader, kind};
use super::table_map::{Cell, RowPlan};
use decimal::DecimalBytes;
pub(crate) use json::JsonStyle;
use json::write_json;
use time::{date, datetime, fraction, old_datetime, old_time, time};
pub(crate) use uuid_inet::Shown;

/// What a row event does to its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowsKind {
    Write,
    Update,
    Delete,
}

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

/// The images of one row event, read one after another.
#[derive(Debug)]
pub(crate) struct RowImages<'a> {
    reader: Reader<'a>,
}

impl<'a> RowImages<'a> {
    /// Reads the event up to its first image. Version 2 of row events has extra bytes before the columns.
    pub(crate) fn open(body: &'a [u8], event: u8, plan: &RowPlan) -> Result<Self, StreamError> {
        let mut reader = Reader::new(body);
        reader.u48()?;
        reader.u16()?;
        if matches!(event, kind::WRITE_ROWS | kind::UPDATE_ROWS | kind::DELETE_ROWS) {
            // The length counts itself.
            let extra =
                usize::from(reader.u16()?).checked_sub(2).ok_or_else(|| StreamError::corrupt("a row event with a length below its own"))?;
            reader.take(extra)?;
        }
        let columns = reader.length_encoded()?;
        if columns != plan.cells.len() {
            return Err(StreamError::corrupt(format!("a row event of {columns} columns after a TABLE_MAP of {}", plan.cells.len())));
        }
        let images = if RowsKind::of(event) == Some(RowsKind::Update) { 2 } else { 1 };
        for _ in 0..images {
            if !is_full(reader.take(columns.div_ceil(8))?, columns) {
                return Err(StreamError::PartialImage { table: plan.schema.id.clone() });
            }
        }
        Ok(Self { reader })
    }

    /// Whether no image is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.reader.is_empty()
    }

    /// Packs the next image.
    pub(crate) fn decode(&mut self, plan: &RowPlan, block: &mut CellBlock) -> Result<Row, StreamError> {
        let nulls = self.reader.take(plan.cells.len().div_ceil(8))?;
        let mut writer = block.row(plan.cells.len());
        for (index, &cell) in plan.cells.iter().enumerate() {
            if nulls.get(index / 8).is_some_and(|bits| bits >> (index % 8) & 1 == 1) {
                writer.push(Value::Null);
            } else {
                decode_cell(cell, &mut self.reader, &mut writer).map_err(|error| in_column(error, plan, index))?;
            }
        }
        Ok(writer.finish())
    }
}

fn is_full(bitmap: &[u8], columns: usize) -> bool {
    let Some((last, whole)) = bitmap.split_last() else { return columns == 0 };
    let used = (columns - 1) % 8 + 1;
    whole.iter().all(|&bits| bits == 0xff) && last.trailing_ones() as usize >= used
}

#[inline]
fn decode_cell(cell: Cell, reader: &mut Reader<'_>, writer: &mut RowWriter<'_>) -> Result<(), StreamError> {
    let value = match cell {
        Cell::Int1 => Value::Int(i64::from(reader.u8()? as i8)),
        Cell::Int2 => Value::Int(i64::from(reader.u16()? as i16)),
        Cell::Int3 => Value::Int(i64::from(signed24(reader.u24()?))),
        Cell::Int4 => Value::Int(i64::from(reader.u32()? as i32)),
        Cell::Int8 => Value::Int(reader.u64()? as i64),
        Cell::UInt1 => Value::UInt(reader.u8()?.into()),
        Cell::UInt2 => Value::UInt(reader.u16()?.into()),
        Cell::UInt3 => Value::UInt(reader.u24()?.into()),
        Cell::UInt4 => Value::UInt(reader.u32()?.into()),
        Cell::UInt8 => Value::UInt(reader.u64()?),
        Cell::Float => Value::Float(f32::from_le_bytes(reader.array()?)),
        Cell::Double => Value::Double(f64::from_le_bytes(reader.array()?)),
        Cell::Decimal { precision, scale } => {
            let number = DecimalBytes::read(reader, precision, scale)?;
            writer.push_decimal(|out| number.write(out));
            return Ok(());
        }
        Cell::Bit { bytes } => Value::Bit(big_endian(reader, bytes)?),
        Cell::Year => Value::Year(match reader.u8()? {
            0 => 0,
            year => 1900 + u16::from(year),
        }),
        Cell::Date => Value::Date(date(reader.u24()?)?),
        Cell::OldTime => Value::Time(old_time(signed24(reader.u24()?))?),
        Cell::OldDateTime => Value::DateTime(old_datetime(reader.u64()?)?),
        Cell::OldTimestamp => Value::Timestamp(i64::from(reader.u32()?) * 1_000_000),
        Cell::Time { fsp } => Value::Time(time(reader, fsp)?),
        Cell::DateTime { fsp } => Value::DateTime(datetime(reader, fsp)?),
        Cell::Timestamp { fsp } => {
            let seconds = u32::from_be_bytes(reader.array()?);
            Value::Timestamp(i64::from(seconds) * 1_000_000 + i64::from(fraction(reader, fsp)?))
        }
        Cell::Text { prefix } => Value::Text(prefixed(reader, prefix)?),
        Cell::Bytes { prefix } => Value::Bytes(prefixed(reader, prefix)?),
        Cell::Json { prefix, style } => {
            let document = prefixed(reader, prefix)?;
            return writer.push_json(|out| write_json(document, style, out));
        }
        Cell::Shown(kind) => return kind.decode(reader, writer),
        Cell::Geometry { prefix } => Value::Geometry(prefixed(reader, prefix)?),
        Cell::Compressed { prefix, text, most } => {
            let mut scratch = Vec::new();
            let value = compressed::read(reader, prefix, most, &mut scratch)?;
            writer.push(if text { Value::Text(value) } else { Value::Bytes(value) });
            return Ok(());
        }
        Cell::Padded { prefix, length } => return padded(reader, prefix, length, writer),
        Cell::Enum { bytes } => Value::Enum(if bytes == 1 { reader.u8()?.into() } else { reader.u16()? }),
        Cell::Set { bytes } => Value::Set(little_endian(reader, bytes)?),
    };
    writer.push(value);
    Ok(())
}

#[cold]
fn impossible(what: &str) -> StreamError {
    StreamError::corrupt(format!("a row holds {what} that cannot be"))
}

/// Says which column cannot be read.
#[cold]
fn in_column(error: StreamError, plan: &RowPlan, index: usize) -> StreamError {
    let Some(column) = plan.schema.columns.get(index) else { return error };
    match error {
        StreamError::Corrupt { what } => StreamError::corrupt(format!("column `{}` of {}: {what}", column.name, plan.schema.id)),
        other => other,
    }
}

fn signed24(value: u32) -> i32 {
    (value << 8) as i32 >> 8
}

fn little_endian(reader: &mut Reader<'_>, bytes: u8) -> Result<u64, StreamError> {
    Ok(reader.take(bytes.into())?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn big_endian(reader: &mut Reader<'_>, bytes: u8) -> Result<u64, StreamError> {
    Ok(reader.take(bytes.into())?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

#[inline]
fn prefixed<'a>(reader: &mut Reader<'a>, prefix: u8) -> Result<&'a [u8], StreamError> {
    let length = match prefix {
        1 => reader.u8()?.into(),
        2 => reader.u16()?.into(),
        3 => reader.u24()?,
        _ => reader.u32()?,
    };
    reader.take(length as usize)
}

/// The binlog leaves out the zeros at the end of a BINARY.
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
