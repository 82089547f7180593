//! Finds out why a server refused or ended a dump. The server's error message is vague, so the list of its binlog files is checked as well.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::StreamError;
use super::files::BinlogFiles;
use super::position::{FileOffset, StreamPosition, file_name, location};
use super::probe::{Probed, probe};
use crate::error::{Result, SourceError, is_denial};
use crate::server::binlog_files;
use crate::session::Endpoint;
use crate::splits::StreamName;
use crate::wire::{WireError, mysql_number};

/// How long a node of PolarDB-X may lag behind the one that has sent the events before a position. A switch to another node takes up to
/// 30 s.
const LAG: Duration = Duration::from_secs(60);

/// Since when the server has refused a position: one behind the end of its newest file, or on PolarDB-X one inside a file. The readers that
/// follow one another share it. A node that lags has the position soon; a server that lost its newest events, or was built again, never has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals(Arc<Mutex<Option<(FileOffset, Place, Instant)>>>);

/// Where a refused position is in the server's list of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    BehindEnd,
    InFile,
}

impl Refusals {
    /// Notes that the position was refused. Returns whether it has been for longer than a node lags.
    fn is_refused(&self, at: FileOffset, place: Place, now: Instant) -> bool {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *since {
            Some((refused, known, since)) if (refused, known) == (at, place) => now.duration_since(since) >= LAG,
            _ => {
                *since = Some((at, place, now));
                false
            }
        }
    }

