//! Where the binlog comes from, as raw bytes of events: the connection over which a server sends it, or files on disk.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::disk::{FileEvents, FileSet};
use super::position::{FileOffset, file_name};
use crate::session::Endpoint;
use crate::wire::{Wire, WireError, in_time};

/// The interval at which an idle server is asked to send heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The connection counts as lost if the server sends not a single byte for this long, not even a heartbeat. A large event may take longer.
pub(crate) const SILENCE: Duration = Duration::from_secs(15);
/// Tells MariaDB that its GTID events are understood, so that it sends every event unchanged.
const MARIADB_CAPABILITY: u8 = 4;

/// From where a stream is read.
#[derive(Clone)]
pub(crate) enum Upstream {
    /// A server sends it.
    Server(Endpoint),
    /// It is in files on disk.
    Files(FileSet),
}

impl Upstream {
    /// The server; `None` if there is none.
    pub(crate) fn server(&self) -> Option<&Endpoint> {
        match self {
            Self::Server(endpoint) => Some(endpoint),
            Self::Files(_) => None,
        }
    }

    /// Reads the binlog from `from` to its end; see [`Transport::open_to_end`].
    pub(crate) async fn open_to_end(&self, base: &str, from: FileOffset) -> Result<Transport, WireError> {
        match self {
            Self::Server(endpoint) => Transport::open_to_end(endpoint, base, from).await,
            Self::Files(files) => Transport::of_files(files, from),
        }
    }
}

/// The binlog from one position on: sent by a server, or read from files.
pub(crate) enum Transport {
    /// The connection over which the server sends it.
    Server {
        wire: Wire,
        /// The `server_id` that the first event must have: the server makes this event for the dump, while other events have the id of the
        /// server that first wrote them. `None` once the first event was read.
        first: Option<u32>,
    },
    /// Files on disk, which end the stream with their last event.
    Files(FileEvents),
}

impl Transport {
    /// Registers as a replica and asks for the binlog, starting at `from`. `heartbeat` is the wanted interval of the server's heartbeats;
    /// it is used only if it is shorter than `HEARTBEAT`.
    pub(crate) async fn open(
        endpoint: &Endpoint,
        server_id: u32,
        base: &str,
        from: FileOffset,
        heartbeat: Option<Duration>,
    ) -> Result<Self, WireError> {
        let (mut wire, server) = endpoint.connect_wire().await?;
        let period = heartbeat.map_or(HEARTBEAT, |wanted| wanted.min(HEARTBEAT)).as_nanos();
        // The names with `@` are user variables. A server accepts any user variable, even if it does not use it. PolarDB-X uses these two.
        let session = if endpoint.is_polardbx() {
            format!("SET @master_heartbeat_period = {period}, @master_binlog_checksum = 'CRC32'")
        } else {
            format!(
                "SET @master_heartbeat_period = {period}, @source_heartbeat_period = {period}, @slave_uuid = '{uuid}', @replica_uuid = '{uuid}', \
             @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32', @mariadb_slave_capability = {MARIADB_CAPABILITY}, \
             SESSION net_write_timeout = 600, SESSION net_read_timeout = 600",
                uuid = replica_uuid(server_id),
            )
        };
        in_time(wire.execute(&session)).await?;
        in_time(wire.register(server_id)).await?;
        let offset = u32::try_from(from.offset)
            .map_err(|_| WireError::Lost(format!("a dump cannot begin at {}, behind the first 4 GiB of its file", from.offset)))?;
        in_time(wire.dump(server_id, &file_name(base, from.file), offset)).await?;
        Ok(Self::Server { wire, first: Some(server.server_id) })
    }

    /// Asks for the binlog from `from` to its end, without registering as a replica. So it ends no other dump.
    pub(crate) async fn open_to_end(endpoint: &Endpoint, base: &str, from: FileOffset) -> Result<Self, WireError> {
        let (mut wire, server) = endpoint.connect_wire().await?;
        let session = if endpoint.is_polardbx() {
            format!("SET @master_heartbeat_period = {}, @master_binlog_checksum = 'CRC32'", HEARTBEAT.as_nanos())
        } else {
            format!(
                "SET @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32', @mariadb_slave_capability = {MARIADB_CAPABILITY}, \
                 SESSION net_write_timeout = 600, SESSION net_read_timeout = 600"
            )
        };
        in_time(wire.execute(&session)).await?;
        let offset = u32::try_from(from.offset).map_err(|_| WireError::Lost(format!("a dump cannot begin at {}", from.offset)))?;
        in_time(wire.dump_to_end(&file_name(base, from.file), offset)).await?;
        Ok(Self::Server { wire, first: Some(server.server_id) })
    }

