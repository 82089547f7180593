//! Searches the binlog for the start of the stream: behind the transactions of a GTID set, or at a moment.

use jiff::Timestamp;

use crate::binlog::gtid::{CatchUp, GtidSet};
use crate::binlog::{
    Beginning, BinlogCoordinates, CommitMark, FileOffset, Passed, ScanError, StreamError, kind, last_early, read_head, walk,
};
use crate::config::ConfigError;
use crate::error::{Result, SourceError};
use crate::failover::{Located, locate};
use crate::server::{Server, ServerGtids, binlog_end, binlog_files};
use crate::session::{Endpoint, Session};
use crate::splits::StreamName;

const BY_GTID: &str = "find the start of the stream by its GTIDs";
const BY_TIME: &str = "find the start of the stream by its time";

/// Where the first transaction begins that is not in the set of the user, and what is passed over behind it.
pub(crate) async fn start_by_gtid(
    endpoint: &Endpoint,
    session: &mut Session,
    server: &Server,
    text: &str,
) -> Result<(BinlogCoordinates, GtidSet, CatchUp)> {
    let refuse = |why: String, help: &str| SourceError::from(ConfigError::new("start", why, help));
    let Some(gtids) = ServerGtids::ask(session, server).await? else {
        let help = if server.is_polardbx() { "use start.timestamp" } else { "set gtid_mode=ON on the server, or use start.timestamp" };
        return Err(refuse("gtid is set, and the server does not give every transaction a GTID".into(), help));
    };
    let Some(set) = GtidSet::parse(text, server.kind.is_mariadb()) else {
        let help = if server.kind.is_mariadb() { "copy it from @@gtid_current_pos" } else { "copy it from @@gtid_executed" };
        return Err(refuse(format!("gtid.set = {text:?} is not of the kind of this server, {}", server.kind), help));
    };
    if let Some(missing) = gtids.missing(&set) {
        return Err(refuse(
            format!("gtid.set has {missing}, which this server has not executed"),
            "copy the set from this server or its primary",
        ));
    }
    let (at, mut catch_up) = match locate(endpoint, session, server, &gtids, &set).await? {
        Located::At(at, catch_up) => (at, catch_up),
        Located::Purged(gap) => {
            return Err(refuse(
                format!("gtid.set lacks {gap}, and the server has purged its binlog"),
                "choose a set that has these transactions, or read the tables with a full phase",
            ));
        }
    };
    // The statements before the start need not be looked at, so the start is as late as it can be.
    let mut undecided = None;
    let first = walk(endpoint, &at.base, at.at, catch_up.until, |passed: &Passed<'_>| {
        let gtid = match passed.beginning()? {
            None => return Ok(None),
            Some(Beginning::Gtid(gtid)) => Some(gtid),
            Some(Beginning::Anonymous | Beginning::Tagged) => None,
        };
        match catch_up.passes_over(gtid) {
            Ok(true) => catch_up.note_passed(gtid),
            Ok(false) => return Ok(Some(passed.start)),
            Err(why) => {
                undecided = Some(why);
                return Ok(Some(passed.start));
            }
        }
        Ok(None)
    });
    let first = first.await.map_err(|error| error.into_source(&at.base, BY_GTID))?;
    if let Some(why) = undecided {
        let place = BinlogCoordinates { at: first.unwrap_or(at.at), ..at }.location();
        return Err(refuse(format!("at {place}, {why}"), "use start.position or start.timestamp"));
    }
    let start = BinlogCoordinates { at: first.unwrap_or(catch_up.until), ..at };
    Ok((start, set, catch_up))
}

/// Where the first transaction begins that was committed at the moment or later; the end of the binlog if there is none yet.
pub(crate) async fn start_by_time(
    endpoint: &Endpoint,
    session: &mut Session,
    server: &Server,
    stream: &StreamName,
    moment: Timestamp,
) -> Result<BinlogCoordinates> {
    let refuse = |why: String, help: &str| SourceError::from(ConfigError::new("start", why, help));
    // Times in the binlog are whole seconds.
    let second = moment.as_second();
    let rows = session.rows(BY_TIME, "SELECT UNIX_TIMESTAMP()").await?;
    let now = rows.first().and_then(|row| row.text(0)).and_then(|text| text.parse::<i64>().ok());
    let now = now.ok_or_else(|| SourceError::answer(BY_TIME, "the server does not tell its time"))?;
    if second > now {
        let clock = Timestamp::from_second(now).map(|now| now.to_string()).unwrap_or_default();
        return Err(refuse(
            format!("timestamp.at = {moment} is after now, which is {clock} by the clock of the server"),
            "use start.latest",
        ));
    }
    let no_binlog = || SourceError::answer(BY_TIME, "the server writes no binlog");
    let end = binlog_end(session, server, stream).await?.ok_or_else(no_binlog)?;
    let files = binlog_files(session, stream).await?;
    let (base, numbers) = files.numbers().filter(|(base, _)| *base == end.base).ok_or_else(no_binlog)?;
    let failed = |error: ScanError| error.into_source(base, BY_TIME);
    let is_before = |begun: u32| i64::from(begun) < second;
    let file = match last_early(endpoint, base, &numbers, |head| is_before(head.begun)).await.map_err(failed)? {
        Some((file, _)) => file,
        None => {
            let oldest = numbers.first().copied().ok_or_else(no_binlog)?;
            let begun = read_head(endpoint, base, oldest).await.map_err(failed)?.begun;
            // Before the first file of all there was nothing.
            if oldest > 1 || i64::from(begun) > second {
                let begun = Timestamp::from_second(begun.into()).map(|begun| begun.to_string()).unwrap_or_default();
                let name = BinlogCoordinates { base: base.to_owned(), at: FileOffset::new(oldest, FileOffset::FIRST) }.file_name();
                return Err(refuse(
                    format!(
                        "timestamp.at = {moment} is not after {begun}, when {name} was begun, the oldest file that the server still has"
                    ),
                    "choose a later moment, or start.earliest",
                ));
            }
            oldest
        }
    };
    let mut search = TimeSearch { second, is_polardbx: server.is_polardbx(), begun: None };
    let from = FileOffset::new(file, FileOffset::FIRST);
    let found = walk(endpoint, base, from, end.at, |passed| search.take(passed)).await.map_err(failed)?;
    Ok(BinlogCoordinates { at: found.unwrap_or(end.at), ..end })
}