    /// Notes that the server has sent events, or has the position.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The error for a dump that failed at the position `at`.
pub(crate) async fn diagnose(
    error: WireError,
    endpoint: &Endpoint,
    stream: &StreamName,
    position: &StreamPosition,
    at: FileOffset,
    refusals: &Refusals,
) -> SourceError {
    let (code, message) = match error {
        WireError::Refused(code, message) => (code, message),
        WireError::Ended => return StreamError::Disconnected { message: error.to_string() }.into(),
        WireError::Lost(message) => return StreamError::Disconnected { message }.into(),
        WireError::Tls(_) | WireError::Plugin(_) | WireError::TooLong(_) | WireError::Unencrypted(_) | WireError::Files(_) => {
            return SourceError::wire("connect to the source", error);
        }
    };
    let number = mysql_number(code, &message);
    match number {
        1236 | 13_114 | 4052 | 1047 => {}
        number if is_denial(number) => return StreamError::Denied { message }.into(),
        _ => return StreamError::Disconnected { message: format!("{message} (error {code})") }.into(),
    }
    if code == 4052 || message.contains("same server_uuid/server_id") || message.contains("same server_id") {
        return StreamError::Fenced { message }.into();
    }
    // The server sends the same message for an offset after the end of the file as for an event that is too large or truncated. So the list
    // of files is checked first. If the files cannot be listed either, the failure may be temporary.
    let meaning = match files(endpoint, stream).await {
        Ok(files) => match by_files(&files, &position.base, at, &message, refusals, Instant::now()) {
            Some(error) => error,
            None if number == 1236 && endpoint.is_polardbx() => {
                if refusals.is_refused(at, Place::InFile, Instant::now()) {
                    by_probe(endpoint, &position.base, at, message).await
                } else {
                    StreamError::Disconnected { message }
                }
            }
            None => {
                refusals.clear();
                by_message(message)
            }
        },
        Err(_) => StreamError::Disconnected { message },
    };
    meaning.into()
}

/// The error for a position that PolarDB-X refuses, although its files have it. It gives the same answer if it cannot send anything.
async fn by_probe(endpoint: &Endpoint, base: &str, at: FileOffset, message: String) -> StreamError {
    match is_lost(endpoint, base, at).await {
        Ok(false) | Err(_) => StreamError::Disconnected { message },
        Ok(true) => {
            let seconds = LAG.as_secs();
            let needed = location(base, at);
            StreamError::HistoryDiverged {
                what: format!("this task stopped at {needed}, and for {seconds} s no event begins there any more"),
            }
        }
    }
}

/// Whether no event begins at the position `at`, although the server sends the file from its beginning. Fails if the server does not tell.
pub(crate) async fn is_lost(endpoint: &Endpoint, base: &str, at: FileOffset) -> Result<bool, WireError> {
    let found = probe(endpoint, base, at).await;
    if !matches!(found, Err(WireError::Refused(1236, _))) || at.offset <= FileOffset::FIRST {
        return found.map(|found| found == Probed::NotAnEvent);
    }
    match probe(endpoint, base, FileOffset::new(at.file, FileOffset::FIRST)).await {
        Ok(_) => Ok(true),
        Err(_) => found.map(|_| false),
    }
}

/// Checks the position `at` against the server's binlog files. It is called for a stream that has had no new events for a while. Fails if
/// the position no longer exists; otherwise returns whether the server has more events after `at`.
pub(crate) async fn compare(
    endpoint: &Endpoint,
    stream: &StreamName,
    position: &StreamPosition,
    at: FileOffset,
) -> Result<bool, StreamError> {
    // If the files cannot be listed, the stream itself will soon fail as well and report the cause.
    let Ok(files) = files(endpoint, stream).await else { return Ok(false) };
    files.find(&position.base, at)?;
    Ok(files.end().is_some_and(|end| end > at))
}

async fn files(endpoint: &Endpoint, stream: &StreamName) -> Result<BinlogFiles> {
    let mut session = endpoint.connect().await?;
    let files = binlog_files(&mut session, stream).await;
    session.close().await;
    files
}

/// Derives the error from the server's files; `None` if the files have the position.
fn by_files(files: &BinlogFiles, base: &str, at: FileOffset, message: &str, refusals: &Refusals, now: Instant) -> Option<StreamError> {
    if let Err(error) = files.find(base, at) {
        return Some(error);
    }
    let name = file_name(base, at.file);
    let found = match files.size(&name) {
        Some(size) if at.offset <= size => return None,
        Some(size) => format!("that file has {size} bytes"),
        None => "that file is not there".to_owned(),
    };
    let needed = location(base, at);
    Some(if refusals.is_refused(at, Place::BehindEnd, now) {
        let seconds = LAG.as_secs();
        let what = format!("this task stopped at {needed}, and {found}; after {seconds} s it is not expected any more");
        StreamError::HistoryDiverged { what }
    } else {
        StreamError::Disconnected { message: format!("{message}; {needed} is needed, and {found}") }
    })
}

/// Derives the error from the server's message. The position was already found in the server's binlog files.
fn by_message(message: String) -> StreamError {
    if message.contains("max_allowed_packet") {
        StreamError::EventTooLarge { message }
    } else if message.contains("bogus data") || message.contains("truncated in the middle") {
        StreamError::Corrupt { what: message }
    } else {
        StreamError::Disconnected { message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_behind_the_end_is_waited_for_and_then_lost() {
        let files = |size| BinlogFiles::new(vec![("binlog.000005".to_owned(), 1000), ("binlog.000006".to_owned(), size)]).that_may_lag();
        let (refusals, start) = (Refusals::default(), Instant::now());
        let ask = |size: u64, offset: u64, seconds: u64| {
            let now = start + Duration::from_secs(seconds);
            by_files(&files(size), "binlog", FileOffset::new(6, offset), "binlog dump error!", &refusals, now)
        };
        let waits = |error: &StreamError| matches!(error, StreamError::Disconnected { .. });
        let ask = |size: u64, offset: u64, seconds: u64| ask(size, offset, seconds).expect("an error");
        let first = ask(200, 500, 0);
        assert!(
            waits(&first) && first.to_string() == "binlog dump error!; binlog.000006:500 is needed, and that file has 200 bytes",
            "{first}"
        );
        assert!(waits(&ask(200, 500, 59)));
        let lost = ask(300, 500, 60);
        assert!(matches!(&lost, StreamError::HistoryDiverged { what } if what.contains("binlog.000006:500") && what.contains("300 bytes")));
        // Another position begins anew, and so does one that the server had, or from which it has sent events.
        assert!(waits(&ask(200, 501, 61)) && !waits(&ask(200, 501, 121)));
        let at = FileOffset::new(6, 501);
        assert!(by_files(&files(501), "binlog", at, "", &refusals, start).is_none());
        let in_file = |seconds| refusals.is_refused(at, Place::InFile, start + Duration::from_secs(seconds));
        assert!(!in_file(122) && !in_file(181) && in_file(182));
        assert!(waits(&ask(200, 501, 183)) && waits(&ask(200, 501, 242)) && !waits(&ask(200, 501, 243)));
        refusals.clear();
        assert!(waits(&ask(200, 501, 244)));
        // So does the next file.
        let next = |seconds| {
            let now = start + Duration::from_secs(seconds);
            by_files(&files(200), "binlog", FileOffset::new(7, 4), "", &refusals, now).expect("an error")
        };
        assert!(waits(&next(300)));
        assert!(matches!(next(360), StreamError::HistoryDiverged { what } if what.contains("binlog.000007:4, and that file is not there")));
        // A file that is not the newest does not grow.
        let old = by_files(&files(200), "binlog", FileOffset::new(5, 1001), "", &Refusals::default(), start);
        assert!(matches!(old, Some(StreamError::HistoryDiverged { .. })));
    }

    #[test]
    fn the_message_says_it_where_the_files_do_not() {
        assert!(matches!(by_message("log event entry exceeded max_allowed_packet".into()), StreamError::EventTooLarge { .. }));
        assert!(matches!(by_message("bogus data in log event".into()), StreamError::Corrupt { .. }));
        assert!(matches!(by_message("please try later".into()), StreamError::Disconnected { .. }));
    }
}
