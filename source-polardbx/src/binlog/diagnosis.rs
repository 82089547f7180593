//! Finds out why a server refused or ended a dump. The server's error message is vague, so the list of its binlog files is checked as well.

use super::error::StreamError;
use super::files::BinlogFiles;
use super::position::{FileOffset, StreamPosition};
use crate::error::{Result, SourceError};
use crate::server::binlog_files;
use crate::session::Endpoint;
use crate::splits::StreamName;
use crate::wire::WireError;

/// The error for a dump that failed at the position `at`.
pub(crate) async fn diagnose(
    error: WireError,
    endpoint: &Endpoint,
    stream: &StreamName,
    position: &StreamPosition,
    at: FileOffset,
) -> SourceError {
    let (code, message) = match error {
        WireError::Refused(code, message) => (code, message),
        WireError::Lost(message) => return StreamError::Disconnected { message }.into(),
        WireError::Tls(_) | WireError::Plugin(_) => return SourceError::wire("connect to the source", error),
    };
    match code {
        1236 | 13_114 | 4052 | 1047 => {}
        1044 | 1045 | 1130 | 1142 | 1143 | 1227 | 1370 => return StreamError::Denied { message }.into(),
        _ => return StreamError::Disconnected { message: format!("{message} (error {code})") }.into(),
    }
    if code == 4052 || message.contains("same server_uuid/server_id") || message.contains("same server_id") {
        return StreamError::Fenced { message }.into();
    }
    // The server sends the same message for an offset after the end of the file as for an event that is too large or truncated. So the list
    // of files is checked first. If the files cannot be listed either, the failure may be temporary.
    let meaning = match files(endpoint, stream).await {
        Ok(files) => files.find(&position.base, at).err().unwrap_or_else(|| by_message(message)),
        Err(_) => StreamError::Disconnected { message },
    };
    meaning.into()
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
    fn the_message_says_it_where_the_files_do_not() {
        assert!(matches!(by_message("log event entry exceeded max_allowed_packet".into()), StreamError::EventTooLarge { .. }));
        assert!(matches!(by_message("bogus data in log event".into()), StreamError::Corrupt { .. }));
        assert!(matches!(by_message("please try later".into()), StreamError::Disconnected { .. }));
    }
}
