//! Expressions as they are evaluated: for one version of one table.

use memchr::memmem::Finder;
use regex::Regex;

use super::functions::Function;
use super::moment::{Pattern, Unit};
use super::place::Place;
use super::read::Reader;
use super::value::{Constant, Type};
use super::zone::Zone;
use crate::transforms::masking::{DigitCipher, Hasher};

/// An expression with its type.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    pub(super) term: Term,
    pub(super) ty: Type,
    /// Whether it can be NULL.
    pub(super) nullable: bool,
    pub(super) place: Place,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub(super) enum Term {
    Constant(Constant),
    /// The cell of a column that the script has not set before.
    Cell {
        column: usize,
        reader: Reader,
        image: Image,
    },
    /// The column of a slot, which the script may have set before. `original` is the column that the table has under its name.
    Slot {
        slot: usize,
        original: Option<(usize, Reader)>,
    },
    Operation,
    CommitTime,
    Position,
    Call {
        function: Function,
        arguments: Vec<Expression>,
        extra: Extra,
    },
    /// `condition ? a : b`
    Choice(Box<[Expression; 3]>),
}

/// Which image of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Image {
    /// The one that is worked on.
    Own,
    Before,
    After,
}

/// What a call has prepared.
#[derive(Clone, Debug)]
pub(super) enum Extra {
    None,
    Regex(Box<Regex>),
    /// Finds the text that is replaced.
    Finder(Box<Finder<'static>>),
    Pattern(Pattern),
    /// `None` means the task's zone.
    Zone(Option<Zone>),
    Hasher(Box<Hasher>),
    /// With the least and the most integer of the column.
    Digits(Box<DigitCipher>, i128, i128),
    /// Elements of `json_array`.
    List(Vec<Constant>),
    /// What is added: the arguments follow the first one.
    Units(Vec<Unit>),
}

impl Expression {
    pub(super) fn constant(value: Constant, ty: Type, place: Place) -> Self {
        Self { nullable: value == Constant::Null, term: Term::Constant(value), ty, place }
    }

    /// Its value, if it is a constant.
    pub(super) fn as_constant(&self) -> Option<&Constant> {
        if let Term::Constant(value) = &self.term { Some(value) } else { None }
    }

    /// Its text, if it is a constant text.
    pub(super) fn as_text(&self) -> Option<&str> {
        if let Some(Constant::Text(text)) = self.as_constant() { Some(text) } else { None }
    }
}
