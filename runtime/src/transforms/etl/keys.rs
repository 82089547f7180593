//! Which expressions keep the values of a key apart.

use super::expression::{Expression, Image, Term};
use super::functions::Function;
use super::value::{Constant, Type};

/// What may be done to a column of a key.
pub(super) const ALLOWED: &str = "a column of a key may be set to mask_hash or mask_digits of itself, to itself joined with constants by op_add, \
     to itself plus or minus a constant, or to cast_long_to_string of itself; under no condition, so that all rows are treated alike";

/// Whether different values of a column give different values of the expression, for all rows of a table.
pub(super) fn keeps_apart(expression: &Expression, column: usize) -> bool {
    let (function, arguments) = match &expression.term {
        Term::Cell { column: of, image: Image::Own, .. } => return *of == column,
        Term::Slot { original: Some((of, _)), .. } => return *of == column,
        Term::Call { function, arguments, .. } => (*function, arguments),
        _ => return false,
    };
    let is_constant = |argument: &&Expression| argument.as_constant().is_some_and(|constant| *constant != Constant::Null);
    let varying: Vec<&Expression> = arguments.iter().filter(|argument| !is_constant(argument)).collect();
    let [one] = varying.as_slice() else { return false };
    let fits = match function {
        Function::Hash | Function::Digits | Function::FromLong => true,
        // The texts of floats and of times may be the same for different values of other types, so only these two are taken.
        Function::Join => matches!(one.ty, Type::Text(_) | Type::Int),
        Function::Sum | Function::Sub => arguments.iter().all(|argument| argument.ty == Type::Int),
        _ => false,
    };
    fits && keeps_apart(one, column)
}

/// Whether a cast from one type to another keeps different values apart.
pub(super) fn cast_keeps_apart(from: Type, to: Type) -> bool {
    matches!((from, to), (Type::Int, Type::Int | Type::Text(_)) | (Type::Text(_), Type::Text(_)))
}
