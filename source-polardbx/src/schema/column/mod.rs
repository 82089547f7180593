//! Reads the definition of a column. `type_name` reads the type as it is written, `enum_labels` reads the labels of ENUM and SET, and
//! `attributes` reads the attributes after the type. `kind` combines these parts into the column's kind and the type that the server
//! prints.

mod attributes;
mod enum_labels;
mod kind;
mod type_name;

use runtime::{Collation, Column, ColumnKind};

use super::ReadError;
use super::collation::{ColumnCollation, ColumnWords, SessionCollations};
use super::cursor::Cursor;
use super::lexer::Dialect;
pub(crate) use attributes::Place;
use attributes::{Attributes, read_attributes};
use enum_labels::converted_labels;
pub(crate) use enum_labels::quote_labels;
use kind::{large_in, resolve, varying};
use type_name::{Base, TypeText, read_type};

/// The settings on which the meaning of a column's definition depends, besides its text.
pub(crate) struct ColumnRules<'r> {
    /// The default collation of the table, or else of its database; `None` if neither is known. An unknown collation is an error only for a
    /// column that needs it.
    pub(crate) collation: Option<&'r Collation>,
    pub(crate) session: SessionCollations<'r>,
    /// The variable `explicit_defaults_for_timestamp`. If it is off, a TIMESTAMP with neither NULL nor NOT NULL is NOT NULL.
    pub(crate) explicit_timestamps: ExplicitTimestamps,
    pub(crate) widths: Widths,
    pub(crate) dialect: Dialect,
}

/// Whether the server prints the display widths of integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Widths {
    /// The server prints `int` as `int(11)`, as MariaDB and MySQL up to 8.0.18 do.
    Always,
    /// The server prints `int(5)` as `int`. Only TINYINT(1) and ZEROFILL columns keep their widths.
    Never,
    /// The widths stay as written, because the server itself has printed the text.
    AsWritten,
}

/// A column, and whether its definition declares a primary or a unique key.
pub(crate) struct ColumnDefinition {
    pub(crate) column: Column,
    pub(crate) primary: bool,
    pub(crate) unique: bool,
    /// Whether the column is nullable only by an assumption.
    pub(crate) unstated: bool,
}

/// The variable `explicit_defaults_for_timestamp` of the session that executes a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExplicitTimestamps {
    /// The binlog holds the session's value.
    Known(bool),
    /// The binlog does not hold it. This is the server's value, which the session may have changed for itself.
    Assumed(bool),
}

/// A column as it is written, before the default collation of its table is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    pub(crate) name: String,
    type_text: TypeText,
    attributes: Attributes,
    collation: ColumnCollation,
    explicit_timestamps: ExplicitTimestamps,
    widths: Widths,
    dialect: Dialect,
}

impl ColumnSpec {
    /// Reads `name type attributes` up to the `,` or `)` that ends it.
    pub(crate) fn read(cursor: &mut Cursor<'_>, rules: &ColumnRules<'_>) -> Result<Self, ReadError> {
        let name = cursor.name("a column")?;
        let named = |error: ReadError| ReadError { what: format!("column `{name}`: {}", error.what), ..error };
        let type_text = read_type(cursor, rules).map_err(named)?;
        let mut attributes = read_attributes(cursor).map_err(named)?;
        if type_text.base == Base::Serial {
            attributes = Attributes { unsigned: true, not_null: true, unique: true, ..attributes };
        }
        let &ColumnRules { explicit_timestamps, widths, dialect, .. } = rules;
        let words = ColumnWords {
            charset: attributes.collation.charset.clone().or_else(|| type_text.charset.map(str::to_owned)),
            binary: attributes.collation.binary || type_text.binary,
            ..attributes.collation.clone()
        };
        let collation = ColumnCollation::new(&words, &rules.session, dialect);
        Ok(Self { name, type_text, attributes, collation, explicit_timestamps, widths, dialect })
    }

