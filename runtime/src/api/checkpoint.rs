//! What is remembered over restarts: the state of the task, and where each split is.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::facts::{self, Fact, Facts};
use crate::{Position, Receipt, Result, SplitId, TableId, TableSchema, async_trait};

/// Table schemas that changed; `None` means that the table is gone.
pub type SchemaChanges = Vec<(TableId, Option<Arc<TableSchema>>)>;

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

/// What is committed about one split.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The split.
    pub split: SplitId,
    /// Its number: from 1, given when its start is committed, never given to another split of the task.
    pub number: u32,
    /// Where it is now.
    pub checkpoint: Checkpoint,
    /// Schemas that changed since its last commit.
    pub schemas: SchemaChanges,
}

/// One step, committed as a whole or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commit {
    /// Changes of the task's facts.
    pub facts: Facts,
    /// Changes of the task's schemas: those that its tables had when it began.
    pub schemas: SchemaChanges,
    /// Splits that began or got further.
    pub splits: Vec<Progress>,
    /// Splits that are not needed any more.
    pub forget: Vec<SplitId>,
    /// What the sink says of the whole task ([`crate::Sink::evidence`]); `None` keeps what was committed before.
    pub evidence: Option<Receipt>,
}

/// What is known of one split.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitState {
    /// Its number, as in [`Progress::number`].
    pub number: u32,
    /// Where it is.
    pub checkpoint: Checkpoint,
    /// Schemas that changed since the task began, up to the checkpoint.
    schemas: Arc<BTreeMap<TableId, Option<Arc<TableSchema>>>>,
}

/// All that is remembered of a task. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Committed {
    run: u64,
    epoch: u32,
    last_number: u32,
    facts: Arc<BTreeMap<String, String>>,
    schemas: Arc<BTreeMap<TableId, Arc<TableSchema>>>,
    splits: BTreeMap<SplitId, SplitState>,
    evidence: Arc<Receipt>,
}

impl Committed {
    /// What is remembered of a task that has committed nothing yet. `last_number` is the greatest number that any split ever had.
    pub fn new(run: u64, epoch: u32, last_number: u32) -> Self {
        Self { run, epoch, last_number, ..Self::default() }
    }

    /// The same in a later start of the process.
    pub(crate) fn in_epoch(self, epoch: u32) -> Self {
        Self { epoch, ..self }
    }

    /// Applies a step, as a store does. A store that reads everything back applies it as one step to [`Committed::new`].
    pub fn apply(&mut self, commit: &Commit) {
        if !commit.facts.is_empty() {
            let facts = Arc::make_mut(&mut self.facts);
            for (name, text) in commit.facts.stored() {
                match text {
                    Some(text) => facts.insert(name.to_owned(), text.to_owned()),
                    None => facts.remove(name),
                };
            }
        }
        if !commit.schemas.is_empty() {
            let schemas = Arc::make_mut(&mut self.schemas);
            for (table, schema) in &commit.schemas {
                match schema {
                    Some(schema) => schemas.insert(table.clone(), schema.clone()),
                    None => schemas.remove(table),
                };
            }
        }
        for Progress { split, number, checkpoint, schemas } in &commit.splits {
            self.last_number = self.last_number.max(*number);
            let new = || SplitState { number: *number, checkpoint: checkpoint.clone(), schemas: Arc::default() };
            let state = self.splits.entry(split.clone()).or_insert_with(new);
            state.checkpoint = checkpoint.clone();
            if !schemas.is_empty() {
                Arc::make_mut(&mut state.schemas).extend(schemas.iter().cloned());
            }
        }
        for split in &commit.forget {
            self.splits.remove(split);
        }
        if let Some(evidence) = &commit.evidence {
            self.evidence = Arc::new(evidence.clone());
        }
    }

    /// Random id of the task, made at its first start and kept until its checkpoint is deleted; 0 before that.
    pub fn run(&self) -> u64 {
        self.run
    }

    /// Rises with every start of the process.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether nothing was committed yet.
    pub fn is_new(&self) -> bool {
        self.facts.is_empty() && self.schemas.is_empty() && self.splits.is_empty()
    }

    /// The number that the next new split gets.
    pub fn next_number(&self) -> u32 {
        self.last_number.saturating_add(1)
    }

    /// What is known of a split.
    pub fn split(&self, split: &SplitId) -> Option<&SplitState> {
        self.splits.get(split)
    }

    /// All splits, by their names.
    pub fn splits(&self) -> impl Iterator<Item = (&SplitId, &SplitState)> {
        self.splits.iter()
    }

    /// What the sink last said of the whole task; empty if it said nothing yet.
    pub fn evidence(&self) -> &Arc<Receipt> {
        &self.evidence
    }

    /// The only fact of its kind.
    pub fn fact<F: Fact>(&self) -> Result<Option<F>> {
        self.facts.get(F::NAME).map(|text| facts::read(F::NAME, text)).transpose()
    }

    /// The fact `key` of its kind.
    pub fn fact_at<F: Fact>(&self, key: &str) -> Result<Option<F>> {
        let name = facts::name_at::<F>(key);
        self.facts.get(&name).map(|text| facts::read(&name, text)).transpose()
    }

    /// The facts of a kind with their keys, in the order of the keys.
    pub fn facts<F: Fact>(&self) -> impl Iterator<Item = Result<(String, F)>> {
        let start = facts::name_at::<F>("");
        let of_kind = self.facts.range(start.clone()..).take_while(move |(name, _)| name.starts_with(&start));
        of_kind.map(|(name, text)| Ok((name.get(F::NAME.len() + 1..).unwrap_or_default().to_owned(), facts::read(name, text)?)))
    }

