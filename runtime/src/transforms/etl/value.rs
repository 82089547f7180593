//! Values of scripts, their types, and the memory that their texts are made in.

use super::decimal::Decimal;
use super::moment::{Form, Moment};
use super::place::{Evaluated, Failure, Place};
use crate::{Value, text};

/// The longest text that a function may give.
const MAX_TEXT: usize = 64 << 20;
/// All texts of one row together.
const MAX_TEXTS: usize = 4 * MAX_TEXT;
/// Memory that is kept from row to row.
const KEPT: usize = 1 << 20;

/// The type of an expression. Every expression may be NULL besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// The constant `null`, which fits everywhere.
    Null,
    Bool,
    Int,
    Float,
    Decimal {
        precision: u8,
        scale: u8,
    },
    /// A text of at most so many characters, if that is known.
    Text(Option<u32>),
    Bytes,
    Date,
    /// A date and time with so many digits of a fraction.
    DateTime(u8),
}

impl Type {
    /// The type in the words of an error.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Int => "an integer",
            Self::Float => "a float",
            Self::Decimal { .. } => "a decimal",
            Self::Text(_) => "a text",
            Self::Bytes => "bytes",
            Self::Date => "a date",
            Self::DateTime(_) => "a datetime",
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Decimal { .. })
    }

    /// The type that holds the values of both; `None` if they are of different types.
    pub(super) fn with(self, other: Self) -> Option<Self> {
        Some(match (self, other) {
            (Self::Null, other) | (other, Self::Null) => other,
            (Self::Text(a), Self::Text(b)) => Self::Text(a.zip(b).map(|(a, b)| a.max(b))),
            (Self::DateTime(a), Self::DateTime(b)) => Self::DateTime(a.max(b)),
            (Self::Date, Self::DateTime(fsp)) | (Self::DateTime(fsp), Self::Date) => Self::DateTime(fsp),
            (Self::Decimal { precision: p, scale: s }, Self::Decimal { precision: q, scale: t }) => {
                let scale = s.max(t);
                Self::Decimal { precision: p.saturating_sub(s).max(q.saturating_sub(t)).saturating_add(scale).min(65), scale }
            }
            (a, b) if a == b => a,
            _ => return None,
        })
    }
}

/// A value. Texts and bytes are borrowed from the row or the script, or stand in the [`Scratch`] that made them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Val<'a> {
    Null,
    Bool(bool),
    /// An integer of 64 bits, signed or unsigned. Arithmetic gives signed ones only.
    Int(i128),
    Float(f64),
    Decimal(Decimal),
    Text(Str<'a>),
    Bytes(&'a [u8]),
    Moment(Moment),
}

/// A text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Str<'a> {
    Borrowed(&'a str),
    Scratch(Span),
}

/// A part of the texts of a scratch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    start: usize,
    end: usize,
}

impl Span {
    pub(super) fn length(self) -> usize {
        self.end - self.start
    }
}

/// A constant of a script.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Decimal(Decimal),
    Text(String),
    Moment(Moment),
}

impl Constant {
    pub(super) fn value(&self) -> Val<'_> {
        match self {
            Self::Null => Val::Null,
            Self::Bool(value) => Val::Bool(*value),
            Self::Int(value) => Val::Int(i128::from(*value)),
            Self::Float(value) => Val::Float(*value),
            Self::Decimal(value) => Val::Decimal(*value),
            Self::Text(value) => Val::Text(Str::Borrowed(value)),
            Self::Moment(value) => Val::Moment(*value),
        }
    }
}

/// Where the texts of a row are made, and the values that the script has set. It is used again for every row, so nothing is allocated for
/// most of them.
#[derive(Default)]
pub(super) struct Scratch {
    texts: String,
    /// The text that is being made.
    spare: String,
    bytes: Vec<u8>,
    stored: Vec<Stored>,
}

/// A value that a script has set, in the form of its column.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stored {
    /// Nothing was set.
    Unset,
    Text(Span),
    Decimal(Span),
    Json(Span),
    Bytes(Span),
    /// A value without text or bytes.
    Plain(Value<'static>),
}

/// A text that is being made. It fails if it becomes too long.
pub(super) struct Maker<'s> {
    out: &'s mut String,
    room: usize,
    place: Place,
    function: &'static str,
}

impl Maker<'_> {
    pub(super) fn push(&mut self, text: &str) -> Evaluated<()> {
        if text.len() > self.room.saturating_sub(self.out.len()) {
            return self.fail("the text becomes too long");
        }
        self.out.push_str(text);
        Ok(())
    }

    pub(super) fn push_char(&mut self, c: char) -> Evaluated<()> {
        self.push(c.encode_utf8(&mut [0; 4]))
    }

    /// Appends ASCII.
    pub(super) fn push_bytes(&mut self, bytes: &[u8]) -> Evaluated<()> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.push(text),
            Err(_) => self.fail("the text is not valid"),
        }
    }

    /// What was made so far.
    pub(super) fn out(&mut self) -> &mut String {
        self.out
    }

    pub(super) fn fail<T>(&self, why: &'static str) -> Evaluated<T> {
        Failure::err(self.place, self.function, why)
    }
}

