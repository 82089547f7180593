//! Messages of schema changes.

use runtime::{Event, SchemaChange, SchemaChangeKind};

use super::CanalJson;
use super::config::{NullKeys, Profile};
use crate::error::FormatError;
use crate::escape::write_quoted;

impl CanalJson {
    /// Appends the message of a schema change.
    pub(super) fn encode_schema_change(&mut self, event: &Event, change: &SchemaChange, out: &mut Vec<u8>) -> Result<(), FormatError> {
        let type_name = match self.config.profile {
            Profile::Canal => type_name(change.kind)?,
            Profile::Dts => "DDL",
        };
        let (database, table) = subject(change);
        let with_nulls = self.config.null_keys == NullKeys::Write;
        out.extend_from_slice(if with_nulls { b"{\"data\":null,\"database\":" } else { b"{\"database\":" });
        write_quoted(out, database);
        out.extend_from_slice(b",\"es\":");
        self.origin.renew(event);
        self.origin.write_before(out, self.ids.next(event.origin.read_ms));
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
        self.origin.write_after(out);
        write_quoted(out, type_name);
        out.push(b'}');
        Ok(())
    }
}

/// Canal's name for a kind of statement (`EventType` of its protocol).
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

/// The database and table that the message names: the first table of the statement; of a renaming the first new name. A statement about a
/// database has no table, and one that was not understood names nothing.
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
