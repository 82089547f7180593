//! Why a server refused or broke a dump: its words say little, so its files are asked.

use super::error::{StreamError, place};
use super::position::split_file_name;
use super::{FileOffset, StreamPosition};
use crate::error::Result;
use crate::server::binlog_files;
use crate::session::Endpoint;
use crate::wire::WireError;

/// Finds out what a failure of a dump at `at` means.
pub(crate) async fn classify(error: WireError, endpoint: &Endpoint, position: &StreamPosition, at: FileOffset) -> StreamError {
    let (code, message) = match error {
        WireError::Refused(code, message) => (code, message),
        other => return other.into(),
    };
    match code {
        1236 | 13_114 | 4052 | 1047 => {}
        _ => return WireError::Refused(code, message).into(),
    }
    if code == 4052 || message.contains("same server_uuid/server_id") || message.contains("same server_id") {
        return StreamError::Fenced { message };
    }
    // The words for a place behind the end of a file are those for an event that is too large or cut off, so the files come first. If not
    // even the files can be asked for, the failure may pass.
    match files(endpoint).await {
        Ok(files) => by_files(&message, &files, position, at),
        Err(_) => StreamError::Disconnected { message },
    }
}

/// What is wrong with a stream that stands still at `at`, as far as the server's files tell; and whether they go on behind it.
pub(crate) async fn examine(endpoint: &Endpoint, position: &StreamPosition, at: FileOffset) -> Result<bool, StreamError> {
    // If not even the files can be asked for, the stream itself will say so.
    let Ok(files) = files(endpoint).await else { return Ok(false) };
    match by_files("", &files, position, at) {
        StreamError::Disconnected { .. } => {}
        error => return Err(error),
    }
    let last = files.last().and_then(|(name, size)| Some((split_file_name(name)?.1, *size)));
    Ok(last.is_some_and(|(file, size)| FileOffset::new(file, size) > at))
}

async fn files(endpoint: &Endpoint) -> Result<Vec<(String, u64)>> {
    let mut session = endpoint.connect().await?;
    let files = binlog_files(&mut session).await;
    session.close().await;
    files
}

/// What the words say where file and place are there.
fn by_words(message: &str) -> StreamError {
    let message = message.to_owned();
    if message.contains("max_allowed_packet") {
        StreamError::EventTooLarge { message }
    } else if message.contains("bogus data") || message.contains("truncated in the middle") {
        StreamError::Corrupt { what: message }
    } else {
        StreamError::Disconnected { message }
    }
}

/// What the list of the server's files says about a dump at `at` that was refused.
fn by_files(message: &str, files: &[(String, u64)], position: &StreamPosition, at: FileOffset) -> StreamError {
    let needed = place(&position.base, at);
    let diverged = |what: String| StreamError::HistoryDiverged { what };
    let own: Vec<(u32, u64)> = files
        .iter()
        .filter_map(|(name, size)| split_file_name(name).filter(|(base, _)| *base == position.base).map(|(_, file)| (file, *size)))
        .collect();
    let (Some((oldest, _)), Some((newest, _))) = (own.first().copied(), own.last().copied()) else {
        return diverged(format!("the server has no binlog files called `{}.…`", position.base));
    };
    match own.iter().find(|(file, _)| *file == at.file) {
        Some((_, size)) if at.offset > *size => diverged(format!("{needed} lies behind the end of its file, which has {size} bytes")),
        Some(_) => by_words(message),
        None if at.file < oldest => StreamError::Purged { oldest: position.file_name(oldest), needed },
        None => diverged(format!(
            "the server has {} to {}, but this task stopped at {needed}",
            position.file_name(oldest),
            position.file_name(newest)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(at: FileOffset) -> StreamError {
        let position = StreamPosition::start("id", "binlog.000005", 4).unwrap();
        let files = [("binlog.000005".to_owned(), 1000), ("binlog.000006".to_owned(), 200)];
        by_files("no", &files, &position, at)
    }

    #[test]
    fn the_files_say_what_a_refusal_means() {
        assert!(matches!(meaning(FileOffset::new(4, 4)), StreamError::Purged { .. }));
        assert!(matches!(meaning(FileOffset::new(7, 4)), StreamError::HistoryDiverged { .. }));
        assert!(matches!(meaning(FileOffset::new(6, 201)), StreamError::HistoryDiverged { .. }));
        assert!(matches!(meaning(FileOffset::new(6, 200)), StreamError::Disconnected { .. }));
    }

    #[test]
    fn the_words_say_it_where_the_files_do_not() {
        assert!(matches!(by_words("log event entry exceeded max_allowed_packet"), StreamError::EventTooLarge { .. }));
        assert!(matches!(by_words("bogus data in log event"), StreamError::Corrupt { .. }));
        assert!(matches!(by_words("please try later"), StreamError::Disconnected { .. }));
    }
}
