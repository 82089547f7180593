//! A stream to a broker, with or without TLS. It follows the requests that are written and the answers that are read, and fails on an answer
//! that was not asked for or that is longer than the requests in flight explain, before the messenger allocates memory for it. It also keeps
//! the first failure, so that the reason can be diagnosed later.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use super::answer_limit::SMALL_ANSWER_BYTES;
use super::connect_error::ConnectError;

/// The bytes of a request up to its correlation id: length, number of the request, version, correlation id.
const REQUEST_HEAD: usize = 12;
/// The bytes of an answer up to its correlation id: length, correlation id.
const ANSWER_HEAD: usize = 8;

/// A TCP stream, with or without TLS.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The observed state of a stream, shared with the connection.
#[derive(Debug)]
pub(super) struct Watch {
    /// The largest accepted answer to each of the requests in flight, in bytes.
    limits: Mutex<Vec<usize>>,
    /// Whether any answer has come.
    answered: AtomicBool,
    ended: AtomicBool,
    failure: Mutex<Option<Failure>>,
    /// When the peer last took or sent a byte.
    last_byte: Mutex<Instant>,
}

/// The first failure of a stream.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The server ended the connection.
    Ended,
    /// TLS failed.
    Tls(rustls::Error),
    /// The bytes received are not an answer of a Kafka broker.
    Answer(ConnectError),
    /// Any other failure.
    Io,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            limits: Mutex::default(),
            answered: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            failure: Mutex::new(None),
            last_byte: Mutex::new(Instant::now()),
        }
    }
}

impl Watch {
    /// Accepts answers of this many bytes until the returned value is dropped.
    pub(super) fn expect(self: &Arc<Self>, limit: usize) -> Expectation {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).push(limit);
        Expectation { watch: self.clone(), limit }
    }

    /// The largest answer that is accepted now, in bytes.
    fn limit(&self) -> usize {
        let limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        limits.iter().copied().fold(SMALL_ANSWER_BYTES, usize::max)
    }

    /// Whether the stream has ended or failed, so that no more answers arrive.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// The first failure of a stream.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the peer last took or sent a byte; at first, when the stream began.
    pub(super) fn last_byte(&self) -> Instant {
        *self.last_byte.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_bytes(&self) {
        *self.last_byte.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn note(&self, failure: Failure) {
        self.ended.store(true, Ordering::Release);
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }

    fn note_error(&self, error: &io::Error) {
        self.note(Failure::of(error));
    }
}

/// The limit of a request in flight; see [`Watch::expect`].
pub(super) struct Expectation {
    watch: Arc<Watch>,
    limit: usize,
}

impl Drop for Expectation {
    fn drop(&mut self) {
        let mut limits = self.watch.limits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = limits.iter().position(|limit| *limit == self.limit) {
            limits.swap_remove(at);
        }
    }
}

impl Failure {
    /// Classifies an error of a stream.
    pub(super) fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(tls) => Self::Tls(tls.clone()),
            None => match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => Self::Ended,
                _ => Self::Io,
            },
        }
    }
}

/// A stream that checks the received answers and notes failures.
pub(super) struct Watched {
    stream: Stream,
    watch: Arc<Watch>,
    written: Frames<REQUEST_HEAD>,
    read: Frames<ANSWER_HEAD>,
    /// The correlation ids of the requests that were written and not answered yet.
    asked: Vec<i32>,
}

/// Finds the heads of the frames in a stream of bytes. A frame is its length in four bytes, and that many bytes.
struct Frames<const HEAD: usize> {
    /// The head of the current frame, as far as it has passed.
    head: [u8; HEAD],
    head_len: usize,
    /// How many bytes of the current frame behind its head have not passed yet.
    left: usize,
}

impl<const HEAD: usize> Frames<HEAD> {
    fn new() -> Self {
        Self { head: [0; HEAD], head_len: 0, left: 0 }
    }

