//! Parts of a condition that are refused.

use sqlparser::ast::{Expr, Spanned};

/// Why a part of a condition is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::transforms::filter) struct Refusal {
    /// The text of the part.
    pub(in crate::transforms::filter) part: String,
    /// Line and column, from 1, if they are known.
    pub(in crate::transforms::filter) place: Option<(u64, u64)>,
    pub(in crate::transforms::filter) why: String,
}

pub(super) type Result<T> = std::result::Result<T, Refusal>;

pub(super) fn refuse<T>(expr: &Expr, why: impl Into<String>) -> Result<T> {
    Err(refusal(expr, why))
}

fn refusal(expr: &Expr, why: impl Into<String>) -> Refusal {
    let start = expr.span().start;
    Refusal { part: expr.to_string(), place: (start.line > 0).then_some((start.line, start.column)), why: why.into() }
}
