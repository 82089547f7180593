//! One connection to one broker: without delay, with a limit on every wait, and with a way to end it for good.

use std::io::{self, Cursor};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rskafka::messenger::{Messenger, RequestError, SyncVersionsError};
use rskafka::protocol::api_key::ApiKey;
use rskafka::protocol::messages::{ReadVersionedType, RequestBody, WriteVersionedType};
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::connect_error::DoorError;
use super::diagnosis;
use super::error::WireError;
use super::security::{Security, TlsSide};
use super::stream::{MAX_ANSWER_BYTES, Stream, Trouble, Watch, Watched};

/// The longest pause that a broker's quota is obeyed for at once.
const MAX_THROTTLE: Duration = Duration::from_secs(30);
/// A peer that is gone without a word is noticed by the system: after this long without anything from it …
const KEEPALIVE: Duration = Duration::from_secs(15);
/// … or when it did not take in for so long what was sent.
const UNTAKEN: Duration = Duration::from_secs(30);
/// How long a failed write waits for the reader to learn the reason.
const REASON: Duration = Duration::from_millis(100);

/// How brokers see us.
pub(crate) const CLIENT_ID: &str = "sink-kafka";

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// For a connection, with TLS, SASL and the agreement on versions.
    pub(crate) connect: Duration,
    /// For an answer to Produce, CreateTopics and Fetch. Longer than the 30 s that a broker waits for its replicas.
    pub(crate) request: Duration,
    /// For an answer to any other question, which a broker gives from memory.
    pub(crate) ask: Duration,
    /// How long the same batch is sent again before the lane gives up.
    pub(crate) resend: Duration,
    /// How long leaders, coordinators and watermarks are waited for.
    pub(crate) patience: Duration,
    /// Where a broker does not tell its true log end: the time after which nothing older can appear.
    pub(crate) settle: Duration,
    /// How long an answer to Produce is waited for before the others are asked whether the leader moved.
    pub(crate) suspect: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(10),
            request: seconds(40),
            ask: seconds(10),
            resend: seconds(120),
            patience: seconds(60),
            settle: seconds(45),
            suspect: seconds(5),
        }
    }
}

/// A connection. Requests may overlap; a broker works on them one after the other.
pub(crate) struct Connection {
    messenger: Messenger<Watched>,
    watch: Arc<Watch>,
    address: String,
    security: Arc<Security>,
    timeouts: Timeouts,
    /// The same socket, to end it while the messenger still holds it.
    socket: std::net::TcpStream,
    broken: AtomicBool,
    /// Whether anything but the agreement on versions was answered.
    answered: AtomicBool,
    /// When the broker stops believing who we are; a little earlier.
    expires: Option<Instant>,
    quiet_until: Mutex<Option<Instant>>,
}

impl Connection {
    /// Connects to `host:port`, agrees on versions, and says who we are.
    pub(crate) async fn open(address: &str, security: &Arc<Security>, timeouts: &Timeouts) -> Result<Self, WireError> {
        let limit = timeouts.connect;
        let late = |_| WireError::ConnectTimeout { address: address.to_owned(), limit };
        timeout(limit, Self::connect(address, security, timeouts)).await.map_err(late)?
    }

    async fn connect(address: &str, security: &Arc<Security>, timeouts: &Timeouts) -> Result<Self, WireError> {
        let mut connection = Self::greet(address, security, timeouts).await?;
        if let Some(sasl) = &security.sasl {
            let lifetime = super::sasl::authenticate(&connection, sasl).await?;
            // The broker cuts the connection when that time is over; a new one is cheaper than a request in doubt.
            connection.expires = lifetime.map(|lifetime| Instant::now() + lifetime.mul_f32(0.8));
            connection.answered.store(true, Ordering::Release);
        }
        Ok(connection)
    }

    /// Connects and agrees on versions.
    pub(super) async fn greet(address: &str, security: &Arc<Security>, timeouts: &Timeouts) -> Result<Self, WireError> {
        let (stream, socket) = dial(address, security.tls.as_ref()).await?;
        let (stream, watch) = Watched::new(stream);
        let mut connection = Self {
            messenger: Messenger::new(stream, MAX_ANSWER_BYTES, CLIENT_ID.into()),
            watch,
            address: address.to_owned(),
            security: security.clone(),
            timeouts: *timeouts,
            socket,
            broken: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            expires: None,
            quiet_until: Mutex::new(None),
        };
        match connection.messenger.sync_versions().await {
            Ok(()) => {}
            // Nothing that matters was sent yet.
            Err(SyncVersionsError::RequestError(error)) => return Err(connection.not_greeted(error).await),
            Err(other) => return Err(WireError::Versions { address: address.to_owned(), problem: other.to_string() }),
        }
        connection.watch.trust();
        Ok(connection)
    }

    /// Why a broker did not even tell its versions.
    async fn not_greeted(&self, error: RequestError) -> WireError {
        if self.watch.trouble().is_none() {
            sleep(REASON).await;
        }
        let found = match self.watch.trouble() {
            Some(Trouble::Ended) => diagnosis::ended_at_once(&self.address, &self.security).await,
            Some(trouble) => self.judge(&trouble),
            None => None,
        };
        match found {
            Some(problem) => self.refused(problem),
            None => WireError::Connect { address: self.address.clone(), source: Arc::new(io::Error::other(error)) },
        }
    }