    /// Takes the next bytes. Passes the length of each frame to `length` as soon as it is complete, and then the whole head to `head`.
    fn follow<E>(
        &mut self,
        mut bytes: &[u8],
        mut length: impl FnMut([u8; 4]) -> Result<(), E>,
        mut head: impl FnMut([u8; HEAD]) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.left > 0 {
                let passed = self.left.min(bytes.len());
                self.left -= passed;
                bytes = bytes.get(passed..).unwrap_or_default();
                continue;
            }
            if let Some(slot) = self.head.get_mut(self.head_len) {
                *slot = byte;
            }
            self.head_len += 1;
            bytes = rest;
            if self.head_len == 4 {
                length(self.length())?;
            }
            if self.head_len == HEAD {
                self.head_len = 0;
                // Invariant: `length` has refused a frame that is shorter than its head.
                self.left = (u32::from_be_bytes(self.length()) as usize).saturating_sub(HEAD - 4);
                head(self.head)?;
            }
        }
        Ok(())
    }

    fn length(&self) -> [u8; 4] {
        self.head.first_chunk().copied().unwrap_or_default()
    }
}

impl Watched {
    pub(super) fn new(stream: Stream) -> (Self, Arc<Watch>) {
        let watch = Arc::new(Watch::default());
        (Self { stream, watch: watch.clone(), written: Frames::new(), read: Frames::new(), asked: Vec::new() }, watch)
    }

    /// Checks the length and the correlation id of each answer in the received bytes.
    fn follow_read(&mut self, bytes: &[u8]) -> Result<(), ConnectError> {
        let (watch, asked) = (&self.watch, &mut self.asked);
        let check_length = |head: [u8; 4]| {
            let (bytes, limit) = (u32::from_be_bytes(head) as usize, watch.limit());
            match bytes {
                _ if bytes > limit && watch.answered.load(Ordering::Relaxed) => Err(ConnectError::AnswerTooLong { bytes, limit }),
                _ if bytes > limit || bytes < ANSWER_HEAD - 4 => Err(ConnectError::of_answer(head)),
                _ => Ok(()),
            }
        };
        self.read.follow(bytes, check_length, |head| {
            let [.., a, b, c, d] = head;
            let id = i32::from_be_bytes([a, b, c, d]);
            let at = asked.iter().position(|asked| *asked == id);
            let at = at.ok_or_else(|| ConnectError::NotKafka { what: "it answers requests that were not made".into() })?;
            asked.swap_remove(at);
            watch.answered.store(true, Ordering::Relaxed);
            Ok(())
        })
    }

    /// Notes the correlation id of each request in the written bytes.
    fn follow_written(&mut self, bytes: &[u8]) {
        let asked = &mut self.asked;
        let noted = self.written.follow(
            bytes,
            |_| Ok::<_, std::convert::Infallible>(()),
            |head| {
                let [.., a, b, c, d] = head;
                asked.push(i32::from_be_bytes([a, b, c, d]));
                Ok(())
            },
        );
        match noted {
            Ok(()) => {}
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let room = buffer.remaining();
        let read = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_read(context, buffer),
        };
        if let Err(error) = ready!(read) {
            self.watch.note_error(&error);
            return Poll::Ready(Err(error));
        }
        let came = buffer.filled().get(before..).unwrap_or_default();
        if !came.is_empty() {
            self.watch.note_bytes();
        } else if room > 0 {
            self.watch.note(Failure::Ended);
        }
        if let Err(problem) = self.follow_read(came) {
            buffer.set_filled(before);
            let error = io::Error::new(io::ErrorKind::InvalidData, problem.clone());
            self.watch.note(Failure::Answer(problem));
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(()))
    }
}