/// Finds the first transaction that was committed in a certain second or later.
struct TimeSearch {
    /// In seconds since the epoch.
    second: i64,
    is_polardbx: bool,
    /// Where the present transaction begins; `None` before the first one.
    begun: Option<FileOffset>,
}

impl TimeSearch {
    /// Takes the next event. Returns where the transaction that is looked for begins, once one of its events says so.
    fn take(&mut self, passed: &Passed<'_>) -> Result<Option<FileOffset>, StreamError> {
        let header = &passed.event.header;
        if self.is_polardbx {
            return self.take_of_polardbx(passed);
        }
        if passed.beginning()?.is_some() {
            self.begun = Some(passed.start);
        }
        // The first events of a file have the time at which it was begun.
        let is_of_file = matches!(
            header.kind,
            kind::FORMAT_DESCRIPTION | kind::PREVIOUS_GTIDS | kind::GTID_LIST | kind::ROTATE | kind::STOP | kind::CHECKPOINT
        );
        if is_of_file {
            self.begun = None;
        }
        Ok(self.begun.filter(|_| i64::from(header.timestamp) >= self.second))
    }

    /// PolarDB-X ends each transaction with a mark that says when it was committed.
    fn take_of_polardbx(&mut self, passed: &Passed<'_>) -> Result<Option<FileOffset>, StreamError> {
        let header = &passed.event.header;
        let begun = *self.begun.get_or_insert(passed.start);
        match header.kind {
            kind::FORMAT_DESCRIPTION | kind::ROTATE => self.begun = None,
            kind::ROWS_QUERY => {
                if let Some(CommitMark::End(tso)) = CommitMark::read(passed.event.body)? {
                    if tso.ms() >= self.second * 1000 {
                        return Ok(Some(begun));
                    }
                    self.begun = None;
                }
            }
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::{Header, RawEvent};

    /// Takes events, each with its type, its time and its body, and returns the number of the one at which the transaction begins.
    fn found(is_polardbx: bool, events: &[(u8, u32, &[u8])]) -> Option<u64> {
        let mut search = TimeSearch { second: 1000, is_polardbx, begun: None };
        for (number, &(kind, timestamp, body)) in (4u64..).zip(events) {
            let header = Header { timestamp, kind, server_id: 1, size: 1, log_pos: 1, flags: 0 };
            let passed = Passed { event: RawEvent { header, body, crc: 0 }, start: FileOffset::new(1, number) };
            if let Some(at) = search.take(&passed).unwrap() {
                return Some(at.offset - 4);
            }
        }
        None
    }

    #[test]
    fn a_transaction_counts_by_its_latest_event() {
        let gtid = [0; 25];
        let transaction = |begin: u32, end: u32| [(kind::GTID, begin, &gtid[..]), (kind::QUERY, begin, &[]), (kind::XID, end, &[])];
        let head = [(kind::FORMAT_DESCRIPTION, 2000, &[][..]), (kind::PREVIOUS_GTIDS, 2000, &[])];
        let events = |transactions: &[[(u8, u32, &'static [u8]); 3]]| [&head[..], &transactions.concat()].concat();
        let transaction =
            |begin, end| transaction(begin, end).map(|(kind, time, body)| (kind, time, if body.is_empty() { &[][..] } else { &[0; 25] }));
        assert_eq!(found(false, &events(&[transaction(998, 999), transaction(999, 1000), transaction(1000, 1000)])), Some(5));
        assert_eq!(found(false, &events(&[transaction(998, 999), transaction(1001, 1001)])), Some(5));
        assert_eq!(found(false, &events(&[transaction(1000, 1000)])), Some(2));
        assert_eq!(found(false, &events(&[transaction(990, 999)])), None);
    }

    #[test]
    fn a_transaction_of_polardbx_counts_by_its_mark() {
        let mark = |ms: i64| format!("CTS::{:019}{}", (ms << 22), "0".repeat(35)).into_bytes();
        let body = |ms: i64| [&[0u8][..], &mark(ms)].concat();
        let (early, late) = (body(999_999), body(1_000_000));
        let events: [(u8, u32, &[u8]); 7] = [
            (kind::FORMAT_DESCRIPTION, 2000, &[]),
            (kind::QUERY, 2000, &[]),
            (kind::ROWS_QUERY, 2000, &early),
            (kind::QUERY, 1, &[]),
            (kind::XID, 1, &[]),
            (kind::ROWS_QUERY, 1, &late),
            (kind::QUERY, 2000, &[]),
        ];
        assert_eq!(found(true, &events), Some(3));
        assert_eq!(found(true, &events[..5]), None);
    }
}
