//! Row images and their cells, each encoded as a branch of an Avro union, and the type numbers of columns.

use runtime::{Column, ColumnKind, Date, Row, Value};

use super::config::Config;
use super::encoding::{begin_block, branch, write_bytes, write_length, write_long, write_string};
use super::text::TextEncoding;
use crate::error::FormatError;
use crate::row::{CellError, MAX_TIME, MAX_TIMESTAMP, enum_label, set_labels};

/// How the cells of a column are encoded; decided once per table version.
#[derive(Debug)]
pub(super) enum Encoding {
    Int {
        bytes: u8,
        unsigned: bool,
    },
    Decimal,
    Float,
    Double,
    Bit {
        bytes: u8,
    },
    Year,
    Date,
    Time,
    DateTime,
    Timestamp,
    Text(TextEncoding),
    Bytes {
        /// The `type` of the BinaryObject.
        type_name: &'static str,
    },
    Enum {
        labels: Vec<String>,
    },
    Set {
        labels: Vec<String>,
    },
    Json,
    Geometry,
}

impl Encoding {
    /// Returns the encoding of a column's cells and the column's `dataTypeNumber`.
    ///
    /// DTS uses the type numbers of MySQL's protocol. Temporal types with fractions of a second do not have the numbers 17, 18 and 19 of
    /// the binlog: consumers fail on these.
    pub(super) fn of(column: &Column, config: &Config) -> Result<(Encoding, i32), FormatError> {
        let unsupported = |kind| Err(FormatError::UnsupportedKind { column: column.name.clone(), kind });
        let characters = || TextEncoding::of(column, config).map(Encoding::Text);
        Ok(match &column.kind {
            &ColumnKind::Int { bytes } => {
                let number = match bytes {
                    1 => 1,
                    2 => 2,
                    3 => 9,
                    4 => 3,
                    8 => 8,
                    _ => return unsupported("integers of an unknown size"),
                };
                (Encoding::Int { bytes, unsigned: column.unsigned }, number)
            }
            ColumnKind::Decimal { .. } => (Encoding::Decimal, 246),
            ColumnKind::Float => (Encoding::Float, 4),
            ColumnKind::Double => (Encoding::Double, 5),
            ColumnKind::Bit { bits } => (Encoding::Bit { bytes: bits.div_ceil(8) }, 16),
            ColumnKind::Year => (Encoding::Year, 13),
            ColumnKind::Date => (Encoding::Date, 10),
            ColumnKind::Time { .. } => (Encoding::Time, 11),
            ColumnKind::DateTime { .. } => (Encoding::DateTime, 12),
            ColumnKind::Timestamp { .. } => (Encoding::Timestamp, 7),
            ColumnKind::Char { .. } => (characters()?, 254),
            ColumnKind::Varchar { .. } => (characters()?, 253),
            ColumnKind::Text { .. } => (characters()?, 15),
            ColumnKind::Binary { .. } | ColumnKind::Varbinary { .. } => (Encoding::Bytes { type_name: "binary" }, 252),
            ColumnKind::Blob { .. } => (Encoding::Bytes { type_name: "blob" }, 252),
            ColumnKind::Enum { labels } => (Encoding::Enum { labels: labels.clone() }, 247),
            ColumnKind::Set { labels } => (Encoding::Set { labels: labels.clone() }, 248),
            ColumnKind::Json => (Encoding::Json, 245),
            ColumnKind::Geometry => (Encoding::Geometry, 255),
            _ => return unsupported("columns of this type"),
        })
    }
}

/// Appends a row image: an array with the values of all columns, or null without a row.
pub(super) fn write_image(out: &mut Vec<u8>, columns: &[(Column, Encoding)], row: Option<&Row>) -> Result<(), FormatError> {
    let Some(row) = row else {
        out.push(branch::NULL);
        return Ok(());
    };
    out.push(branch::ARRAY);
    begin_block(out, columns.len());
    // Invariant: `Images::of` counted the cells, so there is a value for every column.
    let mut values = row.values();
    for (column, encoding) in columns {
        let value = values.next();
        write_cell(out, value.as_ref().unwrap_or(&Value::Null), encoding).map_err(|error| error.of(column))?;
    }
    out.push(0);
    Ok(())
}

