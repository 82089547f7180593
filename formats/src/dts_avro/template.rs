//! The parts of a record that do not depend on the row. They are encoded once per table version, or once per binlog event or chunk.

use runtime::{Column, Event, Origin, TableSchema};

use super::cell::Encoding;
use super::config::Config;
use super::encoding::{Tags, begin_block, branch, write_long, write_string};
use crate::cache::LastSeen;
use crate::error::FormatError;
use crate::escape::write_quoted;

/// The parts that are encoded once per table version.
pub(super) struct Template {
    pub(super) columns: Vec<(Column, Encoding)>,
    pub(super) object_name: Vec<u8>,
    /// The tags `pk_uk_info` and `metaVersion`.
    pub(super) tags: Tags,
    pub(super) fields: Vec<u8>,
}

impl Template {
    pub(super) fn of(schema: &TableSchema, config: &Config) -> Result<Self, FormatError> {
        let mut object_name = vec![branch::STRING];
        write_string(&mut object_name, &format!("{}.{}", escaped_name(&schema.id.database), escaped_name(&schema.id.table)));
        let mut columns = Vec::with_capacity(schema.columns.len());
        let mut fields = vec![branch::ARRAY];
        begin_block(&mut fields, schema.columns.len());
        for column in &schema.columns {
            let (encoding, number) = Encoding::of(column, config)?;
            write_string(&mut fields, &column.name);
            write_long(&mut fields, i64::from(number));
            columns.push((column.clone(), encoding));
        }
        fields.push(0);
        let mut tags = Tags::default();
        let keys = keys(schema)?;
        if let Some(keys) = &keys {
            tags.push("pk_uk_info", keys);
        }
        tags.push_number("metaVersion", meta_version(schema.version, &fields, keys.as_deref().unwrap_or_default()));
        Ok(Self { columns, object_name, tags, fields })
    }
}

/// A database or table name for `objectName`. Dots in the name are escaped, since a dot separates the names.
pub(super) fn escaped_name(name: &str) -> String {
    name.replace('.', "\\u002E")
}

/// The value of the tag `pk_uk_info`, such as `{"PRIMARY":["id"],"uk_a":["a","b"]}`; `None` if the table has no keys.
pub(super) fn keys(schema: &TableSchema) -> Result<Option<String>, FormatError> {
    let primary = (!schema.primary_key.is_empty()).then_some(("PRIMARY", &schema.primary_key));
    let unique = schema.unique_keys.iter().map(|key| (key.name.as_str(), &key.columns));
    let mut json = Vec::new();
    for (name, columns) in primary.into_iter().chain(unique) {
        json.push(if json.is_empty() { b'{' } else { b',' });
        write_quoted(&mut json, name);
        json.extend_from_slice(b":[");
        for (position, &index) in columns.iter().enumerate() {
            let column = schema.columns.get(index).ok_or_else(|| FormatError::UnknownKeyColumn { key: name.to_owned() })?;
            if position > 0 {
                json.push(b',');
            }
            write_quoted(&mut json, &column.name);
        }
        json.push(b']');
    }
    if json.is_empty() {
        return Ok(None);
    }
    json.push(b'}');
    Ok(Some(String::from_utf8_lossy(&json).into_owned()))
}

