//! Reads the cells of columns as values of scripts.

use std::borrow::Cow;

use super::decimal::Decimal;
use super::moment::{Form, Moment};
use super::place::{Evaluated, Failure, Place};
use super::value::{Scratch, Type, Val, write_clock};
use super::zone::Zone;
use crate::{Charset, Column, ColumnKind, DateTime, Value};

const FUNCTION: &str = "column";

/// How the cells of a column are read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reader {
    what: What,
    ty: Type,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    /// The value says everything.
    Plain,
    /// A text in this character set.
    Text(Charset),
    /// A text in a character set that is not known.
    Unreadable,
    /// Labels of an enum or a set.
    Labels(Vec<String>),
    /// Digits of the fraction.
    Fsp(u8),
}

impl Reader {
    /// The reader of a column.
    pub(super) fn new(column: &Column) -> Self {
        let characters = |length: u32| {
            let charset = Charset::from_name(column.charset().unwrap_or("utf8mb4"));
            (charset.map_or(What::Unreadable, What::Text), Type::Text(Some(length)))
        };
        let (what, ty) = match &column.kind {
            ColumnKind::Int { .. } | ColumnKind::Bit { .. } | ColumnKind::Year => (What::Plain, Type::Int),
            ColumnKind::Decimal { precision, scale } => (What::Plain, Type::Decimal { precision: *precision, scale: *scale }),
            ColumnKind::Float | ColumnKind::Double => (What::Plain, Type::Float),
            ColumnKind::Date => (What::Plain, Type::Date),
            ColumnKind::Time { fsp } => (What::Fsp(*fsp), Type::Text(Some(17))),
            ColumnKind::DateTime { fsp } | ColumnKind::Timestamp { fsp } => (What::Fsp(*fsp), Type::DateTime(*fsp)),
            ColumnKind::Char { length } | ColumnKind::Varchar { length } => characters(*length),
            ColumnKind::Text { .. } => (characters(0).0, Type::Text(None)),
            ColumnKind::Json => (What::Text(Charset::UTF8), Type::Text(None)),
            ColumnKind::Binary { .. } | ColumnKind::Varbinary { .. } | ColumnKind::Blob { .. } | ColumnKind::Geometry => {
                (What::Plain, Type::Bytes)
            }
            ColumnKind::Enum { labels } => {
                let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
                (What::Labels(labels.clone()), Type::Text(u32::try_from(longest).ok()))
            }
            ColumnKind::Set { labels } => {
                let all: usize = labels.iter().map(|label| label.chars().count() + 1).sum();
                (What::Labels(labels.clone()), Type::Text(u32::try_from(all).ok()))
            }
        };
        Self { what, ty }
    }

    /// The type of the values.
    pub(super) fn ty(&self) -> Type {
        self.ty
    }

    /// Whether texts are kept in another character set than UTF-8.
    pub(super) fn is_foreign_text(&self) -> bool {
        matches!(self.what, What::Unreadable) || matches!(self.what, What::Text(charset) if charset != Charset::UTF8)
    }

    /// Reads a cell into `out`.
    pub(super) fn read<'a>(
        &'a self,
        value: Value<'a>,
        zone: &Zone,
        scratch: &'a Scratch,
        place: Place,
        out: &mut Val<'a>,
    ) -> Evaluated<()> {
        *out = match value {
            Value::Null => Val::Null,
            Value::Int(value) => Val::Int(value.into()),
            Value::UInt(value) | Value::Bit(value) => Val::Int(value.into()),
            Value::Year(value) => Val::Int(value.into()),
            // The float of 8 bytes whose text is the same: 1.1 stays 1.1.
            Value::Float(value) => Val::Float(value.to_string().parse().unwrap_or(f64::from(value))),
            Value::Double(value) => Val::Float(value),
            Value::Decimal(text) => match Decimal::parse(text) {
                Some(decimal) => Val::Decimal(decimal),
                None => return Failure::err(place, FUNCTION, "the decimal has more than 38 digits (overflow)"),
            },
            Value::Text(bytes) => Val::Text(self.text(bytes, scratch, place)?),
            Value::Json(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Val::Text(text),
                Err(_) => return Failure::err(place, FUNCTION, "the JSON text is not valid UTF-8"),
            },
            Value::Bytes(bytes) | Value::Geometry(bytes) => Val::Bytes(bytes),
            Value::Date(date) => Val::Moment(Moment { at: DateTime { date, ..DateTime::default() }, form: Form::Date }),
            Value::DateTime(at) => Val::Moment(Moment { at, form: Form::Time(self.fsp()) }),
            // MySQL's zero timestamp.
            Value::Timestamp(0) => Val::Moment(Moment { at: DateTime::default(), form: Form::Time(self.fsp()) }),
            Value::Timestamp(micros) => match zone.local(micros) {
                Some(at) => Val::Moment(Moment { at, form: Form::Time(self.fsp()) }),
                None => return Failure::err(place, FUNCTION, "the timestamp is outside the years 0 to 9999"),
            },
            Value::Time(micros) => {
                let clock = write_clock(micros, self.fsp());
                Val::Text(scratch.make(place, FUNCTION, |out| out.push_bytes(&clock))?)
            }
            Value::Enum(0) => Val::Text(""),
            Value::Enum(index) => match self.labels().get(usize::from(index) - 1) {
                Some(label) => Val::Text(label),
                None => return Failure::err(place, FUNCTION, "the enum has no such label"),
            },
            Value::Set(mask) => {
                let labels = self.labels().iter().enumerate().filter(|(bit, _)| *bit < 64 && mask >> bit & 1 == 1);
                let text = scratch.make(place, FUNCTION, |out| {
                    for (position, (_, label)) in labels.enumerate() {
                        if position > 0 {
                            out.push(",")?;
                        }
                        out.push(label)?;
                    }
                    Ok(())
                })?;
                Val::Text(text)
            }
        };
        Ok(())
    }

    fn text<'a>(&'a self, bytes: &'a [u8], scratch: &'a Scratch, place: Place) -> Evaluated<&'a str> {
        let text = match self.what {
            What::Text(charset) => charset.decode(bytes),
            _ => return Failure::err(place, FUNCTION, "its character set is not supported"),
        };
        Ok(match text {
            Some(Cow::Borrowed(text)) => text,
            Some(Cow::Owned(text)) => scratch.make(place, FUNCTION, |out| out.push(&text))?,
            None => return Failure::err(place, FUNCTION, "its bytes are not valid in its character set"),
        })
    }

    fn fsp(&self) -> u8 {
        if let What::Fsp(fsp) = self.what { fsp } else { 0 }
    }

    fn labels(&self) -> &[String] {
        if let What::Labels(labels) = &self.what { labels } else { &[] }
    }
}
