//! Assigns to each error of the sink its kind (what the supervisor does about it), its stable code, and a help text for the user.

use std::error::Error as _;

use runtime::{Error as TaskError, Kind};

use crate::client::{ClientError, ConnectError, Denial, Server, ServerText};
use crate::error::Error;
use crate::schema_registry::RegistryError;

const RESTART: &str = "or start the task from scratch: with another topic, or with an empty one and an empty state directory";
const NEW_FULL_PHASE: &str = "restore the topic, or delete the task's checkpoint and start with a new full phase";
/// The error codes of a schema registry that is read-only.
const REGISTRY_READ_ONLY: [i64; 2] = [42205, 42206];

/// The classification of one error: kind, stable code (`None` if it has no code of its own), and help text (may be empty).
struct Class {
    kind: Kind,
    code: Option<&'static str>,
    help: String,
}

fn class(kind: Kind, code: &'static str, help: impl Into<String>) -> Class {
    Class { kind, code: Some(code), help: help.into() }
}

/// A class without a stable code.
fn plain(kind: Kind, help: impl Into<String>) -> Class {
    Class { kind, code: None, help: help.into() }
}

/// The kind of a refusal. It depends on how long the refusal has lasted: at the start it is a wrong setting, later it may pass by itself.
fn kind_of(denial: Denial) -> Kind {
    match denial {
        Denial::AtStart => Kind::Config,
        Denial::Grace => Kind::Retryable,
        Denial::Lasting => Kind::Fatal,
    }
}

fn refused_connection(reason: &ConnectError, denial: Denial, server: Server) -> Class {
    class(kind_of(denial), reason.code(), reason.help(server))
}

fn client(error: &ClientError) -> Class {
    match error {
        ClientError::Refused { reason, denial, .. } => refused_connection(reason, *denial, Server::Broker),
        ClientError::Version { .. } => plain(Kind::Config, "use brokers of Apache Kafka 0.11 or newer (2.1 for zstd)"),
        ClientError::Connect { .. }
        | ClientError::ConnectTimeout { .. }
        | ClientError::Request { .. }
        | ClientError::ConnectionEnded { .. }
        | ClientError::AnswerTooLong { .. }
        | ClientError::RequestTimeout { .. }
        | ClientError::LeaderChanged { .. }
        | ClientError::Unreachable { .. }
        | ClientError::UnknownBroker { .. }
        | ClientError::NoLeader { .. } => plain(Kind::Retryable, "check that the brokers run and can be reached from here"),
        ClientError::NoTopic { topic, broker } => class(
            Kind::Config,
            "E_NO_TOPIC",
            format!(
                "create it: kafka-topics.sh --bootstrap-server {broker} --create --topic {topic} --partitions <count> --replication-factor <count>, or set create_topics = {{ enabled = true }}"
            ),
        ),
        ClientError::TopicGone { .. } | ClientError::TopicReplaced { .. } => class(Kind::Fatal, "E_TOPIC_CHANGED", NEW_FULL_PHASE),
        ClientError::NotCreated { denial, .. } => class(
            kind_of(*denial),
            "E_NOT_CREATED",
            "correct create_topics.partitions, create_topics.replication or create_topics.configs, or create the topic by hand",
        ),
        ClientError::Denied { denial, command, .. } => class(kind_of(*denial), "E_DENIED", format!("allow it: {command}")),
        ClientError::Answer { code, .. } if code.is_misconfiguration() => plain(Kind::Config, ""),
        ClientError::Answer { code, .. } if code.is_invalid_request() => {
            plain(Kind::Fatal, "report this as a defect, with the broker's version")
        }
        ClientError::Answer { .. } | ClientError::BadAnswer { .. } => plain(Kind::Retryable, ""),
        ClientError::Unreadable { .. } => class(
            Kind::Config,
            "E_EVIDENCE_UNREADABLE",
            "delete what cannot be read (kafka-delete-records.sh), or delete the task's checkpoint and start with a new full phase",
        ),
    }
}

