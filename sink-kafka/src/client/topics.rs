//! Making topics that are missing, where the settings ask for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::client::session::{Missing, Purpose, Session};
use crate::client::{self, CreateTopicsRequest, CreateTopicsResponse, WireError};
use crate::config::CreateTopics;
use crate::error::{Error, code_name};

const ALREADY_THERE: i16 = 36;
const NOT_CONTROLLER: i16 = 41;
const PAUSE: Duration = Duration::from_millis(100);

impl Session {
    /// Makes topics, and waits until they can be written to. One that is there already, perhaps made by another lane, is left as it is.
    pub(crate) async fn create(&self, topics: &[Arc<str>], how: &CreateTopics) -> Result<(), Error> {
        self.ask_to_create(topics, how, false).await?;
        let deadline = Instant::now() + self.timeouts.patience;
        loop {
            match self.learn(topics).await {
                // Not every broker has heard of it at once.
                Err(Error::NoTopic { .. }) if Instant::now() < deadline => sleep(PAUSE).await,
                result => return result.map(|_| ()),
            }
        }
    }

    /// Whether topics could be made; makes nothing.
    pub(crate) async fn could_create(&self, topics: &[Arc<str>], how: &CreateTopics) -> Result<(), Error> {
        self.ask_to_create(topics, how, true).await
    }

    async fn ask_to_create(&self, topics: &[Arc<str>], how: &CreateTopics, validate_only: bool) -> Result<(), Error> {
        let request = CreateTopicsRequest {
            names: topics.iter().map(|topic| &**topic).collect(),
            partitions: how.partitions,
            replication: how.replication,
            configs: &how.configs,
            validate_only,
        };
        let deadline = Instant::now() + self.timeouts.patience;
        loop {
            let mut again = None;
            match self.ask_controller(&request).await {
                Ok(answer) => {
                    for (topic, code, words) in answer.topics {
                        match self.judge_creation(&topic, code, words) {
                            Ok(()) if code == 0 && !validate_only => tracing::info!(topic, "topic made"),
                            Ok(()) => {}
                            Err(error @ (Error::Answer { .. } | Error::Wire(_))) => again = Some(error),
                            Err(error) => return Err(error),
                        }
                    }
                }
                Err(error) if error.is_permanent() => return Err(error.into()),
                // It may be made or not: the same question once more makes it certain.
                Err(error) => again = Some(error.into()),
            }
            match again {
                None => return Ok(()),
                Some(error) if Instant::now() >= deadline => return Err(error),
                Some(_) => sleep(PAUSE).await,
            }
            self.metadata(Some(&[])).await?;
        }
    }

    async fn ask_controller(&self, request: &CreateTopicsRequest<'_>) -> Result<CreateTopicsResponse, WireError> {
        if self.controller().is_none() {
            self.metadata(Some(&[])).await?;
        }
        let none = || WireError::Unreachable { brokers: "that lead the cluster".into(), last: "there is no controller".into() };
        let line = self.line(self.controller().ok_or_else(none)?, Purpose::Look).await?;
        line.request(request.clone()).await
    }

    fn judge_creation(&self, topic: &str, code: i16, words: Option<String>) -> Result<(), Error> {
        let doing = || format!("make topic {topic}");
        match code {
            0 | ALREADY_THERE => Ok(()),
            _ if client::is_denial(code) => Err(self.denied(doing(), code, Missing::Create(topic))),
            NOT_CONTROLLER => Err(Error::Answer { doing: doing(), code, name: code_name(code) }),
            // Invalid name, partitions, replication, config; a policy's refusal.
            17 | 37..=40 | 42 | 44 => {
                let problem = words.filter(|words| !words.is_empty()).unwrap_or_else(|| code_name(code));
                Err(Error::NotCreated { topic: topic.to_owned(), code, problem, denial: self.memory.note_denial() })
            }
            _ => Err(Error::Answer { doing: doing(), code, name: code_name(code) }),
        }
    }
}
