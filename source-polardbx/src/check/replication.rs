//! Checks whether the account may read the binlog, and whether another replica uses the replica id of this task.

use std::time::Duration;

use runtime::Finding;
use tokio::time::timeout;

use crate::binlog::{BinlogCoordinates, FileOffset, Probed, probe};
use crate::config::{ConfigError, SourceSettings};
use crate::error::{Result, SourceError, is_denial};
use crate::server::{Server, binlog_end};
use crate::session::{Endpoint, Session};
use crate::streams::Streams;
use crate::wire::WireError;

const ITEM: &str = "replication_slave";

/// Checks the grants REPLICATION CLIENT and REPLICATION SLAVE, and the replica id of this task. Returns whether the server has told the end of
/// its binlog.
pub(super) async fn replication(
    settings: &SourceSettings,
    task: &str,
    endpoint: &Endpoint,
    server: &Server,
    session: &mut Session,
    streams: &Streams,
    found: &mut Vec<Finding>,
) -> bool {
    let end = match ends(session, server, streams).await {
        Ok(end) => {
            found.push(Finding::passed("replication_client", "the account may ask for the binlog's position"));
            end
        }
        Err(error) => {
            let is_denied = is_denied(&error);
            found.push(Finding::from_error("replication_client", &error.into()));
            if !is_denied {
                return false;
            }
            // The other grant can be checked all the same, so that the account gets both at once.
            found.push(may_dump_somewhere(settings, endpoint).await);
            return false;
        }
    };
    let id = match settings.server_id(task, server.server_id()) {
        Ok(id) => id,
        Err(error) => {
            found.push(Finding::from_error("server_id", &error.into()));
            return end.is_some();
        }
    };
    // On PolarDB-X a data node would answer.
    found.push(if server.is_polardbx() { Finding::passed("server_id", id.to_string()) } else { clash(endpoint, id).await });
    // Without a binlog there is nothing to dump. The finding `log_bin` reports this.
    let Some(end) = end else { return false };
    found.push(may_dump(endpoint, &end).await.unwrap_or_else(|error| Finding::from_error(ITEM, &error.into())));
    true
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

/// The finding `replication_slave`: whether the account may read the binlog. Fails if the server does not tell.
pub(crate) async fn may_dump(endpoint: &Endpoint, end: &BinlogCoordinates) -> Result<Finding> {
    dump_finding(probe_dump(endpoint, &end.file_name(), end.at.offset).await)
}

/// Like [`may_dump`], for an account that may not ask for a position. The dump begins at the oldest file, which needs no name.
async fn may_dump_somewhere(settings: &SourceSettings, endpoint: &Endpoint) -> Finding {
    let unknown = |why: &str| {
        let what = format!("whether the account may read the binlog is not known, because {why}");
        Finding::warning(ITEM, what, "give the account the other grant, and check again")
    };
    if settings.config.stream_group.is_some() {
        return unknown("it may not ask for a position in a stream");
    }
    dump_finding(probe_dump(endpoint, "", FileOffset::FIRST).await)
        .unwrap_or_else(|error| unknown(&format!("it may not ask for a position, and without one the server answers: {error}")))
}

fn dump_finding(probed: Result<()>) -> Result<Finding> {
    match probed {
        Ok(()) => Ok(Finding::passed(ITEM, "the account may read the binlog")),
        // The account has just logged in with the same password, so only the grant can be missing.
        Err(error) if is_denied(&error) => Ok(Finding::failed(ITEM, error.to_string(), "GRANT REPLICATION SLAVE ON *.* TO the account")),
        Err(error) => Err(error),
    }
}

fn is_denied(error: &SourceError) -> bool {
    error.code().is_some_and(is_denial)
}

/// Checks that a transaction begins at the position that the user chose for the start of the stream. Fails if none can begin there.
pub(crate) async fn begins_transaction(endpoint: &Endpoint, place: &BinlogCoordinates) -> Result<()> {
    let refuse = |what: &str| {
        let why = format!("position.offset = {}: {what} in {}", place.at.offset, place.file_name());
        ConfigError::new("start", why, "choose an offset where a transaction begins, as SHOW BINLOG EVENTS lists them").into()
    };
    match probe(endpoint, &place.base, place.at).await {
        Ok(Probed::Event { may_begin: true } | Probed::End) => Ok(()),
        Ok(Probed::Event { may_begin: false }) => Err(refuse("a transaction does not begin there, it is in the middle of one")),
        Ok(Probed::NotAnEvent) => Err(refuse("no event begins there")),
        Err(error @ WireError::Refused(1236, _)) => {
            // A server that cannot send its binlog at the moment gives the same answer, for the beginning of the file as well.
            match probe(endpoint, &place.base, FileOffset::new(place.at.file, FileOffset::FIRST)).await {
                Ok(_) if place.at.offset > FileOffset::FIRST => Err(refuse("no event begins there")),
                _ => Err(SourceError::wire("read the event at the start of the stream", error)),
            }
        }
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
        Ok(rows) if rows.iter().any(|row| row.named("Server_id").is_some_and(|other| other == id.to_string())) => Finding::warning(
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

/// Asks for the binlog as a replica does. The dump ends at the end of the binlog: an idle server notices only at its next event that nobody
/// reads a dump any more, and would list it until then.
async fn probe_dump(endpoint: &Endpoint, file: &str, offset: u64) -> Result<()> {
    const DOING: &str = "ask for the binlog as a replica";
    const PATIENCE: Duration = Duration::from_secs(10);
    let probe = async {
        let (mut wire, _) = endpoint.connect_wire().await?;
        let session = if endpoint.is_polardbx() {
            "SET @master_binlog_checksum = 'CRC32'"
        } else {
            "SET @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32', @mariadb_slave_capability = 4"
        };
        wire.execute(session).await?;
        // If the server refuses the dump, its first answer is an error.
        wire.dump_to_end(file, u32::try_from(offset).unwrap_or(4)).await?;
        wire.event().await?;
        // PolarDB-X makes its first event before it looks whether the file is there.
        if endpoint.is_polardbx() { wire.event().await.map(drop) } else { Ok(()) }
    };
    let late = |_| SourceError::Timeout { doing: DOING.into(), seconds: PATIENCE.as_secs() };
    timeout(PATIENCE, probe).await.map_err(late)?.map_err(|error| SourceError::wire(DOING, error))
}

#[cfg(test)]
mod tests {
    use runtime::Level;

    use super::*;

    #[test]
    fn only_a_denial_says_that_the_grant_is_missing() {
        let refused =
            |code, message: &str| Err(SourceError::wire("ask for the binlog as a replica", WireError::Refused(code, message.to_owned())));
        for (code, message) in [(1227, "no"), (1045, "no"), (5110, "ERR-CODE: [PXC-5110][ERR_CHECK_PRIVILEGE_FAILED] no")] {
            let finding = dump_finding(refused(code, message)).unwrap();
            assert!(finding.level == Level::Failed && finding.what == format!("{message} (error {code})"), "{finding:?}");
            assert!(finding.help.contains("REPLICATION SLAVE"));
        }
        let passing = runtime::Error::from(dump_finding(refused(1236, "binlog dump error!")).unwrap_err());
        assert!(passing.kind() == runtime::Kind::Retryable && passing.help().is_some_and(|help| !help.is_empty()), "{passing}");
    }
}
