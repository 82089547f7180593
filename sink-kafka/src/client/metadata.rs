//! Questions that any broker can answer: on the connection at hand, else on a new one to whichever broker lets us in first.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rskafka::protocol::messages::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, ReadVersionedType, RequestBody, WriteVersionedType,
};
use rskafka::protocol::primitives::{Boolean, String_};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::session::Session;
use crate::client::{Connection, TopicLimitRequest, WireError};

/// A broker that has not let us in by then gets company: the next one is tried beside it.
const STAGGER: Duration = Duration::from_millis(500);

impl Session {
    /// Makes a request that any broker can answer.
    pub(crate) async fn ask_any<R>(&self, request: &R) -> Result<R::ResponseBody, WireError>
    where
        R: RequestBody + WriteVersionedType<Vec<u8>> + Sync,
        R::ResponseBody: ReadVersionedType<Cursor<Vec<u8>>>,
    {
        let mut control = self.control.lock().await;
        if let Some(connection) = control.take_if(|connection| connection.is_sound())
            && let Ok(answer) = connection.request(request).await
        {
            *control = Some(connection);
            return Ok(answer);
        }
        let addresses = self.addresses();
        let mut waiting = addresses.iter();
        let mut next = waiting.next();
        let mut attempts = JoinSet::new();
        let (mut verdict, mut last) = (None, None);
        loop {
            if let Some(address) = next {
                let (address, security, timeouts) = (address.clone(), self.security.clone(), self.timeouts);
                attempts.spawn(async move { Connection::open(&address, &security, &timeouts).await });
            }
            next = waiting.next();
            let joined = match next {
                Some(_) => timeout(STAGGER, attempts.join_next()).await,
                None => Ok(attempts.join_next().await),
            };
            let opened = match joined {
                Ok(Some(opened)) => opened,
                Ok(None) => break,
                Err(_) => continue,
            };
            let result = match opened {
                Ok(Ok(connection)) => connection.request(request).await.map(|answer| (connection, answer)),
                Ok(Err(error)) => Err(error),
                Err(lost) => {
                    last = Some(lost.to_string());
                    continue;
                }
            };
            match result {
                Ok((connection, answer)) => {
                    *control = Some(Arc::new(connection));
                    return Ok(answer);
                }
                // Another broker may be set up better; if none is, this says more than one that cannot be reached.
                Err(error) if error.is_permanent() => verdict = verdict.or(Some(error)),
                Err(error) => last = Some(error.to_string()),
            }
        }
        match verdict {
            Some(error) => Err(self.refused(error)),
            None => Err(WireError::Unreachable { brokers: addresses.join(", "), last: last.unwrap_or_else(|| "there is none".into()) }),
        }
    }

    /// The largest batch that a topic takes, if the brokers tell us: for an error, which is told without it as well.
    pub(crate) async fn limit_of(&self, topic: &str) -> Option<u64> {
        self.ask_any(&TopicLimitRequest { topic }).await.ok()?.bytes
    }

    /// Asks for metadata, and remembers the brokers. Never creates a topic.
    pub(crate) async fn metadata(&self, topics: Option<&[Arc<str>]>) -> Result<MetadataResponse, WireError> {
        let request = MetadataRequest {
            topics: topics.map(|topics| topics.iter().map(|topic| MetadataRequestTopic { name: String_(topic.to_string()) }).collect()),
            allow_auto_topic_creation: Some(Boolean(false)),
        };
        let answer = self.ask_any(&request).await?;
        let brokers: HashMap<i32, String> = answer
            .brokers
            .iter()
            .map(|broker| {
                let host = if broker.host.0.contains(':') { format!("[{}]", broker.host.0) } else { broker.host.0.clone() };
                (broker.node_id.0, format!("{host}:{}", broker.port.0))
            })
            .collect();
        if !brokers.is_empty() {
            self.forget_lines(&brokers);
            let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
            map.brokers = brokers;
            map.controller = answer.controller_id.map(|id| id.0);
        }
        Ok(answer)
    }

    /// Where brokers are, those that are known to be there first.
    fn addresses(&self) -> Vec<String> {
        let mut addresses: Vec<String> = self.map.read().unwrap_or_else(PoisonError::into_inner).brokers.values().cloned().collect();
        addresses.sort();
        for address in &self.bootstrap {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses
    }
}
