//! The connections of a session: one per broker and purpose, and one to whichever broker answers first.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rskafka::protocol::messages::{ReadVersionedType, RequestBody, WriteVersionedType};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::Connection;
use super::error::{ClientError, ServerText};
use super::options::Timeouts;
use super::security::Security;

/// A broker that has not answered by then gets company: the next one is tried beside it.
const STAGGER: Duration = Duration::from_millis(500);

/// What a connection is for. A broker works on one request of a connection at a time, so that reading never waits behind writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// Produce.
    Write,
    /// Fetch, ListOffsets, and what only the controller answers.
    Read,
}

/// A connection that is opened when it is needed. Whoever opens it holds the lock.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Connection>>>>;

/// The connections of a session.
pub(super) struct Connections {
    security: Arc<Security>,
    timeouts: Timeouts,
    slots: Mutex<HashMap<(i32, Purpose), Slot>>,
    /// To some broker, for requests that any broker answers.
    any: tokio::sync::Mutex<Option<Arc<Connection>>>,
}

impl Connections {
    pub(super) fn new(security: Arc<Security>, timeouts: Timeouts) -> Self {
        Self { security, timeouts, slots: Mutex::default(), any: tokio::sync::Mutex::default() }
    }

    /// The connection to a broker for a purpose; a broken one is replaced.
    pub(super) async fn to(&self, broker: i32, address: &str, purpose: Purpose) -> Result<Arc<Connection>, ClientError> {
        let slot = self.slots.lock().unwrap_or_else(PoisonError::into_inner).entry((broker, purpose)).or_default().clone();
        let mut slot = slot.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| connection.is_sound()) {
            return Ok(connection.clone());
        }
        let connection = Arc::new(Connection::open(address, &self.security, &self.timeouts).await?);
        *slot = Some(connection.clone());
        Ok(connection)
    }

    /// Makes a request that any broker can answer: on the connection at hand, else on a new one to the first broker that answers.
    pub(super) async fn request_any<R>(&self, addresses: &[String], request: &R) -> Result<R::ResponseBody, ClientError>
    where
        R: RequestBody + WriteVersionedType<Vec<u8>> + Sync,
        R::ResponseBody: ReadVersionedType<Cursor<Vec<u8>>>,
    {
        let mut any = self.any.lock().await;
        if let Some(connection) = any.take_if(|connection| connection.is_sound())
            && let Ok(answer) = connection.request(request).await
        {
            *any = Some(connection);
            return Ok(answer);
        }
        let mut waiting = addresses.iter();
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
                    *any = Some(Arc::new(connection));
                    return Ok(answer);
                }
                // Another broker may be set up better. If none is, this says more than one that cannot be reached.
                Err(error) if !error.is_transient() => refusal = refusal.or(Some(error)),
                Err(error) => last = Some(ServerText::of(&error)),
            }
        }
        let unreachable =
            || ClientError::Unreachable { brokers: addresses.join(", "), source: last.unwrap_or_else(|| "there is no broker".into()) };
        Err(refusal.unwrap_or_else(unreachable))
    }

    /// Forgets the connections to these brokers. Requests that are in flight on them may still be answered.
    pub(super) fn forget(&self, brokers: &[i32]) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).retain(|(broker, _), _| !brokers.contains(broker));
    }

    /// Ends all connections to brokers: what is still being sent is cut off.
    pub(super) fn cut(&self) {
        let slots: Vec<Slot> = self.slots.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for slot in slots {
            if let Ok(Some(connection)) = slot.try_lock().as_deref() {
                connection.cut();
            }
        }
    }
}
