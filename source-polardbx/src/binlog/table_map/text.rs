//! The description of a table as text, for the errors about a TABLE_MAP that does not match.

use runtime::TableSchema;

use super::cell::{field, string_length};
use super::compare::charset_of;
use super::description::{Description, ShownColumn};

/// The columns and the primary key of a known schema.
pub(super) fn known_text(schema: &TableSchema) -> String {
    let mut parts: Vec<String> = Vec::with_capacity(schema.columns.len() + 1);
    for column in &schema.columns {
        let charset = column.charset().map_or_else(String::new, |charset| format!(" {charset}"));
        let null = if column.nullable { "" } else { " not null" };
        parts.push(format!("`{}` {}{charset}{null}", column.name, column.source_type));
    }
    if !schema.primary_key.is_empty() {
        let names = schema.primary_key.iter().filter_map(|&column| schema.columns.get(column));
        parts.push(format!("primary key {}", names.map(|column| format!("`{}`", column.name)).collect::<Vec<_>>().join(" ")));
    }
    parts.join(", ")
}

/// The columns and the primary key of a TABLE_MAP, as far as it shows them.
pub(super) fn shown_text(description: &Description<'_>) -> String {
    let name = |column: &ShownColumn<'_>| column.name.map(|name| format!("`{}`", String::from_utf8_lossy(name)));
    let mut parts: Vec<String> = Vec::with_capacity(description.columns.len() + 1);
    for column in &description.columns {
        let name = name(column).map_or_else(String::new, |name| format!("{name} "));
        let sign = if column.unsigned == Some(true) { " unsigned" } else { "" };
        let charset = column.collation.and_then(charset_of).map_or_else(String::new, |charset| format!(" {charset}"));
        let null = if column.field.nullable { "" } else { " not null" };
        parts.push(format!("{name}{}{sign}{charset}{null}", type_text(column)));
    }
    if let Some(key) = description.primary_key.as_ref().filter(|key| !key.is_empty()) {
        let names = key.iter().filter_map(|&column| description.columns.get(column).and_then(name));
        parts.push(format!("primary key {}", names.collect::<Vec<_>>().join(" ")));
    }
    parts.join(", ")
}

/// A type as the TABLE_MAP shows it. Lengths of text are in bytes there.
fn type_text(column: &ShownColumn<'_>) -> String {
    let field = &column.field;
    let bytes = |name: &str, length: u32| format!("{name} of {length} bytes");
    let fraction = |name: &str| if field.first == 0 { name.to_owned() } else { format!("{name}({})", field.first) };
    match column.real_kind() {
        field::TINY => "tinyint".to_owned(),
        field::SHORT => "smallint".to_owned(),
        field::INT24 => "mediumint".to_owned(),
        field::LONG => "int".to_owned(),
        field::LONGLONG => "bigint".to_owned(),
        field::FLOAT => "float".to_owned(),
        field::DOUBLE => "double".to_owned(),
        field::NEWDECIMAL => format!("decimal({},{})", field.first, field.second),
        field::BIT => format!("bit({})", u32::from(field.second) * 8 + u32::from(field.first)),
        field::YEAR => "year".to_owned(),
        field::DATE => "date".to_owned(),
        field::TIME | field::TIME2 => fraction("time"),
        field::DATETIME | field::DATETIME2 => fraction("datetime"),
        field::TIMESTAMP | field::TIMESTAMP2 => fraction("timestamp"),
        field::VARCHAR | field::VAR_STRING => bytes("varchar or varbinary", field.length()),
        field::VARCHAR_COMPRESSED => bytes("compressed varchar or varbinary", field.length()),
        field::STRING => bytes("char or binary", string_length(field).unwrap_or(0)),
        field::BLOB | field::BLOB_COMPRESSED => {
            format!("{}text or blob", ["", "tiny", "", "medium", "long"].get(usize::from(field.first)).unwrap_or(&""))
        }
        field::JSON => "json".to_owned(),
        field::GEOMETRY => "geometry".to_owned(),
        field::VECTOR => "vector".to_owned(),
        kind @ (field::ENUM | field::SET) => {
            let name = if kind == field::ENUM { "enum" } else { "set" };
            let count = column.labels.as_ref().map_or_else(String::new, |labels| format!(" with {} labels", labels.len()));
            format!("{name}{count} of {} bytes", field.second)
        }
        other => format!("type {other}"),
    }
}
