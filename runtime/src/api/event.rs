//! What flows through a lane: rows, schema changes and transaction borders, each with its order and its place in the source.

use std::sync::Arc;

use crate::{Position, Row, Seq, TableId, TableSchema};

/// One event of a split.
#[derive(Clone, Debug)]
pub struct Event {
    /// Order in the split. A heartbeat has no place in the order: its `seq` is 0, and nobody looks at it.
    pub seq: Seq,
    /// Short text of the place in the source, such as `binlog.000014:8273883`: for people and error messages, not for resuming. See
    /// [`Event::location`].
    pub position: Position,
    /// When the source made the change: milliseconds since the epoch. For snapshot rows the time of reading.
    pub timestamp_ms: i64,
    /// The source's id of the transaction, if it has one that is unique.
    pub txid: Option<Arc<str>>,
    /// Facts of the source that formats print; one per binlog event or chunk.
    pub origin: Arc<Origin>,
    /// What happened.
    pub body: Body,
}

impl Event {
    /// Where the event is, for error messages. Rows of a snapshot split share the text of their position, so the number of the row in its split
    /// is added, counted in the order of reading. Rows that are merged into a stream have no such number: their `seq` is one of the stream.
    pub fn location(&self) -> Position {
        match &self.body {
            Body::Row(RowChange { op: Op::Read, .. }) if self.seq.0 <= u64::MAX.into() => {
                format!("{} row {}", self.position, self.seq.0).into()
            }
            _ => self.position.clone(),
        }
    }
}

/// Facts of the source that formats print.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// Id of the server that made the change.
    pub server_id: u32,
    /// Version text of the server, such as `5.7.22-log`.
    pub server_version: Arc<str>,
    /// Connection that made the change, 0 if unknown.
    pub thread_id: u32,
    /// GTID of the transaction, if GTIDs are on.
    pub gtid: Option<Arc<str>>,
    /// End of the event as `<offset>@<file number>`, the `sourcePosition` of DTS.
    pub offset: Arc<str>,
    /// A place in the same form from which re-reading loses nothing: the start of the transaction.
    pub safe_offset: Arc<str>,
    /// When the event was read, in milliseconds since the epoch.
    pub read_ms: i64,
    /// Facts of a statement under the names that DTS gives them (`Q_SQL_MODE_CODE`); only on schema changes and transaction borders.
    pub facts: Vec<(&'static str, String)>,
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Body {
    /// A row was read, inserted, updated or deleted.
    Row(RowChange),
    /// A schema was changed.
    Schema(SchemaChange),
    /// A transaction begins. Only transactions with rows of selected tables have borders.
    Begin,
    /// A transaction was committed.
    Commit,
    /// No change up to the event's position; `timestamp_ms` is the source's latest known time. A heartbeat stands between transactions and has
    /// no `seq` of its own. Only sources that are configured to send heartbeats do.
    Heartbeat,
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// The snapshot saw it.
    Read,
    /// It was inserted.
    Insert,
    /// It was updated.
    Update,
    /// It was deleted.
    Delete,
}

/// A change of one row. Images are full: as many cells as the schema has columns.
#[derive(Clone, Debug, PartialEq)]
pub struct RowChange {
    /// The table's schema at that moment.
    pub schema: Arc<TableSchema>,
    /// What happened to the row, as it is delivered.
    pub op: Op,
    /// What the source did. It differs from `op` where a filter has made a DELETE or an INSERT of an UPDATE, because only one of the two
    /// images passes the filter.
    pub source_op: Op,
    /// The row before: of updates and deletes.
    pub before: Option<Row>,
    /// The row after: of reads, inserts and updates.
    pub after: Option<Row>,
}

impl RowChange {
    /// A change as the source made it.
    pub fn new(schema: Arc<TableSchema>, op: Op, before: Option<Row>, after: Option<Row>) -> Self {
        Self { schema, op, source_op: op, before, after }
    }

    /// The image that says what the row is now, or was last: after, else before.
    pub fn newest(&self) -> Option<&Row> {
        self.after.as_ref().or(self.before.as_ref())
    }
}

/// A DDL statement that changed schemas.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SchemaChange {
    /// What kind of statement it was.
    pub kind: SchemaChangeKind,
    /// The session's default database, or the database that the statement names if it is about one; may be empty.
    pub database: String,
    /// The statement as it was executed.
    pub statement: String,
    /// The selected tables that it touched, in the statement's order; `None` means that the table is gone.
    pub tables: Vec<(TableId, Option<Arc<TableSchema>>)>,
    /// Whether it is delivered. A transform that drops a schema change sets this to false and leaves the event in its batch, because the
    /// transforms behind it have to know the schemas. The pipeline takes the event out before the sink.
    pub delivered: bool,
}

impl SchemaChange {
    /// A change by `statement` that touched no selected table yet.
    pub fn new(kind: SchemaChangeKind, database: impl Into<String>, statement: impl Into<String>) -> Self {
        Self { kind, database: database.into(), statement: statement.into(), tables: Vec::new(), delivered: true }
    }
}

/// Kinds of DDL statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SchemaChangeKind {
    /// CREATE TABLE.
    CreateTable,
    /// ALTER TABLE, other than what follows.
    AlterTable,
    /// DROP TABLE.
    DropTable,
    /// RENAME TABLE, ALTER TABLE … RENAME TO.
    RenameTable,
    /// TRUNCATE TABLE.
    TruncateTable,
    /// CREATE INDEX, ALTER TABLE … ADD INDEX as its first item.
    CreateIndex,
    /// DROP INDEX, ALTER TABLE … DROP INDEX as its first item.
    DropIndex,
    /// CREATE, ALTER or DROP DATABASE.
    Database,
    /// Anything else.
    Other,
}
