//! A connection to the server: for questions about its tables, for rows, and for dumping the binlog.
//!
//! `packet` reads and writes packets, `login` authenticates with the proofs of `proof`, `answer` reads what comes as text, `prepared` reads
//! rows of tables, `error` says what can fail, and `error_numbers` knows the errors of PolarDB-X. `fuzzing` gives all of them the bytes of a
//! server that is not there.
//!
//! Invariant: memory is taken only for bytes that have come, never for a number that the server states, and there is a limit for each kind
//! of answer. No bytes of the server make this module panic.

mod answer;
mod error;
mod error_numbers;
pub mod fuzzing;
mod login;
mod packet;
mod prepared;
mod proof;

use std::io;
use std::time::Duration;

use rustls::pki_types::ServerName;
use secrecy::SecretString;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::config::TlsMode;
use crate::tls::{Encryption, TlsFailure};
use answer::MOST_BYTES;
pub(crate) use answer::Row;
use error::NOT_UNDERSTOOD;
pub(crate) use error::{ROWS_SILENCE, WireError};
pub(crate) use error_numbers::mysql_number;
pub(crate) use login::PlainPassword;
use login::{Greeting, Login, Next, head};
use packet::{LONGEST, Packets, Socket};
pub(crate) use prepared::{BinaryRow, BinaryRows, Cell};
pub(crate) use proof::public_key;

/// A flag of the dump request. It makes MariaDB also send the events that hold the text of statements. Without these events, the offsets
/// would have gaps.
const SEND_ANNOTATIONS: u16 = 0x2;
/// A flag of the dump request. The server ends the stream at the end of the binlog instead of waiting for more.
const NON_BLOCKING: u16 = 0x1;

/// The time limit for making a connection, and for one request.
const PATIENCE: Duration = Duration::from_secs(20);

/// The greatest length of an event or of a row of a table, in bytes. It is larger than any that MySQL can write.
const LONGEST_ROW: usize = (1 << 30) + (1 << 20);

/// The address of the server, and the account to log in with.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: SecretString,
    /// How the password itself may be sent if the connection is not encrypted.
    pub(crate) plain_password: PlainPassword,
}

impl Address {
    /// The host in the form that is compared with the names in a certificate.
    pub(crate) fn server_name(&self) -> Result<ServerName<'static>, TlsFailure> {
        // An IPv6 address may be written in brackets.
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        ServerName::try_from(host.to_owned()).map_err(|_| TlsFailure::no_name(&self.host))
    }
}

/// A connection to the server.
pub(crate) struct Wire {
    packets: Packets,
    glued: Glued,
    /// Whether the answer to the last command was not read to its end. Then there can be no other command.
    is_busy: bool,
    /// Whether the connection is encrypted.
    is_encrypted: bool,
}

/// What came behind an event in the same body.
///
/// A body whose last packet is full must be ended by an empty packet. PolarDB-X leaves it out, so that the next event is taken for a part of
/// the body. The length in the header of the first event tells them apart.
#[derive(Default)]
struct Glued {
    /// The events that were not returned yet, each with the byte before it.
    next: Vec<u8>,
    /// The body that was returned last.
    current: Vec<u8>,
}

impl Glued {
    /// Takes the body that is next; `None` if there is none.
    fn take(&mut self) -> Option<&[u8]> {
        if self.next.is_empty() {
            return None;
        }
        self.current = std::mem::take(&mut self.next);
        Some(Self::split(&self.current, &mut self.next))
    }

    /// Returns the first event of a body, with the byte before it, and keeps the rest in `next`.
    fn split<'a>(body: &'a [u8], next: &mut Vec<u8>) -> &'a [u8] {
        const SIZE_AT: usize = 10;
        let size = body.get(SIZE_AT..).and_then(|rest| rest.first_chunk::<4>()).map_or(0, |size| u32::from_le_bytes(*size) as usize);
        let end = size + 1;
        if body.first() != Some(&0) || end < LONGEST || !end.is_multiple_of(LONGEST) || body.get(end) != Some(&0) {
            return body;
        }
        let (event, rest) = body.split_at(end);
        next.extend_from_slice(rest);
        event
    }
}

