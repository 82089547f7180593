//! The schema phase: the CREATE TABLE of every selected table, delivered as a schema change before any of its rows.
//!
//! The statements are committed with the start of the split, as they are when the task begins, so that they are of the same moment as the
//! structures that rows are read by. Each is forgotten when it was delivered: what is left after a failure is what comes then, and only one
//! whose delivery was not known comes again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use runtime::{
    Batch, Body, Committed, Event, Origin, Position, SchemaChange, SchemaChangeKind, Seq, Split, SplitId, SplitKind, SplitReader, State,
    TableId, TableSchema, async_trait,
};

use crate::error::{Result, SourceError};
use crate::resume::committed_schema;
use crate::schema::without_foreign_keys;
use crate::server::Definition;

/// Id of the split that the schema phase is.
pub(crate) const STRUCTURES: &str = "structures";

/// Facts that hold a statement begin so; a number follows, which keeps their order.
const STATEMENT: &str = "statement ";

/// The split's position: the facts say what is left.
const POSITION: &str = "v1";

/// The split with the statements of `definitions`. Foreign keys are left out of them, as DTS does.
pub(crate) fn split(definitions: &[Definition]) -> Result<Split> {
    let mut state = State::new();
    for (number, Definition { schema, statement }) in definitions.iter().enumerate() {
        let doing = || format!("leave the foreign keys out of the CREATE TABLE of {}", schema.id);
        let statement = without_foreign_keys(statement).map_err(|error| SourceError::answer(doing(), error.to_string()))?;
        let text = serde_json::json!([*schema.id.database, *schema.id.table, statement]).to_string();
        state.push((format!("{STATEMENT}{number:08}"), Some(text)));
    }
    Ok(Split { id: STRUCTURES.into(), kind: SplitKind::Snapshot, start: POSITION.into(), schemas: Vec::new(), state })
}

/// The split again, if its statements are not all delivered yet.
pub(crate) fn left(committed: &Committed) -> Option<Split> {
    let id = SplitId::from(STRUCTURES);
    let checkpoint = committed.splits.get(&id).filter(|checkpoint| !checkpoint.done)?;
    Some(Split { id, kind: SplitKind::Snapshot, start: checkpoint.position.clone(), schemas: Vec::new(), state: State::new() })
}

/// One statement that is not delivered yet.
struct Waiting {
    fact: String,
    schema: Arc<TableSchema>,
    statement: String,
}

/// Gives the statements one by one. Cancel-safe: it never waits.
pub(crate) struct StructuresReader {
    waiting: VecDeque<Waiting>,
    origin: Origin,
    /// Number of the last one that was given.
    seq: u128,
}

impl StructuresReader {
    /// Reads what is left from the checkpoint; the structures were committed with `anchor`.
    pub(crate) fn new(committed: &Committed, anchor: &SplitId, origin: Origin) -> Result<Self> {
        let id = SplitId::from(STRUCTURES);
        let mut waiting = VecDeque::new();
        for ((_, fact), text) in committed.state.iter().filter(|((of, fact), _)| *of == id && fact.starts_with(STATEMENT)) {
            let [database, table, statement]: [String; 3] = serde_json::from_str(text)
                .map_err(|error| SourceError::Checkpoint { what: format!("the fact {fact:?} of {id} is unreadable: {error}") })?;
            let schema = committed_schema(committed, anchor, &TableId::new(database, table))?;
            waiting.push_back(Waiting { fact: fact.clone(), schema, statement });
        }
        Ok(Self { waiting, origin, seq: 0 })
    }
}

#[async_trait]
impl SplitReader for StructuresReader {
    async fn next(&mut self) -> runtime::Result<Option<Batch>> {
        let Some(Waiting { fact, schema, statement }) = self.waiting.pop_front() else { return Ok(None) };
        self.seq += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let mut origin = self.origin.clone();
        origin.read_ms = now;
        let size = statement.len();
        let mut change = SchemaChange::new(SchemaChangeKind::CreateTable, &*schema.id.database, statement);
        change.tables = vec![(schema.id.clone(), Some(schema.clone()))];
        let event = Event {
            seq: Seq(self.seq),
            position: Position::from(format!("{STRUCTURES} of {}", schema.id)),
            timestamp_ms: now / 1000 * 1000,
            txid: None,
            origin: Arc::new(origin),
            body: Body::Schema(change),
        };
        // Invariant: a schema change travels alone; behind it the statement counts as delivered.
        let mut batch = Batch::new(vec![event], Some(POSITION.into()), size);
        batch.state.push((fact, None));
        Ok(Some(batch))
    }
}