fn registry(error: &RegistryError) -> Class {
    match error {
        RegistryError::Unreachable { denial, .. } => class(
            kind_of(*denial),
            "E_REGISTRY",
            "correct schema_registry.url, or start the registry and make sure that it can be reached from here",
        ),
        RegistryError::Tls { reason, denial, .. } => refused_connection(reason, *denial, Server::SchemaRegistry),
        RegistryError::NotRegistry { denial, .. } => class(
            kind_of(*denial),
            "E_REGISTRY",
            "set schema_registry.url to a registry with Confluent's REST interface, such as http://registry:8081",
        ),
        RegistryError::NoSuchPath { denial, .. } => class(
            kind_of(*denial),
            "E_REGISTRY",
            "correct schema_registry.url, its path: the part before /subjects and /schemas in the registry's addresses",
        ),
        RegistryError::Redirected { denial, .. } => class(
            kind_of(*denial),
            "E_REGISTRY",
            "if that is your registry, set schema_registry.url to that address: the password is not sent to where a redirection leads",
        ),
        RegistryError::Denied { status: 401, denial, .. } => {
            class(kind_of(*denial), "E_REGISTRY_DENIED", "set or correct schema_registry.user and schema_registry.password")
        }
        RegistryError::Denied { user, denial, .. } => class(
            kind_of(*denial),
            "E_REGISTRY_DENIED",
            format!(
                "allow {user} in the registry to read schemas and to write the subjects, or register them by hand and set schema_registry.auto_register = false"
            ),
        ),
        RegistryError::Busy { .. } => class(Kind::Retryable, "E_REGISTRY", "look into the registry's own log"),
        RegistryError::Incompatible { url, subject, .. } => class(
            Kind::Data,
            "E_SCHEMA_REFUSED",
            format!(
                "use a topic of its own (or another schema_registry.subject), or let the subject take any schema: curl -X PUT {url}/config/{subject} -H 'Content-Type: application/json' -d '{{\"compatibility\":\"NONE\"}}'"
            ),
        ),
        RegistryError::Invalid { code, .. } if REGISTRY_READ_ONLY.contains(code) => class(
            Kind::Data,
            "E_SCHEMA_REFUSED",
            "set the registry's mode to READWRITE, or register the schema there and set schema_registry.auto_register = false",
        ),
        RegistryError::Invalid { .. } => {
            class(Kind::Data, "E_SCHEMA_REFUSED", "use a registry that takes Avro schemas; its text says what it does not take")
        }
        RegistryError::NotRegistered { subject, .. } => class(
            Kind::Config,
            "E_SCHEMA_MISSING",
            format!("register the format's schema under subject {subject}, or set schema_registry.auto_register = true"),
        ),
        RegistryError::Gone { .. } | RegistryError::Changed { .. } => {
            class(Kind::Fatal, "E_SCHEMA_GONE", format!("restore the registry as it was (its topic _schemas), {RESTART}"))
        }
        RegistryError::Refused { .. } => class(Kind::Config, "E_REGISTRY", "the registry's text says why; its log may say more"),
        RegistryError::Stopping => plain(Kind::Retryable, ""),
    }
}

