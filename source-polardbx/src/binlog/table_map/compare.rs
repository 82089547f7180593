//! Compares a TABLE_MAP with the known schema.

use runtime::{Charset, Collation, Column, ColumnKind, TableSchema};

use super::cell::match_column;
use super::description::{Description, ShownColumn};
use crate::binlog::row::{CellFormat, UuidInet};
use crate::schema::{Dialect, collation_of_number, of_collation_number};

/// Compares the columns with those of the known schema, which stand at `places` in the TABLE_MAP. Returns how each column is decoded, or what
/// differs.
pub(super) fn compare(
    description: &Description<'_>,
    schema: &TableSchema,
    places: &[usize],
    dialect: Dialect,
) -> Result<Vec<CellFormat>, String> {
    let shown = || places.iter().filter_map(|&place| description.columns.get(place));
    let mut cells = Vec::with_capacity(schema.columns.len());
    for (column, shown) in schema.columns.iter().zip(shown()) {
        cells.push(compare_type(column, shown, dialect)?);
    }
    schema.columns.iter().zip(shown()).try_for_each(|(column, shown)| compare_metadata(column, shown))?;
    let Some(key) = &description.primary_key else { return Ok(cells) };
    let known: Vec<usize> = schema.primary_key.iter().filter_map(|&column| places.get(column).copied()).collect();
    if *key == known {
        return Ok(cells);
    }
    let list = |key: &[usize]| {
        let name = |&place: &usize| places.iter().position(|&other| other == place).and_then(|index| schema.columns.get(index));
        let names: Vec<_> = key.iter().filter_map(name).map(|column| column.name.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { format!("`{}`", names.join("`, `")) }
    };
    Err(format!("the primary key is {} in the binlog, {} by the known schema", list(key), list(&known)))
}

/// Compares all that a TABLE_MAP shows of a column. Returns how the column is decoded, or what differs.
pub(super) fn compare_column(column: &Column, shown: &ShownColumn<'_>, dialect: Dialect) -> Result<CellFormat, String> {
    let cell = compare_type(column, shown, dialect)?;
    compare_metadata(column, shown).map(|()| cell)
}

/// Compares the type, and whether the column is nullable.
fn compare_type(column: &Column, shown: &ShownColumn<'_>, dialect: Dialect) -> Result<CellFormat, String> {
    let field = &shown.field;
    let cell = match_column(field, column, dialect).ok_or_else(|| {
        format!(
            "column `{}` is {}{} by the known schema, but the binlog shows type {} with metadata {:02x} {:02x}",
            column.name,
            column.source_type,
            if column.nullable { "" } else { " not null" },
            field.kind,
            field.first,
            field.second
        )
    })?;
    if field.nullable != column.nullable {
        let says = |nullable| if nullable { "nullable" } else { "not null" };
        return Err(differs(column, says(field.nullable), says(column.nullable)));
    }
    Ok(cell)
}

/// Compares what the optional metadata shows of a column.
fn compare_metadata(column: &Column, shown: &ShownColumn<'_>) -> Result<(), String> {
    if let Some(unsigned) = shown.unsigned.filter(|&unsigned| unsigned != column.unsigned) {
        let says = |unsigned| if unsigned { "unsigned" } else { "signed" };
        return Err(differs(column, says(unsigned), says(column.unsigned)));
    }
    if let Some(collation) = shown.collation {
        compare_charset(column, collation)?;
    }
    if let Some(name) = shown.name.filter(|name| *name != column.name.as_bytes()) {
        return Err(differs(column, &format!("called `{}`", String::from_utf8_lossy(name)), &format!("called `{}`", column.name)));
    }
    match (&column.kind, &shown.labels) {
        (ColumnKind::Enum { labels } | ColumnKind::Set { labels }, Some(shown)) => compare_labels(column, labels, shown),
        _ => Ok(()),
    }
}

fn compare_charset(column: &Column, collation: usize) -> Result<(), String> {
    // A collation with an unknown number is not compared. The character set in the known schema is checked in `refuse_unsupported`.
    let Some(found) = charset_of(collation) else { return Ok(()) };
    // UUID and INET columns have no character set in the binlog.
    let known = column.charset().filter(|_| UuidInet::of(column).is_none()).unwrap_or("binary");
    if found == known { Ok(()) } else { Err(differs(column, &format!("in the character set {found}"), &format!("in {known}"))) }
}

fn compare_labels(column: &Column, known: &[String], shown: &[&[u8]]) -> Result<(), String> {
    if shown.len() != known.len() {
        return Err(differs(column, &format!("of {} labels", shown.len()), &format!("of {}", known.len())));
    }
    let charset = column.charset().and_then(Charset::from_name);
    for (known, bytes) in known.iter().zip(shown) {
        // A label in an unsupported character set is not compared.
        let found = charset.and_then(|charset| charset.decode(bytes));
        if let Some(found) = found.filter(|found| found.as_ref() != known.as_str()) {
            return Err(differs(column, &format!("with the label {found:?}"), &format!("with {known:?}")));
        }
    }
    Ok(())
}

/// The character set of a collation; `None` if the number is not known.
pub(super) fn charset_of(collation: usize) -> Option<&'static str> {
    u16::try_from(collation).ok().and_then(of_collation_number)
}

/// The collation with this number; `None` if the number is not known.
pub(super) fn collation_of(number: usize, dialect: Dialect) -> Option<Collation> {
    collation_of_number(u16::try_from(number).ok()?, dialect)
}

/// The column with the collation that a TABLE_MAP shows, which has the same type and character set; `None` if it is the known one, or if the
/// TABLE_MAP shows none.
///
/// The collation does not say how a row is read, so another one does not end the task: rows are read as before, and are compared as the
/// server does.
pub(super) fn with_collation(column: &Column, shown: &ShownColumn<'_>, dialect: Dialect) -> Option<Column> {
    let (known, found) = (column.collation.as_ref()?, collation_of(shown.collation?, dialect)?);
    // Of a number that is not known, nothing but the character set is.
    let is_other = found != *known && found.name() != found.charset() && found.charset() == known.charset();
    is_other.then(|| {
        let mut column = column.clone();
        column.collation = Some(found);
        column
    })
}

fn differs(column: &Column, found: &str, known: &str) -> String {
    format!("column `{}` is {found} in the binlog, {known} by the known schema", column.name)
}
