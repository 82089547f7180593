//! A connection to one broker. It disables Nagle's algorithm, limits every wait, and can be shut down while requests are in flight.

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
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::answer_limit::AnswerLimit;
use super::connect_error::ConnectError;
use super::diagnosis;
use super::error::{ClientError, ServerText};
use super::options::Timeouts;
use super::security::Security;
use super::stream::{Failure, Stream, Watch, Watched};
use super::tls::ClientTls;

/// The longest pause that is made when a broker's quota asks for one. A longer pause is cut to this.
const MAX_THROTTLE: Duration = Duration::from_secs(30);
/// The TCP keepalive time: detects a peer that disappeared without closing the connection.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// The TCP user timeout: the connection counts as lost if sent bytes stay unacknowledged for this time.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// How many bytes the system buffers that it has not sent yet.
const UNSENT_BYTES: u32 = 128 << 10;
/// How long a failed write waits for the reading side of the connection to learn the reason of the failure.
const REASON: Duration = Duration::from_millis(100);

/// The client id that is sent in every request.
pub(crate) const CLIENT_ID: &str = "sink-kafka";

/// A connection to one broker. Several requests may be in flight; the broker works on them one after the other.
pub(crate) struct Connection {
    messenger: Messenger<Watched>,
    watch: Arc<Watch>,
    address: String,
    security: Arc<Security>,
    timeouts: Timeouts,
    /// A second handle of the socket, to shut it down while the messenger still owns the first one.
    socket: std::net::TcpStream,
    broken: AtomicBool,
    /// Whether any request has been answered, not counting the request for the API versions.
    answered: AtomicBool,
    /// When the connection must no longer be used: shortly before the broker requires a new authentication. `None` without a limit.
    expires: Option<Instant>,
    quiet_until: Mutex<Option<Instant>>,
}

impl Connection {
    /// Connects to `host:port`, negotiates API versions, and authenticates.
    pub(crate) async fn open(address: &str, security: &Arc<Security>, timeouts: &Timeouts) -> Result<Self, ClientError> {
        let limit = timeouts.connect;
        let late = |_| ClientError::ConnectTimeout { address: address.to_owned(), limit };
        timeout(limit, Self::connect(address, security, timeouts)).await.map_err(late)?
    }

    async fn connect(address: &str, security: &Arc<Security>, timeouts: &Timeouts) -> Result<Self, ClientError> {
        let mut connection = Self::connect_unauthenticated(address, security, timeouts).await?;
        if let Some(sasl) = &security.sasl {
            let lifetime = super::sasl::authenticate(&connection, sasl).await?;
            // The broker cuts the connection when this time is over. Replacing the connection earlier avoids requests with an unknown
            // outcome.
            connection.expires = lifetime.map(|lifetime| Instant::now() + lifetime.mul_f32(0.8));
            connection.answered.store(true, Ordering::Release);
        }
        Ok(connection)
    }

    /// Connects and negotiates API versions, but does not authenticate.
    pub(super) async fn connect_unauthenticated(address: &str, security: &Arc<Security>, timeouts: &Timeouts) -> Result<Self, ClientError> {
        let (stream, socket) = dial(address, security.tls.as_ref()).await?;
        let (stream, watch) = Watched::new(stream);
        let mut connection = Self {
            // The stream has the limits: they depend on the requests in flight.
            messenger: Messenger::new(stream, usize::MAX, CLIENT_ID.into()),
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
            // This error counts as a failed connection, since no other request was sent yet.
            Err(SyncVersionsError::RequestError(error)) => return Err(connection.versions_failed(error).await),
            Err(other) => return Err(ClientError::Version { address: address.to_owned(), source: ServerText::of(&other) }),
        }
        Ok(connection)
    }

