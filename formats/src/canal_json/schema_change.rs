//! Messages of schema changes (DDL statements).

use runtime::{SchemaChange, SchemaChangeKind};

use super::config::{Config, NullKeys, Profile};
use super::template::OriginParts;
use crate::error::FormatError;
use crate::escape::write_quoted;

/// Appends the message of a schema change. `origin` must be set to the event of the change.
pub(super) fn write_schema_change(
    out: &mut Vec<u8>,
    change: &SchemaChange,
    config: &Config,
    origin: &OriginParts,
    id: i64,
) -> Result<(), FormatError> {
    let type_name = match config.profile {
        Profile::Canal => type_name(change.kind)?,
        Profile::Dts => "DDL",
    };
    let (database, table) = subject(change);
    let with_nulls = config.null_keys == NullKeys::Write;
    out.extend_from_slice(if with_nulls { b"{\"data\":null,\"database\":" } else { b"{\"database\":" });
    write_quoted(out, database);
    out.extend_from_slice(b",\"es\":");
    origin.write_until_id(out, id);
    out.extend_from_slice(b",\"isDdl\":true");
    if with_nulls {
        out.extend_from_slice(b",\"mysqlType\":null,\"old\":null,\"pkNames\":null");
    }
    out.extend_from_slice(b",\"sql\":");
    write_quoted(out, &change.statement);
    if with_nulls {
        out.extend_from_slice(b",\"sqlType\":null");
    }
    out.extend_from_slice(b",\"table\":");
    write_quoted(out, table);
    out.extend_from_slice(b",\"ts\":");
    origin.write_read_time(out);
    write_quoted(out, type_name);
    out.push(b'}');
    Ok(())
}

/// Canal's name for a kind of DDL statement (`EventType` of its protocol).
fn type_name(kind: SchemaChangeKind) -> Result<&'static str, FormatError> {
    Ok(match kind {
        SchemaChangeKind::CreateTable => "CREATE",
        SchemaChangeKind::AlterTable => "ALTER",
        SchemaChangeKind::DropTable => "ERASE",
        SchemaChangeKind::RenameTable => "RENAME",
        SchemaChangeKind::TruncateTable => "TRUNCATE",
        SchemaChangeKind::CreateIndex => "CINDEX",
        SchemaChangeKind::DropIndex => "DINDEX",
        SchemaChangeKind::Database | SchemaChangeKind::Other => "QUERY",
        _ => return Err(FormatError::UnknownEvent),
    })
}

/// The database and table in the message: the first table of the statement, or the first new name of a RENAME. A statement about a
/// database has no table; a statement that was not parsed has neither database nor table.
fn subject(change: &SchemaChange) -> (&str, &str) {
    let first = match change.kind {
        SchemaChangeKind::RenameTable => change.tables.iter().find(|(_, schema)| schema.is_some()).or_else(|| change.tables.first()),
        SchemaChangeKind::Database => None,
        _ => change.tables.first(),
    };
    match (first, change.kind) {
        (Some((id, _)), _) => (&id.database, &id.table),
        (None, SchemaChangeKind::Other) => ("", ""),
        (None, _) => (&change.database, ""),
    }
}