    /// What a trouble of the stream says about the door.
    fn judge(&self, trouble: &Trouble) -> Option<DoorError> {
        match trouble {
            Trouble::Answer(problem) => Some(problem.clone()),
            Trouble::Tls(error) => {
                let tls = self.security.tls.as_ref()?;
                DoorError::of_tls(error, host_of(&self.address), tls.own, &tls.roots)
            }
            Trouble::Ended | Trouble::Io => None,
        }
    }

    /// Makes a request and waits for the answer. After any failure the connection is broken and ended: nothing of the request is written
    /// any more, and the next one needs a new connection.
    pub(crate) async fn request<R>(&self, request: R) -> Result<R::ResponseBody, WireError>
    where
        R: RequestBody + Send + WriteVersionedType<Vec<u8>>,
        R::ResponseBody: ReadVersionedType<Cursor<Vec<u8>>>,
    {
        let limit = match R::API_KEY {
            ApiKey::Produce | ApiKey::Fetch | ApiKey::CreateTopics => self.timeouts.request,
            _ => self.timeouts.ask,
        };
        let address = || self.address.clone();
        match timeout(limit, self.messenger.request(request)).await {
            Ok(Ok(answer)) => {
                self.answered.store(true, Ordering::Release);
                Ok(answer)
            }
            // Neither of these got as far as the socket.
            Ok(Err(RequestError::NoVersionMatch { api_key })) => Err(WireError::Versions {
                address: address(),
                problem: format!("the broker has no version of {api_key:?} that this program speaks"),
            }),
            Ok(Err(RequestError::WriteError(error))) => Err(WireError::Versions { address: address(), problem: error.to_string() }),
            Ok(Err(error)) => {
                self.cut();
                Err(self.broken_off(error).await)
            }
            Err(_) => {
                self.cut();
                Err(WireError::RequestTimeout { address: address(), limit })
            }
        }
    }

    /// Why a request was not answered.
    async fn broken_off(&self, error: RequestError) -> WireError {
        let trouble = self.watch.trouble();
        let first = !self.answered.load(Ordering::Acquire);
        if first {
            let found = match &trouble {
                // A port with SASL hears the first request, and hangs up.
                Some(Trouble::Ended) | None if self.security.sasl.is_none() => {
                    diagnosis::wants_sasl(&self.address, &self.security, &self.timeouts).await
                }
                Some(trouble) => self.judge(trouble),
                None => None,
            };
            if let Some(problem) = found {
                return self.refused(problem);
            }
        }
        let problem = match &trouble {
            Some(Trouble::Ended) => "the broker ended the connection".to_owned(),
            Some(Trouble::Answer(problem)) => problem.to_string(),
            _ => error.to_string(),
        };
        WireError::Request { address: self.address.clone(), problem }
    }

    /// The broker does not let us in.
    pub(super) fn refused(&self, problem: DoorError) -> WireError {
        WireError::refused(&self.address, problem)
    }

    /// A request that was answered, but not as it should be.
    pub(super) fn failed(&self, problem: String) -> WireError {
        WireError::Request { address: self.address.clone(), problem }
    }

    /// Asks no more questions about itself.
    pub(super) fn unasked(self) -> Self {
        self.answered.store(true, Ordering::Release);
        self
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether it can be used.
    pub(crate) fn is_sound(&self) -> bool {
        !self.broken.load(Ordering::Acquire) && !self.watch.has_ended() && self.expires.is_none_or(|expires| Instant::now() < expires)
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

/// A stream to `host:port`, and its socket.
pub(super) async fn dial(address: &str, tls: Option<&TlsSide>) -> Result<(Stream, std::net::TcpStream), WireError> {
    let failed = |source| WireError::Connect { address: address.to_owned(), source: Arc::new(source) };
    let stream = TcpStream::connect(address).await.map_err(failed)?;
    // Without this every request of some kilobytes waits for a delayed acknowledgement.
    stream.set_nodelay(true).map_err(failed)?;
    let options = SockRef::from(&stream);
    options.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3).with_retries(3)).map_err(failed)?;
    #[cfg(target_os = "linux")]
    options.set_tcp_user_timeout(Some(UNTAKEN)).map_err(failed)?;
    let stream = stream.into_std().map_err(failed)?;
    let socket = stream.try_clone().map_err(failed)?;
    let stream = TcpStream::from_std(stream).map_err(failed)?;
    let Some(tls) = tls else { return Ok((Stream::Plain(stream), socket)) };
    let host = host_of(address);
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| failed(io::Error::new(io::ErrorKind::InvalidInput, "it is no name that a certificate can be for")))?;
    match tls.connector.connect(name, stream).await {
        Ok(stream) => Ok((Stream::Tls(Box::new(stream)), socket)),
        Err(error) => {
            let found = match Trouble::of(&error) {
                Trouble::Tls(error) => DoorError::of_tls(&error, host, tls.own, &tls.roots),
                Trouble::Ended if diagnosis::speaks_plainly(address).await => Some(DoorError::NoTls),
                _ => None,
            };
            Err(match found {
                Some(problem) => WireError::refused(address, problem),
                None => failed(error),
            })
        }
    }
}

/// The host of `host:port`, without the brackets of an IPv6 address.
pub(super) fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}
