//! Reads and writes packets of the MySQL protocol. A body is usually read in place, without a copy, from one buffer.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

/// The size of a packet's header in bytes: three for the length of the body, and one for the packet's number.
const HEADER: usize = 4;
/// The greatest length of a packet's body, in bytes. A longer body continues in the next packet.
pub(super) const LONGEST: usize = 0xff_ffff;
/// The usual size of the read buffer, in bytes.
const BUFFER_BYTES: usize = 256 << 10;
/// The greatest length of a body before the login has succeeded, in bytes. Until then the peer may be anyone.
const BEFORE_LOGIN_BYTES: usize = 64 << 10;

/// A connection to the server, encrypted or not.
pub(super) enum Socket {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
    /// The state while the connection is being encrypted, and after its encryption has failed.
    Broken,
    /// What a server might send, for tests; and what was written to it.
    Recorded {
        sent: io::Cursor<Vec<u8>>,
        written: Vec<u8>,
    },
}

/// Reads and writes packets over a socket. Reading is cancel-safe, because all its state is in this struct.
pub(super) struct Packets {
    pub(super) socket: Socket,
    buffer: Vec<u8>,
    /// Invariant: `start <= end <= buffer.len()`. The bytes from `start` to `end` were read from the socket and are not used yet.
    start: usize,
    end: usize,
    /// Collects a body that spans several packets.
    joined: Vec<u8>,
    joining: bool,
    /// The greatest length of a body, in bytes. Nothing is kept of a longer one.
    pub(super) longest_body: usize,
    /// When the last bytes came.
    last_byte: Instant,
    /// The number that the next packet has, whether it is sent or received.
    pub(super) number: u8,
}

/// Where the body is that was read last: in `buffer`, or in `joined` if it spans several packets.
#[derive(Clone, Copy)]
pub(super) enum Body {
    Here { from: usize, to: usize },
    Joined,
}

