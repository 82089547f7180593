//! The connection of a dump: gives the raw bytes of events.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::position::{FileOffset, file_name};
use crate::session::Endpoint;
use crate::wire::{Wire, WireError, in_time};

/// How often an idle server is asked to send a heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// After so much silence, heartbeats included, the connection counts as lost.
pub(crate) const SILENCE: Duration = Duration::from_secs(15);
/// Tells MariaDB that its GTID events are understood, so that it sends every event unchanged.
const MARIADB_CAPABILITY: u8 = 4;

/// The connection of a dump.
pub(crate) struct Transport {
    wire: Wire,
}

impl Transport {
    /// Registers as a replica and asks for the binlog from `from` on. `heartbeat` is how often the server's heartbeats are wanted, if that
    /// is more often than the connection needs them.
    pub(crate) async fn open(
        endpoint: &Endpoint,
        server_id: u32,
        base: &str,
        from: FileOffset,
        heartbeat: Option<Duration>,
    ) -> Result<Self, WireError> {
        let mut wire = endpoint.connect_wire().await?;
        // User variables: a server ignores those that it does not know.
        let session = format!(
            "SET @master_heartbeat_period = {period}, @source_heartbeat_period = {period}, @slave_uuid = '{uuid}', @replica_uuid = '{uuid}', \
             @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32', @mariadb_slave_capability = {MARIADB_CAPABILITY}, \
             SESSION net_write_timeout = 600, SESSION net_read_timeout = 600",
            period = heartbeat.map_or(HEARTBEAT, |wanted| wanted.min(HEARTBEAT)).as_nanos(),
            uuid = replica_uuid(server_id),
        );
        in_time(wire.execute(&session)).await?;
        in_time(wire.register(server_id)).await?;
        let offset = u32::try_from(from.offset)
            .map_err(|_| WireError::Lost(format!("a dump cannot begin at {}, behind the first 4 GiB of its file", from.offset)))?;
        in_time(wire.dump(server_id, &file_name(base, from.file), offset)).await?;
        Ok(Self { wire })
    }

    /// The next event's bytes. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<&[u8], WireError> {
        self.wire.event().await
    }

    /// The next event's bytes if they are here already.
    pub(crate) async fn next_if_ready(&mut self) -> Option<Result<&[u8], WireError>> {
        self.wire.event_if_ready().await
    }
}

/// A stable UUID for this replica: the server ends an older dump with the same one.
fn replica_uuid(server_id: u32) -> String {
    let hash = Sha256::new_with_prefix(b"connector replica ").chain_update(server_id.to_be_bytes()).finalize();
    let number = hash.first_chunk::<16>().map_or(0, |bytes| u128::from_be_bytes(*bytes));
    let hex = format!("{number:032x}");
    let part = |range| hex.get(range).unwrap_or("");
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}
