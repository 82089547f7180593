//! Reads a single event of the binlog over a separate connection.

use super::event::{CommitMark, kind, read_format, read_query};
use super::position::FileOffset;
use super::track::Tracker;
use super::transport::Transport;
use crate::session::Endpoint;
use crate::wire::WireError;

/// The result of reading one position of the binlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probed {
    /// An event, and whether a transaction may begin with it.
    Event { may_begin: bool },
    /// Bytes that are not an event.
    NotAnEvent,
    /// The end of the binlog.
    End,
}

/// Reads the event at the position `at`. The dump ends by itself, so that none is left behind on an idle server, which notices only at its next
/// event that nobody reads any more.
pub(crate) async fn probe(endpoint: &Endpoint, base: &str, at: FileOffset) -> Result<Probed, WireError> {
    let mut transport = Transport::open_to_end(endpoint, base, at).await?;
    let mut tracker = Tracker::new(base, at);
    loop {
        // PolarDB-X sends heartbeats at the end of its binlog instead of ending the dump. If it sends nothing, the end is assumed as well.
        let bytes = match transport.next_unless_silent().await {
            None | Some(Err(WireError::Ended)) => return Ok(Probed::End),
            Some(bytes) => bytes?,
        };
        let Ok((event, _)) = tracker.pass(bytes) else { return Ok(Probed::NotAnEvent) };
        match event.header.kind {
            kind::FORMAT_DESCRIPTION if tracker.at() == at => match read_format(event.body) {
                Ok(format) => tracker.checksums = format.checksums,
                Err(_) => return Ok(Probed::NotAnEvent),
            },
            kind::HEARTBEAT | kind::HEARTBEAT_V2 => return Ok(Probed::End),
            _ if tracker.at() == at => {}
            found => return Ok(Probed::Event { may_begin: may_begin(found, event.body) }),
        }
    }
}

/// Whether a transaction may begin with an event of this type.
fn may_begin(found: u8, body: &[u8]) -> bool {
    match found {
        // PolarDB-X writes marks between its transactions.
        kind::ROWS_QUERY => matches!(CommitMark::read(body), Ok(Some(CommitMark::End(_)))),
        kind::QUERY => read_query(body, false).is_ok_and(|query| !matches!(query.text, b"COMMIT" | b"ROLLBACK")),
        kind::TABLE_MAP
        | kind::WRITE_ROWS
        | kind::UPDATE_ROWS
        | kind::DELETE_ROWS
        | kind::WRITE_ROWS_V1
        | kind::UPDATE_ROWS_V1
        | kind::DELETE_ROWS_V1
        | kind::PARTIAL_UPDATE_ROWS
        | kind::ANNOTATE_ROWS
        | kind::XID
        | kind::XA_PREPARE => false,
        _ => true,
    }
}