impl Scratch {
    /// Prepares for a row, for which `slots` values may be set.
    pub(super) fn clear(&mut self, slots: usize) {
        self.texts.clear();
        self.bytes.clear();
        self.stored.clear();
        self.stored.resize(slots, Stored::Unset);
        self.texts.shrink_to(KEPT);
        self.spare.shrink_to(KEPT);
        self.bytes.shrink_to(KEPT);
    }

    pub(super) fn str<'s>(&'s self, text: Str<'s>) -> &'s str {
        match text {
            Str::Borrowed(text) => text,
            Str::Scratch(span) => self.span(span),
        }
    }

    fn span(&self, span: Span) -> &str {
        self.texts.get(span.start..span.end).unwrap_or("")
    }

    /// Makes a text from others.
    pub(super) fn make(
        &mut self,
        place: Place,
        function: &'static str,
        make: impl FnOnce(&Self, &mut Maker<'_>) -> Evaluated<()>,
    ) -> Evaluated<Span> {
        let mut spare = std::mem::take(&mut self.spare);
        spare.clear();
        let room = MAX_TEXT.min(MAX_TEXTS.saturating_sub(self.texts.len()));
        let made = make(self, &mut Maker { out: &mut spare, room, place, function });
        let start = self.texts.len();
        self.texts.push_str(&spare);
        self.spare = spare;
        made.map(|()| Span { start, end: self.texts.len() })
    }

    /// Keeps a copy of a text.
    pub(super) fn keep(&mut self, text: Str<'_>) -> Span {
        match text {
            Str::Scratch(span) => span,
            Str::Borrowed(text) => {
                let start = self.texts.len();
                self.texts.push_str(text);
                Span { start, end: self.texts.len() }
            }
        }
    }

    /// Keeps a copy of a text as bytes, padded with zeros to a length.
    pub(super) fn keep_text_as_bytes(&mut self, text: Str<'_>, length: usize) -> Span {
        let mut bytes = std::mem::take(&mut self.bytes);
        let start = bytes.len();
        bytes.extend_from_slice(self.str(text).as_bytes());
        bytes.resize(bytes.len().max(start + length), 0);
        self.bytes = bytes;
        Span { start, end: self.bytes.len() }
    }

    /// Keeps a copy of bytes, padded with zeros to a length.
    pub(super) fn keep_bytes(&mut self, bytes: &[u8], length: usize) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().max(start + length), 0);
        Span { start, end: self.bytes.len() }
    }

    pub(super) fn set(&mut self, slot: usize, value: Stored) {
        if let Some(stored) = self.stored.get_mut(slot) {
            *stored = value;
        }
    }

    pub(super) fn stored(&self, slot: usize) -> Stored {
        self.stored.get(slot).copied().unwrap_or(Stored::Unset)
    }

    /// A stored value as it is written into a row; `None` if nothing was set.
    pub(super) fn value(&self, stored: Stored) -> Option<Value<'_>> {
        Some(match stored {
            Stored::Unset => return None,
            Stored::Text(span) => Value::Text(self.span(span).as_bytes()),
            Stored::Decimal(span) => Value::Decimal(self.span(span)),
            Stored::Json(span) => Value::Json(self.span(span).as_bytes()),
            Stored::Bytes(span) => Value::Bytes(self.bytes.get(span.start..span.end).unwrap_or(&[])),
            Stored::Plain(value) => value,
        })
    }
}

/// Appends the text of a value, with which it is joined to others.
pub(super) fn write_text(scratch: &Scratch, value: Val<'_>, out: &mut Maker<'_>) -> Evaluated<()> {
    match value {
        Val::Null => Ok(()),
        Val::Bool(value) => out.push(if value { "true" } else { "false" }),
        Val::Int(value) => out.push(itoa::Buffer::new().format(value)),
        Val::Float(value) => out.push(&value.to_string()),
        Val::Decimal(value) => {
            value.write(out.out());
            Ok(())
        }
        Val::Text(value) => out.push(scratch.str(value)),
        Val::Bytes(value) => value.iter().try_for_each(|byte| {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.push_bytes(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]])
        }),
        Val::Moment(value) => {
            // At most 26 characters, as long as their number.
            let mut text = Vec::with_capacity(26);
            value.write(&mut text);
            out.push_bytes(&text)
        }
    }
}

/// The type of a moment.
pub(super) fn moment_type(form: Form) -> Type {
    match form {
        Form::Date => Type::Date,
        Form::Time(fsp) => Type::DateTime(fsp),
    }
}

/// Writes a moment as a text of the calendar.
pub(super) fn write_clock(micros: i64, fsp: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(17);
    text::write_time(&mut out, micros, fsp);
    out
}
