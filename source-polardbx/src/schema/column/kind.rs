//! Resolves a type and its attributes to a column kind, and to the text that the server prints for the type.

use runtime::ColumnKind;

use super::Widths;
use super::attributes::Attributes;
use super::enum_labels::{quote_labels, resolve_labels};
use super::type_name::{Base, TypeText};
use crate::schema::ReadError;
use crate::schema::collation::max_bytes;

/// The column's kind, and its type as the server prints it.
pub(super) fn resolve(
    read: &TypeText,
    attributes: &Attributes,
    charset: Option<&str>,
    widths: Widths,
) -> Result<(ColumnKind, String), ReadError> {
    let binary = charset == Some("binary");
    let first = read.arguments.first().copied();
    let sign = match (attributes.unsigned, attributes.zerofill) {
        (_, true) => " unsigned zerofill",
        (true, false) => " unsigned",
        (false, false) => "",
    };
    let fraction = |name: &str| -> Result<(u8, String), ReadError> {
        let fsp = narrow(first.unwrap_or(0), 6, "a fraction of seconds")?;
        Ok((fsp, if fsp == 0 { name.to_owned() } else { format!("{name}({fsp})") }))
    };
    Ok(match read.base {
        Base::Int(bytes) => {
            let unsigned = attributes.unsigned || attributes.zerofill;
            let (name, signed_width, unsigned_width) = match bytes {
                1 => ("tinyint", 4, 3),
                2 => ("smallint", 6, 5),
                3 => ("mediumint", 9, 8),
                4 => ("int", 11, 10),
                _ => ("bigint", 20, 20),
            };
            let default = if unsigned { unsigned_width } else { signed_width };
            let flag = bytes == 1 && first == Some(1) && !unsigned;
            let width = match widths {
                Widths::AsWritten => first,
                Widths::Never if !attributes.zerofill && !flag => None,
                Widths::Always | Widths::Never => first.or(Some(default)),
            };
            let width = width.map_or(String::new(), |width| format!("({width})"));
            (ColumnKind::Int { bytes }, format!("{name}{width}{sign}"))
        }
        Base::Bool => (ColumnKind::Int { bytes: 1 }, "tinyint(1)".to_owned()),
        Base::Serial => {
            (ColumnKind::Int { bytes: 8 }, if widths == Widths::Always { "bigint(20) unsigned" } else { "bigint unsigned" }.to_owned())
        }
        Base::Decimal => {
            // DECIMAL(0) means the default precision.
            let precision = narrow(first.filter(|&digits| digits > 0).unwrap_or(10), 65, "a precision")?;
            let scale = narrow(read.arguments.get(1).copied().unwrap_or(0), 30, "a scale")?;
            if scale > precision {
                return Err(ReadError::new("the scale is greater than the precision"));
            }
            (ColumnKind::Decimal { precision, scale }, format!("decimal({precision},{scale}){sign}"))
        }
        Base::Float | Base::Double => {
            let double = read.base == Base::Double || (read.arguments.len() == 1 && first.is_some_and(|bits| bits > 24));
            let digits = match (&read.arguments[..], double) {
                ([digits, scale], _) => format!("({digits},{scale})"),
                _ => String::new(),
            };
            let name = if double { "double" } else { "float" };
            (if double { ColumnKind::Double } else { ColumnKind::Float }, format!("{name}{digits}{sign}"))
        }
        Base::Bit => {
            let bits = narrow(first.filter(|&bits| bits > 0).unwrap_or(1), 64, "a width")?;
            (ColumnKind::Bit { bits }, format!("bit({bits})"))
        }
        Base::Year => {
            let width = widths == Widths::Always || (widths == Widths::AsWritten && first.is_some());
            (ColumnKind::Year, if width { "year(4)" } else { "year" }.to_owned())
        }
        Base::Date => (ColumnKind::Date, "date".to_owned()),
        Base::Time => fraction("time").map(|(fsp, text)| (ColumnKind::Time { fsp }, text))?,
        Base::DateTime => fraction("datetime").map(|(fsp, text)| (ColumnKind::DateTime { fsp }, text))?,
        Base::Timestamp => fraction("timestamp").map(|(fsp, text)| (ColumnKind::Timestamp { fsp }, text))?,
        Base::Char | Base::Binary => {
            let length = first.unwrap_or(1);
            if binary || read.base == Base::Binary {
                (ColumnKind::Binary { length }, format!("binary({length})"))
            } else {
                (ColumnKind::Char { length }, format!("char({length})"))
            }
        }
        Base::Varchar | Base::Varbinary => {
            let length = first.ok_or_else(|| ReadError::new("a variable length without a limit"))?;
            varying(length, charset.unwrap_or_default(), binary || read.base == Base::Varbinary)?
        }
        Base::Text(prefix) | Base::Blob(prefix) => {
            let text = matches!(read.base, Base::Text(_)) && !binary;
            let prefix = match (prefix, first) {
                (0, Some(length)) => prefix_for(length, if text { charset } else { Some("binary") })?,
                (0, None) => 2,
                (prefix, _) => prefix,
            };
            large(prefix, text)
        }
        Base::Enum | Base::Set if read.labels.is_empty() => return Err(ReadError::new("no labels")),
        Base::Enum | Base::Set => {
            let labels = resolve_labels(&read.labels, charset)?;
            let text = quote_labels(&labels);
            if read.base == Base::Enum {
                (ColumnKind::Enum { labels }, format!("enum({text})"))
            } else {
                (ColumnKind::Set { labels }, format!("set({text})"))
            }
        }
        Base::Json => (ColumnKind::Json, "json".to_owned()),
        Base::Shown(name, length) => (ColumnKind::Char { length }, name.to_owned()),
        Base::Vector => {
            // MySQL stores a VECTOR like a LONGBLOB; the default length is 2,048 numbers.
            (ColumnKind::Blob { prefix: 4 }, format!("vector({})", first.unwrap_or(2_048)))
        }
        Base::Geometry(name) => (ColumnKind::Geometry, name.to_owned()),
    })
}

