//! What can go wrong with Kafka, and what the supervisor does about it: the one table is `From<Error> for runtime::Error`.

use runtime::Error as TaskError;

use crate::client::WireError;
use crate::schema_registry::RegistryError;

/// What can go wrong in this sink.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting has a value that it cannot have.
    #[error("key `{key}`: {problem}")]
    Setting {
        /// The key.
        key: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The template makes no legal topic name for a table.
    #[error("the topic of table {table}: {problem}")]
    TopicName {
        /// The table.
        table: String,
        /// What is wrong with the name.
        problem: String,
    },
    /// The template makes the same name for two tables.
    #[error("tables {first} and {second} both fall on topic {topic}")]
    TopicsCollide {
        /// The topic.
        topic: String,
        /// The table met first.
        first: String,
        /// The other table.
        second: String,
    },
    /// A schema change of no table has no topic.
    #[error("a schema change that belongs to no table has no topic, since `topic` is a template and there is no `ddl_topic`")]
    NoDdlTopic,
    /// A message that belongs to no table has no topic.
    #[error("the format writes transaction borders or signs of life, which have no topic, since `topic` is a template")]
    NoBorderTopic,
    /// The same, seen in the settings before anything runs.
    #[error(
        "`topic` is a template, and sink.kafka.format.{format} writes transaction borders or signs of life ({settings}), which belong to no table and would have no topic"
    )]
    NoControlTopic {
        /// The format.
        format: String,
        /// Its settings that ask for them.
        settings: String,
    },
    /// The lane is to end, and the registry was not waited for.
    #[error("the task is stopping, and the schema registry had not answered yet")]
    Stopped,
    /// A topic is not there.
    #[error("topic {topic} does not exist")]
    NoTopic {
        /// The topic.
        topic: String,
        /// A broker, for the help.
        broker: String,
    },
    /// A topic cannot be made.
    #[error("topic {topic} cannot be made: {problem} (code {code})")]
    NotCreated {
        /// The topic.
        topic: String,
        /// The protocol's code.
        code: i16,
        /// The broker's words.
        problem: String,
        /// How long it has been refusing; see [`Denial`].
        denial: Denial,
    },
    /// A setting names a column that the table does not have.
    #[error("`partition_columns` of table {table} names the column {column}, and the table has {columns}")]
    NoColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The table's columns.
        columns: String,
    },
    /// A topic holds records that are not this task's.
    #[error("topic {topic} is not empty: partition {partition} begins with a record that is not of this task")]
    NotEmpty {
        /// The topic.
        topic: String,
        /// The partition.
        partition: usize,
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
        "topic {topic} was written to with other settings of where a row goes (`topic`, `ddl_topic`, `partition`, `partition_columns`, the format, `schema_registry` or the transforms)"
    )]
    RoutingChanged {
        /// A topic that is still written to.
        topic: String,
    },
    /// What stands in the topic is written for a schema registry and what is to come is not, or the other way round.
    #[error("topic {topic} holds records of this task {} the id of a schema, and {}", if *framed { "with" } else { "without" }, if *framed { "no `schema_registry` is set" } else { "a `schema_registry` is set" })]
    FramesChanged {
        /// The topic.
        topic: String,
        /// Whether those in the topic have one.
        framed: bool,
    },
    /// Acknowledged records are gone.
    #[error("partition {topic}/{partition} ends at offset {end}, but records up to {expected} were acknowledged: they are gone")]
    Regressed {
        /// The topic.
        topic: String,
        /// The partition.
        partition: usize,
        /// Where the log ends.
        end: i64,
        /// Where it should end at least.
        expected: i64,
    },
    /// A newer start of this task is at work.
    #[error("partition {topic}/{partition} holds records of a newer start of this task (epoch {theirs}, this one is {ours})")]
    Fenced {
        /// The topic.
        topic: String,
        /// The partition.
        partition: usize,
        /// The epoch found.
        theirs: u32,
        /// The epoch of this process.
        ours: u32,
    },
    /// Records that must be looked at cannot be read.
    #[error("partition {topic}/{partition} has records at offset {offset} that cannot be read: {problem}")]
    Unreadable {
        /// The topic.
        topic: String,
        /// The partition.
        partition: usize,
        /// Where.
        offset: i64,
        /// Why not.
        problem: String,
    },
    /// A connection or request failed.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The schema registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A broker answered with an error that may pass.
    #[error("{doing}: the broker answered {code} ({name})")]
    Answer {
        /// What was asked for.
        doing: String,
        /// The protocol's code.
        code: i16,
        /// Its name.
        name: String,
    },
    /// A broker refuses because of permissions.
    #[error("{doing}: the broker does not allow it to {user}, with code {code} ({name})")]
    Denied {
        /// What was asked for.
        doing: String,
        /// The protocol's code.
        code: i16,
        /// Its name.
        name: String,
        /// How long it has been refusing; see [`Denial`].
        denial: Denial,
        /// Who we are to the broker, as far as is known.
        user: String,
        /// The command that adds what is missing.
        acl: String,
    },
    /// A broker refuses because of how it, the topic or this task is set up.
    #[error("{doing}: the broker refuses with {code} ({name})")]
    Misconfigured {
        /// What was asked for.
        doing: String,
        /// The protocol's code.
        code: i16,
        /// Its name.
        name: String,
    },
    /// A broker calls a request of ours invalid.
    #[error("{doing}: the broker calls the request invalid, code {code} ({name})")]
    InvalidRequest {
        /// What was asked for.
        doing: String,
        /// The protocol's code.
        code: i16,
        /// Its name.
        name: String,
    },
    /// Whole record batches are refused, not single records.
    #[error("the broker refuses all records for {topic}/{partition} with {code} ({name})")]
    BatchRefused {
        /// The topic.
        topic: String,
        /// The partition.
        partition: usize,
        /// The protocol's code.
        code: i16,
        /// Its name.
        name: String,
    },
    /// One record is refused.
    #[error("the broker refuses this record for {topic}/{partition} with {code} ({name})")]
    RecordRefused {
        /// The topic.
        topic: String,
        /// The partition.
        partition: usize,
        /// The protocol's code.
        code: i16,
        /// Its name.
        name: String,
    },
    /// One record is larger than the topic takes.
    #[error("the broker refuses this record for {topic}/{partition} with {code} ({name}): alone in its batch it takes {bytes} bytes{}", limit.map(|limit| format!(", and max.message.bytes of the topic is {limit}")).unwrap_or_default())]
    RecordTooLarge {
        /// The topic.
        topic: String,
        /// The partition.
        partition: usize,
        /// The protocol's code.
        code: i16,
        /// Its name.
        name: String,
        /// Size of the batch, compressed as it was sent: what the broker compares with its limit.
        bytes: usize,
        /// The limit, if the broker tells it.
        limit: Option<u64>,
        /// A broker, for the help.
        broker: String,
    },
    /// It is unknown whether a record batch reached the log.
    #[error("it is unknown whether records reached {topic}/{partition}: {problem}")]
    InDoubt {
        /// The topic.
        topic: String,
        /// The partition.
        partition: usize,
        /// What happened.
        problem: String,
    },
    /// Another lane's failure ended the connections and the producer id that lanes share.
    #[error("the connections were given up after a failure of another part of this task")]
    Condemned,
    /// The sink was used before it was opened.
    #[error("the sink is used before it was opened")]
    NotOpen,
    /// A record batch cannot be built or taken apart.
    #[error("build a record batch: {problem}")]
    RecordBatch {
        /// What is wrong.
        problem: String,
    },
    /// A task inside the sink ended without an answer.
    #[error("a delivery ended without an answer: {problem}")]
    Lost {
        /// What is known.
        problem: String,
    },
}

