//! The bytes to and from a broker, in plain or in TLS, and watched: the length of every answer is checked before anybody makes room for
//! it, and the first thing that goes wrong is kept in a form that can be judged.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::connect_error::DoorError;

/// The largest answer before the other side proved to be a broker.
const FIRST_ANSWER_BYTES: usize = 1 << 20;
/// The largest answer that is read; a record batch fetched may be as large as a broker was allowed to take.
pub(super) const MAX_ANSWER_BYTES: usize = 128 << 20;

/// With or without TLS.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What is known of a stream from outside.
#[derive(Debug)]
pub(super) struct Watch {
    limit: AtomicUsize,
    ended: AtomicBool,
    trouble: Mutex<Option<Trouble>>,
}

/// The first thing that went wrong.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// The other side ended the connection.
    Ended,
    /// TLS failed.
    Tls(rustls::Error),
    /// What came is no answer of a broker.
    Answer(DoorError),
    /// Anything else.
    Io,
}

impl Default for Watch {
    fn default() -> Self {
        Self { limit: AtomicUsize::new(FIRST_ANSWER_BYTES), ended: AtomicBool::new(false), trouble: Mutex::new(None) }
    }
}

impl Watch {
    /// The other side is a broker: its answers may be large.
    pub(super) fn trust(&self) {
        self.limit.store(MAX_ANSWER_BYTES, Ordering::Relaxed);
    }

    /// Whether nothing more will come.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// The first thing that went wrong.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, trouble: Trouble) {
        self.ended.store(true, Ordering::Release);
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(trouble);
    }

    fn note_error(&self, error: &io::Error) {
        self.note(Trouble::of(error));
    }
}

impl Trouble {
    /// What an error of a stream amounts to.
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

/// A watched stream.
pub(super) struct Watched {
    stream: Stream,
    watch: Arc<Watch>,
    /// The length of the answer that comes, as far as it has come.
    head: [u8; 4],
    head_len: usize,
    /// What is still to come of the answer.
    left: usize,
}

impl Watched {
    pub(super) fn new(stream: Stream) -> (Self, Arc<Watch>) {
        let watch = Arc::new(Watch::default());
        (Self { stream, watch: watch.clone(), head: [0; 4], head_len: 0, left: 0 }, watch)
    }

    /// Follows the lengths of answers through what came.
    fn follow(&mut self, mut bytes: &[u8]) -> Result<(), DoorError> {
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
                    return Err(DoorError::of_answer(self.head));
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
        if came.is_empty() && room > 0 {
            self.watch.note(Trouble::Ended);
        }
        if let Err(problem) = self.follow(came) {
            buffer.set_filled(before);
            let error = io::Error::new(io::ErrorKind::InvalidData, problem.clone());
            self.watch.note(Trouble::Answer(problem));
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(()))
    }
}

impl Watched {
    fn watched<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &result {
            // A write that fails says less than the read that tells why: only an error of TLS is kept.
            if matches!(Trouble::of(error), Trouble::Tls(_)) {
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

    async fn answer(bytes: &'static [u8], piece: usize) -> (io::Result<Vec<u8>>, Option<Trouble>) {
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
        (result, watch.trouble())
    }

    #[tokio::test]
    async fn lengths_are_followed_through_any_pieces() {
        const TWO: &[u8] = b"\0\0\0\x03abc\0\0\0\0\0\0\0\x01z";
        for piece in [1, 2, 5, 100] {
            let (read, trouble) = answer(TWO, piece).await;
            assert_eq!(read.unwrap(), TWO);
            assert!(matches!(trouble, Some(Trouble::Ended)));
        }
    }

    #[tokio::test]
    async fn what_is_no_broker_is_named() {
        for (bytes, expected) in [
            (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "HTTP"),
            (b"\x4a\0\0\0\x0a5.7.22", "MySQL"),
            (b"SSH-2.0-x", "SSH-"),
            (b"\x15\x03\x03\x00\x02\x02\x46", "TLS"),
            (b"\x00\x00\x00\x01a\x7f\xff\xff\xff", "2147483647"),
            (b"\xff\xff\xff\xff", "4294967295"),
        ] {
            for piece in [1, 100] {
                let (read, trouble) = answer(bytes, piece).await;
                assert!(read.is_err());
                let Some(Trouble::Answer(problem)) = trouble else { panic!("{bytes:?}") };
                assert!(problem.to_string().contains(expected), "{problem}");
            }
        }
    }
}
