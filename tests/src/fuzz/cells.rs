//! Random cells: values that a column can hold, often at the limits of its type, and values that it cannot hold.

use fastrand::Rng;
use runtime::{Column, ColumnKind, Date, DateTime, RowWriter, Value};

/// A text that is put into cells; no error message may contain it.
pub(super) const SECRET: &str = "cell-text-7261";

const HOUR: i64 = 3_600_000_000;
const MAX_TIME: i64 = 838 * HOUR + 59 * 60_000_000 + 59_000_000;

/// Pushes a random value that the column can hold, or NULL.
pub(super) fn push_good(writer: &mut RowWriter<'_>, random: &mut Rng, column: &Column) {
    if column.nullable && random.u8(..8) == 0 {
        return writer.push(Value::Null);
    }
    match &column.kind {
        ColumnKind::Int { bytes } => {
            let shift = 64 - 8 * u32::from((*bytes).clamp(1, 8));
            let number = match random.u8(..4) {
                0 => [0, 1, u64::MAX, 1 << 63, u64::MAX >> 1][random.usize(..5)],
                _ => random.u64(..),
            };
            writer.push(if column.unsigned { Value::UInt(number >> shift) } else { Value::Int(number as i64 >> shift) });
        }
        &ColumnKind::Decimal { precision, scale } => writer.push(Value::Decimal(&decimal(random, precision, scale))),
        ColumnKind::Float => writer.push(Value::Float(finite(random, |random| f64::from(f32::from_bits(random.u32(..)))) as f32)),
        ColumnKind::Double => writer.push(Value::Double(finite(random, |random| f64::from_bits(random.u64(..))))),
        ColumnKind::Bit { bits } => writer.push(Value::Bit(random.u64(..) >> (64 - u32::from((*bits).clamp(1, 64))))),
        ColumnKind::Year => writer.push(Value::Year(if random.bool() { 0 } else { random.u16(1901..=2155) })),
        ColumnKind::Date => writer.push(Value::Date(date(random))),
        ColumnKind::Time { fsp } => writer.push(Value::Time(cut(random.i64(-MAX_TIME..=MAX_TIME) >> random.u8(..40), *fsp))),
        ColumnKind::DateTime { fsp } => {
            let (hour, minute, second) = (random.u8(..24), random.u8(..60), random.u8(..60));
            let micros = cut(random.i64(..1_000_000), *fsp) as u32;
            writer.push(Value::DateTime(DateTime { date: date(random), hour, minute, second, micros }));
        }
        ColumnKind::Timestamp { fsp } => {
            let micros = if random.u8(..4) == 0 { 0 } else { random.i64(1_000_000..2_147_483_648_000_000) };
            writer.push(Value::Timestamp(cut(micros, *fsp)));
        }
        ColumnKind::Char { .. } | ColumnKind::Varchar { .. } | ColumnKind::Text { .. } => writer.push(Value::Text(&text(random, column))),
        ColumnKind::Binary { length } => writer.push(Value::Bytes(&bytes(random, *length as usize))),
        ColumnKind::Varbinary { .. } | ColumnKind::Blob { .. } => {
            let length = random.usize(..40);
            writer.push(Value::Bytes(&bytes(random, length)));
        }
        ColumnKind::Enum { labels } => writer.push(Value::Enum(random.u16(..=labels.len() as u16))),
        ColumnKind::Set { labels } => {
            let mask = if labels.len() >= 64 { u64::MAX } else { (1 << labels.len()) - 1 };
            writer.push(Value::Set(random.u64(..) & mask));
        }
        ColumnKind::Json => {
            let mut document = String::new();
            json(random, &mut document, 0);
            writer.push(Value::Json(document.as_bytes()));
        }
        ColumnKind::Geometry => writer.push(Value::Geometry(&point(random))),
        _ => writer.push(Value::Null),
    }
}

/// Pushes a value that the column may be unable to hold: a value of another kind, a value out of range, or an invalid text.
pub(super) fn push_bad(writer: &mut RowWriter<'_>, random: &mut Rng) {
    let length = random.usize(..30);
    let raw = bytes(random, length);
    let broken = match random.u8(..4) {
        0 => SECRET.as_bytes().to_vec(),
        1 => [SECRET.as_bytes(), &raw].concat(),
        _ => raw,
    };
    let texts = ["", "-", ".", "-.", "1e5", "0001.", "१२", "--1", "1.2.3", "NaN", SECRET];
    let any_date = Date { year: random.u16(..), month: random.u8(..), day: random.u8(..) };
    writer.push(match random.u8(..18) {
        0 => Value::Null,
        1 => Value::Int(random.i64(..)),
        2 => Value::UInt(random.u64(..)),
        3 => Value::Float(f32::from_bits(random.u32(..))),
        4 => Value::Double([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::from_bits(random.u64(..))][random.usize(..4)]),
        5 => Value::Decimal(texts[random.usize(..texts.len())]),
        6 => Value::Text(&broken),
        7 => Value::Bytes(&broken),
        8 => Value::Bit(random.u64(..)),
        9 => Value::Year(random.u16(..)),
        10 => Value::Date(any_date),
        11 => Value::Time([i64::MIN, i64::MAX, random.i64(..)][random.usize(..3)]),
        12 => Value::DateTime(DateTime {
            date: any_date,
            hour: random.u8(..),
            minute: random.u8(..),
            second: random.u8(..),
            micros: random.u32(..),
        }),
        13 => Value::Timestamp([i64::MIN, i64::MAX, -1, random.i64(..)][random.usize(..4)]),
        14 => Value::Enum(random.u16(..)),
        15 => Value::Set(random.u64(..)),
        16 => Value::Json(&broken),
        _ => Value::Geometry(&broken),
    });
}

