//! The connection that a dump comes over: events in, raw bytes out.
//!
//! The client library is asked for headers, bodies and checksums only; the event's bytes are put together again, so that everything is
//! checked and decoded here. It must never be asked to parse a row event or to expand a transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use mysql_async::binlog::events::Event;
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStream, BinlogStreamRequest, Conn, Opts, OptsBuilder};
use sha2::{Digest, Sha256};

use super::FileOffset;
use super::error::StreamError;
use super::event::{HEADER, kind};
use super::position::file_name;

/// Servers send a heartbeat so often while nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A server that sent nothing for so long is gone.
pub(crate) const SILENCE: Duration = Duration::from_secs(15);
/// How long connecting and asking may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The greatest event that MySQL can write, and the greatest packet it can send.
const MAX_EVENT_BYTES: usize = 1 << 30;
/// A buffer that grew beyond this for one event is given back.
const KEPT_BUFFER_BYTES: usize = 1 << 20;

/// Why no event came.
#[derive(Debug)]
pub(crate) enum TransportError {
    /// The server refused, with its error number and words.
    Refused(u16, String),
    /// The connection failed or ended.
    Lost(String),
}

impl From<mysql_async::Error> for TransportError {
    fn from(error: mysql_async::Error) -> Self {
        match error {
            mysql_async::Error::Server(server) => Self::Refused(server.code, server.message),
            other => Self::Lost(other.to_string()),
        }
    }
}

/// The connection of a dump.
pub(crate) struct Transport {
    stream: BinlogStream,
    /// The bytes of the last event.
    buffer: Vec<u8>,
}

impl Transport {
    /// Registers as a replica and asks for the binlog from `from` on.
    pub(crate) async fn open(opts: &Opts, server_id: u32, base: &str, from: FileOffset) -> Result<Self, TransportError> {
        let mut conn = connect(opts).await?;
        let session = format!(
            "SET @master_heartbeat_period = {period}, @source_heartbeat_period = {period}, @slave_uuid = '{uuid}', @replica_uuid = '{uuid}', \
             SESSION net_write_timeout = 600",
            period = HEARTBEAT.as_nanos(),
            uuid = replica_uuid(server_id),
        );
        in_time(conn.query_drop(session)).await?;
        let file = file_name(base, from.file);
        let request = BinlogStreamRequest::new(server_id).with_filename(file.as_bytes()).with_pos(from.offset);
        let stream = in_time(conn.get_binlog_stream(request)).await?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// The next event's bytes. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<&[u8], TransportError> {
        let event = std::future::poll_fn(|context| self.poll(context)).await?;
        self.assemble(&event)
    }

    /// The next event's bytes if they are here already.
    pub(crate) async fn next_if_ready(&mut self) -> Option<Result<&[u8], TransportError>> {
        // Without the task's budget: the question is what is here, not whose turn it is.
        let found = tokio::task::unconstrained(std::future::poll_fn(|context| {
            Poll::Ready(match self.poll(context) {
                Poll::Ready(result) => Some(result),
                Poll::Pending => None,
            })
        }))
        .await?;
        Some(found.and_then(|event| self.assemble(&event)))
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Event, TransportError>> {
        // The library panics on events that are shorter than their header says.
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.stream).poll_next(context)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Some(Ok(event)))) => Poll::Ready(Ok(event)),
            Ok(Poll::Ready(Some(Err(error)))) => Poll::Ready(Err(error.into())),
            Ok(Poll::Ready(None)) => Poll::Ready(Err(TransportError::Lost("the server ended the stream".to_owned()))),
            Err(_) => Poll::Ready(Err(TransportError::Lost("the client library could not read an event".to_owned()))),
        }
    }

    /// Puts the event's bytes together as the server sent them.
    fn assemble(&mut self, event: &Event) -> Result<&[u8], TransportError> {
        let header = event.header();
        if self.buffer.capacity() > KEPT_BUFFER_BYTES {
            self.buffer = Vec::new();
        }
        let buffer = &mut self.buffer;
        buffer.clear();
        buffer.reserve(HEADER + event.data().len() + 5);
        buffer.extend_from_slice(&header.timestamp().to_le_bytes());
        buffer.push(header.event_type_raw());
        buffer.extend_from_slice(&header.server_id().to_le_bytes());
        buffer.extend_from_slice(&header.event_size().to_le_bytes());
        buffer.extend_from_slice(&header.log_pos().to_le_bytes());
        buffer.extend_from_slice(&header.flags_raw().to_le_bytes());
        buffer.extend_from_slice(event.data());
        if header.event_type_raw() == kind::FORMAT_DESCRIPTION {
            let algorithm = event.footer().get_checksum_alg().map_err(|error| TransportError::Lost(error.to_string()))?;
            // The library cuts this byte off.
            buffer.extend(algorithm.map(|algorithm| algorithm as u8));
        }
        buffer.extend(event.checksum().iter().flatten());
        Ok(&self.buffer)
    }
}

/// A connection of our own for the dump or for a question about it.
pub(crate) async fn connect(opts: &Opts) -> Result<Conn, TransportError> {
    let opts = OptsBuilder::from_opts(opts.clone())
        // The library would take the server's limit, and fail on the first event that is greater.
        .max_allowed_packet(Some(MAX_EVENT_BYTES))
        .wait_timeout(Some(28_800))
        // The server's socket file may be another server's on this machine.
        .prefer_socket(false)
        .tcp_keepalive(Some(Duration::from_secs(30)));
    in_time(Conn::new(opts)).await
}

/// The names and sizes that SHOW BINARY LOGS gives.
pub(crate) async fn binary_logs(conn: &mut Conn) -> Result<Vec<(String, u64)>, TransportError> {
    let rows: Vec<mysql_async::Row> = in_time(conn.query("SHOW BINARY LOGS")).await?;
    Ok(rows.into_iter().filter_map(|row| Some((row.get_opt(0)?.ok()?, row.get_opt(1)?.ok()?))).collect())
}

/// Waits for an answer, but not for ever.
pub(crate) async fn in_time<T>(answer: impl Future<Output = Result<T, mysql_async::Error>>) -> Result<T, TransportError> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(TransportError::Lost(format!("no answer for {} s", PATIENCE.as_secs()))),
    }
}

/// A stable id in the form of a UUID: a server ends an older dump with the same one.
fn replica_uuid(server_id: u32) -> String {
    let hash = Sha256::new_with_prefix(b"connector replica ").chain_update(server_id.to_be_bytes()).finalize();
    let number = hash.first_chunk::<16>().map_or(0, |bytes| u128::from_be_bytes(*bytes));
    let hex = format!("{number:032x}");
    let part = |range| hex.get(range).unwrap_or("");
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}

impl From<TransportError> for StreamError {
    /// For failures before the dump began, where there is nothing to classify by the files.
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Refused(1044 | 1045 | 1130 | 1142 | 1143 | 1227 | 1370, message) => Self::Denied { message },
            TransportError::Refused(code, message) => Self::Disconnected { message: format!("{message} (error {code})") },
            TransportError::Lost(message) => Self::Disconnected { message },
        }
    }
}
