//! Decodes row images from the bytes of a row event straight into packed cells.

use runtime::{CellBlock, Date, DateTime, Row, RowWriter, Value};

use super::error::StreamError;
use super::event::{Reader, kind};
use super::table_map::{Cell, RowPlan};

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
    /// Reads the event up to its first image. `second` says that there are extra bytes before the columns (version 2 of row events).
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
                decode_cell(cell, &mut self.reader, &mut writer)?;
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

fn date(packed: u32) -> Result<Date, StreamError> {
    let date = Date { year: (packed >> 9) as u16, month: (packed >> 5 & 15) as u8, day: (packed & 31) as u8 };
    if date.month > 12 || date.year > 9999 { Err(impossible("a date")) } else { Ok(date) }
}

/// Microseconds of the fraction that follows a DATETIME or TIMESTAMP.
#[inline]
fn fraction(reader: &mut Reader<'_>, fsp: u8) -> Result<u32, StreamError> {
    let (bytes, unit) = fraction_form(fsp);
    if bytes == 0 {
        return Ok(0);
    }
    let micros = big_endian(reader, bytes)? * unit;
    if micros >= 1_000_000 { Err(impossible("a fraction of a second")) } else { Ok(micros as u32) }
}

/// Bytes of a fraction, and microseconds of one unit of it.
fn fraction_form(fsp: u8) -> (u8, u64) {
    match fsp {
        0 => (0, 1),
        1 | 2 => (1, 10_000),
        3 | 4 => (2, 100),
        _ => (3, 1),
    }
}

/// TIME with fraction: whole and fraction together are one big-endian number, offset so that negative times sort first. The fraction of a
/// negative time counts down from the next lower second.
fn time(reader: &mut Reader<'_>, fsp: u8) -> Result<i64, StreamError> {
    let (bytes, unit) = fraction_form(fsp);
    let bits = u32::from(bytes) * 8;
    let raw = big_endian(reader, 3 + bytes)? as i64 - (0x80_0000i64 << bits);
    let magnitude = raw.unsigned_abs();
    let (whole, part) = (magnitude >> bits, magnitude & ((1 << bits) - 1));
    let (hours, minutes, seconds) = (whole >> 12, whole >> 6 & 63, whole & 63);
    let micros = part * unit;
    if hours > 838 || minutes > 59 || seconds > 59 || micros >= 1_000_000 {
        return Err(impossible("a time"));
    }
    let total = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros;
    Ok(if raw < 0 { -(total as i64) } else { total as i64 })
}

fn datetime(reader: &mut Reader<'_>, fsp: u8) -> Result<DateTime, StreamError> {
    let raw = big_endian(reader, 5)?.checked_sub(0x80_0000_0000).ok_or_else(|| impossible("a negative date"))?;
    let micros = fraction(reader, fsp)?;
    let (days, clock) = (raw >> 17, raw & 0x1_ffff);
    let (months, day) = (days >> 5, days & 31);
    let value = DateTime {
        date: Date { year: (months / 13) as u16, month: (months % 13) as u8, day: day as u8 },
        hour: (clock >> 12) as u8,
        minute: (clock >> 6 & 63) as u8,
        second: (clock & 63) as u8,
        micros,
    };
    check_datetime(value)
}

fn old_datetime(packed: u64) -> Result<DateTime, StreamError> {
    let (days, clock) = (packed / 1_000_000, packed % 1_000_000);
    if days / 10_000 > 9999 {
        return Err(impossible("a date"));
    }
    let date = Date { year: (days / 10_000) as u16, month: (days / 100 % 100) as u8, day: (days % 100) as u8 };
    check_datetime(DateTime {
        date,
        hour: (clock / 10_000) as u8,
        minute: (clock / 100 % 100) as u8,
        second: (clock % 100) as u8,
        micros: 0,
    })
}

