//! Waits at the start of a task for the XA transactions that are prepared on the server.
//!
//! The changes of such a transaction come before the start of the stream, and its outcome comes after it. So neither the full phase nor the
//! stream alone would have its rows.

use std::time::Duration;

use runtime::Finding;
use tokio::time::{Instant, sleep};

use crate::binlog::BinlogCoordinates;
use crate::error::{Result, SourceError};
use crate::server::{Server, ServerKind, binlog_end};
use crate::session::Session;
use crate::splits::StreamName;
use crate::wire::Row;

const ITEM: &str = "prepared_xa";
const DOING: &str = "list the prepared XA transactions (XA RECOVER)";
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// What the binlog says may differ from what XA RECOVER lists for less than this time. Servers write an XA PREPARE before they list the
/// transaction, and MySQL 5.7 writes an XA COMMIT after it has stopped listing it.
const DELAY: Duration = Duration::from_millis(300);
const MAY_NOT_ASK: &str =
    "the account may not ask for prepared XA transactions; if one is prepared when the task starts, its outcome will stop the stream";
const GRANT: &str = "GRANT XA_RECOVER_ADMIN ON *.* TO the account";

/// Waits at most `wait` until every XA transaction that is prepared now has its outcome. Returns the end of the binlog after that: an
/// outcome behind it belongs to a transaction that was prepared after this call. `None` if the server writes no binlog, and for PolarDB-X.
///
/// Must be called after the start of the stream was noted, and before the barrier of a full phase: what has its outcome before the returned
/// end is then in the rows of the full phase. PolarDB-X has no XA transactions in its binlog.
pub(crate) async fn settle(session: &mut Session, server: &Server, wait: Duration) -> Result<Option<BinlogCoordinates>> {
    // PolarDB-X merges the parts of distributed transactions itself.
    if server.is_polardbx() {
        return Ok(None);
    }
    let prepared = listed(session).await?;
    sleep(DELAY).await;
    if let Some(mut left) = prepared {
        let (deadline, mut said) = (Instant::now() + wait, false);
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
    } else {
        tracing::warn!("{MAY_NOT_ASK} ({GRANT})");
    }
    if matches!(server.kind, ServerKind::MySql { major: 5, .. }) {
        sleep(DELAY).await;
    }
    binlog_end(session, server, &StreamName::global()).await
}

/// The finding `prepared_xa`: whether [`settle`] would wait now.
pub(crate) async fn prepared_now(session: &mut Session, wait: Duration) -> Finding {
    match listed(session).await {
        Ok(Some(prepared)) => waits_for(&prepared, wait),
        Ok(None) => Finding::warning(ITEM, MAY_NOT_ASK, GRANT),
        Err(error) => Finding::from_error(ITEM, &error.into()),
    }
}

fn waits_for(prepared: &[String], wait: Duration) -> Finding {
    const NAMED: usize = 3;
    if prepared.is_empty() {
        return Finding::passed(ITEM, "no XA transaction is prepared");
    }
    let mut what = if prepared.len() == 1 { "an XA transaction is prepared: " } else { "XA transactions are prepared: " }.to_owned();
    what += &prepared[..prepared.len().min(NAMED)].join("; ");
    if prepared.len() > NAMED {
        what += &format!(" and {} more", prepared.len() - NAMED);
    }
    what += &format!("; the start waits for the outcome, at most {} s", wait.as_secs());
    Finding::warning(ITEM, what, "commit them or roll them back (XA RECOVER lists them), or raise `source.polardbx.xa_wait_seconds`")
}

/// The prepared XA transactions; `None` if the account may not ask for them.
async fn listed(session: &mut Session) -> Result<Option<Vec<String>>> {
    // MySQL 8.0 reports a missing right as error 1401.
    const REFUSED: [u16; 2] = [1227, 1401];
    let rows = match session.rows(DOING, "XA RECOVER").await {
        Ok(rows) => rows,
        Err(error) if error.code().is_some_and(|code| REFUSED.contains(&code)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let name = |row: &Row| {
        let (format, global, data) = (row.text(0)?, row.text(1)?.parse::<usize>().ok()?, row.text(3)?);
        let (global, branch) = data.split_at_checked(global).unwrap_or((data.as_str(), ""));
        Some(format!("{global:?},{branch:?},{format}"))
    };
    Ok(Some(rows.iter().map(|row| name(row).unwrap_or_else(|| "one without a readable id".to_owned())).collect()))
}

#[cfg(test)]
mod tests {
    use runtime::Level;

    use super::*;

    #[test]
    fn prepared_transactions_are_named_before_the_start() {
        let wait = |count: usize| waits_for(&Vec::from_iter((0..count).map(|id| format!("\"x{id}\",\"\",1"))), Duration::from_secs(7));
        assert_eq!(wait(0).level, Level::Passed);
        let one = wait(1);
        assert!(one.level == Level::Warning && one.help.contains("xa_wait_seconds"), "{one:?}");
        assert_eq!(one.what, "an XA transaction is prepared: \"x0\",\"\",1; the start waits for the outcome, at most 7 s");
        let five = wait(5).what;
        assert!(five.contains("x2") && !five.contains("x3") && five.contains("and 2 more"), "{five}");
    }
}
