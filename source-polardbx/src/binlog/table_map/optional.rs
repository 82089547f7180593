//! Compares the optional metadata of a TABLE_MAP (MySQL 8.0, MariaDB 10.5) with the known schema.
//!
//! The optional metadata is read only if a TABLE_MAP differs from the last TABLE_MAP of the same table, so it costs nothing per row.

use runtime::{Charset, Column, ColumnKind, TableSchema};

use crate::binlog::error::StreamError;
use crate::binlog::event::Reader;
use crate::binlog::row::UuidInet;
use crate::schema::{Dialect, of_collation_number};

/// The numbers of the metadata fields.
mod field {
    pub(super) const SIGNEDNESS: u8 = 1;
    pub(super) const DEFAULT_CHARSET: u8 = 2;
    pub(super) const COLUMN_CHARSETS: u8 = 3;
    pub(super) const NAMES: u8 = 4;
    pub(super) const SET_LABELS: u8 = 5;
    pub(super) const ENUM_LABELS: u8 = 6;
    pub(super) const PRIMARY_KEY: u8 = 8;
    pub(super) const PREFIXED_PRIMARY_KEY: u8 = 9;
    pub(super) const LABELS_DEFAULT_CHARSET: u8 = 10;
    pub(super) const LABELS_CHARSETS: u8 = 11;
}

/// Why the metadata cannot be used.
pub(super) enum Mismatch {
    /// The metadata does not match the known schema.
    Differs(String),
    /// The metadata cannot be read.
    Broken(StreamError),
}

impl From<StreamError> for Mismatch {
    fn from(error: StreamError) -> Self {
        Self::Broken(error)
    }
}

type Checked<T = ()> = Result<T, Mismatch>;

/// Compares all fields of the metadata with the known schema. The types of the columns were already compared.
pub(super) fn check_metadata(bytes: &[u8], schema: &TableSchema, dialect: Dialect) -> Checked {
    // MariaDB also writes a character set for geometry columns; MySQL does not.
    let is_characters = |kind: &ColumnKind| is_characters(kind) || (*kind == ColumnKind::Geometry && dialect.is_mariadb());
    let mut reader = Reader::new(bytes);
    let mut names = false;
    let mut key = None;
    while !reader.is_empty() {
        let kind = reader.u8()?;
        let length = reader.length_encoded()?;
        let mut value = Reader::new(reader.take(length)?);
        match kind {
            field::SIGNEDNESS => signedness(value.rest(), schema)?,
            field::DEFAULT_CHARSET => default_charset(&mut value, schema, is_characters)?,
            field::COLUMN_CHARSETS => charsets(&mut value, schema, is_characters)?,
            field::LABELS_DEFAULT_CHARSET => default_charset(&mut value, schema, has_labels)?,
            field::LABELS_CHARSETS => charsets(&mut value, schema, has_labels)?,
            field::NAMES => {
                names = true;
                column_names(&mut value, schema)?;
            }
            field::SET_LABELS => {
                all_labels(&mut value, schema, |kind| if let ColumnKind::Set { labels } = kind { Some(labels) } else { None })?
            }
            field::ENUM_LABELS => {
                all_labels(&mut value, schema, |kind| if let ColumnKind::Enum { labels } = kind { Some(labels) } else { None })?
            }
            field::PRIMARY_KEY | field::PREFIXED_PRIMARY_KEY => key = Some(primary_key(&mut value, kind == field::PREFIXED_PRIMARY_KEY)?),
            // Geometry types, visibility and newer fields do not change how rows are decoded.
            _ => {}
        }
    }
    // A server writes the primary key only if it also writes the column names.
    if names && key.as_deref().unwrap_or_default() != schema.primary_key {
        let list = |key: &[usize]| {
            let names: Vec<_> = key.iter().filter_map(|&index| schema.columns.get(index)).map(|column| column.name.as_str()).collect();
            if names.is_empty() { "none".to_owned() } else { format!("`{}`", names.join("`, `")) }
        };
        let found = list(key.as_deref().unwrap_or_default());
        return Err(Mismatch::Differs(format!(
            "the primary key is {found} in the binlog, {} by the known schema",
            list(&schema.primary_key)
        )));
    }
    Ok(())
}

/// Compares which columns are unsigned. The field has one bit for each numeric column; the first column has the highest bit. For MariaDB,
/// YEAR is a numeric type; for MySQL 8.0 it is not. Both forms are accepted.
fn signedness(bits: &[u8], schema: &TableSchema) -> Checked {
    compare_signs(bits, schema, false).or_else(|error| compare_signs(bits, schema, true).map_err(|_| error))
}

