//! MySQL's client protocol: packets, and a small client for the MySQL server behind the stand-in.

use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::{Failure, Result};

/// The length of the largest packet. A message that is longer, or exactly as long, is continued in the next packet.
pub(super) const MAX_PACKET: usize = 0xFF_FFFF;

/// The capabilities that a compute node offers: no TLS, no compression, no session tracking.
pub(super) const CAPABILITIES: u32 = 0x000B_B74F;

/// Reads one packet. Returns its sequence number and its bytes; `None` if the connection was closed.
pub(super) async fn read_packet(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<(u8, Vec<u8>)>> {
    let mut header = [0; 4];
    if let Err(error) = stream.read_exact(&mut header).await {
        return if error.kind() == std::io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error.into()) };
    }
    let [a, b, c, sequence] = header;
    let mut packet = vec![0; u32::from_le_bytes([a, b, c, 0]) as usize];
    stream.read_exact(&mut packet).await?;
    Ok(Some((sequence, packet)))
}

/// Reads a message, which may span several packets. Returns the last sequence number and the bytes.
pub(super) async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<(u8, Vec<u8>)>> {
    let Some((mut sequence, mut message)) = read_packet(stream).await? else {
        return Ok(None);
    };
    let mut last = message.len();
    while last == MAX_PACKET {
        let Some((number, more)) = read_packet(stream).await? else {
            return Failure::err("the connection was closed within a message");
        };
        (sequence, last) = (number, more.len());
        message.extend_from_slice(&more);
    }
    Ok(Some((sequence, message)))
}

/// Appends a message as packets, with sequence numbers from `sequence`. Returns the next sequence number.
pub(super) fn put_message(out: &mut Vec<u8>, mut sequence: u8, message: &[u8]) -> u8 {
    let mut rest = message;
    loop {
        let (piece, after) = rest.split_at(rest.len().min(MAX_PACKET));
        out.extend_from_slice(&(piece.len() as u32).to_le_bytes()[..3]);
        out.push(sequence);
        out.extend_from_slice(piece);
        sequence = sequence.wrapping_add(1);
        if piece.len() < MAX_PACKET {
            return sequence;
        }
        rest = after;
    }
}

/// Sends a message.
pub(super) async fn send(stream: &mut (impl AsyncWrite + Unpin), sequence: u8, message: &[u8]) -> Result<()> {
    let mut out = Vec::with_capacity(message.len() + 4);
    put_message(&mut out, sequence, message);
    Ok(stream.write_all(&out).await?)
}

