//! Reads a column's definition: `type_name` its type as it is written, `attributes` what follows, `enum_labels` the labels of ENUM and SET;
//! `kind` decides what all of it means and how the server prints it.

mod attributes;
mod enum_labels;
mod kind;
mod type_name;

use runtime::{Column, ColumnKind};

use super::ReadError;
use super::cursor::Cursor;
use attributes::{Attributes, read_attributes};
use kind::resolve;
use type_name::{Base, read_type};

/// What the meaning of a column's definition depends on, besides its text.
pub(crate) struct ColumnRules<'r> {
    /// Default character set of the table, else of its database; `None` if unknown, which is an error only for columns that need it.
    pub(crate) charset: Option<&'r str>,
    /// `explicit_defaults_for_timestamp`: without it a TIMESTAMP with neither NULL nor NOT NULL is NOT NULL.
    pub(crate) explicit_timestamps: bool,
    pub(crate) widths: Widths,
    pub(crate) real_as_float: bool,
    /// JSON is an alias of LONGTEXT (MariaDB).
    pub(crate) json_is_text: bool,
}

/// How the server prints the display widths of integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Widths {
    /// `int` as `int(11)`: MariaDB, and MySQL up to 8.0.18.
    Always,
    /// `int(5)` as `int`, but for TINYINT(1) and ZEROFILL.
    Never,
    /// As written, because the text is the server's own.
    AsWritten,
}

/// A column, and the keys that its definition declares.
pub(crate) struct ColumnDefinition {
    pub(crate) column: Column,
    pub(crate) primary: bool,
    pub(crate) unique: bool,
}

/// Reads `name type attributes` up to the `,` or `)` that ends it.
pub(crate) fn read_column(cursor: &mut Cursor<'_>, rules: &ColumnRules<'_>) -> Result<ColumnDefinition, ReadError> {
    let name = cursor.name("a column")?;
    let named = |error: ReadError| ReadError { what: format!("column `{name}`: {}", error.what), ..error };
    let type_text = read_type(cursor, rules).map_err(named)?;
    let mut attributes = read_attributes(cursor).map_err(named)?;
    if type_text.base == Base::Serial {
        attributes = Attributes { unsigned: true, not_null: true, unique: true, ..attributes };
    }
    let explicit = attributes.charset.clone().or_else(|| type_text.charset.map(str::to_owned));
    let charset = explicit.as_deref().or(rules.charset);
    let (kind, source_type) = resolve(&type_text, &attributes, charset, rules).map_err(named)?;

    let mut column = Column::new(name, kind, source_type);
    let textual = matches!(
        column.kind,
        ColumnKind::Char { .. } | ColumnKind::Varchar { .. } | ColumnKind::Text { .. } | ColumnKind::Enum { .. } | ColumnKind::Set { .. }
    );
    if textual {
        let Some(charset) = charset else {
            return Err(ReadError::new(format!("column `{}`: neither the table nor its database says a character set", column.name)));
        };
        column.charset = Some(charset.to_ascii_lowercase());
    }
    column.unsigned = attributes.unsigned || attributes.zerofill;
    let implicit = matches!(column.kind, ColumnKind::Timestamp { .. }) && !rules.explicit_timestamps && !attributes.null;
    column.nullable = !(attributes.not_null || attributes.primary || attributes.auto_increment || implicit);
    Ok(ColumnDefinition { column, primary: attributes.primary, unique: attributes.unique })
}
