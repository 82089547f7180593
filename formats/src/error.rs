//! The reasons why an event cannot be encoded.

use runtime::Kind;

/// Why an event cannot be encoded. It never contains the value of a cell.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The format cannot encode this kind of column yet.
    #[error("column {column}: {kind} are not supported by this format")]
    UnsupportedKind {
        /// The column's name.
        column: String,
        /// The kind's name, in the plural.
        kind: &'static str,
    },
    /// The column's character set is not supported.
    #[error("column {column}: character set {charset} is not supported")]
    UnsupportedCharset {
        /// The column's name.
        column: String,
        /// The character set's name, as the source spells it.
        charset: String,
    },
    /// A text is not valid in its column's character set.
    #[error("column {column}: its bytes are not valid {charset}")]
    InvalidText {
        /// The column's name.
        column: String,
        /// The character set's name, as the source spells it.
        charset: String,
    },
    /// A JSON cell does not hold a JSON document.
    #[error("column {column}: the text is not a JSON document")]
    InvalidJson {
        /// The column's name.
        column: String,
    },
    /// The cell does not hold a value of its column's type.
    #[error("column {column}: the cell does not hold a value of type {source_type}")]
    WrongCell {
        /// The column's name.
        column: String,
        /// The type as the source spells it.
        source_type: String,
    },
    /// The value is outside the range of its type.
    #[error("column {column}: the value is outside the range of {source_type}")]
    OutOfRange {
        /// The column's name.
        column: String,
        /// The type as the source spells it.
        source_type: String,
    },
    /// An ENUM's index or a bit of a SET's mask has no label in the column's type.
    #[error("column {column}: the value has no label in {source_type}")]
    NoLabel {
        /// The column's name.
        column: String,
        /// The type as the source spells it.
        source_type: String,
    },
    /// A row image that the operation requires is missing.
    #[error("the {image} image is missing")]
    NoImage {
        /// `before` or `after`.
        image: &'static str,
    },
    /// The number of cells in a row image differs from the number of the table's columns.
    #[error("the image has {found} cells, the table has {expected} columns")]
    Width {
        /// The number of the table's columns.
        expected: usize,
        /// The number of the image's readable cells.
        found: usize,
    },
    /// A key of the table names a column that does not exist.
    #[error("key {key} names a column that the table does not have")]
    UnknownKeyColumn {
        /// The key's name.
        key: String,
    },
    /// The format does not know this kind of event or DDL statement.
    #[error("the format does not know this kind of event")]
    UnknownEvent,
    /// The encoder was called without events.
    #[error("the encoder was called without events")]
    NoEvents,
}

impl FormatError {
    /// The kind of the error, from which the supervisor decides what to do.
    fn kind(&self) -> Kind {
        match self {
            FormatError::UnsupportedKind { .. }
            | FormatError::UnsupportedCharset { .. }
            | FormatError::InvalidText { .. }
            | FormatError::InvalidJson { .. }
            | FormatError::WrongCell { .. }
            | FormatError::OutOfRange { .. }
            | FormatError::NoLabel { .. }
            | FormatError::NoImage { .. }
            | FormatError::Width { .. }
            | FormatError::UnknownKeyColumn { .. }
            | FormatError::UnknownEvent => Kind::Data,
            FormatError::NoEvents => Kind::Fatal,
        }
    }

    /// What the user can do about the error.
    fn help(&self) -> &'static str {
        match self {
            FormatError::UnsupportedKind { .. } => "exclude the column or the table from the task, or choose another format",
            FormatError::UnsupportedCharset { .. } => "exclude the table from the task, or convert the column to utf8mb4 in the source",
            FormatError::InvalidText { .. } => {
                "fix the value in the source, or give the column its true character set there, then start from scratch with a full phase: \
                 the binlog still holds the invalid value. dts_avro passes it on unchanged with `invalid_text = \"keep\"`"
            }
            FormatError::InvalidJson { .. } => "fix the value in the source; with `json = \"server\"` any text in UTF-8 passes",
            FormatError::OutOfRange { .. } | FormatError::NoLabel { .. } => "fix the value in the source",
            FormatError::NoImage { .. } | FormatError::Width { .. } => "make the source log full row images (binlog_row_image = FULL)",
            FormatError::WrongCell { .. } | FormatError::UnknownKeyColumn { .. } | FormatError::UnknownEvent | FormatError::NoEvents => {
                "report it as a defect, with the table definition (SHOW CREATE TABLE)"
            }
        }
    }
}

/// The table and the position of the event are not included: the sink adds them.
impl From<FormatError> for runtime::Error {
    fn from(error: FormatError) -> Self {
        runtime::Error::new(error.kind(), error.to_string()).with_help(error.help())
    }
}