/// Appends a length in MySQL's variable-length form.
pub(super) fn put_length(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=250 => out.push(value as u8),
        251..=0xFFFF => {
            out.push(0xFC);
            out.extend_from_slice(&value.to_le_bytes()[..2]);
        }
        0x1_0000..=0xFF_FFFF => {
            out.push(0xFD);
            out.extend_from_slice(&value.to_le_bytes()[..3]);
        }
        _ => {
            out.push(0xFE);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Appends bytes with their length in front of them.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes `count` bytes from the front of `bytes`.
pub(super) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or_else(|| Failure::new("a packet or event is too short"))?;
    *bytes = rest;
    Ok(taken)
}

/// Takes a number of `count` bytes, at most 8, from the front of `bytes`.
pub(super) fn take_number(bytes: &mut &[u8], count: usize) -> Result<u64> {
    Ok(take(bytes, count)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Takes a length in MySQL's variable-length form from the front of `bytes`; `None` stands for NULL.
pub(super) fn take_length(bytes: &mut &[u8]) -> Result<Option<u64>> {
    Ok(Some(match take_number(bytes, 1)? {
        0xFB => return Ok(None),
        0xFC => take_number(bytes, 2)?,
        0xFD => take_number(bytes, 3)?,
        0xFE => take_number(bytes, 8)?,
        small => small,
    }))
}

/// Takes bytes with their length in front of them; `None` stands for NULL.
pub(super) fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>> {
    take_length(bytes)?.map(|length| take(bytes, length as usize)).transpose()
}

/// A cell of a result in text form; `None` is NULL.
pub(super) type Cell = Option<Vec<u8>>;

/// A cell with a text.
pub(super) fn cell(text: impl ToString) -> Cell {
    Some(text.to_string().into_bytes())
}

/// The rows of a query, in text form.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    /// The column definitions as the server sent them, or as [`text_column`] makes them.
    pub(super) columns: Vec<Vec<u8>>,
    /// The rows.
    pub(super) rows: Vec<Vec<Cell>>,
}

impl Rows {
    /// An empty result with text columns.
    pub(super) fn new(columns: &[&str]) -> Self {
        Self { columns: columns.iter().map(|name| text_column(name)).collect(), rows: Vec::new() }
    }

    /// The cell of a row and a column as text; empty for NULL.
    pub(super) fn text(&self, row: usize, column: usize) -> String {
        let cell = self.rows.get(row).and_then(|row| row.get(column)).and_then(Option::as_ref);
        cell.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    }

    /// The packets of the result, the first with the sequence number 1.
    pub(super) fn packets(&self) -> Vec<u8> {
        let (mut out, mut message) = (Vec::new(), Vec::new());
        put_length(&mut message, self.columns.len() as u64);
        let mut sequence = put_message(&mut out, 1, &message);
        for column in &self.columns {
            sequence = put_message(&mut out, sequence, column);
        }
        sequence = put_message(&mut out, sequence, &EOF);
        for row in &self.rows {
            message.clear();
            for cell in row {
                match cell {
                    None => message.push(0xFB),
                    Some(bytes) => put_bytes(&mut message, bytes),
                }
            }
            sequence = put_message(&mut out, sequence, &message);
        }
        put_message(&mut out, sequence, &EOF);
        out
    }
}

/// The message that ends the columns, or the rows, of a result.
const EOF: [u8; 5] = [0xFE, 0, 0, 2, 0];
/// The message for success without a result.
pub(super) const OK: [u8; 7] = [0, 0, 0, 2, 0, 0, 0];

/// The definition of a text column.
pub(super) fn text_column(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for part in ["def", "", "", "", name, ""] {
        put_bytes(&mut out, part.as_bytes());
    }
    out.push(0x0C);
    // utf8mb4_general_ci, a length, VAR_STRING, no flags, no decimals, and two bytes of zero.
    out.extend_from_slice(&45_u16.to_le_bytes());
    out.extend_from_slice(&1024_u32.to_le_bytes());
    out.extend_from_slice(&[253, 0, 0, 0x1F, 0, 0]);
    out
}

/// The message of an error.
pub(super) fn error_message(number: u16, state: &str, text: &str) -> Vec<u8> {
    let mut out = vec![0xFF];
    out.extend_from_slice(&number.to_le_bytes());
    out.push(b'#');
    out.extend_from_slice(state.as_bytes());
    out.extend_from_slice(text.as_bytes());
    out
}

/// The number, the state and the text in the message of an error.
pub(super) fn read_error(message: &[u8]) -> (u16, String, String) {
    let mut rest = message.get(1..).unwrap_or_default();
    let number = take_number(&mut rest, 2).unwrap_or_default() as u16;
    let (state, text) = match rest.split_first() {
        Some((b'#', after)) if after.len() >= 5 => after.split_at(5),
        _ => (b"HY000".as_slice(), rest),
    };
    (number, String::from_utf8_lossy(state).into_owned(), String::from_utf8_lossy(text).into_owned())
}

/// Whether the message ends the columns or the rows of a result, and whether another result follows.
pub(super) fn end_of(message: &[u8]) -> Option<bool> {
    (message.first() == Some(&0xFE) && message.len() < 9).then(|| message.get(3).is_some_and(|status| status & 8 != 0))
}

/// A connection as root to the MySQL server behind the stand-in.
pub(super) struct Client(pub(super) UnixStream);

impl Client {
    /// Connects through the server's socket file.
    pub(super) async fn connect(socket: &Path) -> Result<Self> {
        let mut stream = UnixStream::connect(socket).await?;
        let Some((_, _greeting)) = read_message(&mut stream).await? else {
            return Failure::err("MySQL closed the connection before its greeting");
        };
        let mut login = Vec::new();
        login.extend_from_slice(&(CAPABILITIES & !8).to_le_bytes());
        login.extend_from_slice(&(1_u32 << 30).to_le_bytes());
        login.push(45);
        login.extend_from_slice(&[0; 23]);
        // An empty password has an empty proof.
        login.extend_from_slice(b"root\0\0mysql_native_password\0");
        send(&mut stream, 1, &login).await?;
        let answer = read_message(&mut stream).await?.map(|(_, message)| message).unwrap_or_default();
        match answer.first() {
            Some(0) => Ok(Self(stream)),
            Some(0xFF) => Failure::err(format!("MySQL refused root: {}", read_error(&answer).2)),
            _ => Failure::err("MySQL asked root for something other than the empty password"),
        }
    }

    /// Executes a statement and returns its rows, if any.
    pub(super) async fn query(&mut self, sql: &str) -> Result<Rows> {
        send(&mut self.0, 0, &[&[3], sql.as_bytes()].concat()).await?;
        read_rows(&mut self.0).await?.map_err(|error| Failure::new(format!("{sql}: {}", read_error(&error).2)))
    }
}

/// Reads the answer to a query: its rows (none for a statement without a result), or the message of an error.
pub(super) async fn read_rows(stream: &mut (impl AsyncRead + Unpin)) -> Result<Result<Rows, Vec<u8>>> {
    let closed = || Failure::new("MySQL closed the connection");
    let (_, first) = read_message(stream).await?.ok_or_else(closed)?;
    match first.first() {
        Some(0xFF) => return Ok(Err(first)),
        Some(0) => return Ok(Ok(Rows::default())),
        _ => {}
    }
    let count = take_length(&mut first.as_slice())?.unwrap_or_default();
    let mut found = Rows::default();
    for _ in 0..count {
        found.columns.push(read_message(stream).await?.ok_or_else(closed)?.1);
    }
    read_message(stream).await?.ok_or_else(closed)?;
    loop {
        let (_, message) = read_message(stream).await?.ok_or_else(closed)?;
        if end_of(&message).is_some() {
            return Ok(Ok(found));
        }
        if message.first() == Some(&0xFF) {
            return Ok(Err(message));
        }
        let mut rest = message.as_slice();
        let mut row = Vec::new();
        for _ in 0..count {
            row.push(take_bytes(&mut rest)?.map(<[u8]>::to_vec));
        }
        found.rows.push(row);
    }
}
