//! What is remembered over restarts: where each split is, what its sink delivered, the structures of its tables.

mod directory;
mod failure;
mod local;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use local::{LocalStore, LocalStoreConfig};
use serde::{Deserialize, Serialize};

use crate::{Position, Receipt, Result, SplitId, TableId, TableSchema, async_trait};

/// Facts of a source, committed together with a position: key and new value; `None` deletes. Opaque to the runtime.
pub type State = Vec<(String, Option<String>)>;

/// Where a split is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Everything before it is durable in the sink.
    pub position: Position,
    /// What the sink delivered up to `position`, or a little more.
    pub receipt: Receipt,
    /// Whether the split was read to its end.
    pub done: bool,
}

/// A step of one split.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The split.
    pub split: SplitId,
    /// Where it is now.
    pub checkpoint: Checkpoint,
    /// Structures that changed on the way; `None` means that the table is gone.
    pub schemas: Vec<(TableId, Option<Arc<TableSchema>>)>,
    /// Facts of the source that changed on the way.
    pub state: State,
}

/// All that is remembered.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Committed {
    /// Random id of the task, made at its first start and kept until it is reset.
    pub run: u64,
    /// Rises with every start.
    pub epoch: u32,
    /// Number of each split, from 1, given at its first commit.
    pub numbers: BTreeMap<SplitId, u32>,
    /// Where each split is.
    pub splits: BTreeMap<SplitId, Checkpoint>,
    /// Structures at the position of each split.
    pub schemas: BTreeMap<(SplitId, TableId), Arc<TableSchema>>,
    /// The source's facts, per split.
    pub state: BTreeMap<(SplitId, String), String>,
}

impl Committed {
    /// Applies a step, as a store does.
    pub fn apply(&mut self, progress: &Progress) {
        let next = self.numbers.values().max().map_or(1, |last| last + 1);
        self.numbers.entry(progress.split.clone()).or_insert(next);
        self.splits.insert(progress.split.clone(), progress.checkpoint.clone());
        for (table, schema) in &progress.schemas {
            let key = (progress.split.clone(), table.clone());
            match schema {
                Some(schema) => self.schemas.insert(key, schema.clone()),
                None => self.schemas.remove(&key),
            };
        }
        for (name, value) in &progress.state {
            let key = (progress.split.clone(), name.clone());
            match value {
                Some(value) => self.state.insert(key, value.clone()),
                None => self.state.remove(&key),
            };
        }
    }

    /// A fact of the source that was committed with `split`.
    pub fn fact(&self, split: &SplitId, name: &str) -> Option<&str> {
        self.state.get(&(split.clone(), name.to_owned())).map(String::as_str)
    }
}

/// Keeps checkpoints.
#[async_trait]
pub trait CheckpointStore: Send + Sync {
    /// All that was committed. `epoch` was raised, durably, when this store was opened. Called at the start and after every failure.
    async fn load(&self) -> Result<Committed>;

    /// Commits steps, all or nothing; when it returns they survive a power cut. Steps of one split come in order.
    async fn commit(&self, progress: Vec<Progress>) -> Result<()>;
}
