//! How the rows of a table are laid out in row events.

use std::sync::Arc;

use runtime::TableSchema;

use super::json::JsonStyle;
use super::uuid_inet::UuidInet;

/// How the rows of one table are decoded: a format for each column of the schema.
#[derive(Debug)]
pub(crate) struct RowLayout {
    pub(crate) schema: Arc<TableSchema>,
    pub(crate) cells: Vec<CellFormat>,
    /// How many columns of 8 bytes the server has added behind the columns of the schema. They are not delivered.
    pub(crate) hidden: usize,
    /// Whether such a column is the hidden key of PolarDB-X.
    pub(crate) is_hidden_key: bool,
    /// The columns of the TABLE_MAP, by their index, that are not in the rows: the columns that MySQL adds for the expressions of keys.
    pub(crate) absent: Vec<usize>,
}

impl RowLayout {
    /// The number of columns in the row events, with those that are not in the rows.
    pub(crate) fn width(&self) -> usize {
        self.image_width() + self.absent.len()
    }

    /// The number of columns in the rows.
    pub(crate) fn image_width(&self) -> usize {
        self.cells.len() + self.hidden
    }
}

/// How the bytes of one column are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CellFormat {
    Int1,
    Int2,
    Int3,
    Int4,
    Int8,
    UInt1,
    UInt2,
    UInt3,
    UInt4,
    UInt8,
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Bit {
        bytes: u8,
    },
    Year,
    Date,
    OldTime,
    OldDateTime,
    OldTimestamp,
    Time {
        fsp: u8,
    },
    DateTime {
        fsp: u8,
    },
    Timestamp {
        fsp: u8,
    },
    /// Text that follows a length field of `prefix` bytes.
    Text {
        prefix: u8,
    },
    /// Bytes that follow a length field of `prefix` bytes.
    Bytes {
        prefix: u8,
    },
    /// A document in MySQL's binary format, which follows a length field of `prefix` bytes.
    Json {
        prefix: u8,
        style: JsonStyle,
    },
    /// A geometry as SRID and WKB, which follows a length field of `prefix` bytes.
    Geometry {
        prefix: u8,
    },
    /// A value of at most `most` bytes that may be stored compressed. It follows a length field of `prefix` bytes, which states the stored
    /// length.
    Compressed {
        prefix: u8,
        text: bool,
        most: u32,
    },
    /// A UUID or an IP address of MariaDB.
    UuidInet(UuidInet),
    /// A BINARY value that follows a length field of `prefix` bytes. It must be padded with zero bytes to the column's `length`.
    Padded {
        prefix: u8,
        length: u32,
    },
    Enum {
        bytes: u8,
    },
    Set {
        bytes: u8,
    },
}
