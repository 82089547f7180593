//! The settings that a router needs to decide where events go.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use runtime::TableId;
use serde::Deserialize;

use super::record_key::RecordKey;
use super::topic_template::TopicTemplate;

/// How rows are distributed over the partitions of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartitionPolicy {
    /// All rows go to partition 0. This keeps the order of all rows.
    #[default]
    Zero,
    /// The hash of the table's name decides. This keeps the order within each table.
    Table,
    /// The hash of the row's key decides. This keeps the order of the changes of each row.
    PrimaryKey,
}

/// What is written for an update that changes the partition or the record key of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyChange {
    /// A DELETE in the partition and with the key of the old row, then an INSERT in the partition and with the key of the new row. So each
    /// partition alone says which rows it holds.
    #[default]
    Split,
    /// One UPDATE, in the partition and with the key of the new row.
    Keep,
}

/// How the partition of a row is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Partitioning {
    pub(crate) policy: PartitionPolicy,
    /// Columns whose values decide the partition, by table. For these tables they replace the policy.
    pub(crate) columns: HashMap<TableId, Vec<String>>,
}

/// The names of one column of `partition_columns`, in the order in which they are looked for. A column that a statement renames keeps its
/// role if its new name is added behind the old one: `customer_id|customer`.
pub(crate) fn names_of_column(setting: &str) -> impl Iterator<Item = &str> {
    setting.split(NAME_SEPARATOR).map(str::trim)
}

const NAME_SEPARATOR: char = '|';

impl Partitioning {
    /// Checks the settings. An error says what is wrong with `partition_columns`.
    pub(crate) fn new(policy: PartitionPolicy, columns: &BTreeMap<String, Vec<String>>) -> Result<Self, String> {
        let mut by_table = HashMap::new();
        for (name, columns) in columns {
            let table = name.parse::<TableId>()?;
            if columns.is_empty() {
                return Err(format!("table {table} has no column"));
            }
            if columns.iter().flat_map(|column| names_of_column(column)).any(str::is_empty) {
                return Err(format!("table {table} has a column without a name"));
            }
            by_table.insert(table, columns.clone());
        }
        Ok(Self { policy, columns: by_table })
    }
}

/// The settings that decide the topic, the partition and the key of each event.
#[derive(Clone, Debug)]
pub(crate) struct RoutingRules {
    pub(crate) topic: TopicTemplate,
    /// The topic for schema changes; `None` means the same topic as the rows of the table.
    pub(crate) ddl_topic: Option<Arc<str>>,
    pub(crate) partitioning: Partitioning,
    pub(crate) record_key: RecordKey,
    /// Whether each DELETE record is followed by a tombstone, a record with the same key and a null value.
    pub(crate) tombstones: bool,
    pub(crate) key_change: KeyChange,
}

impl RoutingRules {
    /// The topics that are known before the first event: the topic for all tables, if there is one, and the topic for schema changes.
    pub(crate) fn fixed_topics(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = self.topic.fixed().map(Arc::from).into_iter().chain(self.ddl_topic.clone()).collect();
        names.dedup();
        names
    }

    /// The topic template; `None` if there is one topic for all tables.
    pub(crate) fn template(&self) -> Option<&TopicTemplate> {
        self.topic.fixed().is_none().then_some(&self.topic)
    }

    /// Whether an event could go to the topic of this name.
    pub(crate) fn could_lead_to(&self, topic: &str) -> bool {
        self.topic.could_be(topic) || self.ddl_topic.as_deref() == Some(topic)
    }
}
