//! The parts of a record that are the same for every row of a table version.

use runtime::{Column, TableSchema};

use super::cell::Form;
use super::config::Config;
use super::encoding::{begin_block, write_long, write_string};
use super::record::{ARRAY, STRING, Tags, escaped_name};
use crate::error::FormatError;

/// What is prepared per table version, encoded.
pub(super) struct Plan {
    pub(super) columns: Vec<(Column, Form)>,
    pub(super) object_name: Vec<u8>,
    /// `pk_uk_info` and `metaVersion`.
    pub(super) tags: Tags,
    pub(super) fields: Vec<u8>,
}

impl Plan {
    pub(super) fn of(schema: &TableSchema, config: &Config) -> Result<Self, FormatError> {
        let mut object_name = vec![STRING];
        write_string(&mut object_name, &format!("{}.{}", escaped_name(&schema.id.database), escaped_name(&schema.id.table)));
        let mut columns = Vec::with_capacity(schema.columns.len());
        let mut fields = vec![ARRAY];
        begin_block(&mut fields, schema.columns.len());
        for column in &schema.columns {
            let (form, number) = Form::of(column, config)?;
            write_string(&mut fields, &column.name);
            write_long(&mut fields, i64::from(number));
            columns.push((column.clone(), form));
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

/// The value of `pk_uk_info`: `{"PRIMARY":["id"],"uk_a":["a","b"]}`; `None` without keys.
pub(super) fn keys(schema: &TableSchema) -> Result<Option<String>, FormatError> {
    let primary = (!schema.primary_key.is_empty()).then_some(("PRIMARY", &schema.primary_key));
    let unique = schema.unique_keys.iter().map(|key| (key.name.as_str(), &key.columns));
    let mut text = String::new();
    for (name, columns) in primary.into_iter().chain(unique) {
        let names = columns
            .iter()
            .map(|&index| schema.columns.get(index).map(|column| column.name.as_str()))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| FormatError::UnknownKeyColumn { key: name.to_owned() })?;
        text.push(if text.is_empty() { '{' } else { ',' });
        text.push_str(&json(name)?);
        text.push(':');
        text.push_str(&json(&names)?);
    }
    if text.is_empty() {
        return Ok(None);
    }
    text.push('}');
    Ok(Some(text))
}

fn json(value: impl serde::Serialize) -> Result<String, FormatError> {
    serde_json::to_string(&value).map_err(|error| FormatError::Schema(error.into()))
}

/// The value of `metaVersion`: another number whenever the structure or what is shown of it changed. Consumers that cache `fields` by table
/// refresh only then, so the version of the source alone would not do: a changed mapping changes the fields too.
fn meta_version(version: u32, fields: &[u8], keys: &str) -> u64 {
    // FNV-1a: small, and the same on every machine and in every release.
    let hash = fields.iter().chain(keys.as_bytes()).fold(0x811c_9dc5u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    u64::from(version & 0x7fff_ffff) << 32 | u64::from(hash)
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
