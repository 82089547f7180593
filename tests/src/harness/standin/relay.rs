//! The two connections of a session, to the client and to MySQL, and what is passed between them.

use std::path::Path;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};

use super::binary_rows;
use super::errors::translated;
use super::wire::{
    CAPABILITIES, Rows, end_of, put_message, read_error, read_message, read_packet, read_rows, send, take, take_bytes, take_length,
    take_number,
};
use crate::{Failure, Result};

/// What a command was answered with: nothing more to say, or the number of the error.
pub(super) type Answered = Option<u16>;

/// What a forwarded command is answered with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// OK, an error, or results.
    Results,
    /// The same, with rows in binary form.
    BinaryResults,
    /// The description of a prepared statement.
    Prepared,
    /// Rows of a cursor.
    Rows,
}

/// The connections of a session.
pub(super) struct Relay {
    pub(super) client: TcpStream,
    pub(super) upstream: UnixStream,
}

impl Relay {
    /// Passes the login of a client through to MySQL. Returns the account and the current database as well; `None` if there was no login.
    pub(super) async fn login(mut client: TcpStream, socket: &Path) -> Result<Option<(Self, String, String)>> {
        let mut upstream = UnixStream::connect(socket).await?;
        let Some((_, greeting)) = read_packet(&mut upstream).await? else {
            return Failure::err("MySQL closed the connection before its greeting");
        };
        send(&mut client, 0, &disguised(&greeting)?).await?;
        let Some((sequence, mut login)) = read_packet(&mut client).await? else {
            return Ok(None);
        };
        let (user, database) = read_login(&login)?;
        let capabilities = take_number(&mut login.as_slice(), 4)? as u32 & CAPABILITIES;
        login.get_mut(..4).ok_or_else(|| Failure::new("a short login"))?.copy_from_slice(&capabilities.to_le_bytes());
        send(&mut upstream, sequence, &login).await?;
        loop {
            let Some((sequence, answer)) = read_packet(&mut upstream).await? else {
                return Ok(None);
            };
            send(&mut client, sequence, &answer).await?;
            match answer.first() {
                Some(0) => break,
                Some(0xFE) => {
                    let Some((sequence, more)) = read_packet(&mut client).await? else {
                        return Ok(None);
                    };
                    send(&mut upstream, sequence, &more).await?;
                }
                _ => return Ok(None),
            }
        }
        Ok(Some((Self { client, upstream }, user, database)))
    }

    pub(super) async fn answer(&mut self, message: &[u8]) -> Result<Answered> {
        send(&mut self.client, 1, message).await?;
        Ok((message.first() == Some(&0xFF)).then(|| read_error(message).0))
    }

    pub(super) async fn answer_rows(&mut self, rows: &Rows) -> Result<Answered> {
        self.client.write_all(&rows.packets()).await?;
        Ok(None)
    }

    /// Forwards a command to MySQL, and the answer to the client.
    pub(super) async fn forward(&mut self, command: &[u8], form: Form, translates: bool) -> Result<Answered> {
        send(&mut self.upstream, 0, command).await?;
        let mut out = Out { buffer: Vec::new(), sequence: 1 };
        let mut first = self.next().await?;
        loop {
            match first.first() {
                Some(0xFF) => {
                    let error = if translates { translated(&first) } else { first };
                    out.add(&mut self.client, &error).await?;
                    out.flush(&mut self.client).await?;
                    return Ok(Some(read_error(&error).0));
                }
                Some(0) if form == Form::Prepared => {
                    let counts = [5, 7].map(|at| take_number(&mut first.get(at..).unwrap_or_default(), 2));
                    out.add(&mut self.client, &first).await?;
                    for count in counts {
                        let count = count?;
                        // Each list of definitions is followed by its end, but only if it is not empty.
                        for _ in 0..if count > 0 { count + 1 } else { 0 } {
                            let message = self.next().await?;
                            out.add(&mut self.client, &message).await?;
                        }
                    }
                    break;
                }
                Some(0) if form != Form::Rows => {
                    out.add(&mut self.client, &first).await?;
                    if !has_more(&first)? {
                        break;
                    }
                }
                _ => {
                    let is_last = match form {
                        Form::Rows => self.rows(&mut out, first, None).await?,
                        _ => self.result(&mut out, first, form == Form::BinaryResults).await?,
                    };
                    if is_last {
                        break;
                    }
                }
            }
            first = self.next().await?;
        }
        out.flush(&mut self.client).await?;
        Ok(None)
    }

