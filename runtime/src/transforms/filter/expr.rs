//! A condition as it is evaluated: columns are indexes, literals are in the types that they are compared as, and nothing is left to decide.

use super::collation::Collator;
use super::like::Pattern;
use super::number::{Arithmetic, Number, NumberKind};

/// What is true, false or NULL.
#[derive(Clone, Debug)]
pub(super) enum Cond {
    Const(Option<bool>),
    And(Vec<Cond>),
    Or(Vec<Cond>),
    Xor(Box<Cond>, Box<Cond>),
    Not(Box<Cond>),
    /// Whether a condition is `1`, with NULL counted as no.
    Is(Box<Cond>, bool),
    IsNull(Operand),
    NonZero(Box<Num>),
    Numbers(Op, Box<Num>, Box<Num>),
    /// Whether a whole number is one of these, which are sorted.
    OneOf(Box<Num>, Vec<i128>),
    Texts(Op, Collator, Box<Text>, Box<Text>),
    Moments(Op, Box<Moment>, Box<Moment>),
    Like(Box<Text>, Box<Pattern>),
    Matches(Box<Text>, Box<regex::bytes::Regex>, Caseless),
}

/// Whether a regular expression matches without case, where engines differ in a few letters beyond ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caseless {
    Yes,
    No,
}

/// What can be NULL.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Column(usize),
    Num(Box<Num>),
    Text(Box<Text>),
    Moment(Box<Moment>),
    Cond(Box<Cond>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// `<=>`.
    NullSafe,
}

#[derive(Clone, Debug)]
pub(super) enum Num {
    Null,
    Const(Number),
    Column(usize),
    /// The index of an ENUM or the mask of a SET, as a double.
    Index(usize),
    Arithmetic(Arithmetic, NumberKind, Box<Num>, Box<Num>),
    Negate(Box<Num>),
    Absolute(Box<Num>),
    Round(Rounding, Box<Num>),
    ToDouble(Box<Num>),
    /// The number at the beginning of a text.
    OfText(Box<Text>),
    OfCond(Box<Cond>),
    Bytes(Box<Text>),
    Chars(Collator, Box<Text>),
    Part(Part, Box<Moment>),
    Case(Vec<(Cond, Num)>, Box<Num>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    Floor,
    Ceiling,
    /// To so many digits after the point.
    Nearest(u8),
}

/// A part of a date, time or moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Year,
    Month,
    Day,
    Hour,
    /// The hours of a duration, which may be more than a day.
    Hours,
    Minute,
    Second,
}

#[derive(Clone, Debug)]
pub(super) enum Text {
    Null,
    Const(Vec<u8>),
    Column(usize),
    /// An ENUM column with the text of each index, from 0.
    Enum(usize, Vec<Vec<u8>>),
    /// A SET column with its labels.
    Set(usize, Vec<Vec<u8>>),
    Concat(Vec<Text>),
    /// Characters from a position (from 1; from the end if negative), at most so many.
    Substring(Collator, Box<Text>, i64, Option<i64>),
    /// The last so many characters.
    Right(Collator, Box<Text>, i64),
    /// Without spaces at its sides.
    Trim(Sides, Box<Text>),
    Case(Vec<(Cond, Text)>, Box<Text>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sides {
    pub(super) left: bool,
    pub(super) right: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Moment {
    Null,
    Const(i64),
    Column(usize),
    /// A TIMESTAMP column, in a zone that is so many seconds ahead of UTC.
    Timestamp(usize, i32),
    /// The day of a date and time.
    Day(Box<Moment>),
    Case(Vec<(Cond, Moment)>, Box<Moment>),
}