/// A random name or text with characters that are special in JSON, in Avro names or in Unicode.
pub(super) fn awkward(random: &mut Rng, longest: usize) -> String {
    const PIECES: [&str; 24] = [
        "a", "Z", "0", " ", ".", "\\", "\"", "'", "/", "\0", "\n", "\u{1f}", "\u{7f}", "\u{85}", "é", "中", "😀", "\u{2028}", "\u{feff}",
        "\\u002E", "`", "{", "null", SECRET,
    ];
    (0..random.usize(..=longest)).map(|_| PIECES[random.usize(..PIECES.len())]).collect()
}

fn bytes(random: &mut Rng, length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
    if let Some(zeros) = bytes.len().checked_sub(random.usize(..=length)) {
        bytes[zeros..].fill(0);
    }
    bytes
}

fn text(random: &mut Rng, column: &Column) -> Vec<u8> {
    match column.charset() {
        Some("latin1") => {
            let length = random.usize(..30);
            bytes(random, length)
        }
        Some("ascii") => (0..random.usize(..30)).map(|_| random.u8(..0x80)).collect(),
        _ => awkward(random, 20).into_bytes(),
    }
}

/// Rounds microseconds down to `fsp` digits.
fn cut(micros: i64, fsp: u8) -> i64 {
    let unit = 10i64.pow(6 - u32::from(fsp.min(6)));
    micros / unit * unit
}

fn finite(random: &mut Rng, any: impl Fn(&mut Rng) -> f64) -> f64 {
    const EDGES: [f64; 14] = [0.0, -0.0, 1.0, 0.1, -1.5, 1e-3, 9.99e-4, 1e7, 9_999_999.0, 1e-45, 3.402_823_4e38, 1e15, 1e16, 123_456.789];
    match any(random) {
        value if value.is_finite() && random.bool() => value,
        _ => EDGES[random.usize(..EDGES.len())],
    }
}

fn date(random: &mut Rng) -> Date {
    match random.u8(..5) {
        0 => Date::default(),
        1 => Date { year: random.u16(..10_000), month: 0, day: 0 },
        _ => Date { year: random.u16(..10_000), month: random.u8(1..13), day: random.u8(1..32) },
    }
}

fn digits(random: &mut Rng, count: usize) -> String {
    let zeros = random.bool();
    (0..count).map(|_| if zeros && random.u8(..3) > 0 { '0' } else { random.digit(10) }).collect()
}

fn decimal(random: &mut Rng, precision: u8, scale: u8) -> String {
    let whole = usize::from(precision.saturating_sub(scale));
    let used = random.usize(..=whole);
    let whole = digits(random, used);
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        significant => significant,
    };
    let sign = if random.bool() { "-" } else { "" };
    let fraction = digits(random, usize::from(scale));
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// A random JSON document, as a server prints it.
fn json(random: &mut Rng, out: &mut String, depth: usize) {
    match random.u8(..if depth > 5 { 6 } else { 9 }) {
        0 => out.push_str(["null", "true", "false"][random.usize(..3)]),
        1 => out.push_str(&random.i64(..).to_string()),
        2 => out.push_str(&random.u64(..).to_string()),
        3 => out.push_str(&decimal(random, 20, 4)),
        4 => {
            let number = finite(random, |random| f64::from_bits(random.u64(..)));
            out.push_str(&format!("{number:e}").replace("e-0", "e0"));
        }
        5 => json_string(random, out),
        6 => {
            out.push('[');
            for index in 0..random.usize(..5) {
                out.push_str(if index > 0 { ", " } else { "" });
                json(random, out, depth + 1);
            }
            out.push(']');
        }
        _ => {
            out.push('{');
            for index in 0..random.usize(..5) {
                out.push_str(if index > 0 { ", " } else { "" });
                json_string(random, out);
                out.push_str(": ");
                json(random, out, depth + 1);
            }
            out.push('}');
        }
    }
}

fn json_string(random: &mut Rng, out: &mut String) {
    let text = awkward(random, 6);
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// A random point as MySQL stores it, in either byte order.
fn point(random: &mut Rng) -> Vec<u8> {
    let mut point = [0, 4326, random.u32(..)][random.usize(..3)].to_le_bytes().to_vec();
    let (x, y) = (random.f64() * 180.0, -random.f64());
    if random.bool() {
        point.extend([1, 1, 0, 0, 0]);
        point.extend(x.to_le_bytes().into_iter().chain(y.to_le_bytes()));
    } else {
        point.extend([0, 0, 0, 0, 1]);
        point.extend(x.to_be_bytes().into_iter().chain(y.to_be_bytes()));
    }
    point
}
