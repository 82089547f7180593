//! Values of scripts, their types, and the memory that their texts are made in.

use std::cell::Cell;

use bumpalo::Bump;

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

/// A value. Texts and bytes are borrowed from the row, the script, or the [`Scratch`] that they were made in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Val<'a> {
    Null,
    Bool(bool),
    /// An integer of 64 bits, signed or unsigned. Arithmetic gives signed ones only.
    Int(i128),
    Float(f64),
    Decimal(Decimal),
    Text(&'a str),
    Bytes(&'a [u8]),
    Moment(Moment),
}

impl<'a> Val<'a> {
    /// Takes another value, as the last step of what may fail.
    pub(super) fn put(&mut self, value: Val<'a>) -> Evaluated<()> {
        *self = value;
        Ok(())
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
            Self::Text(value) => Val::Text(value),
            Self::Moment(value) => Val::Moment(*value),
        }
    }
}

/// Where the texts of a row are made. It is used again for every row, so nothing is allocated for most of them.
#[derive(Default)]
pub(super) struct Scratch {
    arena: Bump,
    /// The text that is being made.
    spare: Cell<String>,
    /// The bytes of all texts that were made.
    made: Cell<usize>,
}

/// A value that a script has set, as it is written into the row; `None` if it was not set.
pub(super) type Slot<'a> = Cell<Option<Value<'a>>>;

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

    /// Appends a text that `change` changes in its place.
    pub(super) fn push_changed(&mut self, text: &str, change: fn(&mut str)) -> Evaluated<()> {
        let start = self.out.len();
        self.push(text)?;
        self.out.get_mut(start..).into_iter().for_each(change);
        Ok(())
    }

    pub(super) fn push_char(&mut self, c: char) -> Evaluated<()> {
        self.push(c.encode_utf8(&mut [0; 4]))
    }

    /// Appends a character so many times.
    pub(super) fn push_run(&mut self, c: char, count: usize) -> Evaluated<()> {
        if count.saturating_mul(c.len_utf8()) > self.room.saturating_sub(self.out.len()) {
            return self.fail("the text becomes too long");
        }
        self.out.extend(std::iter::repeat_n(c, count));
        Ok(())
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
    /// Prepares for a row.
    pub(super) fn clear(&mut self) {
        if self.arena.allocated_bytes() > KEPT {
            self.arena = Bump::new();
        } else {
            self.arena.reset();
        }
        self.spare.get_mut().shrink_to(KEPT);
        self.made.set(0);
    }

    /// Slots of which none was set.
    pub(super) fn slots(&self, count: usize) -> &[Slot<'_>] {
        self.arena.alloc_slice_fill_with(count, |_| Cell::new(None))
    }

    /// Makes a text.
    pub(super) fn make(&self, place: Place, function: &'static str, make: impl FnOnce(&mut Maker<'_>) -> Evaluated<()>) -> Evaluated<&str> {
        let mut spare = self.spare.take();
        spare.clear();
        let room = MAX_TEXT.min(MAX_TEXTS.saturating_sub(self.made.get()));
        let result = make(&mut Maker { out: &mut spare, room, place, function });
        let text = result.map(|()| {
            self.made.set(self.made.get() + spare.len());
            &*self.arena.alloc_str(&spare)
        });
        self.spare.set(spare);
        text
    }

    /// Bytes padded with zeros to a length.
    pub(super) fn pad<'s>(&'s self, bytes: &'s [u8], length: usize) -> &'s [u8] {
        if bytes.len() >= length {
            return bytes;
        }
        self.arena.alloc_slice_fill_with(length, |index| bytes.get(index).copied().unwrap_or(0))
    }
}

/// Appends the text of a value, with which it is joined to others.
pub(super) fn write_text(value: &Val<'_>, out: &mut Maker<'_>) -> Evaluated<()> {
    match value {
        Val::Null => Ok(()),
        Val::Bool(value) => out.push(if *value { "true" } else { "false" }),
        Val::Int(value) => out.push(itoa::Buffer::new().format(*value)),
        Val::Float(value) => out.push(&value.to_string()),
        Val::Decimal(value) => {
            value.write(out.out());
            Ok(())
        }
        Val::Text(value) => out.push(value),
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
