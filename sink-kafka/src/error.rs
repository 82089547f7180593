//! The errors of this sink. The module `classification` decides what the supervisor does about each error.

use runtime::Cause;

use crate::client::{ClientError, ErrorCode, TopicPartition};
use crate::invalid_setting::InvalidSetting;
use crate::schema_registry::RegistryError;

/// The errors of this sink. The message says what happened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting has an invalid value.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// The topic template produces an illegal topic name for a table.
    #[error("table {table} has no topic: {problem}")]
    TopicName {
        /// The table.
        table: String,
        /// What is wrong with the name.
        problem: String,
    },
    /// The topic template produces the same name for two tables.
    #[error("tables {first} and {second} would have the same topic, {topic}")]
    TopicsCollide {
        /// The topic.
        topic: String,
        /// The table whose events came first.
        first: String,
        /// The table whose events came later.
        second: String,
    },
    /// There is no topic for a schema change that is not about a table.
    #[error("a DDL statement about no table has no topic: `sink.kafka.topic` is a template, and `sink.kafka.ddl_topic` is not set")]
    NoDdlTopic,
    /// The settings of the format ask for messages for which there is no topic.
    #[error(
        "`sink.kafka.topic` is a template, so BEGIN, COMMIT and heartbeat messages have no topic, and `sink.kafka.format.{format}` emits them ({settings})"
    )]
    NoControlTopic {
        /// The format.
        format: String,
        /// The settings of the format that ask for these messages.
        settings: String,
    },
    /// The format emitted a message for which there is no topic.
    #[error("`sink.kafka.topic` is a template, so BEGIN, COMMIT and heartbeat messages have no topic, and the format emitted one")]
    UnexpectedControlMessage,
    /// The format puts several rows into one message, but the settings require records with the key of one row.
    #[error("`sink.kafka.record_key` needs one row per message, and `sink.kafka.format.{format}` puts several in one")]
    SeveralRowsPerKey {
        /// The format.
        format: String,
    },
    /// The source uses the low bits of its sequence numbers, which the sink needs to number several records of one event.
    #[error("the source numbers its events without room for further records: seq {seq} uses the seven lowest bits")]
    NoRoomForRecords {
        /// The sequence number of an event.
        seq: u128,
    },
    /// A setting names a column that the table does not have.
    #[error("`sink.kafka.partition_columns` of table {table} names column {column}, but the table has {columns}")]
    NoColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The table's columns.
        columns: String,
    },
    /// A topic contains records that are not from this task.
    #[error("topic {} is not empty: partition {} begins with a record that is not of this task", partition.topic, partition.partition)]
    NotEmpty {
        /// The partition.
        partition: TopicPartition,
    },
    /// The receipt in the checkpoint cannot be read.
    #[error("the receipt in the checkpoint cannot be read: {problem}")]
    Receipt {
        /// What is wrong.
        problem: String,
    },
    /// The topic is not the one that the task wrote to before.
    #[error("topic {topic} is not the one that this task wrote to: {problem}")]
    TopicChanged {
        /// The topic.
        topic: String,
        /// What is different.
        problem: String,
    },
    /// The stored state of the sink is that of another version of this program.
    #[error("{what} has version {found}, and this program reads version {known}")]
    StateVersion {
        /// What was stored.
        what: &'static str,
        /// Its version.
        found: u32,
        /// The version that this program reads.
        known: u32,
    },
    /// Settings that decide what a record is or where it goes have changed, and they must not.
    #[error("topic {topic} was written to with other settings: {changed}")]
    SettingsChanged {
        /// A topic that the task wrote to with the old settings.
        topic: String,
        /// The settings.
        changed: String,
    },
    /// Existing records of the topic begin with a schema id and new records would not, or the other way round.
    #[error("the records of this task in topic {topic} begin {} the id of a schema, but {}", if *with_id { "with" } else { "without" }, if *with_id { "`sink.kafka.schema_registry` is not set" } else { "`sink.kafka.schema_registry` is set" })]
    SchemaIdsChanged {
        /// The topic.
        topic: String,
        /// Whether the existing records begin with a schema id.
        with_id: bool,
    },
    /// Records that the broker acknowledged are missing from the log.
    #[error("partition {partition} ends at offset {end}, but records up to {expected} were acknowledged: they are gone")]
    Regressed {
        /// The partition.
        partition: TopicPartition,
        /// The offset at which the log ends.
        end: i64,
        /// The offset that the log should have reached at least.
        expected: i64,
    },
    /// Another process of this task that was started later is running.
    #[error("partition {partition} holds records of a process of this task that was started later (epoch {theirs}, this one has {ours})")]
    Fenced {
        /// The partition.
        partition: TopicPartition,
        /// The epoch of the other process.
        theirs: u32,
        /// The epoch of this process.
        ours: u32,
    },
    /// Another process with a copy of this task's state is running.
    #[error("another process writes to partition {partition} with a copy of this task's state (producer id {producer_id})")]
    SecondInstance {
        /// The partition.
        partition: TopicPartition,
        /// The producer id of the other process.
        producer_id: i64,
    },
    /// A record behind the receipt was delivered before the source numbered its events anew, and does not say of which transaction it is.
    #[error("offset {offset} of partition {partition} holds a record of another source before this one, without the id of its transaction")]
    NoTransactionId {
        /// The partition.
        partition: TopicPartition,
        /// The offset.
        offset: i64,
    },
    /// A transaction does not have all records any more that were delivered of it.
    #[error("the transaction {id} has other rows in this source than those that were delivered from the source before it")]
    TransactionDiffers {
        /// The id of the transaction.
        id: String,
    },
    /// An error of the source, which was asked about its events.
    #[error(transparent)]
    Source(runtime::Error),
    /// An error of the Kafka client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// An error of the schema registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The broker refuses one record.
    #[error("the broker refuses a record for partition {partition} with error {code}")]
    RecordRefused {
        /// The partition.
        partition: TopicPartition,
        /// The error code.
        code: ErrorCode,
    },
    /// One record is larger than the topic allows.
    #[error("a record of {bytes} bytes is too large for topic {}{}", partition.topic, limit.map(|limit| format!(", whose max.message.bytes is {limit}")).unwrap_or_default())]
    RecordTooLarge {
        /// The partition.
        partition: TopicPartition,
        /// The size in bytes of a batch with only this record, compressed as it was sent. The broker compares this size with its limit.
        bytes: usize,
        /// The broker's limit in bytes; `None` if the broker does not return it.
        limit: Option<u64>,
        /// The address of a broker, for the command in the help text.
        broker: String,
    },
    /// One record is larger than a broker accepts in a request. Such a broker ends the connection and says nothing.
    #[error("a record of {bytes} bytes for partition {partition} is too large for broker {broker}{}", match limit {
        Some(limit) => format!(", whose socket.request.max.bytes is {limit}"),
        None => ": it ended the connection every time that it was sent this record, and does not say what its socket.request.max.bytes is".into(),
    })]
    RequestTooLarge {
        /// The partition.
        partition: TopicPartition,
        /// The size in bytes of a request with only this record, compressed as it was sent.
        bytes: usize,
        /// The broker's limit in bytes; `None` if the broker does not return it.
        limit: Option<u64>,
        /// The address of the broker.
        broker: String,
    },
    /// One record is larger than the task could read back.
    #[error("a record of {bytes} bytes for partition {partition} is larger than max_batch_bytes, which is {limit}")]
    BatchTooLarge {
        /// The partition.
        partition: TopicPartition,
        /// The size in bytes of a batch with only this record, after compression.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// It is unknown whether a record batch reached the log.
    #[error("it is unknown whether records reached partition {partition}: {problem}")]
    OutcomeUnknown {
        /// The partition.
        partition: TopicPartition,
        /// What happened.
        problem: String,
    },
    /// Another lane failed and invalidated the connections and the producer id that all lanes share.
    #[error("the connections were given up after the failure of another lane of this task")]
    ProducerInvalidated,
    /// The sink was used before it was opened.
    #[error("the sink was used before it was opened")]
    NotOpen,
    /// A record batch cannot be built or split.
    #[error("a record batch cannot be built: {problem}")]
    RecordBatch {
        /// What is wrong.
        problem: String,
    },
    /// The background task of a delivery ended without a result.
    #[error("a delivery ended without a result: {problem}")]
    DeliveryLost {
        /// What the runtime reports about the task.
        problem: String,
    },
}

/// The error code for a record that the broker finds invalid.
const INVALID_RECORD: ErrorCode = ErrorCode(87);

impl Error {
    /// The cause, if it is certain that the event itself is the reason for the error and that its record is not in the log.
    pub(crate) fn cause(&self) -> Option<Cause> {
        match self {
            Self::RecordTooLarge { .. } | Self::BatchTooLarge { .. } | Self::RequestTooLarge { limit: Some(_), .. } => {
                Some(Cause::TooLarge)
            }
            Self::RecordRefused { code: INVALID_RECORD, .. } => Some(Cause::SchemaMismatch),
            Self::Registry(error) if error.is_refusal() => Some(Cause::SchemaMismatch),
            _ => None,
        }
    }

    /// The partition whose record the error is about.
    pub(crate) fn partition(&self) -> Option<&TopicPartition> {
        match self {
            Self::RecordRefused { partition, .. }
            | Self::RecordTooLarge { partition, .. }
            | Self::RequestTooLarge { partition, .. }
            | Self::BatchTooLarge { partition, .. } => Some(partition),
            _ => None,
        }
    }
}
