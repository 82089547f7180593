//! The settings that decide where an event goes, as far as a router needs them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use runtime::TableId;
use serde::Deserialize;

use super::record_key::RecordKey;
use super::topic_template::TopicTemplate;

/// How rows are spread over the partitions of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartitionPolicy {
    /// Everything to partition 0: one order for all rows.
    #[default]
    Zero,
    /// By the hash of the table's name: order per table.
    Table,
    /// By the hash of the row's key: order per row.
    PrimaryKey,
}

/// How the partition of a row is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Partitioning {
    pub(crate) policy: PartitionPolicy,
    /// For some tables, the columns that decide instead of the policy.
    pub(crate) columns: HashMap<TableId, Vec<String>>,
}

impl Partitioning {
    /// Reads the settings; the error says what is wrong with `partition_columns`.
    pub(crate) fn new(policy: PartitionPolicy, columns: &BTreeMap<String, Vec<String>>) -> Result<Self, String> {
        let mut by_table = HashMap::new();
        for (name, columns) in columns {
            let table = name.parse::<TableId>()?;
            if columns.is_empty() {
                return Err(format!("table {table} has no column"));
            }
            by_table.insert(table, columns.clone());
        }
        Ok(Self { policy, columns: by_table })
    }
}

/// The settings that decide where an event goes, and with which key.
#[derive(Clone, Debug)]
pub(crate) struct RoutingRules {
    pub(crate) topic: TopicTemplate,
    /// Where schema changes go; absent, they go where the table's rows go.
    pub(crate) ddl_topic: Option<Arc<str>>,
    pub(crate) partitioning: Partitioning,
    pub(crate) record_key: RecordKey,
    /// Whether a DELETE is followed by a record with the same key and a null value.
    pub(crate) tombstones: bool,
}

impl RoutingRules {
    /// The topics that are known before any event: the fixed topic and the one for schema changes.
    pub(crate) fn fixed_topics(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = self.topic.fixed().map(Arc::from).into_iter().chain(self.ddl_topic.clone()).collect();
        names.dedup();
        names
    }

    /// The template, unless there is one topic for all tables.
    pub(crate) fn template(&self) -> Option<&TopicTemplate> {
        self.topic.fixed().is_none().then_some(&self.topic)
    }

    /// Whether these rules can lead to a topic of this name.
    pub(crate) fn could_lead_to(&self, topic: &str) -> bool {
        self.topic.could_be(topic) || self.ddl_topic.as_deref() == Some(topic)
    }
}