impl Watched {
    fn watched<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &result {
            // An error of the reading side explains better why a write failed. So of write errors only TLS errors are noted.
            if matches!(Failure::of(error), Failure::Tls(_)) {
                self.watch.note_error(error);
            }
        }
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_write(context, bytes),
        };
        if let Poll::Ready(Ok(count @ 1..)) = written {
            self.watch.note_bytes();
            self.follow_written(bytes.get(..count).unwrap_or_default());
        }
        self.watched(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_flush(context),
        };
        self.watched(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A request with this correlation id and a body of one byte.
    fn request(id: u8) -> [u8; 13] {
        [0, 0, 0, 9, 0, 18, 0, 0, 0, 0, 0, id, 0]
    }

    /// Writes requests with these correlation ids to a server that answers with `bytes`. Returns what was read.
    async fn answer(ids: &[u8], bytes: &'static [u8], piece: usize, limit: usize) -> (io::Result<Vec<u8>>, Option<Failure>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = ids.iter().flat_map(|id| request(*id)).collect::<Vec<u8>>();
        let mut received = vec![0; requests.len()];
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            stream.read_exact(&mut received).await.unwrap();
            for piece in bytes.chunks(piece) {
                if stream.write_all(piece).await.is_err() {
                    break;
                }
            }
            received
        });
        let (mut stream, watch) = Watched::new(Stream::Plain(TcpStream::connect(address).await.unwrap()));
        let expectation = watch.expect(limit);
        for piece in requests.chunks(piece) {
            stream.write_all(piece).await.unwrap();
        }
        let mut read = Vec::new();
        let result = stream.read_to_end(&mut read).await.map(|_| read);
        drop((stream, expectation));
        assert_eq!(server.await.unwrap(), requests);
        (result, watch.failure())
    }

    #[tokio::test]
    async fn answers_are_followed_through_any_pieces() {
        const THREE: &[u8] = b"\0\0\0\x07\0\0\0\x05abc\0\0\0\x04\0\0\0\x07\0\0\0\x05\0\0\0\x06z";
        for piece in [1, 2, 5, 100] {
            let (read, failure) = answer(&[5, 6, 7], THREE, piece, 0).await;
            assert_eq!(read.unwrap(), THREE);
            assert!(matches!(failure, Some(Failure::Ended)));
        }
    }

    #[tokio::test]
    async fn an_answer_that_was_not_asked_for_ends_the_connection() {
        for (ids, bytes) in [
            (&[][..], &b"\0\0\0\x04\0\0\0\0"[..]),
            (&[5], b"\0\0\0\x04\0\0\0\x06"),
            (&[5], b"\0\0\0\x04\0\0\0\x05\0\0\0\x04\0\0\0\x05"),
            (&[5], b"\0\0\0\x03\0\0\0"),
            (&[5], b"\0\0\0\0"),
        ] {
            for piece in [1, 100] {
                let (read, failure) = answer(ids, bytes, piece, 0).await;
                assert!(read.is_err() && matches!(failure, Some(Failure::Answer(ConnectError::NotKafka { .. }))), "{bytes:?}");
            }
        }
    }

    #[tokio::test]
    async fn an_answer_may_be_as_long_as_a_request_in_flight_explains() {
        // The heads of two answers. The second one is of 65,537 bytes; only the limit of the request decides about it.
        const LONG: &[u8] = b"\0\0\0\x04\0\0\0\x05\0\x01\0\x01\0\0\0\x06";
        let (read, _) = answer(&[5, 6], LONG, 100, SMALL_ANSWER_BYTES + 1).await;
        assert_eq!(read.unwrap(), LONG);
        let (read, failure) = answer(&[5, 6], LONG, 100, SMALL_ANSWER_BYTES).await;
        assert!(read.is_err());
        let Some(Failure::Answer(ConnectError::AnswerTooLong { bytes: 65_537, limit: 65_536 })) = failure else { panic!("{failure:?}") };
        let watch = Arc::new(Watch::default());
        let [small, large] = [100_000, 200_000].map(|limit| watch.expect(limit));
        assert_eq!(watch.limit(), 200_000);
        drop(large);
        assert_eq!(watch.limit(), 100_000);
        drop(small);
        assert_eq!(watch.limit(), SMALL_ANSWER_BYTES);
    }

    #[tokio::test]
    async fn a_server_that_is_not_a_broker_is_named() {
        for (bytes, expected) in [
            (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "HTTP"),
            (b"\x4a\0\0\0\x0a5.7.22", "MySQL"),
            (b"SSH-2.0-x", "SSH-"),
            (b"\x15\x03\x03\x00\x02\x02\x46", "TLS"),
            (b"\xff\xff\xff\xff", "4294967295"),
        ] {
            for piece in [1, 100] {
                let (read, failure) = answer(&[5], bytes, piece, 0).await;
                assert!(read.is_err());
                let Some(Failure::Answer(problem)) = failure else { panic!("{bytes:?}") };
                assert!(problem.to_string().contains(expected), "{problem}");
            }
        }
    }
}
