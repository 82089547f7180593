//! What can go wrong in this sink. What the supervisor does about each error is decided in `classification`.

use crate::client::{ClientError, ErrorCode, TopicPartition};
use crate::invalid_setting::InvalidSetting;
use crate::schema_registry::RegistryError;

/// What can go wrong in this sink. The message says what happened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting has a value that it cannot have.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// The template makes an illegal topic name for a table.
    #[error("table {table} has no topic: {problem}")]
    TopicName {
        /// The table.
        table: String,
        /// What is wrong with the name.
        problem: String,
    },
    /// The template makes the same name for two tables.
    #[error("tables {first} and {second} would have the same topic, {topic}")]
    TopicsCollide {
        /// The topic.
        topic: String,
        /// The table that was seen first.
        first: String,
        /// The other table.
        second: String,
    },
    /// A schema change of no table has no topic.
    #[error("a DDL statement about no table has no topic: `topic` is a template, and `ddl_topic` is not set")]
    NoDdlTopic,
    /// The format emits messages that have no topic, as the settings show.
    #[error(
        "`topic` is a template, so BEGIN, COMMIT and heartbeat messages have no topic, and sink.kafka.format.{format} emits them ({settings})"
    )]
    NoControlTopic {
        /// The format.
        format: String,
        /// Its settings that ask for them.
        settings: String,
    },
    /// The format emitted a message that has no topic.
    #[error("`topic` is a template, so BEGIN, COMMIT and heartbeat messages have no topic, and the format emitted one")]
    UnexpectedControlMessage,
    /// The format puts several rows in a message, and records have the keys of rows.
    #[error("sink.kafka.record_key needs one row per message, and sink.kafka.format.{format} puts several in one")]
    SeveralRowsPerKey {
        /// The format.
        format: String,
    },
    /// The source's numbers of events leave no room for tombstones.
    #[error("the source numbers its events without room for tombstones: seq {seq} uses the seven lowest bits")]
    NoRoomForTombstone {
        /// The number of an event.
        seq: u128,
    },
    /// A setting names a column that the table does not have.
    #[error("`partition_columns` of table {table} names column {column}, but the table has {columns}")]
    NoColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The table's columns.
        columns: String,
    },
    /// A topic holds records that are not this task's.
    #[error("topic {} is not empty: partition {} begins with a record that is not of this task", partition.topic, partition.partition)]
    NotEmpty {
        /// The partition.
        partition: TopicPartition,
    },
    /// A receipt cannot be read.
    #[error("the receipt in the checkpoint cannot be read: {problem}")]
    Receipt {
        /// What is wrong.
        problem: String,
    },
    /// The topic is not the one that was written to before.
    #[error("topic {topic} is not the one that this task wrote to: {problem}")]
    TopicChanged {
        /// The topic.
        topic: String,
        /// What differs.
        problem: String,
    },
    /// Settings were changed that decide where a row goes.
    #[error(
        "topic {topic} was written to with other values of the settings that decide where a row goes (`topic`, `ddl_topic`, `partition`, `partition_columns`, the format, `schema_registry` or the transforms)"
    )]
    RoutingChanged {
        /// A topic that is still written to.
        topic: String,
    },
    /// Records of the topic begin with the id of a schema and new ones would not, or the other way round.
    #[error("the records of this task in topic {topic} begin {} the id of a schema, but {}", if *with_id { "with" } else { "without" }, if *with_id { "`schema_registry` is not set" } else { "`schema_registry` is set" })]
    SchemaIdsChanged {
        /// The topic.
        topic: String,
        /// Whether those in the topic have one.
        with_id: bool,
    },
    /// Acknowledged records are gone.
    #[error("partition {partition} ends at offset {end}, but records up to {expected} were acknowledged: they are gone")]
    Regressed {
        /// The partition.
        partition: TopicPartition,
        /// Where the log ends.
        end: i64,
        /// Where it should end at least.
        expected: i64,
    },
    /// A process of this task that was started later is running.
    #[error("partition {partition} holds records of a process of this task that was started later (epoch {theirs}, this one has {ours})")]
    Fenced {
        /// The partition.
        partition: TopicPartition,
        /// The epoch found.
        theirs: u32,
        /// The epoch of this process.
        ours: u32,
    },
    /// The client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The schema registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Whole record batches are refused, not single records.
    #[error("the broker refuses all records for partition {partition} with error {code}")]
    BatchRefused {
        /// The partition.
        partition: TopicPartition,
        /// The code.
        code: ErrorCode,
    },
    /// One record is refused.
    #[error("the broker refuses a record for partition {partition} with error {code}")]
    RecordRefused {
        /// The partition.
        partition: TopicPartition,
        /// The code.
        code: ErrorCode,
    },
    /// One record is larger than the topic allows.
    #[error("a record of {bytes} bytes is too large for topic {}{}", partition.topic, limit.map(|limit| format!(", whose max.message.bytes is {limit}")).unwrap_or_default())]
    RecordTooLarge {
        /// The partition.
        partition: TopicPartition,
        /// Size of the batch with this record alone, compressed as it was sent: what the broker compares with its limit.
        bytes: usize,
        /// The limit, if the broker tells.
        limit: Option<u64>,
        /// A broker, for the help.
        broker: String,
    },
    /// It is unknown whether a record batch reached the log.
    #[error("it is unknown whether records reached partition {partition}: {problem}")]
    OutcomeUnknown {
        /// The partition.
        partition: TopicPartition,
        /// What happened.
        problem: String,
    },
    /// The failure of another lane invalidated the connections and the producer id that lanes share.
    #[error("the connections were given up after the failure of another lane of this task")]
    ProducerInvalidated,
    /// The sink was used before it was opened.
    #[error("the sink was used before it was opened")]
    NotOpen,
    /// A record batch cannot be built or taken apart.
    #[error("a record batch cannot be built: {problem}")]
    RecordBatch {
        /// What is wrong.
        problem: String,
    },
    /// A task inside the sink ended without a result.
    #[error("a delivery ended without a result: {problem}")]
    DeliveryLost {
        /// What is known.
        problem: String,
    },
}