impl Wire {
    /// Connects without logging in. Encrypts the connection if `encryption` is given.
    async fn meet(address: &Address, encryption: Option<&Encryption>) -> Result<(Packets, Greeting), WireError> {
        let host = address.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, address.port)).await?;
        stream.set_nodelay(true)?;
        keep_alive(&stream)?;
        let mut packets = Packets::new(Socket::Plain(stream));
        let greeting = greeting(&mut packets).await?;
        if let Some(encryption) = encryption {
            encrypt(&mut packets, &greeting, encryption, address).await?;
        }
        Ok((packets, greeting))
    }

    /// Connects and logs in. In mode `preferred`, the connection is not encrypted if the server cannot do that.
    pub(crate) async fn connect(address: &Address, encryption: Option<&Encryption>) -> Result<Self, WireError> {
        let (mut packets, greeting, is_encrypted) = match Self::meet(address, encryption).await {
            Err(WireError::Tls(failure))
                if failure.incapable && encryption.is_some_and(|encryption| encryption.mode == TlsMode::Preferred) =>
            {
                let (packets, greeting) = Self::meet(address, None).await?;
                (packets, greeting, false)
            }
            met => met.map(|(packets, greeting)| (packets, greeting, encryption.is_some()))?,
        };
        log_in(&mut packets, greeting, address, is_encrypted).await?;
        Ok(Self { packets, glued: Glued::default(), is_busy: false, is_encrypted })
    }

    /// A connection to a server that has sent these bytes, for tests.
    fn recorded(sent: Vec<u8>, is_encrypted: bool) -> Self {
        let packets = Packets::new(Socket::Recorded { sent: io::Cursor::new(sent), written: Vec::new() });
        Self { packets, glued: Glued::default(), is_busy: false, is_encrypted }
    }

    /// Whether the connection is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// Registers as a replica.
    pub(crate) async fn register(&mut self, server_id: u32) -> Result<(), WireError> {
        let mut body = server_id.to_le_bytes().to_vec();
        // The host, user and password are empty; the port, the rank and the source id are 0.
        body.extend_from_slice(&[0; 3 + 2 + 4 + 4]);
        self.command(0x15, &body).await?;
        match self.answer().await? {
            [0, ..] => {
                self.is_busy = false;
                Ok(())
            }
            _ => Err(WireError::lost(NOT_UNDERSTOOD)),
        }
    }

    /// Asks for the binlog `file`, starting at `offset`. The offset must be below 4 GiB, because the request has only 32 bits for it.
    pub(crate) async fn dump(&mut self, server_id: u32, file: &str, offset: u32) -> Result<(), WireError> {
        self.request_dump(SEND_ANNOTATIONS, server_id, file, offset).await
    }

    /// Like [`Wire::dump`], but the server sends the binlog only up to its end, and does not take this connection for a replica.
    pub(crate) async fn dump_to_end(&mut self, file: &str, offset: u32) -> Result<(), WireError> {
        self.request_dump(SEND_ANNOTATIONS | NON_BLOCKING, 0, file, offset).await
    }

    async fn request_dump(&mut self, flags: u16, server_id: u32, file: &str, offset: u32) -> Result<(), WireError> {
        let mut body = offset.to_le_bytes().to_vec();
        body.extend_from_slice(&flags.to_le_bytes());
        body.extend_from_slice(&server_id.to_le_bytes());
        body.extend_from_slice(file.as_bytes());
        self.command(0x12, &body).await?;
        self.packets.longest_body = LONGEST_ROW;
        Ok(())
    }

    /// Returns the next event of a dump. This method is cancel-safe.
    pub(crate) async fn event(&mut self) -> Result<&[u8], WireError> {
        let Self { packets, glued, .. } = self;
        if !glued.next.is_empty() {
            return event_of(glued.take().unwrap_or_default());
        }
        event_of(Glued::split(packets.read().await?, &mut glued.next))
    }

    /// Returns the next event of a dump; `None` if no byte comes for as long as `silence`. This method is cancel-safe.
    pub(crate) async fn event_unless_silent(&mut self, silence: Duration) -> Option<Result<&[u8], WireError>> {
        let Self { packets, glued, .. } = self;
        if !glued.next.is_empty() {
            return glued.take().map(event_of);
        }
        match packets.read_unless_silent(silence).await? {
            Ok(packet) => Some(event_of(Glued::split(packet, &mut glued.next))),
            Err(error) => Some(Err(error.into())),
        }
    }

    /// When the last bytes came, and whether they are the beginning of an event that is not complete.
    pub(crate) fn last_byte(&self) -> (Instant, bool) {
        self.packets.last_byte()
    }

    /// Returns the next event of a dump; `None` if the event has not been received completely yet.
    pub(crate) async fn event_if_ready(&mut self) -> Option<Result<&[u8], WireError>> {
        let Self { packets, glued, .. } = self;
        if !glued.next.is_empty() {
            return glued.take().map(event_of);
        }
        match packets.read_if_ready().await? {
            Ok(packet) => Some(event_of(Glued::split(packet, &mut glued.next))),
            Err(error) => Some(Err(error.into())),
        }
    }

    /// Sends a command, and expects its answer.
    async fn command(&mut self, command: u8, body: &[u8]) -> Result<(), WireError> {
        if self.is_busy {
            return Err(WireError::lost("the answer to an earlier command was not read to its end"));
        }
        self.is_busy = true;
        self.packets.longest_body = MOST_BYTES;
        self.send(command, body).await
    }

    /// Lets the server forget a prepared statement. It does not answer.
    async fn forget(&mut self, statement: [u8; 4]) -> Result<(), WireError> {
        self.send(0x19, &statement).await
    }

    async fn send(&mut self, command: u8, body: &[u8]) -> Result<(), WireError> {
        self.packets.number = 0;
        Ok(self.packets.write(&[&[command], body].concat()).await?)
    }

    /// Tells the server that the connection ends.
    pub(crate) async fn quit(mut self) -> Result<(), WireError> {
        self.send(0x01, &[]).await
    }
}