fn compare_signs(bits: &[u8], schema: &TableSchema, years: bool) -> Checked {
    use ColumnKind::{Decimal, Double, Float, Int, Year};
    let is_number = |kind: &ColumnKind| matches!(kind, Int { .. } | Decimal { .. } | Float | Double) || (years && *kind == Year);
    for (place, column) in schema.columns.iter().filter(|column| is_number(&column.kind)).enumerate() {
        let byte = bits.get(place / 8).ok_or_else(|| StreamError::corrupt("a TABLE_MAP with too few signs"))?;
        let unsigned = byte >> (7 - place % 8) & 1 == 1;
        if unsigned != column.unsigned && column.kind != Year {
            let says = |unsigned| if unsigned { "unsigned" } else { "signed" };
            return Err(differs(column, says(unsigned), says(column.unsigned)));
        }
    }
    Ok(())
}

/// Whether a column holds characters or bytes. The metadata has a character set for each such column.
fn is_characters(kind: &ColumnKind) -> bool {
    use ColumnKind::{Binary, Blob, Char, Text, Varbinary, Varchar};
    matches!(kind, Char { .. } | Varchar { .. } | Text { .. } | Binary { .. } | Varbinary { .. } | Blob { .. })
}

fn has_labels(kind: &ColumnKind) -> bool {
    matches!(kind, ColumnKind::Enum { .. } | ColumnKind::Set { .. })
}

/// Compares the collations of the columns that `sort` selects. The field holds a default collation. For each column with another collation,
/// it also holds the index and the collation of the column. The index counts only the selected columns.
fn default_charset(value: &mut Reader<'_>, schema: &TableSchema, sort: impl Fn(&ColumnKind) -> bool) -> Checked {
    let default = value.length_encoded()?;
    let mut collations: Vec<usize> = schema.columns.iter().filter(|column| sort(&column.kind)).map(|_| default).collect();
    while !value.is_empty() {
        let place = value.length_encoded()?;
        let collation = value.length_encoded()?;
        *collations.get_mut(place).ok_or_else(|| StreamError::corrupt("a TABLE_MAP with a character set of no column"))? = collation;
    }
    schema.columns.iter().filter(|column| sort(&column.kind)).zip(collations).try_for_each(|(column, collation)| charset(column, collation))
}

/// Compares the collations of the columns that `sort` selects. The field holds one collation for each of these columns.
fn charsets(value: &mut Reader<'_>, schema: &TableSchema, sort: impl Fn(&ColumnKind) -> bool) -> Checked {
    schema.columns.iter().filter(|column| sort(&column.kind)).try_for_each(|column| charset(column, value.length_encoded()?))
}

fn charset(column: &Column, collation: usize) -> Checked {
    // A collation with an unknown number is not compared. The character set in the known schema is checked in `refuse_unsupported`.
    let Some(found) = u16::try_from(collation).ok().and_then(of_collation_number) else { return Ok(()) };
    // UUID and INET columns have no character set in the binlog.
    let charset = column.charset.as_deref().filter(|_| UuidInet::of(column).is_none());
    let known = charset.unwrap_or("binary");
    let old_name = |name: &str| if name.eq_ignore_ascii_case("utf8mb3") { "utf8".to_owned() } else { name.to_ascii_lowercase() };
    if old_name(found) == old_name(known) {
        Ok(())
    } else {
        Err(differs(column, &format!("in the character set {found}"), &format!("in {known}")))
    }
}

fn column_names(value: &mut Reader<'_>, schema: &TableSchema) -> Checked {
    for column in &schema.columns {
        let length = value.length_encoded()?;
        let name = value.take(length)?;
        if name != column.name.as_bytes() {
            return Err(differs(column, &format!("called `{}`", String::from_utf8_lossy(name)), &format!("called `{}`", column.name)));
        }
    }
    Ok(())
}

/// Compares the labels of every column for which `labels` returns the known labels.
fn all_labels(value: &mut Reader<'_>, schema: &TableSchema, labels: impl Fn(&ColumnKind) -> Option<&Vec<String>>) -> Checked {
    for column in &schema.columns {
        let Some(known) = labels(&column.kind) else { continue };
        let count = value.length_encoded()?;
        if count != known.len() {
            return Err(differs(column, &format!("of {count} labels"), &format!("of {}", known.len())));
        }
        let charset = column.charset.as_deref().and_then(Charset::from_name);
        for known in known {
            let length = value.length_encoded()?;
            let bytes = value.take(length)?;
            // A label in an unsupported character set is not compared.
            let found = charset.and_then(|charset| charset.decode(bytes));
            if let Some(found) = found.filter(|found| found.as_ref() != known.as_str()) {
                return Err(differs(column, &format!("with the label {found:?}"), &format!("with {known:?}")));
            }
        }
    }
    Ok(())
}