    /// The schema that a table had when the task began.
    pub fn schema(&self, table: &TableId) -> Option<&Arc<TableSchema>> {
        self.schemas.get(table)
    }

    /// The schemas that the tables had when the task began, by the tables' names.
    pub fn schemas(&self) -> impl Iterator<Item = &Arc<TableSchema>> {
        self.schemas.values()
    }

    /// The schemas at the checkpoint of a split, by the tables' names: those that the task began with, and what changed in the split since.
    pub fn split_schemas(&self, split: &SplitId) -> Vec<Arc<TableSchema>> {
        let mut all: BTreeMap<&TableId, &Arc<TableSchema>> = self.schemas.iter().collect();
        for (table, schema) in self.splits.get(split).iter().flat_map(|state| state.schemas.iter()) {
            match schema {
                Some(schema) => all.insert(table, schema),
                None => all.remove(table),
            };
        }
        all.into_values().cloned().collect()
    }
}

/// Keeps checkpoints.
///
/// Building a store parses its settings; the first method that needs the medium opens it.
#[async_trait]
pub trait CheckpointStore: Send + Sync {
    /// All that was committed. The first call raises `epoch`, durably, before it returns, and claims the store for this process. Called at the
    /// start and after every failure.
    async fn load(&self) -> Result<Committed>;

    /// Commits a step, all or nothing; when it returns the step survives a power cut. The steps of one split come in order.
    async fn commit(&self, commit: Commit) -> Result<()>;

    /// What is remembered, without changing or claiming anything; `None` if nothing is. An error of kind `Config` with the code
    /// `E_STORE_LOCKED` if another process has the store open.
    async fn peek(&self) -> Result<Option<Committed>>;

    /// A directory in which plugins may keep files of this task, if the store has one. It exists once `load` has returned.
    fn directory(&self) -> Option<&Path> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, ColumnKind, Kind};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Server(String);

    impl Fact for Server {
        const NAME: &'static str = "server";
        const VERSION: u32 = 2;
    }

    fn schema(table: &str, columns: usize) -> Arc<TableSchema> {
        let columns = (0..columns).map(|n| Column::new(format!("c{n}"), ColumnKind::Int { bytes: 4 }, "int(11)")).collect();
        Arc::new(TableSchema::new(TableId::new("shop", table), columns))
    }

    fn progress(split: &str, number: u32, schemas: SchemaChanges) -> Progress {
        let checkpoint = Checkpoint { position: "p".into(), receipt: Receipt::default(), done: false };
        Progress { split: split.into(), number, checkpoint, schemas }
    }

    #[test]
    fn a_split_sees_the_schemas_of_the_task_and_its_own_changes() {
        let named = |schema: &Arc<TableSchema>| (schema.id.clone(), Some(schema.clone()));
        let (a, b, b2, c) = (schema("a", 1), schema("b", 1), schema("b", 2), schema("c", 1));
        let mut committed = Committed::new(7, 1, 0);
        assert!(committed.is_new());
        committed.apply(&Commit { schemas: vec![named(&a), named(&b)], splits: vec![progress("s", 1, vec![])], ..Commit::default() });
        assert_eq!(committed.split_schemas(&"s".into()), [a.clone(), b.clone()]);
        let changes = vec![(a.id.clone(), None), named(&b2), named(&c)];
        committed.apply(&Commit { splits: vec![progress("s", 1, changes)], ..Commit::default() });
        assert_eq!(committed.split_schemas(&"s".into()), [b2, c]);
        assert_eq!(committed.split_schemas(&"other".into()), [a.clone(), b.clone()]);
        assert_eq!(committed.schemas().cloned().collect::<Vec<_>>(), [a, b]);
    }

    #[test]
    fn numbers_of_forgotten_splits_are_not_given_again() {
        let mut committed = Committed::new(7, 1, 4);
        assert_eq!(committed.next_number(), 5);
        committed.apply(&Commit { splits: vec![progress("s", 5, vec![])], ..Commit::default() });
        committed.apply(&Commit { forget: vec!["s".into()], ..Commit::default() });
        assert_eq!((committed.next_number(), committed.splits().count()), (6, 0));
    }

    #[test]
    fn facts_are_typed_and_versioned() {
        let mut facts = Facts::new();
        facts.set(&Server("one".into())).unwrap();
        facts.set_at("00000002", &Server("b".into())).unwrap();
        facts.set_at("00000001", &Server("a".into())).unwrap();
        let mut committed = Committed::new(7, 1, 0);
        committed.apply(&Commit { facts, ..Commit::default() });
        assert_eq!(committed.fact::<Server>().unwrap(), Some(Server("one".into())));
        assert_eq!(committed.fact_at::<Server>("00000002").unwrap(), Some(Server("b".into())));
        let all: Vec<_> = committed.facts::<Server>().map(Result::unwrap).map(|(key, Server(name))| (key, name)).collect();
        assert_eq!(all, [("00000001".into(), "a".into()), ("00000002".into(), "b".into())]);
        let mut facts = Facts::new();
        facts.remove::<Server>();
        facts.remove_at::<Server>("00000001");
        committed.apply(&Commit { facts, ..Commit::default() });
        assert_eq!((committed.fact::<Server>().unwrap(), committed.facts::<Server>().count()), (None, 1));
        for (stored, code) in
            [("1 \"x\"", "E_CKPT_VERSION"), ("3 \"x\"", "E_CKPT_VERSION"), ("2 {", "E_CKPT_CORRUPT"), ("", "E_CKPT_CORRUPT")]
        {
            committed.apply(&Commit { facts: Facts::from_stored([("server".into(), Some(stored.into()))]), ..Commit::default() });
            let error = committed.fact::<Server>().unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Fatal, Some(code)), "{stored}");
        }
    }
}
