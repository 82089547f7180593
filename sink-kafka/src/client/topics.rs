//! Creating topics, and reading their configs and permissions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::api::create_topics::{CreateTopicsRequest, CreateTopicsResponse};
use super::api::describe_configs::DescribeTopicRequest;
use super::api::topic_rights::{RightsRequest, missing};
use super::error::ClientError;
use super::error_code::ErrorCode;
use super::retry::Retry;
use super::session::{Permission, Session};

const PAUSE: Duration = Duration::from_millis(100);
const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
const CLEANUP_POLICY: &str = "cleanup.policy";

/// How topics are created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicCreation {
    /// Absent: as the brokers are set.
    pub(crate) partitions: Option<i32>,
    /// Absent: as the brokers are set.
    pub(crate) replication: Option<i16>,
    pub(crate) configs: BTreeMap<String, String>,
}

/// Creates topics, and waits until they can be written to. One that exists already, perhaps created by another lane, is left as it is.
pub(crate) async fn create(session: &Session, topics: &[Arc<str>], creation: &TopicCreation) -> Result<(), ClientError> {
    request_creation(session, topics, creation, Mode::Create).await?;
    let mut retry = Retry::new(session.timeouts().patience, PAUSE, PAUSE);
    loop {
        match session.refresh_topics(topics).await {
            // Not every broker has heard of it at once.
            Err(error @ ClientError::NoTopic { .. }) => retry.again(error).await?,
            result => return result.map(|_| ()),
        }
    }
}

/// Whether topics could be created; creates nothing.
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
            // It may have been created or not: the same request once more makes it certain.
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
        // A refusal says more than what may pass.
        if !error.is_transient() {
            return Err(error);
        }
        result = Err(error);
    }
    result
}

/// The largest batch that a topic takes, if the brokers tell: for an error text, which does without it otherwise.
pub(crate) async fn max_message_bytes(session: &Session, topic: &str) -> Option<u64> {
    config(session, topic, MAX_MESSAGE_BYTES).await?.parse().ok()
}

/// Whether a topic is compacted; `None` if the brokers do not tell.
pub(crate) async fn is_compacted(session: &Session, topic: &str) -> Option<bool> {
    Some(config(session, topic, CLEANUP_POLICY).await?.split(',').any(|policy| policy.trim() == "compact"))
}

async fn config(session: &Session, topic: &str, key: &'static str) -> Option<String> {
    session.request_any(&DescribeTopicRequest { topic, key }).await.ok()?.value
}

/// The operations on a topic that a writer needs and that are not allowed. Brokers before Kafka 2.3 do not tell.
pub(crate) async fn missing_rights(session: &Session, topic: &str) -> Vec<&'static str> {
    let Ok(answer) = session.request_any(&RightsRequest { topics: vec![topic] }).await else { return Vec::new() };
    let found = answer.topics.into_iter().find(|(name, code, _)| name == topic && *code == ErrorCode::NONE);
    found.map(|(_, _, rights)| missing(rights)).unwrap_or_default()
}