/// Reads the first packet of a server.
async fn greeting(packets: &mut Packets) -> Result<Greeting, WireError> {
    let first = packets.read().await?;
    if first.first() == Some(&0xff) {
        return Err(WireError::refused(first));
    }
    Greeting::read(first).ok_or_else(|| WireError::Lost("what answers there does not speak MySQL's protocol".to_owned()))
}

async fn log_in(packets: &mut Packets, greeting: Greeting, address: &Address, is_encrypted: bool) -> Result<(), WireError> {
    let mut login = Login::new(greeting, &address.user, &address.password, is_encrypted, &address.plain_password);
    packets.write(&login.response()?).await?;
    loop {
        match login.take(packets.read().await?).map_err(|error| error.without(&address.password))? {
            Next::Send(bytes) => packets.write(&bytes).await?,
            Next::Wait => {}
            Next::Done => return Ok(()),
        }
    }
}

/// Waits for an answer, but no longer than `PATIENCE`.
pub(crate) async fn in_time<T>(answer: impl Future<Output = Result<T, WireError>>) -> Result<T, WireError> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(WireError::Lost(format!("no answer for {} s", PATIENCE.as_secs()))),
    }
}

fn event_of(packet: &[u8]) -> Result<&[u8], WireError> {
    match packet {
        [0, event @ ..] => Ok(event),
        [0xff, ..] => Err(WireError::refused(packet)),
        [0xfe, ..] if packet.len() < 9 => Err(WireError::Ended),
        _ => Err(WireError::Lost("the server sent something that is not an event".to_owned())),
    }
}

async fn encrypt(packets: &mut Packets, greeting: &Greeting, encryption: &Encryption, address: &Address) -> Result<(), WireError> {
    if !greeting.can_encrypt {
        return Err(WireError::Tls(TlsFailure::not_offered()));
    }
    packets.write(&head(true)).await?;
    // Data that arrived in plain text must not be read as if it had been encrypted, because an attacker could have inserted it.
    let Socket::Plain(stream) = std::mem::replace(&mut packets.socket, Socket::Broken) else {
        return Err(WireError::Lost("the connection is encrypted already".to_owned()));
    };
    if packets.has_unread() {
        return Err(WireError::Lost("the server went on talking before encryption".to_owned()));
    }
    let name = address.server_name().map_err(WireError::Tls)?;
    match TlsConnector::from(encryption.client.clone()).connect(name, stream).await {
        Ok(stream) => {
            packets.socket = Socket::Encrypted(Box::new(stream));
            Ok(())
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            Err(WireError::Tls(TlsFailure::cut_off()))
        }
        Err(error) => Err(error.into()),
    }
}

fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    const IDLE: Duration = Duration::from_secs(30);
    socket2::SockRef::from(stream).set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(IDLE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_without_the_packet_that_ends_them_are_cut() {
        let event = |size: usize, fill: u8| {
            let mut body = vec![fill; size + 1];
            body[0] = 0;
            body[10..14].copy_from_slice(&(size as u32).to_le_bytes());
            body
        };
        for (size, is_cut) in [(LONGEST - 1, true), (2 * LONGEST - 1, true), (LONGEST, false), (LONGEST - 2, false)] {
            let (first, second) = (event(size, 1), event(40, 2));
            let mut glued = Glued::default();
            let body = [&first[..], &second[..]].concat();
            let found = Glued::split(&body, &mut glued.next).len();
            assert_eq!(found, if is_cut { first.len() } else { body.len() }, "{size}");
            if is_cut {
                assert_eq!(glued.take().unwrap(), second);
            }
            assert_eq!(glued.take(), None);
        }
        // An event that ends as it must is whole.
        let mut glued = Glued::default();
        let whole = event(LONGEST - 1, 1);
        assert_eq!(Glued::split(&whole, &mut glued.next).len(), whole.len());
        assert_eq!(glued.take(), None);
    }

    #[test]
    fn packets_of_a_dump() {
        assert_eq!(event_of(&[0, 1, 2]).unwrap(), [1, 2]);
        assert!(matches!(event_of(b"\xff\xd4\x04#HY000no"), Err(WireError::Refused(1236, message)) if message == "no"));
        assert!(matches!(event_of(&[0xfe, 0, 0, 2, 0]), Err(WireError::Ended)));
        assert!(matches!(event_of(&[]), Err(WireError::Lost(_))));
        assert!(matches!(WireError::refused(&[0xff]), WireError::Refused(0, _)));
        let denied = WireError::refused(b"\xff\xf6\x13#HY000ERR-CODE: [PXC-5110][ERR_CHECK_PRIVILEGE_FAILED] no");
        assert!(matches!(denied, WireError::Refused(5110, message) if mysql_number(5110, &message) == 1227));
    }
}
