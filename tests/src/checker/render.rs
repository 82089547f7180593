//! A model of the formats. It renders a value that the server returned as the format must write it, or as a reader of Alibaba must see it.

use rskafka::chrono::NaiveDateTime;

use super::Format;
use crate::{Failure, Result};

/// A value as the server returned it.
pub(super) enum Cell {
    Null,
    /// Text or bytes.
    Bytes(Vec<u8>),
    /// FLOAT and DOUBLE.
    Real(f64),
}

/// The kind of a column's values. `number` is the number of the type in DTS Avro.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Int {
        number: u8,
        bytes: u8,
    },
    Decimal,
    Float,
    Double,
    Bit {
        bits: u64,
    },
    Year,
    Date,
    Time,
    DateTime,
    Timestamp,
    Text {
        number: u8,
    },
    /// `length` is the column's length in bytes for BINARY, and `None` for VARBINARY.
    Binary {
        length: Option<u64>,
    },
    Blob,
    /// An ENUM. The SELECT returns its cell as `index:label`.
    Enum,
    /// A SET. The SELECT returns its cell as `mask:labels`.
    Set,
}

/// Who reads the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// The checker.
    Checker,
    /// Alibaba's classes.
    Alibaba,
}

/// The text of a cell in a format, as the reader sees it; `None` if the cell is NULL.
pub(super) fn render(format: Format, reader: Reader, kind: &Kind, cell: Cell) -> Result<Option<String>> {
    match (format, reader, cell) {
        (_, _, Cell::Null) => Ok(None),
        (Format::CanalJson, _, cell) => canal(kind, cell).map(Some),
        (Format::DtsAvro, Reader::Checker, cell) => avro(kind, cell).map(Some),
        (Format::DtsAvro, Reader::Alibaba, cell) => sdk(kind, cell).map(Some),
    }
}

fn canal(kind: &Kind, cell: Cell) -> Result<String> {
    let bytes = match (kind, cell) {
        (Kind::Float, Cell::Real(value)) => {
            let value = value as f32;
            return Ok(java_number(&format!("{value:e}"), &format!("{value:.1e}")));
        }
        (Kind::Double, Cell::Real(value)) => return Ok(java_number(&format!("{value:e}"), &format!("{value:.1e}"))),
        (_, Cell::Bytes(bytes)) => bytes,
        _ => return Failure::err("a number where text was expected"),
    };
    match kind {
        // Canal writes each byte as the character with that number. It leaves out the zero padding of BINARY columns, which is not in the
        // binlog.
        Kind::Binary { length } => {
            let used = if length.is_some() { bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1) } else { bytes.len() };
            Ok(bytes.iter().take(used).map(|&byte| char::from(byte)).collect())
        }
        Kind::Blob => Ok(bytes.iter().map(|&byte| char::from(byte)).collect()),
        Kind::Enum | Kind::Set => Ok(labelled(bytes)?.0),
        _ => utf8(bytes),
    }
}

