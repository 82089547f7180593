//! A stream to a broker, with or without TLS. It checks the length of every answer before the messenger allocates memory for the answer. It
//! also keeps the first failure, so that the reason can be diagnosed later.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use super::connect_error::ConnectError;

/// The largest accepted answer, in bytes, until the server has proved to be a Kafka broker.
const FIRST_ANSWER_BYTES: usize = 1 << 20;
/// The largest accepted answer of a broker, in bytes. A fetched record batch may be as large as the broker's own limit allowed.
pub(super) const MAX_ANSWER_BYTES: usize = 128 << 20;

/// A TCP stream, with or without TLS.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The observed state of a stream, shared with the connection.
#[derive(Debug)]
pub(super) struct Watch {
    limit: AtomicUsize,
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
            limit: AtomicUsize::new(FIRST_ANSWER_BYTES),
            ended: AtomicBool::new(false),
            failure: Mutex::new(None),
            last_byte: Mutex::new(Instant::now()),
        }
    }
}

impl Watch {
    /// Notes that the server is a Kafka broker; from now on its answers may be large.
    pub(super) fn trust(&self) {
        self.limit.store(MAX_ANSWER_BYTES, Ordering::Relaxed);
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

/// A stream that checks the lengths of received answers and notes failures.
pub(super) struct Watched {
    stream: Stream,
    watch: Arc<Watch>,
    /// The length field of the current answer, as far as it has been received.
    head: [u8; 4],
    head_len: usize,
    /// How many bytes of the current answer are still missing.
    left: usize,
}

impl Watched {
    pub(super) fn new(stream: Stream) -> (Self, Arc<Watch>) {
        let watch = Arc::new(Watch::default());
        (Self { stream, watch: watch.clone(), head: [0; 4], head_len: 0, left: 0 }, watch)
    }

    /// Finds the length field of each answer in the received bytes and checks it against the limit.
    fn follow(&mut self, mut bytes: &[u8]) -> Result<(), ConnectError> {
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
            if self.head_len == self.head.len() {
                self.head_len = 0;
                self.left = u32::from_be_bytes(self.head) as usize;
                if self.left > self.watch.limit.load(Ordering::Relaxed) {
                    return Err(ConnectError::of_answer(self.head));
                }
            }
        }
        Ok(())
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
        if let Err(problem) = self.follow(came) {
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
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.watch.note_bytes();
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

    async fn answer(bytes: &'static [u8], piece: usize) -> (io::Result<Vec<u8>>, Option<Failure>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            for piece in bytes.chunks(piece) {
                stream.write_all(piece).await.unwrap();
                stream.flush().await.unwrap();
            }
        });
        let (mut stream, watch) = Watched::new(Stream::Plain(TcpStream::connect(address).await.unwrap()));
        let mut read = Vec::new();
        let result = stream.read_to_end(&mut read).await.map(|_| read);
        server.await.unwrap();
        (result, watch.failure())
    }

    #[tokio::test]
    async fn lengths_are_followed_through_any_pieces() {
        const TWO: &[u8] = b"\0\0\0\x03abc\0\0\0\0\0\0\0\x01z";
        for piece in [1, 2, 5, 100] {
            let (read, failure) = answer(TWO, piece).await;
            assert_eq!(read.unwrap(), TWO);
            assert!(matches!(failure, Some(Failure::Ended)));
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_a_broker_is_named() {
        for (bytes, expected) in [
            (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "HTTP"),
            (b"\x4a\0\0\0\x0a5.7.22", "MySQL"),
            (b"SSH-2.0-x", "SSH-"),
            (b"\x15\x03\x03\x00\x02\x02\x46", "TLS"),
            (b"\x00\x00\x00\x01a\x7f\xff\xff\xff", "2147483647"),
            (b"\xff\xff\xff\xff", "4294967295"),
        ] {
            for piece in [1, 100] {
                let (read, failure) = answer(bytes, piece).await;
                assert!(read.is_err());
                let Some(Failure::Answer(problem)) = failure else { panic!("{bytes:?}") };
                assert!(problem.to_string().contains(expected), "{problem}");
            }
        }
    }
}
