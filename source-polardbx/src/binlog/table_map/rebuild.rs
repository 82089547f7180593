//! Makes a schema of a TABLE_MAP with full metadata (`binlog_row_metadata=FULL`), which shows everything on which rows depend.
//!
//! It does not show display widths, ZEROFILL, the digits of FLOAT(m,d), and keys other than the primary one. A column that it shows as it is
//! known keeps its type text; the type text of another is that of a server which prints no display widths, such as `int unsigned`.

use runtime::{Charset, Collation, Column, ColumnKind, KeyPart, TableId, TableSchema};

use super::cell::{Field, field, string_length};
use super::compare::{charset_of, collation_of, compare_column, with_collation};
use super::description::{Description, ShownColumn, is_number};
use super::hashes::{hashes, long_keys};
use crate::schema::{Dialect, max_bytes, quote_labels};

/// The schema that the TABLE_MAP shows, or what it leaves open. The columns `absent` are those of expressions. The version is one more than
/// the known one. The hashes that MariaDB adds for long unique keys are no columns of the table.
pub(super) fn rebuild(
    table: &TableId,
    description: &Description<'_>,
    known: Option<&TableSchema>,
    absent: &[usize],
    dialect: Dialect,
) -> Result<TableSchema, String> {
    let mut places = Vec::new();
    let mut columns = Vec::new();
    let hashes = if dialect.is_mariadb() { hashes(description, known) } else { 0 };
    let own = description.columns.len() - hashes;
    for (place, shown) in description.columns.iter().enumerate().take(own).filter(|(place, _)| !absent.contains(place)) {
        let name = shown.name.and_then(|name| std::str::from_utf8(name).ok()).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| format!("column {} has no readable name", place + 1))?;
        let same = known.and_then(|known| known.columns.iter().find(|column| column.name == name));
        columns.push(match same.filter(|same| compare_column(same, shown, dialect).is_ok()) {
            Some(same) => with_collation(same, shown, dialect).unwrap_or_else(|| same.clone()),
            None => {
                let made = column(name, shown, dialect).map_err(|what| format!("column `{name}` {what}"))?;
                compare_column(&made, shown, dialect).map_err(|_| format!("the type of column `{name}` and its metadata contradict"))?;
                made
            }
        });
        places.push(place);
    }
    let mut schema = TableSchema::new(table.clone(), columns);
    for place in description.primary_key.iter().flatten() {
        let column = places.iter().position(|other| other == place);
        schema.primary_key.push(column.ok_or_else(|| "its primary key has a column that is not in the rows".to_owned())?);
    }
    if let Some(known) = known {
        keep_keys(known, &mut schema);
        schema.id = known.id.clone();
        schema.collation = known.collation.clone();
        schema.version = known.version.saturating_add(1);
    }
    if hashes > long_keys(&schema) {
        return Err("the last column may be a hash that the server has added for a unique key, or a column of the table".to_owned());
    }
    Ok(schema)
}

/// Keeps the keys of the known schema whose columns still exist by name, and the partition columns.
fn keep_keys(known: &TableSchema, schema: &mut TableSchema) {
    let place = |column: usize| known.columns.get(column).and_then(|column| schema.column(&column.name));
    let unique_keys = known.unique_keys.iter().filter_map(|key| {
        let columns = key.columns.iter().map(|&column| place(column)).collect::<Option<Vec<_>>>()?;
        Some(runtime::UniqueKey { name: key.name.clone(), columns })
    });
    let part = |part: &KeyPart| match part {
        KeyPart::Column { column, prefix } => place(*column).map(|column| KeyPart::Column { column, prefix: *prefix }),
        KeyPart::Expression => Some(KeyPart::Expression),
    };
    let other_keys = known.other_keys.iter().filter_map(|key| {
        let parts = key.parts.iter().map(part).collect::<Option<Vec<_>>>()?;
        Some(runtime::OtherKey { name: key.name.clone(), unique: key.unique, parts })
    });
    let partition_columns = known.partition_columns.iter().filter_map(|&column| place(column)).collect();
    let (unique_keys, other_keys) = (unique_keys.collect(), other_keys.collect());
    (schema.unique_keys, schema.other_keys, schema.partition_columns) = (unique_keys, other_keys, partition_columns);
}

