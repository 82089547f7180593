//! Waits at the start of a task for the XA transactions that are prepared on the server.
//!
//! The changes of such a transaction come before the start of the stream, and its outcome comes after it. So neither the full phase nor the
//! stream alone would have its rows.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::binlog::BinlogCoordinates;
use crate::error::{Result, SourceError};
use crate::server::{Server, binlog_end};
use crate::session::{Session, nth};

const DOING: &str = "list the prepared XA transactions (XA RECOVER)";
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Waits at most `wait` until every XA transaction that is prepared now has its outcome. Returns the end of the binlog after that: an
/// outcome behind it belongs to a transaction that was prepared after this call. `None` if the server writes no binlog.
pub(crate) async fn settle(session: &mut Session, server: &Server, wait: Duration) -> Result<Option<BinlogCoordinates>> {
    if let Some(prepared) = listed(session).await? {
        let (deadline, mut said) = (Instant::now() + wait, false);
        let mut left = prepared;
        while !left.is_empty() {
            if Instant::now() >= deadline {
                return Err(SourceError::PreparedXa { transactions: left, seconds: wait.as_secs() });
            }
            if !said {
                tracing::info!(transactions = left.join(", "), "waiting for the outcome of prepared XA transactions");
                said = true;
            }
            sleep(PAUSE).await;
            let now = listed(session).await?.unwrap_or_default();
            left.retain(|transaction| now.contains(transaction));
        }
    }
    binlog_end(session, server).await
}

/// The prepared XA transactions; `None` if the account may not ask for them.
async fn listed(session: &mut Session) -> Result<Option<Vec<String>>> {
    // MySQL 8.0 reports a missing right as error 1401.
    const REFUSED: [u16; 2] = [1227, 1401];
    let rows = match session.rows(DOING, "XA RECOVER").await {
        Ok(rows) => rows,
        Err(error) if error.code().is_some_and(|code| REFUSED.contains(&code)) => {
            tracing::warn!(
                "the account may not ask for prepared XA transactions; if one is, its outcome will stop the stream \
                 (GRANT XA_RECOVER_ADMIN ON *.* to the account)"
            );
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let name = |row| {
        let (format, global, data) = (nth(row, 0)?, nth(row, 1)?.parse::<usize>().ok()?, nth(row, 3)?);
        let (global, branch) = data.split_at_checked(global).unwrap_or((data.as_str(), ""));
        Some(format!("{global:?},{branch:?},{format}"))
    };
    Ok(Some(rows.iter().map(|row| name(row).unwrap_or_else(|| "one without a readable id".to_owned())).collect()))
}
