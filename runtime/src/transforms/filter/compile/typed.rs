//! Expressions with their types, before they meet what they are compared with.

use crate::Collation;
use crate::transforms::filter::collation::Collator;
use crate::transforms::filter::expr::{Cond, Moment, Num, Text};
use crate::transforms::filter::number::NumberKind;

/// An expression and what is known of its type.
#[derive(Clone, Debug)]
pub(super) enum Typed {
    Null,
    Num(Num, NumberKind, Digits),
    Text(Text, TextType),
    /// A string constant, which takes the type of what it meets.
    Literal(String),
    /// A constant of bytes.
    Hex(Vec<u8>),
    /// A constant of bits.
    Bits(u64),
    Moment(Moment, MomentType),
    /// A YEAR column.
    Year(usize),
    Cond(Cond),
    /// A column that can only be NULL or not, and why.
    Opaque(&'static str),
}

/// How many digits a number may have, as far as that matters beside a string constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digits {
    /// An integer column.
    Int,
    /// A DECIMAL column with so many digits.
    Decimal(u8),
    /// A BIT column with so many bits.
    Bits(u8),
    Double,
    Other,
}

/// How a text is compared.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TextType {
    pub(super) collator: Collator,
    pub(super) name: Collation,
    /// Whether it has a COLLATE of its own.
    pub(super) explicit: bool,
}

/// What kind of moment, and how many digits its seconds have after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MomentType {
    Date,
    DateTime { fsp: u8 },
    Time { fsp: u8 },
}

impl MomentType {
    pub(super) fn is_time(self) -> bool {
        matches!(self, MomentType::Time { .. })
    }
}

impl Typed {
    /// A word for error messages.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Typed::Null => "NULL",
            Typed::Num(..) | Typed::Cond(_) => "a number",
            Typed::Text(..) | Typed::Literal(_) => "a text",
            Typed::Hex(_) => "a constant of bytes",
            Typed::Bits(_) => "a constant of bits",
            Typed::Moment(_, MomentType::Time { .. }) => "a time",
            Typed::Moment(..) => "a date",
            Typed::Year(_) => "a year",
            Typed::Opaque(what) => what,
        }
    }
}

/// The kind of number that values of both kinds are.
pub(super) fn common(a: NumberKind, b: NumberKind) -> NumberKind {
    use NumberKind::{Double, Exact, Int};
    match (a, b) {
        (Double, _) | (_, Double) => Double,
        (Int { unsigned: a }, Int { unsigned: b }) if a == b => Int { unsigned: a },
        (a, b) => Exact { scale: scale(a).max(scale(b)) },
    }
}

pub(super) fn scale(kind: NumberKind) -> u8 {
    match kind {
        NumberKind::Exact { scale } => scale,
        _ => 0,
    }
}