/// A number as Java's `Double.toString` prints it. `shortest` has the fewest digits that parse to the same number. Java chooses among at
/// least two digits, so `two_digits` is used if `shortest` has only one. Both arguments have the form `d.ddde±x`.
fn java_number(shortest: &str, two_digits: &str) -> String {
    let scientific = if shortest.contains('.') { shortest } else { two_digits };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = if digits == "00" { "0" } else { digits.trim_end_matches('0') };
    let or_zero = |text: &str| if text.is_empty() { "0".to_owned() } else { text.to_owned() };
    if digits == "0" {
        return format!("{sign}0.0");
    }
    match exponent {
        0..=6 => {
            let whole = exponent as usize + 1;
            let padded = format!("{digits:0<whole$}");
            format!("{sign}{}.{}", &padded[..whole], or_zero(&padded[whole..]))
        }
        -3..=-1 => format!("{sign}0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1)),
        _ => format!("{sign}{}.{}E{exponent}", &digits[..1], or_zero(&digits[1..])),
    }
}

fn avro(kind: &Kind, cell: Cell) -> Result<String> {
    let bytes = match (kind, cell) {
        (Kind::Float, Cell::Real(value)) => {
            return Ok(format!("4 Float{{value:{:?},precision:8,scale:15}}", shortest(value)?));
        }
        (Kind::Double, Cell::Real(value)) => return Ok(format!("5 Float{{value:{value:?},precision:8,scale:15}}")),
        (_, Cell::Bytes(bytes)) => bytes,
        _ => return Failure::err("a number where text was expected"),
    };
    Ok(match kind {
        Kind::Int { number, bytes: size } => format!("{number} Integer{{precision:{size},value:{}}}", utf8(bytes)?),
        Kind::Bit { bits } => format!("16 Integer{{precision:{},value:{}}}", bits.div_ceil(8), utf8(bytes)?),
        Kind::Decimal => {
            let text = utf8(bytes)?;
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            let precision = digits.trim_start_matches('0').len().max(1);
            let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            format!("246 Decimal{{value:{text},precision:{precision},scale:{scale}}}")
        }
        Kind::Year => moment(13, &utf8(bytes)?, 0..1)?,
        Kind::Date => moment(10, &utf8(bytes)?, 0..3)?,
        Kind::Time => moment(11, &utf8(bytes)?, 3..7)?,
        Kind::DateTime => moment(12, &utf8(bytes)?, 0..7)?,
        Kind::Timestamp => {
            let text = utf8(bytes)?;
            let (seconds, micros) = if text.starts_with("0000-00-00") {
                (0, 0)
            } else {
                let moment = NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f");
                let moment = moment.map_err(|error| Failure::new(format!("{text}: {error}")))?.and_utc();
                (moment.timestamp(), moment.timestamp_subsec_micros())
            };
            format!("7 Timestamp{{timestamp:{seconds},millis:{micros}}}")
        }
        Kind::Text { number } => format!("{number} Character{{charset:utf8mb4,value:{}}}", show_bytes(&bytes)),
        Kind::Binary { .. } => format!("252 BinaryObject{{type:binary,value:{}}}", show_bytes(&bytes)),
        Kind::Blob => format!("252 BinaryObject{{type:blob,value:{}}}", show_bytes(&bytes)),
        Kind::Enum => format!("247 TextObject{{type:enum,value:{}}}", labelled(bytes)?.1),
        Kind::Set => format!("248 TextObject{{type:set,value:{}}}", labelled(bytes)?.1),
        Kind::Float | Kind::Double => return Failure::err("text where a number was expected"),
    })
}

/// The double of a FLOAT in the message: it is parsed from the float's shortest decimal text. A direct conversion of the float would give
/// another double.
fn shortest(value: f64) -> Result<f64> {
    Ok((value as f32).to_string().parse()?)
}

/// A value as the SDK hands it to its user: the name of the value's type, and its text.
fn sdk(kind: &Kind, cell: Cell) -> Result<String> {
    let bytes = match (kind, cell) {
        (Kind::Float, Cell::Real(value)) => {
            let double = Cell::Real(shortest(value)?);
            return Ok(format!("FLOAT_NUMERIC {}", canal(&Kind::Double, double)?));
        }
        (Kind::Double, cell @ Cell::Real(_)) => return Ok(format!("FLOAT_NUMERIC {}", canal(kind, cell)?)),
        (_, Cell::Bytes(bytes)) => bytes,
        _ => return Failure::err("a number where text was expected"),
    };
    Ok(match kind {
        Kind::Int { .. } | Kind::Bit { .. } => format!("INTEGER_NUMERIC {}", utf8(bytes)?),
        Kind::Decimal => format!("DECIMAL_NUMERIC {}", utf8(bytes)?),
        Kind::Year | Kind::Date => format!("DATETIME {}", utf8(bytes)?),
        Kind::Time | Kind::DateTime => format!("DATETIME {}", java_fraction(&utf8(bytes)?)),
        Kind::Timestamp => {
            let text = utf8(bytes)?;
            // The format has no zero timestamp; it writes the epoch instead.
            let text = if text.starts_with("0000-00-00") { "1970-01-01 00:00:00" } else { &text };
            format!("UNIX_TIMESTAMP {}", java_fraction(text))
        }
        Kind::Text { .. } => format!("STRING {}", utf8(bytes)?),
        Kind::Binary { .. } | Kind::Blob => bytes.iter().fold("BINARY_ENCODING_OBJECT ".into(), |text, byte| format!("{text}{byte:02X}")),
        Kind::Enum | Kind::Set => format!("TEXT_ENCODING_OBJECT {}", labelled(bytes)?.1),
        Kind::Float | Kind::Double => return Failure::err("text where a number was expected"),
    })
}

/// A moment whose fraction has as many digits as Java's `Timestamp` prints: at least one, and no zeros at the end behind it.
fn java_fraction(moment: &str) -> String {
    let (whole, fraction) = moment.split_once('.').unwrap_or((moment, ""));
    let fraction = fraction.trim_end_matches('0');
    format!("{whole}.{}", if fraction.is_empty() { "0" } else { fraction })
}

/// A DateTime record. Only the parts with an index in `filled` have a value; the other parts are null. All parts of a negative time are
/// negative.
fn moment(number: u8, text: &str, filled: std::ops::Range<usize>) -> Result<String> {
    const NAMES: [&str; 7] = ["year", "month", "day", "hour", "minute", "second", "millis"];
    let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let mut parts = whole.split([' ', '-', ':']).map(str::parse::<i64>).collect::<Result<Vec<_>, _>>()?;
    if filled.end == 7 {
        parts.push(format!("{fraction:0<6}").parse()?);
    }
    if parts.len() != filled.len() {
        return Failure::err(format!("{text} has {} parts", parts.len()));
    }
    let part = |(index, name): (usize, &&str)| {
        let value = index.checked_sub(filled.start).and_then(|index| parts.get(index));
        value.map_or(format!("{name}:null"), |value| format!("{name}:{}", value * sign))
    };
    let parts: Vec<String> = NAMES.iter().enumerate().map(part).collect();
    Ok(format!("{number} DateTime{{{}}}", parts.join(",")))
}

fn labelled(bytes: Vec<u8>) -> Result<(String, String)> {
    let text = utf8(bytes)?;
    let (number, label) = text.split_once(':').ok_or_else(|| Failure::new(format!("{text} has no label")))?;
    Ok((number.to_owned(), label.to_owned()))
}

fn utf8(bytes: Vec<u8>) -> Result<String> {
    Ok(String::from_utf8(bytes)?)
}

/// Bytes as text if they are valid UTF-8, otherwise in hexadecimal. A text that starts with `0x` is also written in hexadecimal, so the
/// result is unambiguous.
pub(super) fn show_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with("0x") => text.to_owned(),
        _ => bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_java_writes_them() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (100.0, "100.0"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
        ];
        for (value, text) in
            cases.into_iter().chain([(12_345_678.9, "1.23456789E7"), (-1.5, "-1.5"), (4.9e-324, "4.9E-324"), (123.456, "123.456")])
        {
            assert_eq!(java_number(&format!("{value:e}"), &format!("{value:.1e}")), text);
        }
        for (value, text) in [(16_777_216f32, "1.6777216E7"), (f32::MIN_POSITIVE, "1.1754944E-38"), (1e-45, "1.4E-45"), (1.1, "1.1")] {
            assert_eq!(java_number(&format!("{value:e}"), &format!("{value:.1e}")), text);
        }
    }

    #[test]
    fn fractions_as_java_writes_them() {
        for (moment, expected) in [("10:00:00", "10:00:00.0"), ("10:00:00.000", "10:00:00.0"), ("-10:00:00.0120", "-10:00:00.012")] {
            assert_eq!(java_fraction(moment), expected);
        }
    }

    #[test]
    fn moments_in_parts() {
        let time = moment(11, "-00:30:00.5", 3..7).unwrap();
        assert_eq!(time, "11 DateTime{year:null,month:null,day:null,hour:0,minute:-30,second:0,millis:-500000}");
        assert_eq!(
            moment(13, "0000", 0..1).unwrap(),
            "13 DateTime{year:0,month:null,day:null,hour:null,minute:null,second:null,millis:null}"
        );
    }
}
