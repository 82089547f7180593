//! The columns on which the partition and the key of a table's records depend, and what a schema change makes of them.

use runtime::TableSchema;

use super::partitioner;
use super::record_key::RowKey;
use super::rules::{PartitionPolicy, RoutingRules, names_of_column};
use crate::error::Error;

/// The names of the columns on which the partition and the key of a table's records depend.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Deciding {
    partition: Vec<String>,
    /// `None` if the records have no key.
    key: Option<Vec<String>>,
}

impl Deciding {
    pub(super) fn new(schema: &TableSchema, partition: &[usize], key: Option<&RowKey>) -> Self {
        let names = |columns: &[usize]| -> Vec<String> {
            columns.iter().filter_map(|&column| schema.columns.get(column)).map(|column| column.name.clone()).collect()
        };
        Self { partition: names(partition), key: key.map(|key| names(key.columns())) }
    }

    /// Says what is different from `before` in a topic with so many partitions; `None` if nothing is.
    pub(super) fn difference(&self, before: &Self, partitions: usize) -> Option<String> {
        let mut parts = Vec::new();
        if partitions > 1 && self.partition != before.partition {
            parts.push(format!("({}) decide the partition, instead of ({})", self.partition.join(", "), before.partition.join(", ")));
        }
        match (&self.key, &before.key) {
            (now, before) if now == before => {}
            (Some(now), Some(before)) => parts.push(format!("({}) are the record key, instead of ({})", now.join(", "), before.join(", "))),
            (Some(now), None) => parts.push(format!("({}) are the record key, and there was none", now.join(", "))),
            (None, _) => parts.push("the records have no key any more".to_owned()),
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// The columns whose values decide the partition of a table's rows, if the topic has several partitions.
pub(super) fn deciding_columns(rules: &RoutingRules, schema: &TableSchema) -> Result<Vec<usize>, Error> {
    match (rules.partitioning.columns.get(&schema.id), rules.partitioning.policy) {
        (Some(names), _) => named_columns(schema, names),
        (None, PartitionPolicy::Zero | PartitionPolicy::Table) => Ok(Vec::new()),
        (None, PartitionPolicy::PrimaryKey) => Ok(partitioner::key_columns(schema)),
    }
}

/// The writer of the keys of a table's rows; `None` if they have no key.
pub(super) fn row_key(rules: &RoutingRules, schema: &TableSchema) -> Option<RowKey> {
    RowKey::of_table(schema, rules.record_key, rules.topic.names_the_table())
}

/// The indexes of the named columns. A column of which the table has none of the names is an error; otherwise rows would go to partitions
/// that the settings do not mean.
fn named_columns(schema: &TableSchema, names: &[String]) -> Result<Vec<usize>, Error> {
    let find = |name: &String| {
        // The name of a column may hold the separator.
        let whole = schema.column(name);
        whole.or_else(|| names_of_column(name).find_map(|name| schema.column(name))).ok_or_else(|| Error::NoColumn {
            table: schema.id.to_string(),
            column: name.clone(),
            columns: schema.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_begin_and_end() {
        let deciding = |key: Option<&str>| Deciding { partition: Vec::new(), key: key.map(|name| vec![name.to_owned()]) };
        assert_eq!(deciding(Some("id")).difference(&deciding(None), 1).as_deref(), Some("(id) are the record key, and there was none"));
        assert_eq!(deciding(None).difference(&deciding(Some("id")), 1).as_deref(), Some("the records have no key any more"));
        assert_eq!(deciding(Some("id")).difference(&deciding(Some("id")), 9), None);
    }
}
