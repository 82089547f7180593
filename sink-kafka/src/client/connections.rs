//! The connections of a session: one for each broker and purpose, and one to any broker for requests that every broker can answer.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rskafka::protocol::messages::{ReadVersionedType, RequestBody, WriteVersionedType};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::answer_limit::AnswerLimit;
use super::connection::Connection;
use super::error::{ClientError, ServerText};
use super::options::Timeouts;
use super::security::Security;

/// If a broker has not answered after this time, the next broker is tried in parallel.
const STAGGER: Duration = Duration::from_millis(500);

/// How many brokers are tried for one request, and how many are connected to at a time if all are asked. A broker may name any number of
/// others.
const MAX_ATTEMPTS: usize = 50;
const MAX_PARALLEL: usize = 10;

/// What a connection is used for. A broker works on one request of a connection at a time. Separate connections make sure that reads never
/// wait behind writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// Produce requests.
    Write,
    /// Fetch and ListOffsets requests, and requests that only the controller answers.
    Read,
}

/// A connection that is opened when it is first needed. The task that opens it holds the lock.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Connection>>>>;

/// The connections of a session.
pub(super) struct Connections {
    security: Arc<Security>,
    timeouts: Timeouts,
    slots: Mutex<HashMap<(i32, Purpose), Slot>>,
    /// The connection for requests that any broker can answer.
    any: tokio::sync::Mutex<AnyBroker>,
}

/// The connection to any broker.
#[derive(Default)]
struct AnyBroker {
    connection: Option<Arc<Connection>>,
    /// When the connection was opened.
    since: Option<Instant>,
    /// The broker of the last connection. The next one is opened to the broker that follows it.
    last: Option<String>,
}

impl Connections {
    pub(super) fn new(security: Arc<Security>, timeouts: Timeouts) -> Self {
        Self { security, timeouts, slots: Mutex::default(), any: tokio::sync::Mutex::default() }
    }

    /// Returns the connection to a broker for a purpose; opens a new one if it is missing or broken.
    pub(super) async fn to(&self, broker: i32, address: &str, purpose: Purpose) -> Result<Arc<Connection>, ClientError> {
        let slot = self.slots.lock().unwrap_or_else(PoisonError::into_inner).entry((broker, purpose)).or_default().clone();
        let mut slot = slot.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| connection.is_sound()) {
            return Ok(connection.clone());
        }
        // The old connection is closed before the new one is opened, so that what it has not sent yet is discarded first.
        *slot = None;
        let connection = Arc::new(Connection::open(address, &self.security, &self.timeouts).await?);
        *slot = Some(connection.clone());
        Ok(connection)
    }

    /// Sends a request that any broker can answer. Uses the existing connection if there is one, else a new connection to the first broker
    /// that answers.
    pub(super) async fn request_any<R>(&self, addresses: &[String], request: &R) -> Result<R::ResponseBody, ClientError>
    where
        R: RequestBody + AnswerLimit + WriteVersionedType<Vec<u8>> + Sync,
        R::ResponseBody: ReadVersionedType<Cursor<Vec<u8>>>,
    {
        let mut any = self.any.lock().await;
        if let Some(connection) = any.connection.take()
            && connection.is_sound()
            && let Ok(answer) = connection.request(request).await
        {
            any.connection = Some(connection);
            return Ok(answer);
        }
        let last = addresses.iter().position(|address| any.last.as_ref() == Some(address));
        let first = last.map_or(0, |last| last + 1);
        let mut waiting = addresses.iter().cycle().skip(first).take(addresses.len().min(MAX_ATTEMPTS));
        let mut next = waiting.next();
        let mut attempts = JoinSet::new();
        let (mut refusal, mut last) = (None, None);
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
                Err(_elapsed) => continue,
            };
            let result = match opened {
                Ok(Ok(connection)) => connection.request(request).await.map(|answer| (connection, answer)),
                Ok(Err(error)) => Err(error),
                Err(lost) => {
                    last = Some(ServerText::of(&lost));
                    continue;
                }
            };
            match result {
                Ok((connection, answer)) => {
                    any.last = Some(connection.address().to_owned());
                    (any.connection, any.since) = (Some(Arc::new(connection)), Some(Instant::now()));
                    return Ok(answer);
                }
                // Another broker may accept the connection. If none does, this refusal is a more useful error than that of a broker that
                // cannot be reached.
                Err(error) if !error.is_transient() => refusal = refusal.or(Some(error)),
                Err(error) => last = Some(ServerText::of(&error)),
            }
        }
        let unreachable =
            || ClientError::Unreachable { brokers: addresses.join(", "), source: last.unwrap_or_else(|| "there is no broker".into()) };
        Err(refusal.unwrap_or_else(unreachable))
    }

    /// Lets the next request that any broker can answer go to another broker than the last one. Does nothing if the connection is younger
    /// than `least_age`.
    pub(super) async fn ask_another(&self, least_age: Duration) {
        let mut any = self.any.lock().await;
        if any.connection.is_some() && any.since.is_none_or(|since| since.elapsed() >= least_age) {
            any.connection = None;
        }
    }

    /// Sends a request over a new connection to each of these brokers. Passes the answers to `visit` until it returns true. Brokers that
    /// cannot be reached are left out.
    pub(super) async fn request_each<R>(&self, addresses: Vec<String>, request: &R, mut visit: impl FnMut(R::ResponseBody) -> bool + Send)
    where
        R: RequestBody + AnswerLimit + WriteVersionedType<Vec<u8>> + Sync,
        R::ResponseBody: ReadVersionedType<Cursor<Vec<u8>>> + Send,
    {
        let mut attempts = JoinSet::new();
        let mut addresses = addresses.into_iter().take(MAX_ATTEMPTS);
        loop {
            while attempts.len() < MAX_PARALLEL
                && let Some(address) = addresses.next()
            {
                let (security, timeouts) = (self.security.clone(), self.timeouts);
                attempts.spawn(async move { Connection::open(&address, &security, &timeouts).await });
            }
            let Some(opened) = attempts.join_next().await else { return };
            if let Ok(Ok(connection)) = opened
                && let Ok(answer) = connection.request(request).await
                && visit(answer)
            {
                return;
            }
        }
    }

    /// Drops the connections to these brokers from the pool. Requests that are in flight on them may still be answered.
    pub(super) fn forget(&self, brokers: &[i32]) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).retain(|(broker, _), _| !brokers.contains(broker));
    }

    /// Drops the connections for reading from the pool, so that new ones are opened.
    pub(super) fn close_readers(&self) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, purpose), _| *purpose != Purpose::Read);
    }

    /// Shuts down all connections to brokers, even if a request is still being sent.
    pub(super) fn cut(&self) {
        let slots: Vec<Slot> = self.slots.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for slot in slots {
            if let Ok(Some(connection)) = slot.try_lock().as_deref() {
                connection.cut();
            }
        }
    }
}