/// How a refusal because of permissions is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denial {
    /// Nothing worked yet: the task is set up wrongly.
    AtStart,
    /// It worked before: permissions may come back.
    Grace,
    /// It has lasted too long.
    Lasting,
}

impl Denial {
    /// The error that it is.
    pub(crate) fn class(self, doing: &'static str) -> TaskError {
        match self {
            Self::AtStart => TaskError::config(doing),
            Self::Grace => TaskError::retryable(doing),
            Self::Lasting => TaskError::fatal(doing),
        }
    }
}

impl From<Error> for TaskError {
    fn from(error: Error) -> Self {
        const DOING: &str = "write to Kafka";
        const LOOK: &str = "look at what was delivered to Kafka";
        let class = match &error {
            Error::Setting { .. } => TaskError::config("check the settings of the Kafka sink"),
            Error::TopicName { .. } => TaskError::config("find the topic").with_help("rename the table by a transform, or change `topic`"),
            Error::TopicsCollide { .. } => {
                TaskError::config("find the topic").with_help("change the template `topic`, or rename one of the tables by a transform")
            }
            Error::NoDdlTopic => TaskError::config("find the topic")
                .with_code("E_NO_DDL_TOPIC")
                .with_help("set ddl_topic to one topic for such statements; the task goes on from here"),
            Error::NoControlTopic { format, settings } => TaskError::config("read key `sink.kafka.topic`")
                .with_help(format!("remove {settings} from sink.kafka.format.{format}, or name one topic without placeholders in `topic`")),
            Error::NoBorderTopic => {
                TaskError::config("find the topic").with_help("switch them off in the format, or use one topic")
            }
            Error::NoTopic { topic, broker } => TaskError::config("find the topic").with_code("E_NO_TOPIC").with_help(format!(
                "create it: kafka-topics.sh --bootstrap-server {broker} --create --topic {topic} --partitions <count> --replication-factor <count>, or set create_topics = {{ enabled = true }}"
            )),
            Error::NotCreated { denial, .. } => denial
                .class("make the topic")
                .with_code("E_NOT_CREATED")
                .with_help("correct create_topics.partitions, create_topics.replication or create_topics.configs, or make the topic by hand"),
            Error::NoColumn { .. } => TaskError::config("find the partition of a row")
                .with_code("E_NO_COLUMN")
                .with_help("correct `partition_columns`; names are those after transforms, spelled exactly"),
            Error::NotEmpty { .. } => TaskError::config("check that the topic is empty")
                .with_code("E_NOT_EMPTY")
                .with_help("choose an empty topic, or write behind what is there with not_empty = \"append\""),
            Error::Receipt { .. } => TaskError::fatal(LOOK).with_code("E_CKPT_CORRUPT"),
            Error::TopicChanged { .. } => TaskError::fatal(LOOK)
                .with_code("E_TOPIC_CHANGED")
                .with_help("restore the topic, or reset the task and start with a new full phase"),
            Error::RoutingChanged { .. } | Error::FramesChanged { .. } => TaskError::config("go on where the task was")
                .with_code("E_CONFIG_CONFLICT")
                .with_help("put the settings back, or start the task over: with another topic, or with an empty one and an empty state directory"),
            Error::Regressed { .. } => TaskError::fatal(LOOK)
                .with_code("E_SINK_REGRESSED")
                .with_help("restore the topic, or reset the task and start with a new full phase"),
            Error::Fenced { .. } => TaskError::fatal(LOOK)
                .with_code("E_FENCED")
                .with_help("find and stop the other process of this task; only one may run"),
            Error::Unreadable { .. } => TaskError::config(LOOK)
                .with_code("E_EVIDENCE_UNREADABLE")
                .with_help("delete what cannot be read (kafka-delete-records.sh), or reset the task and start with a new full phase"),
            Error::Wire(WireError::Door { problem, denial, .. }) => {
                denial.class("connect to Kafka").with_code(problem.code()).with_help(problem.help())
            }
            Error::Wire(WireError::Versions { .. }) => {
                TaskError::config(DOING).with_help("use brokers of Apache Kafka 0.11 or newer (2.1 for zstd)")
            }
            Error::Wire(_) => TaskError::retryable(DOING).with_help("check that the brokers run and can be reached from here"),
            Error::Registry(error) => error.class(),
            Error::Answer { .. } => TaskError::retryable(DOING),
            Error::Denied { denial, acl, .. } => denial.class(DOING).with_code("E_DENIED").with_help(format!("allow it: {acl}")),
            Error::Misconfigured { .. } => TaskError::config(DOING),
            Error::InvalidRequest { .. } => TaskError::fatal(DOING).with_help("report this as a defect, with the broker's version"),
            Error::BatchRefused { .. } => TaskError::fatal(DOING)
                .with_help("a compacted topic refuses records without key (use cleanup.policy=delete); else compare this machine's clock with the brokers'"),
            Error::RecordRefused { .. } => TaskError::data(DOING)
                .with_code("E_RECORD_REFUSED")
                .with_help("a compacted topic refuses records without key: use cleanup.policy=delete; else the broker's log says why"),
            Error::RecordTooLarge { topic, bytes, broker, .. } => TaskError::data(DOING).with_code("E_TOO_LARGE").with_help(format!(
                "let the topic take it: kafka-configs.sh --bootstrap-server {broker} --alter --entity-type topics --entity-name {topic} --add-config max.message.bytes={}; where messages hold several rows, rows = \"one\" of the format makes them smaller",
                bytes.next_multiple_of(1 << 20)
            )),
            Error::InDoubt { .. } => TaskError::retryable(DOING),
            Error::Condemned => TaskError::retryable(DOING),
            Error::Stopped => TaskError::retryable("register the schema"),
            Error::NotOpen => TaskError::fatal(DOING),
            Error::RecordBatch { .. } => TaskError::fatal(DOING),
            Error::Lost { .. } => TaskError::retryable(DOING),
        };
        class.because(error)
    }
}

/// The name that Kafka gives to an error code.
pub(crate) fn code_name(code: i16) -> String {
    rskafka::protocol::error::Error::new(code).map_or_else(|| "NONE".into(), |error| format!("{error:?}"))
}