    /// Forwards a result whose first message is `first`. Returns whether it is the last one.
    async fn result(&mut self, out: &mut Out, first: Vec<u8>, is_binary: bool) -> Result<bool> {
        const CURSOR: u8 = 0x40;
        let mut types = Vec::new();
        out.add(&mut self.client, &first).await?;
        loop {
            let message = self.next().await?;
            out.add(&mut self.client, &message).await?;
            if end_of(&message).is_some() {
                if message.get(3).is_some_and(|status| status & CURSOR != 0) {
                    return Ok(true);
                }
                break;
            }
            types.push(binary_rows::column_type(&message)?);
        }
        let row = self.next().await?;
        self.rows(out, row, is_binary.then_some(&types)).await
    }

    /// Forwards rows, the first of which is given, up to their end. `types` are the column types of rows in binary form. Returns whether no
    /// other result follows.
    async fn rows(&mut self, out: &mut Out, mut message: Vec<u8>, types: Option<&Vec<u8>>) -> Result<bool> {
        loop {
            if message.first() == Some(&0xFF) {
                out.add(&mut self.client, &translated(&message)).await?;
                return Ok(true);
            }
            let end = end_of(&message);
            if let (Some(types), None) = (types, end) {
                message = binary_rows::lengthened(&message, types)?;
            }
            out.add(&mut self.client, &message).await?;
            if let Some(more) = end {
                return Ok(!more);
            }
            message = self.next().await?;
        }
    }

    async fn next(&mut self) -> Result<Vec<u8>> {
        read_message(&mut self.upstream).await?.map(|(_, message)| message).ok_or_else(|| Failure::new("MySQL closed the connection"))
    }

    /// Asks MySQL in the session of the client.
    pub(super) async fn ask(&mut self, sql: &str) -> Result<Result<Rows, Vec<u8>>> {
        send(&mut self.upstream, 0, &[&[3], sql.as_bytes()].concat()).await?;
        read_rows(&mut self.upstream).await
    }
}

/// MySQL's greeting with the version and the capabilities of a compute node.
fn disguised(greeting: &[u8]) -> Result<Vec<u8>> {
    let mut rest = greeting;
    take(&mut rest, 1)?;
    let end = rest.iter().position(|byte| *byte == 0).ok_or_else(|| Failure::new("a greeting without a version"))?;
    take(&mut rest, end + 1)?;
    let mut out = [&[10], b"5.7.25\0".as_slice(), rest].concat();
    let low = 8 + 4 + 9;
    for (at, shift) in [(low, 0), (low + 5, 16)] {
        let field = out.get_mut(at..at + 2).ok_or_else(|| Failure::new("a greeting without capabilities"))?;
        let mask = ((CAPABILITIES >> shift) as u16).to_le_bytes();
        field.iter_mut().zip(mask).for_each(|(byte, mask)| *byte &= mask);
    }
    Ok(out)
}

/// The account and the database of a login.
fn read_login(login: &[u8]) -> Result<(String, String)> {
    const WITH_DATABASE: u64 = 8;
    let mut rest = login;
    let capabilities = take_number(&mut rest, 4)?;
    take(&mut rest, 28)?;
    let text = |rest: &mut &[u8]| -> Result<String> {
        let end = rest.iter().position(|byte| *byte == 0).ok_or_else(|| Failure::new("a login that is cut, or that asks for TLS"))?;
        let text = String::from_utf8_lossy(take(rest, end)?).into_owned();
        take(rest, 1)?;
        Ok(text)
    };
    let user = text(&mut rest)?;
    take_bytes(&mut rest)?;
    let database = if capabilities & WITH_DATABASE != 0 { text(&mut rest)? } else { String::new() };
    Ok((user, database))
}

/// Whether an OK message announces another result.
fn has_more(message: &[u8]) -> Result<bool> {
    let mut rest = message.get(1..).unwrap_or_default();
    for _ in 0..2 {
        take_length(&mut rest)?;
    }
    Ok(take_number(&mut rest, 2)? & 8 != 0)
}

/// Messages on their way to the client.
struct Out {
    buffer: Vec<u8>,
    sequence: u8,
}

impl Out {
    async fn add(&mut self, client: &mut TcpStream, message: &[u8]) -> Result<()> {
        self.sequence = put_message(&mut self.buffer, self.sequence, message);
        if self.buffer.len() > 1 << 18 {
            self.flush(client).await?;
        }
        Ok(())
    }

    async fn flush(&mut self, client: &mut TcpStream) -> Result<()> {
        client.write_all(&self.buffer).await?;
        self.buffer.clear();
        Ok(())
    }
}
