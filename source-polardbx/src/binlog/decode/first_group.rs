//! The beginning of a stream of PolarDB-X, which may be inside a transaction: the node that names the end of the binlog may have copied only
//! a part of its last transaction.
//!
//! Such a transaction is committed: PolarDB-X writes a transaction into its binlog behind the commits of all data nodes. If a full phase reads
//! the tables after the start was noted, it has read the whole transaction. So the rest of the transaction can be passed over. Without a full
//! phase its first rows would be missing, and passing over the rest would lose all of it.

use super::resume_guard::ResumeGuard;
use crate::binlog::error::StreamError;
use crate::binlog::event::{CommitMark, RawEvent, kind};
use crate::binlog::position::{FileOffset, StreamPosition};
use crate::binlog::profile::ServerProfile;

/// Tells the transaction that had begun before the stream from the first one behind it.
#[derive(Debug)]
pub(super) struct FirstGroup {
    phase: Phase,
    /// Whether what comes before the start of the stream is read by a full phase.
    is_read: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No event of the file was read.
    Start,
    /// Inside a transaction that began before the stream.
    Inside,
    /// In the first whole group of events or behind it.
    Whole,
}

impl FirstGroup {
    pub(super) fn new(position: &StreamPosition, profile: &ServerProfile) -> Self {
        let at = position.at;
        // Once a transaction was read, or at the start of a file, the resume point is between two transactions. If the dump begins before
        // the start, the groups are followed to it.
        let is_between = position.previous.is_some() || at.offset == FileOffset::FIRST || ResumeGuard::dump_from(position) != at;
        let phase = if is_between || !profile.is_polardbx() { Phase::Whole } else { Phase::Start };
        Self { phase, is_read: false }
    }

    /// Says whether what comes before the start of the stream is read by a full phase.
    pub(super) fn set_read(&mut self, is_read: bool) {
        self.is_read = is_read;
    }

    /// Whether the stream is inside a transaction that began before it.
    pub(super) fn is_inside(&self) -> bool {
        self.phase == Phase::Inside
    }

    /// Whether the next event belongs to a transaction that began before the stream. Fails if this transaction must not be passed over.
    #[inline]
    pub(super) fn passes_over(&mut self, event: &RawEvent<'_>) -> Result<bool, StreamError> {
        if self.phase == Phase::Whole || !event.header.is_real() {
            return Ok(false);
        }
        let is_inside = match event.header.kind {
            // The first event of a transaction, a statement, or the end of a file.
            kind::QUERY | kind::ROTATE | kind::FORMAT_DESCRIPTION | kind::STOP => false,
            // The end of the transaction, or a mark between two transactions. Both are a resume point.
            kind::ROWS_QUERY => !matches!(CommitMark::read(event.body)?, Some(CommitMark::End(_))),
            _ => true,
        };
        if is_inside && self.phase == Phase::Start {
            self.pass_over()?;
        }
        self.phase = if is_inside { Phase::Inside } else { Phase::Whole };
        Ok(is_inside)
    }

    /// Notes that a transaction which began before the stream is passed over. Fails if it must not be.
    pub(super) fn pass_over(&self) -> Result<(), StreamError> {
        if !self.is_read {
            return Err(StreamError::StartInTransaction);
        }
        tracing::info!("the stream begins inside a transaction, which the full phase has read; the rest of it is passed over");
        Ok(())
    }
}