fn primary_key(value: &mut Reader<'_>, prefixed: bool) -> Checked<Vec<usize>> {
    let mut key = Vec::new();
    while !value.is_empty() {
        key.push(value.length_encoded()?);
        if prefixed {
            value.length_encoded()?;
        }
    }
    Ok(key)
}

fn differs(column: &Column, found: &str, known: &str) -> Mismatch {
    Mismatch::Differs(format!("column `{}` is {found} in the binlog, {known} by the known schema", column.name))
}

#[cfg(test)]
mod tests {
    use runtime::TableId;

    use super::*;

    fn schema() -> TableSchema {
        let mut id = Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint unsigned");
        id.unsigned = true;
        let year = Column::new("y", ColumnKind::Year, "year");
        let amount = Column::new("n", ColumnKind::Decimal { precision: 5, scale: 2 }, "decimal(5,2)");
        let mut text = Column::new("t", ColumnKind::Varchar { length: 9 }, "varchar(9)");
        text.charset = Some("utf8mb4".into());
        let bytes = Column::new("b", ColumnKind::Blob { prefix: 2 }, "blob");
        let mut choice = Column::new("e", ColumnKind::Enum { labels: vec!["a".into(), "é".into()] }, "enum('a','é')");
        choice.charset = Some("latin1".into());
        let mut schema = TableSchema::new(TableId::new("d", "t"), vec![id, year, amount, text, bytes, choice]);
        schema.primary_key = vec![0];
        schema
    }

    fn said(bytes: &[u8]) -> Option<String> {
        match check_metadata(bytes, &schema(), Dialect::default()) {
            Ok(()) => None,
            Err(Mismatch::Differs(what)) => Some(what),
            Err(Mismatch::Broken(error)) => Some(error.to_string()),
        }
    }

    fn field(kind: u8, value: &[u8]) -> Vec<u8> {
        [&[kind, value.len() as u8][..], value].concat()
    }

    #[test]
    fn what_fits_is_taken() {
        let names = field(4, b"\x02id\x01y\x01n\x01t\x01b\x01e");
        let all = [
            field(1, &[0b1100_0000]),
            field(2, &[45, 1, 63]),
            field(10, &[8]),
            names.clone(),
            field(6, b"\x02\x01a\x01\xe9"),
            field(8, &[0]),
            field(99, b"??"),
        ];
        assert_eq!(said(&all.concat()), None);
        assert_eq!(said(&[names, field(9, &[0, 5])].concat()), None);
        assert_eq!(said(&field(1, &[0b1000_0000])), None, "without YEAR");
        assert_eq!(said(&field(3, &[45, 63])), None);
        assert_eq!(said(&[]), None);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let names = field(4, b"\x02id\x01y\x01n\x01t\x01b\x01e");
        for (bytes, expected) in [
            (field(1, &[0b0100_0000]), "`id` is signed in the binlog, unsigned"),
            (field(1, &[0b1110_0000]), "`n` is unsigned"),
            (field(2, &[8, 1, 63]), "`t` is in the character set latin1"),
            (field(2, &[45]), "`b` is in the character set utf8mb4 in the binlog, in binary"),
            (field(3, &[45, 45]), "`b` is"),
            (field(10, &[45]), "`e` is in the character set utf8mb4"),
            (field(4, b"\x02ID\x01y\x01n\x01t\x01b\x01e"), "called `ID`"),
            (field(6, b"\x01\x01a"), "of 1 labels in the binlog, of 2"),
            (field(6, b"\x02\x01a\x01e"), "with the label \"e\""),
            (names.clone(), "the primary key is none in the binlog, `id`"),
            ([names, field(8, &[3])].concat(), "the primary key is `t`"),
            (field(1, &[]), "too few signs"),
            (field(2, &[45, 7, 63]), "of no column"),
            (vec![4, 200], "in the middle of a field"),
        ] {
            assert!(said(&bytes).is_some_and(|said| said.contains(expected)), "{bytes:?}: {:?}", said(&bytes));
        }
    }
}