/// Appends a cell.
///
/// `value` is passed by reference: copying a `Value` costs more than writing most values.
fn write_cell(out: &mut Vec<u8>, value: &Value<'_>, encoding: &Encoding) -> Result<(), CellError> {
    match (encoding, value) {
        (_, &Value::Null) => out.push(branch::NULL),
        (Encoding::Int { bytes, unsigned: false }, &Value::Int(value)) => write_integer(out, *bytes, itoa::Buffer::new().format(value)),
        (Encoding::Int { bytes, unsigned: true }, &Value::UInt(value)) => write_integer(out, *bytes, itoa::Buffer::new().format(value)),
        (Encoding::Bit { bytes }, &Value::Bit(value)) => write_integer(out, *bytes, itoa::Buffer::new().format(value)),
        (Encoding::Decimal, &Value::Decimal(value)) => write_decimal(out, value)?,
        (Encoding::Float, &Value::Float(value)) if value.is_finite() => write_float(out, shortest(value)?),
        (Encoding::Double, &Value::Double(value)) if value.is_finite() => write_float(out, value),
        (Encoding::Year, &Value::Year(year)) => write_date_time(out, &[Some(year.into()), None, None, None, None, None, None]),
        (Encoding::Date, &Value::Date(date)) => {
            let [year, month, day] = parts(date);
            write_date_time(out, &[year, month, day, None, None, None, None]);
        }
        (Encoding::Time, &Value::Time(micros)) if micros.unsigned_abs() <= MAX_TIME => write_time(out, micros),
        (Encoding::DateTime, &Value::DateTime(value)) => {
            let [year, month, day] = parts(value.date);
            let [hour, minute, second] = [value.hour, value.minute, value.second].map(|part| Some(i32::from(part)));
            write_date_time(out, &[year, month, day, hour, minute, second, Some(value.micros as i32)]);
        }
        (Encoding::Timestamp, &Value::Timestamp(micros)) if (0..=MAX_TIMESTAMP).contains(&micros) => {
            out.push(branch::TIMESTAMP);
            write_long(out, micros / 1_000_000);
            write_long(out, micros % 1_000_000);
        }
        (Encoding::Text(text), &Value::Text(value)) => text.write(out, value)?,
        (Encoding::Bytes { type_name }, &Value::Bytes(value)) => {
            out.push(branch::BINARY_OBJECT);
            write_string(out, type_name);
            write_bytes(out, value);
        }
        (Encoding::Enum { labels }, &Value::Enum(index)) => write_enum(out, index, labels)?,
        (Encoding::Set { labels }, &Value::Set(mask)) => write_set(out, mask, labels)?,
        (Encoding::Json, &Value::Json(value)) => {
            let text = std::str::from_utf8(value).map_err(|_| CellError::InvalidJson)?;
            write_text_object(out, "json");
            write_string(out, text);
        }
        (Encoding::Geometry, &Value::Geometry(value)) => write_geometry(out, value).ok_or(CellError::OutOfRange)?,
        (Encoding::Float, &Value::Float(_))
        | (Encoding::Double, &Value::Double(_))
        | (Encoding::Time, &Value::Time(_))
        | (Encoding::Timestamp, &Value::Timestamp(_)) => return Err(CellError::OutOfRange),
        _ => return Err(CellError::WrongCell),
    }
    Ok(())
}

/// Appends an Integer {precision, value}; the precision is the storage size in bytes.
fn write_integer(out: &mut Vec<u8>, bytes: u8, text: &str) {
    // The text has at most 20 digits, so its length is encoded in one byte.
    out.extend_from_slice(&[branch::INTEGER, bytes << 1, (text.len() as u8) << 1]);
    out.extend_from_slice(text.as_bytes());
}

/// Appends a Decimal {value, precision, scale}. Precision and scale are those of the value, not of the column: DTS counts the digits of
/// the text.
fn write_decimal(out: &mut Vec<u8>, text: &str) -> Result<(), CellError> {
    let (mut precision, mut scale, mut after_point) = (0, 0, false);
    for byte in text.strip_prefix('-').unwrap_or(text).bytes() {
        match byte {
            b'0'..=b'9' => {
                precision += usize::from(precision > 0 || byte != b'0');
                scale += usize::from(after_point);
            }
            b'.' if !after_point => after_point = true,
            _ => return Err(CellError::OutOfRange),
        }
    }
    out.push(branch::DECIMAL);
    write_string(out, text);
    write_length(out, precision.max(1));
    write_length(out, scale);
    Ok(())
}