    /// Reads files from `from` to the end of the last one.
    pub(crate) fn of_files(files: &FileSet, from: FileOffset) -> Result<Self, WireError> {
        Ok(Self::Files(FileEvents::open(files.clone(), from)?))
    }

    /// Returns the bytes of the next event. This method is cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<&[u8], WireError> {
        match self {
            Self::Server { wire, first } => verify(first, wire.event().await?),
            Self::Files(files) => next_of(files),
        }
    }

    /// Returns the bytes of the next event; `None` if the server sends no byte for as long as `SILENCE`. This method is cancel-safe.
    pub(crate) async fn next_unless_silent(&mut self) -> Option<Result<&[u8], WireError>> {
        match self {
            Self::Server { wire, first } => {
                let event = wire.event_unless_silent(SILENCE).await?;
                Some(event.and_then(|event| verify(first, event)))
            }
            Self::Files(files) => {
                // Whoever reads many events in a row can be stopped here.
                tokio::task::consume_budget().await;
                Some(next_of(files))
            }
        }
    }

    /// When the last bytes came, and whether they are the beginning of an event that is not complete.
    pub(crate) fn last_byte(&self) -> (Instant, bool) {
        match self {
            Self::Server { wire, .. } => wire.last_byte(),
            Self::Files(_) => (Instant::now(), false),
        }
    }

    /// Returns the bytes of the next event if they have already arrived; `None` otherwise.
    pub(crate) async fn next_if_ready(&mut self) -> Option<Result<&[u8], WireError>> {
        match self {
            Self::Server { wire, first } => {
                let event = wire.event_if_ready().await?;
                Some(event.and_then(|event| verify(first, event)))
            }
            Self::Files(files) => Some(next_of(files)),
        }
    }
}

/// The next event of files. Behind the last one the stream has ended.
fn next_of(files: &mut FileEvents) -> Result<&[u8], WireError> {
    files.next()?.ok_or(WireError::Ended)
}

/// Checks the server of the first event, if it is a ROTATE that the server has made for the dump.
fn verify<'a>(first: &mut Option<u32>, event: &'a [u8]) -> Result<&'a [u8], WireError> {
    const ROTATE: u8 = 4;
    let Some(expected) = first.take() else { return Ok(event) };
    match event {
        &[_, _, _, _, ROTATE, a, b, c, d, ..] if u32::from_le_bytes([a, b, c, d]) != expected => {
            let found = u32::from_le_bytes([a, b, c, d]);
            Err(WireError::Lost(format!("the binlog comes from the server with server_id {found}, and the connection leads to {expected}")))
        }
        _ => Ok(event),
    }
}

/// The UUID of this replica. It depends only on `server_id`, because the server ends an older dump that has the same UUID.
fn replica_uuid(server_id: u32) -> String {
    let hash = Sha256::new_with_prefix(b"connector replica ").chain_update(server_id.to_be_bytes()).finalize();
    let number = hash.first_chunk::<16>().map_or(0, |bytes| u128::from_be_bytes(*bytes));
    let hex = format!("{number:032x}");
    let part = |range| hex.get(range).unwrap_or("");
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_of_another_server_is_noticed_at_its_first_event() {
        let event = |kind: u8, server_id: u8| [&[0, 0, 0, 0, kind, server_id][..], &[0; 13]].concat();
        assert!(verify(&mut Some(7), &event(4, 7)).is_ok());
        let Err(WireError::Lost(message)) = verify(&mut Some(7), &event(4, 8)) else { panic!("taken") };
        assert!(message.contains("server_id 8") && message.contains("leads to 7"), "{message}");
        // Later events may come from other servers, by replication.
        let mut first = Some(7);
        verify(&mut first, &event(4, 7)).unwrap();
        assert!(verify(&mut first, &event(2, 9)).is_ok() && verify(&mut first, &event(4, 9)).is_ok());
    }
}