/// VARCHAR or VARBINARY with this length, or the TEXT or BLOB type that the server makes of it.
pub(super) fn varying(length: u32, charset: &str, bytes: bool) -> Result<(ColumnKind, String), ReadError> {
    if let Some(prefix) = prefix_of_long(length, if bytes { Some("binary") } else { Some(charset) })? {
        return Ok(large(prefix, !bytes));
    }
    Ok(if bytes {
        (ColumnKind::Varbinary { length }, format!("varbinary({length})"))
    } else {
        (ColumnKind::Varchar { length }, format!("varchar({length})"))
    })
}

/// What a TEXT column becomes in another character set: the type that holds as many characters.
pub(super) fn large_in(prefix: u8, from: &str, to: &str, bytes: bool) -> Result<(ColumnKind, String), ReadError> {
    let limit: u64 = match prefix {
        1 => 0xff,
        2 => 0xffff,
        3 => 0xff_ffff,
        _ => return Ok(large(prefix, !bytes)),
    };
    let width =
        |charset: &str| max_bytes(charset).map(u64::from).ok_or_else(|| ReadError::new("the size of a text in an unknown character set"));
    let prefix = match limit / width(from)? * width(to)? {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xff_ffff => 3,
        _ => 4,
    };
    Ok(large(prefix, !bytes))
}

/// The TEXT or BLOB type whose length prefix has `prefix` bytes.
fn large(prefix: u8, text: bool) -> (ColumnKind, String) {
    let size = ["", "tiny", "", "medium", "long"].get(usize::from(prefix)).copied().unwrap_or("");
    if text { (ColumnKind::Text { prefix }, format!("{size}text")) } else { (ColumnKind::Blob { prefix }, format!("{size}blob")) }
}

/// Returns the size of the length prefix if a VARCHAR or VARBINARY is longer than 65,535 bytes; `None` otherwise. Without strict mode, the
/// server silently makes a longer column a TEXT or BLOB. In strict mode, the statement fails.
fn prefix_of_long(length: u32, charset: Option<&str>) -> Result<Option<u8>, ReadError> {
    // A length up to this limit always fits into 65,535 bytes, because no character has more than four bytes.
    if length <= 0xffff / 4 { Ok(None) } else { prefix_for(length, charset).map(|prefix| (prefix > 2).then_some(prefix)) }
}

fn narrow(value: u32, most: u8, of: &str) -> Result<u8, ReadError> {
    u8::try_from(value).ok().filter(|&small| small <= most).ok_or_else(|| ReadError::new(format!("{value} is too much for {of}")))
}

/// The size of the length prefix of the smallest TEXT or BLOB type that holds this many characters. The server chooses this type for
/// `TEXT(n)` and `BLOB(n)`.
fn prefix_for(characters: u32, charset: Option<&str>) -> Result<u8, ReadError> {
    let width = charset.and_then(max_bytes).ok_or_else(|| ReadError::new("the size of a text in an unknown character set"))?;
    Ok(match u64::from(characters) * u64::from(width) {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xff_ffff => 3,
        _ => 4,
    })
}