    /// The error to return if the request for the broker's API versions failed.
    async fn versions_failed(&self, error: RequestError) -> ClientError {
        if self.watch.failure().is_none() {
            sleep(REASON).await;
        }
        let found = match self.watch.failure() {
            Some(Failure::Ended) => diagnosis::ended_at_once(&self.address, &self.security).await,
            Some(failure) => self.reason_for(&failure),
            None => None,
        };
        match found {
            Some(reason) => self.refused(reason),
            None => ClientError::Connect { address: self.address.clone(), source: Arc::new(io::Error::other(error)) },
        }
    }

    /// The reason why the broker cannot be used; `None` if the failure of the stream does not show it.
    fn reason_for(&self, failure: &Failure) -> Option<ConnectError> {
        match failure {
            Failure::Answer(reason) => Some(reason.clone()),
            Failure::Tls(error) => {
                let tls = self.security.tls.as_ref()?;
                ConnectError::of_tls(error, host_of(&self.address), tls.has_certificate, &tls.roots)
            }
            Failure::Ended | Failure::Io => None,
        }
    }

    /// Sends a request and waits for the answer. A failure ends the connection: the rest of the request is not written, and the next
    /// request needs a new connection.
    pub(crate) async fn request<R>(&self, request: R) -> Result<R::ResponseBody, ClientError>
    where
        R: RequestBody + AnswerLimit + Send + WriteVersionedType<Vec<u8>>,
        R::ResponseBody: ReadVersionedType<Cursor<Vec<u8>>>,
    {
        let limit = match R::API_KEY {
            ApiKey::Produce | ApiKey::Fetch | ApiKey::CreateTopics => self.timeouts.request,
            _ => self.timeouts.quick_request,
        };
        let address = || self.address.clone();
        let _expectation = self.watch.expect(request.answer_limit());
        match self.unless_silent(limit, self.messenger.request(request)).await {
            Some(Ok(answer)) => {
                self.answered.store(true, Ordering::Release);
                Ok(answer)
            }
            // This error and the next one happen before anything is written to the socket, so the connection stays usable.
            Some(Err(RequestError::NoVersionMatch { api_key })) => {
                Err(ClientError::Version { address: address(), source: format!("no common version of the request {api_key:?}").into() })
            }
            Some(Err(RequestError::WriteError(error))) => Err(ClientError::Version { address: address(), source: ServerText::of(&error) }),
            Some(Err(error)) => {
                self.cut();
                Err(self.request_failed(error).await)
            }
            None => {
                self.cut();
                Err(ClientError::RequestTimeout { address: address(), limit })
            }
        }
    }

    /// Waits for the answer to a request. Returns `None` if the broker neither takes nor sends a byte for `limit`. So a large request may
    /// take its time on a slow network, and so may the requests that were sent before it.
    async fn unless_silent<T>(&self, limit: Duration, request: impl Future<Output = T>) -> Option<T> {
        let mut request = std::pin::pin!(request);
        let mut deadline = Instant::now() + limit;
        loop {
            if let Ok(answer) = timeout_at(deadline, &mut request).await {
                return Some(answer);
            }
            deadline = self.watch.last_byte() + limit;
            if deadline <= Instant::now() {
                return None;
            }
        }
    }

    /// The error to return if a request was not answered.
    async fn request_failed(&self, error: RequestError) -> ClientError {
        if self.watch.failure().is_none() {
            sleep(REASON).await;
        }
        let failure = self.watch.failure();
        let first = !self.answered.load(Ordering::Acquire);
        if first {
            let found = match &failure {
                // A port that requires SASL reads the first request of an unauthenticated client and ends the connection.
                Some(Failure::Ended) | None if self.security.sasl.is_none() => {
                    diagnosis::requires_sasl(&self.address, &self.security, &self.timeouts).await
                }
                Some(failure) => self.reason_for(failure),
                None => None,
            };
            if let Some(reason) = found {
                return self.refused(reason);
            }
        }
        let source = match &failure {
            Some(Failure::Answer(ConnectError::AnswerTooLong { bytes, limit })) => {
                return ClientError::AnswerTooLong { address: self.address.clone(), bytes: *bytes, limit: *limit };
            }
            Some(Failure::Ended) => return ClientError::ConnectionEnded { address: self.address.clone() },
            Some(Failure::Answer(reason)) => ServerText::of(reason),
            _ => ServerText::of(&error),
        };
        ClientError::Request { address: self.address.clone(), source }
    }