fn classify(error: &Error) -> Class {
    match error {
        Error::NoTransactionId { .. } | Error::TransactionDiffers { .. } => {
            class(Kind::Fatal, "E_TAIL_DIVERGED", format!("point the source at the server from which the last records came, {RESTART}"))
        }
        Error::Source(error) => plain(error.kind(), ""),
        Error::Client(error) => client(error),
        Error::Registry(error) => registry(error),
        Error::Setting(_) => plain(Kind::Config, ""),
        Error::TopicName { .. } => plain(Kind::Config, "rename the table by a transform, or change `topic`"),
        Error::TopicsCollide { .. } => plain(Kind::Config, "change the template `topic`, or rename one of the tables by a transform"),
        Error::NoDdlTopic => {
            class(Kind::Config, "E_NO_DDL_TOPIC", "set ddl_topic to one topic for such statements; the task continues at this statement")
        }
        Error::NoControlTopic { settings, .. } => {
            plain(Kind::Config, format!("remove {settings}, or set `topic` to one topic without placeholders"))
        }
        Error::UnexpectedControlMessage => {
            plain(Kind::Config, "let the format ignore these events, or set `topic` to one topic without placeholders")
        }
        Error::SeveralRowsPerKey { .. } => plain(Kind::Config, "set rows = \"one\" of the format, or record_key = \"none\""),
        Error::NoRoomForRecords { .. } => {
            plain(Kind::Fatal, "set tombstones = false and key_change = \"keep\"; this is a defect of the source")
        }
        Error::NoColumn { .. } => {
            const HELP: &str = "correct `partition_columns`; the names are those after transforms, spelled exactly; if the column was renamed, add its new \
                                name behind the old one: \"old|new\"";
            class(Kind::Config, "E_NO_COLUMN", HELP)
        }
        Error::NotEmpty { .. } => {
            class(Kind::Config, "E_NOT_EMPTY", "choose an empty topic, or write behind its records with not_empty = \"append\"")
        }
        Error::Receipt { .. } => {
            let damaged = TaskError::damaged_checkpoint("");
            class(Kind::Fatal, "E_CKPT_CORRUPT", damaged.help().unwrap_or_default().to_owned())
        }
        Error::StateVersion { found, known, .. } if found > known => class(
            Kind::Fatal,
            "E_CKPT_NEWER",
            "run the newer version again, or start the task from scratch in another directory and an empty topic",
        ),
        Error::StateVersion { .. } => class(
            Kind::Fatal,
            "E_CKPT_OLDER",
            "continue with the older version, or start the task from scratch with this one, in another directory and an empty topic",
        ),
        Error::TopicChanged { .. } => class(Kind::Fatal, "E_TOPIC_CHANGED", NEW_FULL_PHASE),
        Error::SettingsChanged { .. } | Error::SchemaIdsChanged { .. } => {
            class(Kind::Config, "E_CONFIG_CONFLICT", format!("put the settings back, {RESTART}"))
        }
        Error::Regressed { .. } => class(Kind::Fatal, "E_SINK_REGRESSED", NEW_FULL_PHASE),
        Error::Fenced { .. } => class(Kind::Fatal, "E_FENCED", "find and stop the other process of this task; only one may run"),
        Error::SecondInstance { .. } => {
            class(Kind::Fatal, "E_FENCED", "find and stop the other process; only one may run with a state directory or a copy of it")
        }
        Error::RecordRefused { .. } => class(Kind::Data, "E_RECORD_REFUSED", REFUSED),
        Error::RecordTooLarge { partition, bytes, broker, .. } => class(
            Kind::Data,
            "E_TOO_LARGE",
            format!(
                "let the topic take it: kafka-configs.sh --bootstrap-server {broker} --alter --entity-type topics --entity-name {} --add-config max.message.bytes={}; where messages hold several rows, rows = \"one\" of the format makes them smaller",
                partition.topic,
                bytes.next_multiple_of(1 << 20)
            ),
        ),
        Error::RequestTooLarge { bytes, .. } => class(
            Kind::Data,
            "E_TOO_LARGE",
            format!(
                "let the brokers take it: socket.request.max.bytes={} in server.properties of every broker, and a restart of each; where messages hold several rows, rows = \"one\" of the format makes them smaller",
                bytes.next_multiple_of(1 << 20)
            ),
        ),
        Error::BatchTooLarge { bytes, .. } => class(
            Kind::Data,
            "E_TOO_LARGE",
            format!(
                "set max_batch_bytes = {} in [sink.kafka], which the task may then use as memory; where messages hold several rows, rows = \"one\" of the format makes them smaller",
                bytes.next_multiple_of(1 << 20)
            ),
        ),
        Error::OutcomeUnknown { .. } | Error::ProducerInvalidated | Error::DeliveryLost { .. } => plain(Kind::Retryable, ""),
        Error::NotOpen | Error::RecordBatch { .. } => plain(Kind::Fatal, ""),
    }
}

const REFUSED: &str = "a compacted topic refuses records without a key: set record_key = \"primary_key\", or cleanup.policy=delete of the topic; else compare this machine's clock with the brokers', and look into the broker's log";

impl From<Error> for TaskError {
    fn from(error: Error) -> Self {
        let error = match error {
            Error::Source(error) => return error,
            error => error,
        };
        let Class { kind, code, help } = classify(&error);
        let mut task_error = TaskError::new(kind, error.to_string());
        if let Some(code) = code {
            task_error = task_error.with_code(code);
        }
        if !help.is_empty() {
            task_error = task_error.with_help(help);
        }
        if let Some(cause) = error.cause() {
            task_error = task_error.with_data_cause(cause);
        }
        if let Some(partition) = error.partition() {
            task_error = task_error.bound_for(&*partition.topic, u32::try_from(partition.partition).ok());
        }
        match error.source() {
            Some(source) => task_error.because(ServerText::of(source)),
            None => task_error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{ErrorCode, TopicPartition};

    #[test]
    fn the_first_line_says_what_happened_and_the_cause_is_the_servers_text() {
        let error = TaskError::from(Error::Client(ClientError::NotCreated {
            topic: "shop".into(),
            code: ErrorCode(44),
            source: "too many partitions".into(),
            denial: Denial::AtStart,
        }));
        assert_eq!(error.message(), "topic shop cannot be created: error 44 (PolicyViolation)");
        assert_eq!(
            (error.kind(), error.code(), error.cause().as_deref()),
            (Kind::Config, Some("E_NOT_CREATED"), Some("too many partitions"))
        );
        let partition = TopicPartition { topic: "shop".into(), partition: 3 };
        let error = TaskError::from(Error::RecordRefused { partition, code: ErrorCode(87) });
        assert_eq!(error.message(), "the broker refuses a record for partition shop/3 with error 87 (InvalidRecord)");
        assert!(error.cause().is_none());
    }
}
