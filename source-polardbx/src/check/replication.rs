//! Checks whether the account may read the binlog, and whether another replica uses the replica id of this task.

use std::time::Duration;

use runtime::Finding;
use tokio::time::timeout;

use crate::binlog::{BinlogCoordinates, Probed, probe};
use crate::config::{ConfigError, SourceSettings};
use crate::error::{Result, SourceError};
use crate::server::{Server, binlog_end};
use crate::session::{Endpoint, Session, named};
use crate::streams::Streams;
use crate::wire::WireError;

/// Checks the grants REPLICATION CLIENT and REPLICATION SLAVE, and the replica id of this task.
pub(super) async fn replication(
    settings: &SourceSettings,
    task: &str,
    endpoint: &Endpoint,
    server: &Server,
    session: &mut Session,
    streams: &Streams,
    found: &mut Vec<Finding>,
) {
    let end = match ends(session, server, streams).await {
        Ok(end) => {
            found.push(Finding::passed("replication_client", "the account may ask for the binlog's position"));
            end
        }
        Err(error) => return found.push(Finding::from_error("replication_client", &error.into())),
    };
    let id = match settings.server_id(task, server.server_id()) {
        Ok(id) => id,
        Err(error) => return found.push(Finding::from_error("server_id", &error.into())),
    };
    // `clash` must run before `may_dump`, which registers a replica without a UUID: MySQL 5.7 returns broken rows for such replicas.
    // On PolarDB-X a data node would answer.
    found.push(if server.is_polardbx() { Finding::passed("server_id", id.to_string()) } else { clash(endpoint, id).await });
    // Without a binlog there is nothing to dump. The finding `log_bin` reports this.
    let Some(end) = end else { return };
    found.push(may_dump(endpoint, id, &end).await);
}

/// The ends of all streams are asked for. The result is that of the first; `None` if the server does not write a binlog.
async fn ends(session: &mut Session, server: &Server, streams: &Streams) -> Result<Option<BinlogCoordinates>> {
    let mut first = None;
    for stream in &streams.names {
        let end = binlog_end(session, server, stream).await?;
        first = first.or(end);
    }
    Ok(first)
}

/// The finding `replication_slave`: whether the account may read the binlog.
pub(crate) async fn may_dump(endpoint: &Endpoint, id: u32, end: &BinlogCoordinates) -> Finding {
    // The server's error numbers for a refusal. The account has just logged in with the same password, so only the grant can be missing.
    const DENIED: [u16; 2] = [1045, 1227];
    match probe_dump(endpoint, id, &end.file_name(), end.at.offset).await {
        Ok(()) => Finding::passed("replication_slave", "the account may read the binlog"),
        Err(error) if error.code().is_some_and(|code| DENIED.contains(&code)) => {
            Finding::failed("replication_slave", error.to_string(), "GRANT REPLICATION SLAVE ON *.* TO the account")
        }
        Err(error) => Finding::from_error("replication_slave", &error.into()),
    }
}

/// Checks that a transaction begins at the position that the user chose for the start of the stream. Fails if none can begin there.
pub(crate) async fn begins_transaction(endpoint: &Endpoint, id: u32, place: &BinlogCoordinates) -> Result<()> {
    let refuse = |what: &str| {
        let why = format!("position.offset = {}: {what} in {}", place.at.offset, place.file_name());
        ConfigError::new("start", why, "choose an offset where a transaction begins, as SHOW BINLOG EVENTS lists them").into()
    };
    match probe(endpoint, (id ^ 0x4000_0000).max(2), &place.base, place.at).await {
        Ok(Probed::Event { may_begin: true } | Probed::End) => Ok(()),
        Ok(Probed::Event { may_begin: false }) => Err(refuse("a transaction does not begin there, it is in the middle of one")),
        Ok(Probed::NotAnEvent) | Err(WireError::Refused(1236, _)) => Err(refuse("no event begins there")),
        Err(error) => Err(SourceError::wire("read the event at the start of the stream", error)),
    }
}

/// The finding `server_id`: whether another replica has the id of this task. The check uses a connection of its own, because MySQL 5.7
/// returns broken rows for replicas without a UUID.
async fn clash(endpoint: &Endpoint, id: u32) -> Finding {
    const REMEDY: &str = "if this task is not running, set `server_id` to a number that no other replica has";
    let listed = async {
        let mut session = endpoint.connect().await?;
        let rows =
            session.rows_either(["SHOW SLAVE HOSTS", "SHOW REPLICAS"], |statement| format!("list the replicas ({statement})")).await?;
        session.close().await;
        Ok::<_, SourceError>(rows)
    };
    match listed.await {
        Ok(rows) if rows.iter().any(|row| named(row, "Server_id").is_some_and(|other| other == id.to_string())) => Finding::warning(
            "server_id",
            format!("a replica with our id {id} is connected: this task itself, or another one that ours would disconnect"),
            REMEDY,
        ),
        Ok(_) => Finding::passed("server_id", id.to_string()),
        // To list the replicas, MariaDB requires a grant that the task itself does not need.
        Err(error) if error.code() == Some(1227) => {
            Finding::passed("server_id", format!("{id}; whether another replica has it, the account may not see"))
        }
        Err(error) if error.code().is_some() => Finding::from_error("server_id", &error.into()),
        Err(_) => Finding::warning(
            "server_id",
            format!("whether another replica has our id {id} cannot be seen: a replica without a UUID is connected"),
            REMEDY,
        ),
    }
}

/// Registers as a replica and asks for the binlog. It uses another id than the task, because the server would disconnect a running replica
/// that has the same id.
async fn probe_dump(endpoint: &Endpoint, id: u32, file: &str, offset: u64) -> Result<()> {
    const DOING: &str = "ask for the binlog as a replica";
    const PATIENCE: Duration = Duration::from_secs(10);
    let probe_id = (id ^ 0x4000_0000).max(2);
    let probe = async {
        let (mut wire, _) = endpoint.connect_wire().await?;
        let session = if endpoint.is_polardbx() {
            "SET @master_binlog_checksum = 'CRC32'"
        } else {
            "SET @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32', @mariadb_slave_capability = 4"
        };
        wire.execute(session).await?;
        wire.register(probe_id).await?;
        // If the server refuses the dump, its first answer is an error.
        wire.dump(probe_id, file, u32::try_from(offset).unwrap_or(4)).await?;
        wire.event().await?;
        // PolarDB-X makes its first event before it looks whether the file is there.
        if endpoint.is_polardbx() { wire.event().await.map(drop) } else { Ok(()) }
    };
    let late = |_| SourceError::Timeout { doing: DOING.into(), seconds: PATIENCE.as_secs() };
    timeout(PATIENCE, probe).await.map_err(late)?.map_err(|error| SourceError::wire(DOING, error))
}
