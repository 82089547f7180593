//! Chooses the topic, the partition and the key of each event.

mod control_events;
mod deciding;
mod partitioner;
mod record_key;
mod router;
mod rules;
mod topic_owners;
mod topic_template;

pub(crate) use control_events::{IneffectiveSetting, heartbeats_have_no_effect, refuse_control_events_without_topic};
pub use record_key::RecordKey;
pub(crate) use router::{Route, Router, Target};
pub use rules::{KeyChange, PartitionPolicy};
pub(crate) use rules::{Partitioning, RoutingRules, names_of_column};
pub(crate) use topic_owners::TopicOwners;
pub(crate) use topic_template::TopicTemplate;
