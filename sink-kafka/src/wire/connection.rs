//! One connection to one broker: plain TCP without delay, a limit on every wait, and a way to end it for good.

use std::io::Cursor;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rskafka::messenger::{Messenger, RequestError, SyncVersionsError};
use rskafka::protocol::messages::{ReadVersionedType, RequestBody, WriteVersionedType};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

/// The largest answer that is read; a record batch fetched may be as large as a broker was allowed to take.
const MAX_ANSWER_BYTES: usize = 128 << 20;
/// The longest pause that a broker's quota is obeyed for at once.
const MAX_THROTTLE: Duration = Duration::from_secs(30);

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// For a connection, with the agreement on versions.
    pub(crate) connect: Duration,
    /// For an answer. Longer than the 30 s that a broker waits for its replicas.
    pub(crate) request: Duration,
    /// How long the same batch is sent again before the lane gives up.
    pub(crate) resend: Duration,
    /// How long leaders, coordinators and watermarks are waited for.
    pub(crate) patience: Duration,
    /// Where a broker does not tell its true log end: the time after which nothing older can appear.
    pub(crate) settle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(10), request: seconds(40), resend: seconds(120), patience: seconds(60), settle: seconds(45) }
    }
}

/// What can go wrong on a connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// No connection.
    #[error("connect to {address}: {source}")]
    Connect {
        /// The broker.
        address: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// No connection in time.
    #[error("connect to {address}: nothing within {} s", limit.as_secs_f32())]
    ConnectTimeout {
        /// The broker.
        address: String,
        /// The limit.
        limit: Duration,
    },
    /// The broker speaks no version that we speak.
    #[error("{address}: {problem}")]
    Versions {
        /// The broker.
        address: String,
        /// What does not fit.
        problem: String,
    },
    /// A request failed; it is unknown whether the broker worked on it.
    #[error("{address}: {problem}")]
    Request {
        /// The broker.
        address: String,
        /// What happened.
        problem: String,
    },
    /// No answer in time; it is unknown whether the broker worked on the request.
    #[error("{address}: no answer within {} s", limit.as_secs_f32())]
    RequestTimeout {
        /// The broker.
        address: String,
        /// The limit.
        limit: Duration,
    },
    /// None of the brokers could be asked.
    #[error("none of the brokers {brokers} can be reached, the last one said: {last}")]
    Unreachable {
        /// Their addresses.
        brokers: String,
        /// The last failure.
        last: String,
    },
    /// A partition has no leader for now.
    #[error("partition {topic}/{partition} has no leader")]
    NoLeader {
        /// The topic.
        topic: String,
        /// The partition.
        partition: usize,
    },
}

impl WireError {
    /// Whether the request can have reached the broker.
    pub(crate) fn may_have_arrived(&self) -> bool {
        match self {
            Self::Request { .. } | Self::RequestTimeout { .. } => true,
            Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Versions { .. }
            | Self::Unreachable { .. }
            | Self::NoLeader { .. } => false,
        }
    }

    /// Whether trying again can never help.
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(self, Self::Versions { .. })
    }
}

/// A connection. Requests may overlap; a broker works on them one after the other.
pub(crate) struct Connection {
    messenger: Messenger<TcpStream>,
    address: String,
    limit: Duration,
    /// The same socket, to end it while the messenger still holds it.
    socket: std::net::TcpStream,
    broken: AtomicBool,
    quiet_until: Mutex<Option<Instant>>,
}

impl Connection {
    /// Connects to `host:port` and agrees on versions.
    pub(crate) async fn open(address: &str, client_id: Arc<str>, timeouts: &Timeouts) -> Result<Self, WireError> {
        let limit = timeouts.connect;
        let late = |_| WireError::ConnectTimeout { address: address.to_owned(), limit };
        timeout(limit, Self::connect(address, client_id, timeouts.request)).await.map_err(late)?
    }

    async fn connect(address: &str, client_id: Arc<str>, limit: Duration) -> Result<Self, WireError> {
        let failed = |source| WireError::Connect { address: address.to_owned(), source };
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        // Without this every request of some kilobytes waits for a delayed acknowledgement.
        stream.set_nodelay(true).map_err(failed)?;
        let stream = stream.into_std().map_err(failed)?;
        let socket = stream.try_clone().map_err(failed)?;
        let stream = TcpStream::from_std(stream).map_err(failed)?;
        let mut connection = Self {
            messenger: Messenger::new(stream, MAX_ANSWER_BYTES, client_id),
            address: address.to_owned(),
            limit,
            socket,
            broken: AtomicBool::new(false),
            quiet_until: Mutex::new(None),
        };
        connection.messenger.sync_versions().await.map_err(|error| match error {
            // Nothing that matters was sent yet.
            SyncVersionsError::RequestError(error) => failed(std::io::Error::other(error)),
            other => WireError::Versions { address: address.to_owned(), problem: other.to_string() },
        })?;
        Ok(connection)
    }

    /// Makes a request and waits for the answer. After any failure the connection is broken and ended: nothing of the request is written
    /// any more, and the next one needs a new connection.
    pub(crate) async fn request<R>(&self, request: R) -> Result<R::ResponseBody, WireError>
    where
        R: RequestBody + Send + WriteVersionedType<Vec<u8>>,
        R::ResponseBody: ReadVersionedType<Cursor<Vec<u8>>>,
    {
        let address = || self.address.clone();
        match timeout(self.limit, self.messenger.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            // Neither of these got as far as the socket.
            Ok(Err(RequestError::NoVersionMatch { api_key })) => Err(WireError::Versions {
                address: address(),
                problem: format!("the broker has no version of {api_key:?} that this program speaks"),
            }),
            Ok(Err(RequestError::WriteError(error))) => Err(WireError::Versions { address: address(), problem: error.to_string() }),
            Ok(Err(error)) => {
                self.cut();
                Err(WireError::Request { address: address(), problem: error.to_string() })
            }
            Err(_) => {
                self.cut();
                Err(WireError::RequestTimeout { address: address(), limit: self.limit })
            }
        }
    }

    /// Whether it can be used.
    pub(crate) fn is_sound(&self) -> bool {
        !self.broken.load(Ordering::Acquire)
    }

    /// Ends the connection at once, also for a request that is still being written.
    pub(crate) fn cut(&self) {
        self.broken.store(true, Ordering::Release);
        // An error here means that the other side ended it already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// The broker asked for a pause. What it answered stands; the pause is made before the next large request.
    pub(crate) fn throttle(&self, ms: i32) {
        if let Ok(ms @ 1..) = u64::try_from(ms) {
            let until = Instant::now() + Duration::from_millis(ms).min(MAX_THROTTLE);
            *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        }
    }

    /// Makes the pause that the broker asked for.
    pub(crate) async fn obey_throttle(&self) {
        let until = self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(until) = until {
            sleep_until(until).await;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.cut();
    }
}
