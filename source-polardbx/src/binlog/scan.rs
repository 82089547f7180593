//! Finds the end of a group by a pass over the headers of its events and the texts of its statements, on a connection of its own.

use std::sync::{Arc, Mutex, PoisonError};

use super::decode::{EndSearch, GroupEnd, OpenGroup};
use super::error::StreamError;
use super::event::{kind, read_format};
use super::position::FileOffset;
use super::profile::ServerProfile;
use super::track::Tracker;
use super::transport::Upstream;
use crate::wire::WireError;

/// Why the end of a group was not found.
pub(crate) enum ScanError {
    /// The connection failed.
    Wire(WireError),
    /// An event of the group is damaged; with its position.
    Stream(StreamError, FileOffset),
}

/// The end that was found last, with the start of its group. The readers that follow one another share it. A pass may take longer than the
/// server waits for a reader that does not read; the next reader then continues at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastEnd(Arc<Mutex<Option<(FileOffset, GroupEnd)>>>);

impl LastEnd {
    /// Returns the end of a group, and looks for it if it is not known.
    pub(crate) async fn find(
        &self,
        upstream: &Upstream,
        profile: &ServerProfile,
        base: &str,
        group: &OpenGroup,
    ) -> Result<GroupEnd, ScanError> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, end)) = known.filter(|(start, _)| *start == group.start) {
            return Ok(end);
        }
        let end = scan(upstream, profile, base, group).await?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((group.start, end.clone()));
        Ok(end)
    }
}

async fn scan(upstream: &Upstream, profile: &ServerProfile, base: &str, group: &OpenGroup) -> Result<GroupEnd, ScanError> {
    let at = group.at;
    let from = at.dump_start();
    let mut transport = upstream.open_to_end(base, from).await.map_err(ScanError::Wire)?;
    let mut tracker = Tracker::new(base, from);
    let mut search = EndSearch::new(group.savepoints.clone());
    loop {
        let bytes = match transport.next_unless_silent().await {
            Some(bytes) => bytes.map_err(ScanError::Wire)?,
            None => return Err(ScanError::Wire(WireError::Lost("the server sent nothing before the end of a transaction".to_owned()))),
        };
        let here = tracker.at();
        let broken = |error: StreamError| ScanError::Stream(error, here);
        let (event, start) = tracker.pass(bytes).map_err(broken)?;
        if event.header.kind == kind::FORMAT_DESCRIPTION && (start == from || !event.header.is_real()) {
            tracker.checksums = read_format(event.body).map_err(broken)?.checksums;
            continue;
        }
        if start < at || !event.header.is_real() {
            continue;
        }
        let end = tracker.at();
        if matches!(
            event.header.kind,
            kind::GTID | kind::ANONYMOUS_GTID | kind::GTID_TAGGED | kind::MARIADB_GTID | kind::ROTATE | kind::FORMAT_DESCRIPTION
        ) {
            return Err(broken(StreamError::RollbackGroup { what: "a transaction has no end in the binlog" }));
        }
        if let Some(end) = search.take(&event, end, profile).map_err(broken)? {
            return Ok(end);
        }
    }
}