    /// Where an ALTER TABLE puts the column; `None` for the end, or the place that it has.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.attributes.place.as_ref()
    }

    /// Whether the definition declares a unique key.
    pub(crate) fn is_unique(&self) -> bool {
        self.attributes.unique
    }

    /// The column in a table with this default collation. If the statement converts the whole table, `converts_to` takes the place of the
    /// column's own collation.
    pub(crate) fn resolve(&self, default: Option<&Collation>, converts_to: Option<&Collation>) -> Result<ColumnDefinition, ReadError> {
        let Self { name, type_text, attributes, collation, explicit_timestamps, widths, .. } = self;
        let named = |error: ReadError| ReadError { what: format!("column `{name}`: {}", error.what), ..error };
        let collation = collation.resolve(default, converts_to).map_err(named)?;
        let charset = collation.as_ref().map(Collation::charset);
        let (kind, source_type) = resolve(type_text, attributes, charset, *widths).map_err(named)?;

        let mut column = Column::new(name, kind, source_type);
        if is_text(&column.kind) {
            if collation.is_none() {
                return Err(ReadError::new(format!("column `{name}`: neither the table nor its database says a character set")));
            }
            column.collation = collation;
        }
        column.unsigned = attributes.unsigned || attributes.zerofill;
        let stated = attributes.null || attributes.not_null || attributes.primary || attributes.auto_increment;
        let depends = matches!(column.kind, ColumnKind::Timestamp { .. }) && !stated;
        let implicit = depends && matches!(explicit_timestamps, ExplicitTimestamps::Known(false) | ExplicitTimestamps::Assumed(false));
        column.nullable = !(attributes.not_null || attributes.primary || attributes.auto_increment || implicit);
        let unstated = depends && matches!(explicit_timestamps, ExplicitTimestamps::Assumed(_));
        Ok(ColumnDefinition { column, primary: attributes.primary, unique: attributes.unique, unstated })
    }
}

fn is_text(kind: &ColumnKind) -> bool {
    matches!(
        kind,
        ColumnKind::Char { .. } | ColumnKind::Varchar { .. } | ColumnKind::Text { .. } | ColumnKind::Enum { .. } | ColumnKind::Set { .. }
    )
}

/// The column after a conversion to the collation `to`. The types of long columns become larger if a character may need more bytes.
pub(crate) fn convert(column: &Column, to: &Collation) -> Result<Column, ReadError> {
    let mut converted = column.clone();
    // These types of MariaDB are stored as bytes, and only shown as text.
    if !is_text(&column.kind) || ["uuid", "inet4", "inet6"].contains(&column.source_type.as_str()) {
        return Ok(converted);
    }
    let (from, charset) = (column.charset().unwrap_or_default(), to.charset());
    // An ENUM or SET of bytes stays one.
    if from == "binary" {
        return Ok(converted);
    }
    let binary = charset == "binary";
    match column.kind {
        ColumnKind::Char { length } if binary => {
            (converted.kind, converted.source_type) = (ColumnKind::Binary { length }, format!("binary({length})"));
        }
        ColumnKind::Varchar { length } => {
            (converted.kind, converted.source_type) = varying(length, charset, binary)?;
        }
        ColumnKind::Enum { ref labels } => {
            let labels = relabel(column, labels, charset)?;
            converted.source_type = format!("enum({})", quote_labels(&labels));
            converted.kind = ColumnKind::Enum { labels };
        }
        ColumnKind::Set { ref labels } => {
            let labels = relabel(column, labels, charset)?;
            converted.source_type = format!("set({})", quote_labels(&labels));
            converted.kind = ColumnKind::Set { labels };
        }
        ColumnKind::Text { prefix } => (converted.kind, converted.source_type) = large_in(prefix, from, charset, binary)?,
        _ => {}
    }
    converted.collation = is_text(&converted.kind).then(|| to.clone());
    Ok(converted)
}

fn relabel(column: &Column, labels: &[String], charset: &str) -> Result<Vec<String>, ReadError> {
    let from = column.charset().unwrap_or_default();
    let unknown = || format!("column `{}`: servers differ in what they make of its labels in {charset}", column.name);
    converted_labels(labels, from, charset).ok_or_else(|| ReadError::new(unknown()))
}
