//! How a group ends, where that is known before its end is read.

use super::savepoints::Savepoints;
use crate::binlog::event::Tso;
use crate::binlog::position::FileOffset;

/// The end of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupEnd {
    /// Whether the group is committed.
    pub(crate) committed: bool,
    /// The parts that are undone by a ROLLBACK TO a savepoint.
    pub(crate) undone: Vec<Undone>,
    /// The commit timestamp, if the group ends with one.
    pub(crate) tso: Option<Tso>,
}

/// The events from a savepoint to the ROLLBACK TO it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Undone {
    /// Where the event that set the savepoint ends.
    pub(crate) after: FileOffset,
    /// Where the ROLLBACK TO ends.
    pub(crate) upto: FileOffset,
}

/// A group that is so large that its end must be found before more of it is read.
#[derive(Clone, Debug)]
pub(crate) struct OpenGroup {
    /// Where the group begins.
    pub(crate) start: FileOffset,
    /// Up to where it was read.
    pub(crate) at: FileOffset,
    /// The savepoints that are set at `at`, each with the end of its event.
    pub(crate) savepoints: Savepoints<FileOffset>,
}

impl GroupEnd {
    /// The end of a group of which everything is committed.
    pub(crate) const COMMITTED: Self = Self { committed: true, undone: Vec::new(), tso: None };

    /// Whether the changes of the event that ends at `end` are undone.
    pub(crate) fn undoes(&self, end: FileOffset) -> bool {
        !self.committed || self.undone.iter().any(|part| part.after < end && end <= part.upto)
    }
}