/// The value of the tag `metaVersion`. It changes whenever the table's schema, its keys or its names in the records change.
///
/// Consumers that cache `fields` per table refresh the cache only when this number changes. The version of the schema alone is not enough:
/// the fields also change if columns are renamed.
fn meta_version(version: u32, fields: &[u8], keys: &str) -> u64 {
    // The FNV-1a hash: simple, and the same on every machine and in every release.
    let hash = fields.iter().chain(keys.as_bytes()).fold(0x811c_9dc5u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    u64::from(version & 0x7fff_ffff) << 32 | u64::from(hash)
}

/// The parts that are encoded once per [`Origin`]. The buffers are reused for the next origin.
#[derive(Default)]
pub(super) struct OriginParts {
    last: LastSeen<Origin>,
    /// The encoded fields from `sourcePosition` to `source`.
    pub(super) source: Vec<u8>,
    /// Tags of every record.
    pub(super) tags: Tags,
    /// Tags of a record without a row; valid after [`OriginParts::set_statement`].
    pub(super) statement: Tags,
}

/// The names of the tags that every record has.
const ROW_TAGS: [&str; 3] = ["readerThroughoutTime", "server_id", "thread_id"];

impl OriginParts {
    /// Sets the parts to those of the event's origin.
    #[inline]
    pub(super) fn set(&mut self, event: &Event) {
        if self.last.is_new(&event.origin, ()) {
            self.fill(event);
        }
    }

    fn fill(&mut self, event: &Event) {
        let origin = &*event.origin;
        // Consumers expect no GTID here; it is a tag of its own.
        let txid = event.txid.as_deref().filter(|_| origin.gtid.is_none());
        self.source.clear();
        write_source(&mut self.source, &origin.offset, &origin.safe_offset, txid.unwrap_or("0"), &origin.server_version);
        self.tags.clear();
        let [read, server, thread] = ROW_TAGS;
        self.tags.push_number(read, origin.read_ms);
        self.tags.push_number(server, origin.server_id);
        self.tags.push_number(thread, origin.thread_id);
    }

    /// Sets the parts to those of the event's origin, and sets [`OriginParts::statement`] to the tags of a DDL statement or transaction boundary:
    /// the tags of a row, the GTID, and the facts about the session.
    pub(super) fn set_statement(&mut self, event: &Event) {
        let origin = &event.origin;
        self.set(event);
        self.statement.copy_from(&self.tags);
        if let Some(gtid) = &origin.gtid {
            self.statement.push("GTID", gtid);
        }
        // A map must not hold a name twice.
        let is_there = |name: &str| ROW_TAGS.contains(&name) || (name == "GTID" && origin.gtid.is_some());
        for (name, value) in origin.facts.iter().filter(|(name, _)| !is_there(name)) {
            self.statement.push(name, value);
        }
    }
}

/// Appends the fields `sourcePosition`, `safeSourcePosition`, `sourceTxid` and `source`.
pub(super) fn write_source(out: &mut Vec<u8>, position: &str, safe_position: &str, txid: &str, server_version: &str) {
    const MYSQL: i64 = 0;
    write_string(out, position);
    write_string(out, safe_position);
    write_string(out, txid);
    write_long(out, MYSQL);
    write_string(out, server_version);
}

#[cfg(test)]
mod tests {
    use runtime::{ColumnKind, TableId, UniqueKey};

    use super::*;

    fn schema(names: &[&str]) -> TableSchema {
        let column = |name: &&str| Column::new(*name, ColumnKind::Int { bytes: 4 }, "int(11)");
        TableSchema::new(TableId::new("d", "t"), names.iter().map(column).collect())
    }

    #[test]
    fn keys_in_their_own_order() {
        let mut table = schema(&["a", "b", "c\"d"]);
        assert_eq!(keys(&table).unwrap(), None);
        table.primary_key = vec![2, 0];
        table.unique_keys = vec![UniqueKey { name: "uk".into(), columns: vec![1] }, UniqueKey { name: "ab".into(), columns: vec![0, 1] }];
        assert_eq!(keys(&table).unwrap().unwrap(), r#"{"PRIMARY":["c\"d","a"],"uk":["b"],"ab":["a","b"]}"#);
        table.primary_key = vec![3];
        assert!(matches!(keys(&table), Err(FormatError::UnknownKeyColumn { key }) if key == "PRIMARY"));
    }

    #[test]
    fn the_meta_version_changes_with_version_names_and_keys() {
        let version = |fields: &[u8], version| meta_version(version, fields, "");
        assert_eq!(version(b"a", 1), version(b"a", 1));
        assert!(version(b"a", 1) < version(b"a", 2));
        assert_ne!(version(b"a", 1), version(b"b", 1));
        assert_ne!(meta_version(1, b"a", "k"), version(b"a", 1));
        assert!(meta_version(u32::MAX, b"a", "") <= i64::MAX as u64);
    }
}