fn column(name: &str, shown: &ShownColumn<'_>, dialect: Dialect) -> Result<Column, String> {
    let kind = shown.field.kind;
    let unsigned = match shown.unsigned {
        Some(unsigned) if is_number(kind) => unsigned,
        None if is_number(kind) => return Err("may be signed or not".to_owned()),
        _ => false,
    };
    let (kind, mut source_type) = kind_and_type(shown, dialect)?;
    if unsigned {
        source_type.push_str(" unsigned");
    }
    let mut column = Column::new(name, kind, source_type);
    column.unsigned = unsigned;
    column.nullable = shown.field.nullable;
    use ColumnKind::{Char, Enum, Set, Text, Varchar};
    if matches!(column.kind, Char { .. } | Varchar { .. } | Text { .. } | Enum { .. } | Set { .. }) {
        column.collation = Some(collation(shown, dialect)?);
    }
    Ok(column)
}

fn collation(shown: &ShownColumn<'_>, dialect: Dialect) -> Result<Collation, String> {
    let number = shown.collation.ok_or_else(|| "has no character set".to_owned())?;
    collation_of(number, dialect).ok_or_else(|| format!("has a collation with the unknown number {number}"))
}

fn charset(shown: &ShownColumn<'_>) -> Result<&'static str, String> {
    let number = shown.collation.ok_or_else(|| "has no character set".to_owned())?;
    charset_of(number).ok_or_else(|| format!("has a collation with the unknown number {number}"))
}

/// The kind and the type text of a column, without its sign.
fn kind_and_type(shown: &ShownColumn<'_>, dialect: Dialect) -> Result<(ColumnKind, String), String> {
    let &ShownColumn { field: ref stored, geometry, dimensions, .. } = shown;
    let &Field { first, second, .. } = stored;
    let is_binary = || charset(shown).map(|charset| charset == "binary");
    let integer = |bytes, name: &str| Ok((ColumnKind::Int { bytes }, name.to_owned()));
    let fraction = |name: &str, fsp: u8| if fsp == 0 { name.to_owned() } else { format!("{name}({fsp})") };
    match shown.real_kind() {
        field::TINY => integer(1, "tinyint"),
        field::SHORT => integer(2, "smallint"),
        field::INT24 => integer(3, "mediumint"),
        field::LONG => integer(4, "int"),
        field::LONGLONG => integer(8, "bigint"),
        field::FLOAT => Ok((ColumnKind::Float, "float".to_owned())),
        field::DOUBLE => Ok((ColumnKind::Double, "double".to_owned())),
        field::NEWDECIMAL => Ok((ColumnKind::Decimal { precision: first, scale: second }, format!("decimal({first},{second})"))),
        field::BIT => {
            let bits = u16::from(second) * 8 + u16::from(first);
            let bits = u8::try_from(bits).ok().filter(|bits| (1..=64).contains(bits)).ok_or_else(|| format!("has {bits} bits"))?;
            Ok((ColumnKind::Bit { bits }, format!("bit({bits})")))
        }
        field::YEAR => Ok((ColumnKind::Year, "year".to_owned())),
        field::DATE => Ok((ColumnKind::Date, "date".to_owned())),
        field::TIME | field::TIME2 => Ok((ColumnKind::Time { fsp: first }, fraction("time", first))),
        field::DATETIME | field::DATETIME2 => Ok((ColumnKind::DateTime { fsp: first }, fraction("datetime", first))),
        field::TIMESTAMP | field::TIMESTAMP2 => Ok((ColumnKind::Timestamp { fsp: first }, fraction("timestamp", first))),
        field::VARCHAR | field::VAR_STRING => varying(shown, stored.length(), dialect),
        // The stored length includes a header byte.
        field::VARCHAR_COMPRESSED => varying(shown, stored.length().saturating_sub(1), dialect),
        field::STRING => {
            let length = string_length(stored).ok_or_else(|| "has an impossible length".to_owned())?;
            if !is_binary()? {
                let length = characters(shown, length)?;
                return Ok((ColumnKind::Char { length }, format!("char({length})")));
            }
            match length {
                4 if dialect.is_mariadb() => Err("may be binary(4) or inet4".to_owned()),
                16 if dialect.is_mariadb() => Err("may be binary(16), uuid or inet6".to_owned()),
                _ => Ok((ColumnKind::Binary { length }, format!("binary({length})"))),
            }
        }
        field::BLOB | field::BLOB_COMPRESSED => {
            let size = ["tiny", "", "medium", "long"].get(usize::from(first).wrapping_sub(1)).ok_or("has an impossible length")?;
            Ok(match is_binary()? {
                true => (ColumnKind::Blob { prefix: first }, format!("{size}blob")),
                false => (ColumnKind::Text { prefix: first }, format!("{size}text")),
            })
        }
        field::JSON => Ok((ColumnKind::Json, "json".to_owned())),
        field::GEOMETRY => {
            const NAMES: [&str; 8] =
                ["geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection"];
            let name = geometry.and_then(|number| NAMES.get(number)).ok_or("has no known kind of geometry")?;
            Ok((ColumnKind::Geometry, (*name).to_owned()))
        }
        field::VECTOR => {
            let dimensions = dimensions.ok_or("does not say how many numbers a vector has")?;
            Ok((ColumnKind::Blob { prefix: first }, format!("vector({dimensions})")))
        }
        field::ENUM => labels(shown).map(|labels| {
            let text = format!("enum({})", quote_labels(&labels));
            (ColumnKind::Enum { labels }, text)
        }),
        field::SET => labels(shown).map(|labels| {
            let text = format!("set({})", quote_labels(&labels));
            (ColumnKind::Set { labels }, text)
        }),
        other => Err(format!("has the type {other}")),
    }
}

/// VARCHAR or VARBINARY with this length in bytes.
fn varying(shown: &ShownColumn<'_>, length: u32, dialect: Dialect) -> Result<(ColumnKind, String), String> {
    /// MariaDB stores a VECTOR like a VARBINARY.
    const WITH_VECTORS: u32 = 110_700;
    if charset(shown)? != "binary" {
        let length = characters(shown, length)?;
        return Ok((ColumnKind::Varchar { length }, format!("varchar({length})")));
    }
    if dialect.is_mariadb() && dialect.version >= WITH_VECTORS && length.is_multiple_of(4) {
        return Err(format!("may be varbinary({length}) or vector({})", length / 4));
    }
    Ok((ColumnKind::Varbinary { length }, format!("varbinary({length})")))
}

/// The length in characters of a column whose longest value has this many bytes.
fn characters(shown: &ShownColumn<'_>, bytes: u32) -> Result<u32, String> {
    let charset = charset(shown)?;
    let width = max_bytes(charset).ok_or_else(|| format!("has the character set {charset}"))?;
    match bytes % width {
        0 => Ok(bytes / width),
        _ => Err(format!("has {bytes} bytes of {charset}")),
    }
}

fn labels(shown: &ShownColumn<'_>) -> Result<Vec<String>, String> {
    let charset = charset(shown)?;
    let known = Charset::from_name(charset).ok_or_else(|| format!("has labels in {charset}"))?;
    let decoded = shown.labels.iter().flatten().map(|label| known.decode(label).map(|label| label.into_owned()));
    let labels = decoded.collect::<Option<Vec<_>>>().ok_or_else(|| format!("has labels that are not {charset}"))?;
    if labels.is_empty() { Err("has no labels".to_owned()) } else { Ok(labels) }
}
