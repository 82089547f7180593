//! Reads a range of the binlog over a connection of its own, without decoding rows: the head of a file, and all events between two positions.

use super::error::StreamError;
use super::event::{Gtid, MariaDbGroup, RawEvent, kind, read_format};
use super::gtid::{DomainStates, MySqlSet};
use super::position::FileOffset;
use super::scan::ScanError;
use super::track::Tracker;
use super::transport::Transport;
use crate::error::{Result, SourceError};
use crate::session::Endpoint;
use crate::wire::WireError;

/// What the first events of a binlog file say.
#[derive(Clone, Debug)]
pub(crate) struct FileHead {
    /// When the file was begun, in seconds since the epoch. On PolarDB-X the time of the last transaction before it.
    pub(crate) begun: u32,
    /// The transactions before the file.
    pub(crate) gtids: FileGtids,
}

/// The transactions before a binlog file.
#[derive(Clone, Debug)]
pub(crate) enum FileGtids {
    MySql(MySqlSet),
    MariaDb(DomainStates),
    /// The file does not say it in a form that is known.
    Unknown,
}

/// An event of the range that is read.
pub(crate) struct Passed<'a> {
    pub(crate) event: RawEvent<'a>,
    /// Where it begins.
    pub(crate) start: FileOffset,
}

/// How a transaction begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    Gtid(Gtid),
    /// Without a GTID.
    Anonymous,
    /// With a GTID that has a tag, which is not read.
    Tagged,
}

impl Passed<'_> {
    /// How a transaction begins here; `None` if none does. Every transaction of MySQL and MariaDB begins with such an event.
    pub(crate) fn beginning(&self) -> Result<Option<Beginning>, StreamError> {
        let RawEvent { header, body, .. } = self.event;
        Ok(match header.kind {
            kind::GTID => Some(Beginning::Gtid(Gtid::read(body)?)),
            kind::MARIADB_GTID => Some(Beginning::Gtid(MariaDbGroup::read(body, header.server_id)?.gtid)),
            kind::ANONYMOUS_GTID => Some(Beginning::Anonymous),
            kind::GTID_TAGGED => Some(Beginning::Tagged),
            _ => None,
        })
    }
}

/// Reads the head of the file with the number `file`.
pub(crate) async fn read_head(endpoint: &Endpoint, base: &str, file: u32) -> Result<FileHead, ScanError> {
    let from = FileOffset::new(file, FileOffset::FIRST);
    let mut begun = None;
    let end = FileOffset::new(file + 1, FileOffset::FIRST);
    let is_polardbx = endpoint.is_polardbx();
    let head = walk(endpoint, base, from, end, |Passed { event, .. }| {
        let gtids = match event.header.kind {
            kind::FORMAT_DESCRIPTION => {
                begun = Some(event.header.timestamp);
                // PolarDB-X writes no GTIDs.
                if !is_polardbx {
                    return Ok(None);
                }
                FileGtids::Unknown
            }
            kind::START_ENCRYPTION => return Ok(None),
            kind::PREVIOUS_GTIDS => MySqlSet::read(event.body)?.map_or(FileGtids::Unknown, FileGtids::MySql),
            kind::GTID_LIST => FileGtids::MariaDb(DomainStates::read(event.body)?),
            _ => FileGtids::Unknown,
        };
        Ok(begun.map(|begun| FileHead { begun, gtids }))
    });
    head.await?.ok_or_else(|| ScanError::Stream(StreamError::corrupt("a binlog file without a first event"), from))
}

/// Passes the events of the files from `from` to `to` to `each`, until this returns something. `None` if it never does.
pub(crate) async fn walk<T>(
    endpoint: &Endpoint,
    base: &str,
    from: FileOffset,
    to: FileOffset,
    mut each: impl FnMut(&Passed<'_>) -> Result<Option<T>, StreamError>,
) -> Result<Option<T>, ScanError> {
    let wraps = endpoint.is_polardbx();
    if !from.is_before(to, wraps) {
        return Ok(None);
    }
    let begun = from.dump_start();
    let mut transport = Transport::open_to_end(endpoint, base, begun).await.map_err(ScanError::Wire)?;
    let mut tracker = Tracker::new(base, begun);
    while tracker.at().is_before(to, wraps) {
        let bytes = match transport.next_unless_silent().await {
            Some(bytes) => bytes.map_err(ScanError::Wire)?,
            None => return Err(ScanError::Wire(WireError::Lost("the server sent nothing before the end of the binlog".to_owned()))),
        };
        let here = tracker.at();
        let broken = |error: StreamError| ScanError::Stream(error, here);
        let (event, start) = tracker.pass(bytes).map_err(broken)?;
        match event.header.kind {
            kind::FORMAT_DESCRIPTION => tracker.checksums = read_format(event.body).map_err(broken)?.checksums,
            kind::ROTATE => _ = tracker.rotate(&event, wraps).map_err(broken)?,
            _ => {}
        }
        if event.header.is_real()
            && !start.is_before(from, wraps)
            && let Some(found) = each(&Passed { event, start }).map_err(broken)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The last of `files`, in their order, for which `is_early` holds; `None` if there is none. It must hold for all files before one for which
/// it does.
pub(crate) async fn last_early(
    endpoint: &Endpoint,
    base: &str,
    files: &[u32],
    is_early: impl Fn(&FileHead) -> bool,
) -> Result<Option<(u32, FileHead)>, ScanError> {
    let (mut low, mut high) = (0, files.len());
    let mut last = None;
    while low < high {
        let middle = low + (high - low) / 2;
        let Some(&file) = files.get(middle) else { break };
        let head = read_head(endpoint, base, file).await?;
        if is_early(&head) {
            last = Some((file, head));
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(last)
}

impl ScanError {
    /// The error of a pass over the binlog that was made to do this.
    pub(crate) fn into_source(self, base: &str, doing: &'static str) -> SourceError {
        match self {
            Self::Wire(error) => SourceError::wire(doing, error),
            Self::Stream(error, at) => {
                let at = runtime::Position::from(super::position::location(base, at));
                runtime::Error::from(error).at(&at).into()
            }
        }
    }
}
