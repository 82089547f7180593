//! The schema phase: it delivers the CREATE TABLE of every selected table as a schema change, before any row of the table.
//!
//! The first plan commits the definitions together with the schemas, so that both describe the same moment. A definition is removed from
//! the checkpoint once it is delivered. After a failure, the remaining definitions are sent. Only a definition whose delivery is uncertain
//! is sent again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use runtime::{
    Batch, Body, Committed, Event, Facts, Origin, Position, SchemaChange, SchemaChangeKind, Seq, SplitReader, TableSchema, async_trait,
};

use crate::error::{Result, SourceError};
use crate::facts::TableDefinition;
use crate::schema::{for_mysql, without_foreign_keys};
use crate::server::Definition;
use crate::session::quoted;
use crate::splits::SplitName;

/// The position of the split, which never changes: the facts in the checkpoint say which definitions are left.
pub(crate) const POSITION: &str = "v1";

/// Adds one fact for each definition. The schema phase delivers the definitions from these facts. Foreign keys are left out, as in Alibaba
/// DTS. `is_for_mysql` says whether what only PolarDB-X has is left out, too. With `is_again`, a DROP TABLE comes before each of them, because
/// the tables were delivered before with other definitions.
pub(crate) fn note_definitions(facts: &mut Facts, definitions: &[Definition], is_for_mysql: bool, is_again: bool) -> Result<()> {
    for (number, Definition { schema, ddl }) in definitions.iter().enumerate() {
        let doing = || format!("take parts out of the CREATE TABLE of {}", schema.id);
        let ddl = without_foreign_keys(ddl).and_then(|ddl| if is_for_mysql { for_mysql(&ddl) } else { Ok(ddl) });
        let ddl = ddl.map_err(|error| SourceError::answer(doing(), error.to_string()))?;
        facts.set_at(&format!("{number:08}"), &TableDefinition { table: schema.id.clone(), ddl, is_again })?;
    }
    Ok(())
}

/// A statement that is not delivered yet.
struct Pending {
    /// The key of the fact that is removed with the delivery; `None` if the fact is needed for a later statement.
    key: Option<String>,
    schema: Arc<TableSchema>,
    kind: SchemaChangeKind,
    sql: String,
}

/// Returns the definitions one by one. `next` is cancel-safe, because it never waits.
pub(crate) struct SchemaReader {
    pending: VecDeque<Pending>,
    origin: Origin,
    /// The number of definitions returned so far, which is also the sequence number of the last definition.
    seq: u128,
}

impl SchemaReader {
    /// Reads from the checkpoint the definitions that are not delivered yet.
    pub(crate) fn new(committed: &Committed, origin: Origin) -> Result<Self> {
        let mut pending = VecDeque::new();
        for fact in committed.facts::<TableDefinition>() {
            let (key, TableDefinition { table, ddl, is_again }) = fact?;
            let schema = committed.schema(&table).cloned().ok_or_else(|| SourceError::unknown_schema(&table))?;
            if is_again {
                let sql = format!("DROP TABLE IF EXISTS {}", quoted(&table.table));
                pending.push_back(Pending { key: None, schema: schema.clone(), kind: SchemaChangeKind::DropTable, sql });
            }
            pending.push_back(Pending { key: Some(key), schema, kind: SchemaChangeKind::CreateTable, sql: ddl });
        }
        Ok(Self { pending, origin, seq: 0 })
    }
}

#[async_trait]
impl SplitReader for SchemaReader {
    async fn next(&mut self) -> runtime::Result<Option<Batch>> {
        let Some(Pending { key, schema, kind, sql }) = self.pending.pop_front() else { return Ok(None) };
        self.seq += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let mut origin = self.origin.clone();
        origin.read_ms = now;
        let size = sql.len();
        let mut change = SchemaChange::new(kind, &*schema.id.database, sql);
        let is_there = kind == SchemaChangeKind::CreateTable;
        change.tables = vec![(schema.id.clone(), is_there.then(|| schema.clone()))];
        let event = Event {
            seq: Seq(self.seq),
            position: Position::from(format!("{} of {}", SplitName::Schema, schema.id)),
            timestamp_ms: now / 1000 * 1000,
            txid: None,
            origin: Arc::new(origin),
            body: Body::Schema(change),
        };
        // Invariant: a schema change is the only event of its batch. The commit that records its delivery also removes its definition from
        // the checkpoint.
        let mut batch = Batch::new(vec![event], Some(POSITION.into()), size);
        key.iter().for_each(|key| batch.facts.remove_at::<TableDefinition>(key));
        Ok(Some(batch))
    }
}
