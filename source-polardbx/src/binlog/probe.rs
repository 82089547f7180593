//! Looks at one place of the binlog over a connection of its own.

use super::FileOffset;
use super::event::{kind, read_format, read_query};
use super::track::Tracker;
use super::transport::{SILENCE, Transport};
use crate::session::Endpoint;
use crate::wire::WireError;

/// What is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// An event; and whether a transaction may begin with it.
    Event { may_begin: bool },
    /// Bytes that are no event.
    NoEvent,
    /// Nothing yet: it is the end of the binlog.
    End,
}

/// Asks for the event at `at`.
pub(crate) async fn look_at(endpoint: &Endpoint, server_id: u32, base: &str, at: FileOffset) -> Result<Looked, WireError> {
    let look = async {
        let mut transport = Transport::open(endpoint, server_id, base, at, None).await?;
        let mut tracker = Tracker::new(base, at);
        loop {
            let bytes = transport.next().await?;
            let Ok((event, _)) = tracker.pass(bytes) else { return Ok(Looked::NoEvent) };
            match event.header.kind {
                kind::FORMAT_DESCRIPTION if tracker.at() == at => match read_format(event.body) {
                    Ok(checksums) => tracker.checksums = checksums,
                    Err(_) => return Ok(Looked::NoEvent),
                },
                kind::HEARTBEAT | kind::HEARTBEAT_V2 => return Ok(Looked::End),
                _ if tracker.at() == at => {}
                found => return Ok(Looked::Event { may_begin: may_begin(found, event.body) }),
            }
        }
    };
    // A server that has nothing to send sends a heartbeat before that.
    tokio::time::timeout(SILENCE, look).await.unwrap_or(Ok(Looked::End))
}

/// Whether a transaction may begin with an event of this type.
fn may_begin(found: u8, body: &[u8]) -> bool {
    match found {
        kind::QUERY => read_query(body, false).is_ok_and(|query| !matches!(query.text, b"COMMIT" | b"ROLLBACK")),
        kind::TABLE_MAP
        | kind::WRITE_ROWS
        | kind::UPDATE_ROWS
        | kind::DELETE_ROWS
        | kind::WRITE_ROWS_V1
        | kind::UPDATE_ROWS_V1
        | kind::DELETE_ROWS_V1
        | kind::PARTIAL_UPDATE_ROWS
        | kind::ROWS_QUERY
        | kind::ANNOTATE_ROWS
        | kind::XID
        | kind::XA_PREPARE => false,
        _ => true,
    }
}
