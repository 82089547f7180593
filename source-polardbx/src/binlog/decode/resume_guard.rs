//! Finds the end of the last delivered transaction again, and proves that it is the one that was delivered.

use super::Decoder;
use super::group::Group;
use crate::binlog::error::{StreamError, place};
use crate::binlog::{FileOffset, StreamPosition};

/// The greatest offset that every server takes in a dump request.
pub(super) const DUMP_LIMIT: u64 = 1 << 31;

/// What is done with the events read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before the last delivered transaction: nothing is looked at but borders.
    Skip,
    /// In the last delivered transaction: it is compared with what was delivered.
    Verify,
    /// Behind it: everything counts.
    Live,
}

/// Where the dump begins for a position, and in which phase.
pub(super) fn start(position: &StreamPosition) -> (FileOffset, Phase) {
    let (target, verified) = target(position);
    if target.offset < DUMP_LIMIT {
        return (target, if verified { Phase::Verify } else { Phase::Live });
    }
    let floor = position.floor.filter(|floor| floor.file == target.file && floor.offset < DUMP_LIMIT);
    (floor.unwrap_or(FileOffset::new(target.file, FileOffset::FIRST)), Phase::Skip)
}

/// The first place to look at, and whether the transaction there is compared: the last delivered one, if it is known.
fn target(position: &StreamPosition) -> (FileOffset, bool) {
    match (position.previous, position.fingerprint) {
        (Some(previous), Some(_)) => (previous, true),
        _ => (position.at, false),
    }
}

impl Decoder {
    /// Looks, before the first live event, whether a group that begins here is the one looked for.
    pub(super) fn enter(&mut self, start: FileOffset) -> Result<(), StreamError> {
        let (target, verified) = target(&self.position);
        self.phase = match start.cmp(&target) {
            std::cmp::Ordering::Less => Phase::Skip,
            _ if !verified => Phase::Live,
            std::cmp::Ordering::Equal => Phase::Verify,
            std::cmp::Ordering::Greater => {
                let what = format!(
                    "the last delivered transaction began at {}, and no transaction begins there",
                    place(&self.position.base, target)
                );
                return Err(StreamError::HistoryDiverged { what });
            }
        };
        Ok(())
    }

    /// Compares the last delivered transaction with what the server has in its place now.
    pub(super) fn verify(&mut self, group: Group, end: FileOffset) -> Result<(), StreamError> {
        let at = self.position.at;
        // Behind the last transaction of a file the resume point moves on to the beginning of the next one.
        let ends_right = end == at || (end.file < at.file && at.offset == FileOffset::FIRST);
        let found = group.into_fingerprint();
        if ends_right && Some(found.value()) == self.position.fingerprint {
            self.last = Some(found);
            return Ok(());
        }
        let at = self.position.previous.unwrap_or(at);
        Err(StreamError::HistoryDiverged {
            what: format!("the transaction at {} is not the one that was delivered", place(&self.position.base, at)),
        })
    }
}