fn check_datetime(value: DateTime) -> Result<DateTime, StreamError> {
    let right = value.date.year <= 9999
        && value.date.month <= 12
        && value.date.day <= 31
        && value.hour <= 23
        && value.minute <= 59
        && value.second <= 59;
    if right { Ok(value) } else { Err(impossible("a date and time")) }
}

fn old_time(packed: i32) -> Result<i64, StreamError> {
    let magnitude = packed.unsigned_abs();
    let (hours, minutes, seconds) = (magnitude / 10_000, magnitude / 100 % 100, magnitude % 100);
    if hours > 838 || minutes > 59 || seconds > 59 {
        return Err(impossible("a time"));
    }
    let total = i64::from((hours * 60 + minutes) * 60 + seconds) * 1_000_000;
    Ok(if packed < 0 { -total } else { total })
}

/// Bytes of so many decimal digits.
const DIGIT_BYTES: [u8; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/// A DECIMAL taken from a row, checked; its text is written later.
struct DecimalBytes {
    negative: bool,
    /// Groups of up to nine digits: value and number of digits. 65 digits with any scale need at most nine groups.
    groups: [(u32, u8); 10],
    used: usize,
    /// Groups before the point.
    whole: usize,
}

impl DecimalBytes {
    /// Numbers are big-endian groups of nine digits in four bytes; the first and the last group may be shorter. The sign is the inverted
    /// first bit, and a negative number has all its bits inverted.
    fn read(reader: &mut Reader<'_>, precision: u8, scale: u8) -> Result<Self, StreamError> {
        let whole_digits = precision.checked_sub(scale).ok_or_else(|| impossible("a decimal"))?;
        let mut peek = *reader;
        let negative = peek.u8()? & 0x80 == 0;
        let mut number = Self { negative, groups: [(0, 0); 10], used: 0, whole: 0 };
        let mut first = true;
        number.take(reader, whole_digits % 9, &mut first)?;
        for _ in 0..whole_digits / 9 {
            number.take(reader, 9, &mut first)?;
        }
        number.whole = number.used;
        for _ in 0..scale / 9 {
            number.take(reader, 9, &mut first)?;
        }
        number.take(reader, scale % 9, &mut first)?;
        if number.groups.iter().all(|&(value, _)| value == 0) {
            number.negative = false;
        }
        Ok(number)
    }

    fn take(&mut self, reader: &mut Reader<'_>, digits: u8, first: &mut bool) -> Result<(), StreamError> {
        if digits == 0 {
            return Ok(());
        }
        let bytes = reader.take(DIGIT_BYTES.get(usize::from(digits)).copied().unwrap_or(4).into())?;
        let flip = if self.negative { 0xff } else { 0 };
        let mut value = 0;
        for &byte in bytes {
            let sign = if std::mem::take(first) { 0x80 } else { 0 };
            value = value << 8 | u32::from(byte ^ flip ^ sign);
        }
        if value >= 10u32.pow(digits.into()) {
            return Err(impossible("a decimal"));
        }
        let slot = self.groups.get_mut(self.used).ok_or_else(|| impossible("a decimal"))?;
        *slot = (value, digits);
        self.used += 1;
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        let (whole, part) = self.groups.split_at(self.whole);
        let before = out.len();
        for &(value, digits) in whole {
            if out.len() > before {
                write_digits(out, value, digits);
            } else if value > 0 {
                write_digits(out, value, value.ilog10() as u8 + 1);
            }
        }
        if out.len() == before {
            out.push(b'0');
        }
        let part = part.get(..self.used - self.whole).unwrap_or(&[]);
        if !part.is_empty() {
            out.push(b'.');
        }
        for &(value, digits) in part {
            write_digits(out, value, digits);
        }
    }
}

/// Writes `value` in exactly `digits` digits.
fn write_digits(out: &mut Vec<u8>, value: u32, digits: u8) {
    let start = out.len();
    out.resize(start + usize::from(digits), b'0');
    let mut left = value;
    for slot in out.iter_mut().skip(start).rev() {
        *slot = b'0' + (left % 10) as u8;
        left /= 10;
    }
}