    /// The error of a broker that cannot be used for `reason`.
    pub(super) fn refused(&self, reason: ConnectError) -> ClientError {
        ClientError::refused(&self.address, reason)
    }

    /// The error of a request whose answer is not the expected one.
    pub(super) fn failed(&self, problem: String) -> ClientError {
        ClientError::Request { address: self.address.clone(), source: problem.into() }
    }

    /// Turns off the diagnosis of a failure of the next request, which would open more connections.
    pub(super) fn without_diagnosis(self) -> Self {
        self.answered.store(true, Ordering::Release);
        self
    }

    /// The address of the broker as `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether the connection can still be used.
    pub(crate) fn is_sound(&self) -> bool {
        !self.broken.load(Ordering::Acquire) && !self.watch.has_ended() && self.expires.is_none_or(|expires| Instant::now() < expires)
    }

    /// Shuts the connection down immediately, even while a request is being written.
    pub(crate) fn cut(&self) {
        self.broken.store(true, Ordering::Release);
        // What the system has not sent yet is discarded when the socket is closed, so that nothing reaches the broker late. An error here
        // means that the broker has already closed the connection.
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Notes that the broker asked for a pause of `ms` milliseconds. The answer that contained the pause is valid; the pause is made before
    /// the next Produce request.
    pub(super) fn throttle(&self, ms: i32) {
        if let Ok(ms @ 1..) = u64::try_from(ms) {
            let until = Instant::now() + Duration::from_millis(ms).min(MAX_THROTTLE);
            *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        }
    }

    /// Waits until the pause that the broker asked for is over.
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

/// Connects to `host:port`. Returns the stream and a second handle of its socket.
pub(super) async fn dial(address: &str, tls: Option<&ClientTls>) -> Result<(Stream, std::net::TcpStream), ClientError> {
    let failed = |source| ClientError::Connect { address: address.to_owned(), source: Arc::new(source) };
    let stream = TcpStream::connect(address).await.map_err(failed)?;
    // Otherwise Nagle's algorithm makes every request of some kilobytes wait for a delayed acknowledgement.
    stream.set_nodelay(true).map_err(failed)?;
    let options = SockRef::from(&stream);
    options.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3).with_retries(3)).map_err(failed)?;
    #[cfg(target_os = "linux")]
    {
        options.set_tcp_user_timeout(Some(USER_TIMEOUT)).map_err(failed)?;
        // Otherwise megabytes wait in the system's buffer on a slow network, and they would count as taken by the broker.
        options.set_tcp_notsent_lowat(UNSENT_BYTES).map_err(failed)?;
    }
    let stream = stream.into_std().map_err(failed)?;
    let socket = stream.try_clone().map_err(failed)?;
    let stream = TcpStream::from_std(stream).map_err(failed)?;
    let Some(tls) = tls else { return Ok((Stream::Plain(stream), socket)) };
    let host = host_of(address);
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| failed(io::Error::new(io::ErrorKind::InvalidInput, "not a name that a certificate can be for")))?;
    match tls.connector().connect(name, stream).await {
        Ok(stream) => Ok((Stream::Tls(Box::new(stream)), socket)),
        Err(error) => {
            let found = match Failure::of(&error) {
                Failure::Tls(error) => ConnectError::of_tls(&error, host, tls.has_certificate, &tls.roots),
                Failure::Ended if diagnosis::answers_without_tls(address).await => Some(ConnectError::NoTls),
                _ => None,
            };
            Err(match found {
                Some(reason) => ClientError::refused(address, reason),
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
