//! Creates topics, and reads their configs and the permissions on them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::api::create_topics::{CreateTopicsRequest, CreateTopicsResponse};
use super::api::describe_configs::{DescribeConfigRequest, Resource};
use super::api::metadata::MetadataRequest;
use super::connections::Purpose;
use super::error::ClientError;
use super::error_code::ErrorCode;
use super::retry::Retry;
use super::session::{ExpectedTopic, Permission, Session};

const PAUSE: Duration = Duration::from_millis(100);
const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
const MAX_REQUEST_BYTES: &str = "socket.request.max.bytes";
const CLEANUP_POLICY: &str = "cleanup.policy";
/// The operations that a writer needs, with their numbers in Kafka's protocol.
const NEEDED_RIGHTS: [(&str, u32); 3] = [("Describe", 8), ("Read", 3), ("Write", 4)];

/// The partitions, replicas and configs of topics that are created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicCreation {
    /// `None` means the default of the brokers.
    pub(crate) partitions: Option<i32>,
    /// `None` means the default of the brokers.
    pub(crate) replication: Option<i16>,
    pub(crate) configs: BTreeMap<String, String>,
}

/// Creates topics, and waits until they can be written to. A topic that already exists, perhaps because another lane created it, is not
/// changed.
pub(crate) async fn create(session: &Session, topics: &[Arc<str>], creation: &TopicCreation) -> Result<(), ClientError> {
    request_creation(session, topics, creation, Mode::Create).await?;
    // Most brokers do not know the new topics yet.
    let created: Vec<ExpectedTopic> = topics.iter().map(|topic| ExpectedTopic::new(topic, 1)).collect();
    session.refresh_topics(&created).await?;
    for topic in topics {
        tracing::debug!(%topic, id = session.topic_id(topic).map(tracing::field::display), "the topic exists");
    }
    Ok(())
}

/// Checks whether topics could be created, without creating them.
pub(crate) async fn validate_creation(session: &Session, topics: &[Arc<str>], creation: &TopicCreation) -> Result<(), ClientError> {
    request_creation(session, topics, creation, Mode::ValidateOnly).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Create,
    ValidateOnly,
}

async fn request_creation(session: &Session, topics: &[Arc<str>], creation: &TopicCreation, mode: Mode) -> Result<(), ClientError> {
    let request = CreateTopicsRequest {
        names: topics.iter().map(|topic| &**topic).collect(),
        partitions: creation.partitions,
        replication: creation.replication,
        configs: &creation.configs,
        validate_only: mode == Mode::ValidateOnly,
    };
    let mut retry = Retry::new(session.timeouts().patience, PAUSE, PAUSE);
    loop {
        let result = match send_to_controller(session, &request).await {
            Ok(answer) => read_answer(session, answer, mode),
            Err(error) => Err(error),
        };
        match result {
            // After a transient error the topic may or may not exist. Repeating the request makes certain that it exists.
            Err(error) if error.is_transient() => retry.again(error).await?,
            result => return result,
        }
        session.refresh_brokers().await?;
    }
}

async fn send_to_controller(session: &Session, request: &CreateTopicsRequest<'_>) -> Result<CreateTopicsResponse, ClientError> {
    session.controller().await?.request(request.clone()).await
}

fn read_answer(session: &Session, answer: CreateTopicsResponse, mode: Mode) -> Result<(), ClientError> {
    let mut result = Ok(());
    for (topic, code, text) in answer.topics {
        let operation = || format!("creating topic {topic}");
        let error = match code {
            ErrorCode::NONE if mode == Mode::Create => {
                tracing::info!(topic, "topic created");
                continue;
            }
            ErrorCode::NONE | ErrorCode::TOPIC_ALREADY_EXISTS => continue,
            code if code.is_denial() => session.denied(operation(), code, Permission::CreateTopic(&topic)),
            code if code.refuses_creation() => {
                let text = text.filter(|text| !text.is_empty()).unwrap_or_else(|| "the broker gives no reason".into());
                ClientError::NotCreated { topic, code, source: text.into(), denial: session.denials().note_denial() }
            }
            code => ClientError::Answer { operation: operation(), code },
        };
        // A refusal is returned immediately, because it is a more useful error than a transient one.
        if !error.is_transient() {
            return Err(error);
        }
        result = Err(error);
    }
    result
}

/// The largest batch that a topic accepts, in bytes; `None` if the brokers do not return it. It is used only in an error text.
pub(crate) async fn max_message_bytes(session: &Session, topic: &str) -> Option<u64> {
    config(session, topic, MAX_MESSAGE_BYTES).await?.parse().ok()
}

/// The largest request that a broker accepts, in bytes, and the address of the broker; `None` for the size if the broker does not return
/// it.
pub(crate) async fn max_request_bytes(session: &Session, broker: i32) -> Result<(Option<u64>, String), ClientError> {
    let connection = session.connection(broker, Purpose::Read).await?;
    let request = DescribeConfigRequest { resource: Resource::Broker(broker), key: MAX_REQUEST_BYTES };
    let limit = match connection.request(request).await {
        Ok(answer) => answer.value.and_then(|value| value.parse().ok()),
        Err(ClientError::Version { .. }) => None,
        Err(error) => return Err(error),
    };
    Ok((limit, connection.address().to_owned()))
}

/// Whether a topic is compacted; `None` if the brokers do not return its configs.
pub(crate) async fn is_compacted(session: &Session, topic: &str) -> Option<bool> {
    Some(config(session, topic, CLEANUP_POLICY).await?.split(',').any(|policy| policy.trim() == "compact"))
}

async fn config(session: &Session, topic: &str, key: &'static str) -> Option<String> {
    session.request_any(&DescribeConfigRequest { resource: Resource::Topic(topic), key }).await.ok()?.value
}

/// The operations that a writer needs on a topic but is not allowed. Empty also if the brokers do not report rights, as before Kafka 2.3.
pub(crate) async fn missing_rights(session: &Session, topic: &Arc<str>) -> Vec<&'static str> {
    let request = MetadataRequest { topics: Some(std::slice::from_ref(topic)), with_rights: true };
    let Ok(answer) = session.request_any(&request).await else { return Vec::new() };
    let topics = answer.describe(|name| name == &**topic).topics;
    let found = topics.into_iter().find(|found| found.code == ErrorCode::NONE);
    found.and_then(|found| found.rights).map(missing).unwrap_or_default()
}

/// The operations that a writer needs and that the bit set `rights` does not contain. Bit `n` stands for operation `n`.
fn missing(rights: i32) -> Vec<&'static str> {
    NEEDED_RIGHTS.into_iter().filter(|(_, operation)| rights & (1 << operation) == 0).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn rights_are_bits() {
        assert_eq!(missing(1 << 8 | 1 << 3 | 1 << 4), Vec::<&str>::new());
        assert_eq!(missing(1 << 8), ["Read", "Write"]);
        assert_eq!(missing(0), ["Describe", "Read", "Write"]);
    }
}
