//! What can go wrong while an event becomes bytes.

use runtime::{Column, Kind};

/// Why an event has no place in a format. Never holds the value of a cell.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The format has no form for this kind of column yet.
    #[error("column {column}: {kind} columns are not supported yet by this format")]
    UnsupportedKind {
        /// The column's name.
        column: String,
        /// The kind's name.
        kind: &'static str,
    },
    /// The column's character set cannot be read.
    #[error("column {column}: character set {charset} is not supported")]
    UnsupportedCharset {
        /// The column's name.
        column: String,
        /// The character set, in the source's spelling.
        charset: String,
    },
    /// A text has bytes that its column's character set does not have.
    #[error("column {column}: its bytes are not valid {charset}")]
    InvalidText {
        /// The column's name.
        column: String,
        /// The character set, in the source's spelling.
        charset: String,
    },
    /// A JSON cell holds no JSON document.
    #[error("column {column}: its text is no JSON document")]
    InvalidJson {
        /// The column's name.
        column: String,
    },
    /// The cell is not what the table's structure says.
    #[error("column {column}: the cell is not what a column of type {source_type} holds")]
    WrongCell {
        /// The column's name.
        column: String,
        /// The source's own text of the type.
        source_type: String,
    },
    /// The value is outside of what its type can hold.
    #[error("column {column}: the value is outside the range of {source_type}")]
    OutOfRange {
        /// The column's name.
        column: String,
        /// The source's own text of the type.
        source_type: String,
    },
    /// An enum's index or a set's bit has no label.
    #[error("column {column}: the value has no label in {source_type}")]
    NoLabel {
        /// The column's name.
        column: String,
        /// The source's own text of the type.
        source_type: String,
    },
    /// The change lacks an image that its kind always has.
    #[error("the {image} image is missing")]
    NoImage {
        /// `before` or `after`.
        image: &'static str,
    },
    /// An image does not have as many cells as its table has columns.
    #[error("the image has {found} cells, the table has {expected} columns")]
    Width {
        /// Columns of the table.
        expected: usize,
        /// Cells that can be read.
        found: usize,
    },
    /// A key of the table names a column that does not exist.
    #[error("key {key} names a column that the table does not have")]
    UnknownKeyColumn {
        /// The key's name.
        key: String,
    },
    /// A kind of event, or of statement, that this version does not know.
    #[error("this kind of event is not known to the format")]
    UnknownEvent,
    /// An encoder was asked to encode nothing.
    #[error("the encoder was called without events")]
    NoEvents,
    /// The built-in schema of the format cannot be read.
    #[error("the format's own schema cannot be read")]
    Schema(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl FormatError {
    /// What the supervisor does now.
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
            FormatError::NoEvents | FormatError::Schema(_) => Kind::Fatal,
        }
    }

    /// What the user can do about it.
    fn help(&self) -> &'static str {
        match self {
            FormatError::UnsupportedKind { .. } => "leave the column or the table out of the task, or choose another format",
            FormatError::UnsupportedCharset { .. } => "leave the column out of the task, or convert it to utf8mb4 in the source",
            FormatError::InvalidText { .. } => {
                "repair the value in the source, or give the column its true character set there, then start afresh with a full phase, since the \
                 binlog still holds it; dts_avro lets it pass with `invalid_text = \"keep\"`"
            }
            FormatError::InvalidJson { .. } => {
                "repair the value in the source; a text in UTF-8 that is no JSON passes with `json = \"server\"`"
            }
            FormatError::OutOfRange { .. } | FormatError::NoLabel { .. } => "repair the value in the source",
            FormatError::NoImage { .. } | FormatError::Width { .. } => "make the source send full row images",
            FormatError::WrongCell { .. }
            | FormatError::UnknownKeyColumn { .. }
            | FormatError::UnknownEvent
            | FormatError::NoEvents
            | FormatError::Schema(_) => "report it as a defect, with the table's structure",
        }
    }
}

/// Why a cell has no place in a format. Small, because every writer of a cell returns it; [`Refusal::of`] says where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    InvalidText,
    InvalidJson,
    WrongCell,
    OutOfRange,
    NoLabel,
}

impl Refusal {
    /// The error of a cell of `column`.
    #[cold]
    pub(crate) fn of(self, column: &Column) -> FormatError {
        let (name, source_type) = (column.name.clone(), column.source_type.clone());
        match self {
            Refusal::InvalidText => FormatError::InvalidText { column: name, charset: crate::charset_name(column).to_owned() },
            Refusal::InvalidJson => FormatError::InvalidJson { column: name },
            Refusal::WrongCell => FormatError::WrongCell { column: name, source_type },
            Refusal::OutOfRange => FormatError::OutOfRange { column: name, source_type },
            Refusal::NoLabel => FormatError::NoLabel { column: name, source_type },
        }
    }
}

impl From<FormatError> for runtime::Error {
    fn from(error: FormatError) -> Self {
        runtime::Error::new(error.kind(), "encode event").with_help(error.help()).because(error)
    }
}
