//! The visibility barrier, which is passed after the start position in the binlog is recorded and before the first SELECT of the snapshot.
//!
//! The server writes a transaction to the binlog before SELECT can see it. Without a barrier, a transaction before the recorded position
//! might not be visible to the snapshot. The stream starts after that position, so the transaction would be lost without any error.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::binlog::BinlogCoordinates;
use crate::error::{Result, SourceError};
use crate::selection::MARKER_DATABASE;
use crate::server::{Server, binlog_end, binlog_filters};
use crate::session::{Session, literal};
use crate::splits::StreamName;

const DOING: &str = "write the barrier's marker row";

/// The way in which the barrier is passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Barrier {
    /// The connector commits a marker row. Commits become visible in the order of the binlog, so once this commit returns, all earlier
    /// commits are visible.
    Marker,
    /// The connector waits for longer than any commit needs to become visible. The text is the reason why no marker row can be used.
    Delay(Duration, String),
    /// PolarDB-X reports only positions whose transactions every data node has committed. The connector waits until the nodes have also made
    /// them visible.
    Reported(Duration),
}

/// How long a data node of PolarDB-X may take to make a logged commit visible.
const REPORTED: Duration = Duration::from_secs(1);

impl fmt::Display for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Marker => write!(f, "marker row in {MARKER_DATABASE}.dts_watermark"),
            Self::Delay(delay, why) => write!(f, "delay of {} ms ({why})", delay.as_millis()),
            Self::Reported(delay) => {
                write!(f, "delay of {} ms (PolarDB-X reports only what its data nodes have committed)", delay.as_millis())
            }
        }
    }
}

impl Barrier {
    /// Finds out how the barrier would be passed, without writing anything.
    pub(crate) async fn probe(session: &mut Session, server: &Server, delay: Duration) -> Result<Self> {
        if server.is_polardbx() {
            return Ok(Self::Reported(REPORTED));
        }
        if let Some(why) = server.unordered_commits() {
            return Ok(Self::Delay(delay, why));
        }
        let sql = format!("INSERT INTO {MARKER_DATABASE}.dts_watermark (task, token) SELECT '', 0 FROM DUAL WHERE 1 = 0");
        let hidden = binlog_filters(session, server).await.is_ok_and(|filters| filters.hide(MARKER_DATABASE));
        match session.execute(DOING, sql).await {
            Ok(()) if hidden => Ok(Self::Delay(delay, format!("{MARKER_DATABASE} is left out of the binlog"))),
            Ok(()) => Ok(Self::Marker),
            // The marker table does not exist yet; `pass` creates it.
            Err(error) if is_missing(&error) => Ok(Self::Marker),
            Err(error) => Ok(Self::Delay(delay, refusal(error)?)),
        }
    }

    /// Waits until every transaction before the current end of the binlog is visible to new SELECTs. Returns how the barrier was passed.
    pub(crate) async fn pass(session: &mut Session, server: &Server, task: &str, delay: Duration) -> Result<Self> {
        if server.is_polardbx() {
            tokio::time::sleep(REPORTED).await;
            return Ok(Self::Reported(REPORTED));
        }
        let why = match server.unordered_commits() {
            Some(why) => why,
            None => {
                let before = binlog_end(session, server, &StreamName::global()).await?;
                match write_marker(session, task).await {
                    // A commit that is not in the binlog is not ordered with the commits that are.
                    Ok(()) if is_logged(session, server, before).await? => return Ok(Self::Marker),
                    Ok(()) => "the marker row is not in the binlog".to_owned(),
                    Err(error) => refusal(error)?,
                }
            }
        };
        tracing::info!(delay_ms = delay.as_millis() as u64, why, "waiting until all commits before the start position are visible");
        tokio::time::sleep(delay).await;
        Ok(Self::Delay(delay, why))
    }
}

/// Whether the marker row is in the binlog. `before` is the end of the binlog before the row was written.
async fn is_logged(session: &mut Session, server: &Server, before: Option<BinlogCoordinates>) -> Result<bool> {
    let hidden = binlog_filters(session, server).await?.hide(MARKER_DATABASE);
    Ok(!hidden && binlog_end(session, server, &StreamName::global()).await? != before)
}

async fn write_marker(session: &mut Session, task: &str) -> Result<()> {
    let token = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    // The key column holds 64 characters. If two task names become equal when cut, the tasks share a row, which does no harm.
    let task: String = task.chars().take(64).collect();
    let upsert = format!(
        "INSERT INTO {MARKER_DATABASE}.dts_watermark (task, token) VALUES ({}, {token}) ON DUPLICATE KEY UPDATE token = VALUES(token)",
        literal(&task)
    );
    match session.execute(DOING, &upsert).await {
        Err(error) if is_missing(&error) => {
            create_table(session).await?;
            session.execute(DOING, &upsert).await
        }
        other => other,
    }
}

async fn create_table(session: &mut Session) -> Result<()> {
    let table = format!(
        "CREATE TABLE IF NOT EXISTS {MARKER_DATABASE}.dts_watermark \
         (task VARCHAR(64) NOT NULL, token BIGINT NOT NULL, PRIMARY KEY (task)) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4"
    );
    match session.execute("create the barrier's marker table", &table).await {
        Err(error) if is_missing(&error) => {
            session.execute("create the barrier's database", format!("CREATE DATABASE IF NOT EXISTS {MARKER_DATABASE}")).await?;
            session.execute("create the barrier's marker table", &table).await
        }
        other => other,
    }
}

/// Whether the database or the table does not exist.
fn is_missing(error: &SourceError) -> bool {
    matches!(error.code(), Some(1049 | 1146))
}

/// The message of an error by which the server refuses to write; any other error is returned as it is.
fn refusal(error: SourceError) -> Result<String> {
    match error.code() {
        Some(1044 | 1142 | 1143 | 1227 | 1290 | 1792 | 1836) => Ok(error.to_string()),
        _ => Err(error),
    }
}