/// Appends a Float {value, precision, scale}. DTS always writes precision 8 and scale 15.
fn write_float(out: &mut Vec<u8>, value: f64) {
    out.push(branch::FLOAT);
    out.extend_from_slice(&value.to_le_bytes());
    write_long(out, 8);
    write_long(out, 15);
}

/// The double with the same shortest text as the float: 1.1 for 1.1f32. A conversion would give 1.10000002384185791015625.
fn shortest(value: f32) -> Result<f64, CellError> {
    zmij::Buffer::new().format_finite(value).parse().map_err(|_| CellError::OutOfRange)
}

fn parts(date: Date) -> [Option<i32>; 3] {
    [Some(date.year.into()), Some(date.month.into()), Some(date.day.into())]
}

/// Appends a TIME as a DateTime. If the TIME is negative, every part is negative: a single part with the sign could be zero and lose it.
fn write_time(out: &mut Vec<u8>, micros: i64) {
    let seconds = micros / 1_000_000;
    let time = [seconds / 3600, seconds / 60 % 60, seconds % 60, micros % 1_000_000].map(|part| Some(part as i32));
    let [hour, minute, second, micros] = time;
    write_date_time(out, &[None, None, None, hour, minute, second, micros]);
}

/// Appends a DateTime {year, month, day, hour, minute, second, millis}. In spite of its name, `millis` holds microseconds.
fn write_date_time(out: &mut Vec<u8>, parts: &[Option<i32>; 7]) {
    out.push(branch::DATE_TIME);
    for part in parts {
        match part {
            Some(part) => {
                out.push(2);
                write_long(out, i64::from(*part));
            }
            None => out.push(0),
        }
    }
}

fn write_text_object(out: &mut Vec<u8>, type_name: &str) {
    out.push(branch::TEXT_OBJECT);
    write_string(out, type_name);
}

fn write_enum(out: &mut Vec<u8>, index: u16, labels: &[String]) -> Result<(), CellError> {
    let label = enum_label(index, labels)?;
    write_text_object(out, "enum");
    write_string(out, label);
    Ok(())
}

/// Appends the labels whose bit is set in `mask`, joined by commas.
fn write_set(out: &mut Vec<u8>, mask: u64, labels: &[String]) -> Result<(), CellError> {
    let chosen = set_labels(mask, labels)?;
    let length = chosen.clone().map(|label| label.len() + 1).sum::<usize>().saturating_sub(1);
    write_text_object(out, "set");
    write_length(out, length);
    for (position, label) in chosen.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        out.extend_from_slice(label.as_bytes());
    }
    Ok(())
}

/// Appends a BinaryGeometry {type `WKB`, value}. MySQL stores the SRID in front of the WKB; it is left out there, since consumers would
/// decode it as part of the shape. A SRID other than 0 is written inside the WKB, as in EWKB. `None` if the bytes are too few for a
/// geometry.
fn write_geometry(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    const HAS_SRID: u32 = 0x2000_0000;
    let (srid, wkb) = bytes.split_first_chunk::<4>()?;
    let (&[order], rest) = wkb.split_first_chunk::<1>()?;
    let (kind, shape) = rest.split_first_chunk::<4>()?;
    out.push(branch::BINARY_GEOMETRY);
    write_string(out, "WKB");
    if *srid == [0; 4] {
        write_bytes(out, wkb);
        return Some(());
    }
    let srid = u32::from_le_bytes(*srid);
    write_length(out, wkb.len() + 4);
    out.push(order);
    if order == 0 {
        out.extend_from_slice(&(u32::from_be_bytes(*kind) | HAS_SRID).to_be_bytes());
        out.extend_from_slice(&srid.to_be_bytes());
    } else {
        out.extend_from_slice(&(u32::from_le_bytes(*kind) | HAS_SRID).to_le_bytes());
        out.extend_from_slice(&srid.to_le_bytes());
    }
    out.extend_from_slice(shape);
    Some(())
}
