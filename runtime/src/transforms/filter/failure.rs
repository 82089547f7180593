//! Why a condition has no value for a row.

/// Why a condition has no value for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("a number is out of range")]
    Overflow,
    #[error("a decimal has more than 38 digits")]
    TooManyDigits,
    #[error("a text is not valid in its character set")]
    Encoding,
    #[error("a text has a character that cannot be compared as the server does")]
    Character,
    #[error("a text has a line break or a letter about which servers differ in regular expressions")]
    Expression,
    #[error("a cell is not of the type of its column")]
    Cell,
}