impl Packets {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            joined: Vec::new(),
            joining: false,
            longest_body: BEFORE_LOGIN_BYTES,
            last_byte: Instant::now(),
            number: 0,
        }
    }

    /// Whether the buffer holds data that is not used yet. There must be no such data when encryption begins.
    pub(super) fn has_unread(&self) -> bool {
        self.start < self.end
    }

    /// When the last bytes came, and whether they are the beginning of a body that is not complete.
    pub(super) fn last_byte(&self) -> (Instant, bool) {
        (self.last_byte, self.joining || self.has_unread())
    }

    /// Like [`Packets::read`], but returns `None` if no byte comes for as long as `silence`. A long body may take longer than that.
    pub(super) async fn read_unless_silent(&mut self, silence: Duration) -> Option<io::Result<&[u8]>> {
        match self.next_unless_silent(silence).await? {
            Ok(body) => Some(Ok(self.body(body))),
            Err(error) => Some(Err(error)),
        }
    }

    /// Like [`Packets::read_unless_silent`], but only says where the body is. It stays there until the next call.
    pub(super) async fn next_unless_silent(&mut self, silence: Duration) -> Option<io::Result<Body>> {
        // Most bodies are there already, and need no timer.
        if let Some(found) = self.next_if_ready().await {
            return Some(found);
        }
        let asked = Instant::now();
        loop {
            let until = self.last_byte.max(asked) + silence;
            match tokio::time::timeout_at(until, poll_fn(|context| self.poll_body(context))).await {
                Ok(found) => return Some(found),
                Err(_) if self.last_byte.max(asked) + silence <= until => return None,
                Err(_) => {}
            }
        }
    }

    /// Returns the next body, joined if it spans several packets. This method is cancel-safe.
    pub(super) async fn read(&mut self) -> io::Result<&[u8]> {
        let body = self.next().await?;
        Ok(self.body(body))
    }

    /// Like [`Packets::read`], but only says where the body is. It stays there until the next call.
    pub(super) async fn next(&mut self) -> io::Result<Body> {
        poll_fn(|context| self.poll_body(context)).await
    }

    /// Returns the next body; `None` if the body has not been received completely yet.
    pub(super) async fn read_if_ready(&mut self) -> Option<io::Result<&[u8]>> {
        match self.next_if_ready().await? {
            Ok(body) => Some(Ok(self.body(body))),
            Err(error) => Some(Err(error)),
        }
    }

    async fn next_if_ready(&mut self) -> Option<io::Result<Body>> {
        // Without `unconstrained`, tokio's cooperative budget could hide data that has already arrived.
        tokio::task::unconstrained(poll_fn(|context| {
            Poll::Ready(match self.poll_body(context) {
                Poll::Ready(result) => Some(result),
                Poll::Pending => None,
            })
        }))
        .await
    }

    /// Sends one packet. Its body must be shorter than 16 MiB.
    pub(super) async fn write(&mut self, body: &[u8]) -> io::Result<()> {
        if body.len() >= LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a command is too long"));
        }
        let mut packet = Vec::with_capacity(HEADER + body.len());
        packet.extend_from_slice(&(body.len() as u32).to_le_bytes()[..3]);
        packet.push(self.number);
        packet.extend_from_slice(body);
        self.number = self.number.wrapping_add(1);
        self.socket.write_all(&packet).await?;
        self.socket.flush().await
    }

    pub(super) fn body(&self, body: Body) -> &[u8] {
        match body {
            Body::Here { from, to } => self.buffer.get(from..to).unwrap_or_default(),
            Body::Joined => &self.joined,
        }
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Body>> {
        if !self.joining && self.joined.capacity() > 0 {
            // The memory is freed, because bodies of 16 MiB and more are rare.
            self.joined = Vec::new();
        }
        loop {
            let unread = self.buffer.get(self.start..self.end).unwrap_or_default();
            let Some((&[a, b, c, number], rest)) = unread.split_first_chunk::<HEADER>() else {
                ready!(self.poll_fill(context, HEADER))?;
                continue;
            };
            let length = u32::from_le_bytes([a, b, c, 0]) as usize;
            if self.joined.len() + length > self.longest_body {
                let what = format!("the server sends more than {} bytes at once", self.longest_body);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what)));
            }
            if rest.len() < length {
                ready!(self.poll_fill(context, HEADER + length))?;
                continue;
            }
            // PolarDB-X may send an error with a packet number that is not the next one.
            let is_error = !self.joining && rest.first() == Some(&0xff);
            if number != self.number && !is_error {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "packets out of order")));
            }
            self.number = number.wrapping_add(1);
            let from = self.start + HEADER;
            let to = from + length;
            self.start = to;
            if length < LONGEST && !self.joining {
                return Poll::Ready(Ok(Body::Here { from, to }));
            }
            self.joined.extend_from_slice(self.buffer.get(from..to).unwrap_or_default());
            self.joining = length == LONGEST;
            if !self.joining {
                return Poll::Ready(Ok(Body::Joined));
            }
        }
    }

    /// Makes room in the buffer for a packet of `wanted` bytes, then reads once from the socket.
    fn poll_fill(&mut self, context: &mut Context<'_>, wanted: usize) -> Poll<io::Result<()>> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        let size = wanted.max(BUFFER_BYTES);
        if self.buffer.len() - self.start < wanted || (self.start == 0 && self.end == 0 && self.buffer.len() != size) {
            // This also shrinks a buffer that grew for a long packet.
            let unread = self.start..self.end;
            if self.buffer.len() == size {
                self.buffer.copy_within(unread.clone(), 0);
            } else {
                let mut buffer = vec![0; size];
                if let (Some(to), Some(from)) = (buffer.get_mut(..unread.len()), self.buffer.get(unread.clone())) {
                    to.copy_from_slice(from);
                }
                self.buffer = buffer;
            }
            (self.start, self.end) = (0, unread.len());
        }
        let mut free = ReadBuf::new(self.buffer.get_mut(self.end..).unwrap_or_default());
        ready!(Pin::new(&mut self.socket).poll_read(context, &mut free))?;
        match free.filled().len() {
            0 => Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"))),
            read => {
                self.end += read;
                self.last_byte = Instant::now();
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Encrypted(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Broken => Poll::Ready(Err(broken())),
            Self::Recorded { sent, .. } => Pin::new(sent).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Broken => Poll::Ready(Err(broken())),
            Self::Recorded { written, .. } => Pin::new(written).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(context),
            Self::Broken => Poll::Ready(Err(broken())),
            Self::Recorded { .. } => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Broken | Self::Recorded { .. } => Poll::Ready(Ok(())),
        }
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the connection is broken")
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A connection to a test server, which sends `send` in pieces of `piece` bytes. There is no limit yet.
    async fn sent(send: Vec<u8>, piece: usize) -> Packets {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            for part in send.chunks(piece) {
                stream.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut packets = Packets::new(Socket::Plain(TcpStream::connect(address).await.unwrap()));
        packets.longest_body = usize::MAX;
        packets
    }

    #[tokio::test]
    async fn nothing_is_kept_of_a_body_that_is_too_long() {
        for (limit, bodies) in [(BEFORE_LOGIN_BYTES, 1), (2 * LONGEST, 3)] {
            let all: Vec<u8> = (0..bodies).flat_map(|number| packet(number, &vec![7; LONGEST])).collect();
            let mut packets = sent(all, 100_000).await;
            packets.longest_body = limit;
            let error = packets.read().await.unwrap_err();
            assert!(error.to_string().contains(&format!("more than {limit} bytes")), "{error}");
            assert!(packets.buffer.len() + packets.joined.len() <= limit + BUFFER_BYTES);
        }
    }

    #[tokio::test]
    async fn only_a_server_that_sends_nothing_is_silent() {
        let body = vec![7; 40];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let send = packet(0, &body);
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            for byte in send {
                stream.write_all(&[byte]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            stream.write_all(&[7, 0]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
        });
        let mut packets = Packets::new(Socket::Plain(TcpStream::connect(address).await.unwrap()));
        // The body takes more than twice as long as the silence.
        let silence = Duration::from_secs(1);
        assert_eq!(packets.read_unless_silent(silence).await.unwrap().unwrap(), body);
        assert!(packets.read_unless_silent(silence).await.is_none());
        let (last, is_partial) = packets.last_byte();
        assert!(last.elapsed() >= silence && is_partial);
    }

    fn packet(number: u8, body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32).to_le_bytes()[..3], &[number], body].concat()
    }

    #[tokio::test]
    async fn packets_come_out_whole_however_they_arrive() {
        let bodies: Vec<Vec<u8>> = [0usize, 1, 5, 300, 70_000, 3].into_iter().map(|length| vec![length as u8; length]).collect();
        let all: Vec<u8> = bodies.iter().enumerate().flat_map(|(number, body)| packet(number as u8, body)).collect();
        for piece in [1, 3, 1_000, usize::MAX] {
            let mut packets = sent(all.clone(), piece.min(all.len())).await;
            for body in &bodies {
                assert_eq!(packets.read().await.unwrap(), body, "{} bytes in pieces of {piece}", body.len());
            }
            assert_eq!(packets.read().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[tokio::test]
    async fn a_long_body_continues_in_the_next_packet() {
        // A body of exactly the greatest length is followed by an empty packet, which ends it.
        for (last, tail) in [(&b"end"[..], 3), (b"", 0)] {
            let long = vec![7; LONGEST];
            let all = [packet(0, &long), packet(1, last), packet(2, b"next")].concat();
            let mut packets = sent(all, 100_000).await;
            let body = packets.read().await.unwrap();
            assert_eq!((body.len(), &body[LONGEST..]), (LONGEST + tail, last));
            assert_eq!(packets.read().await.unwrap(), b"next");
            assert!(packets.buffer.len() <= BUFFER_BYTES && packets.joined.capacity() == 0, "what one packet needed is given back");
        }
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_loses_nothing() {
        let mut packets = sent([packet(0, &[1; 5_000]), packet(1, b"two")].concat(), 7).await;
        let mut dropped = 0;
        let body = loop {
            match tokio::time::timeout(std::time::Duration::from_micros(50), packets.read()).await {
                Ok(body) => break body.unwrap().to_vec(),
                Err(_) => dropped += 1,
            }
        };
        assert_eq!(body, [1; 5_000], "after {dropped} dropped calls");
        assert_eq!(packets.read().await.unwrap(), b"two");
    }

    #[tokio::test]
    async fn a_packet_out_of_order_is_seen_unless_it_is_an_error() {
        let mut packets = sent([packet(0, b"a"), packet(2, b"b")].concat(), 100).await;
        assert_eq!(packets.read().await.unwrap(), b"a");
        assert!(packets.read().await.is_err());
        let mut packets = sent([packet(0, b"a"), packet(1, b"b"), packet(1, b"\xffno")].concat(), 100).await;
        assert_eq!(packets.read().await.unwrap(), b"a");
        assert_eq!(packets.read().await.unwrap(), b"b");
        assert_eq!(packets.read().await.unwrap(), b"\xffno");
    }
}
