//! How a group ends, where that is known before its end is read.

use super::savepoints::Savepoints;
use crate::binlog::error::StreamError;
use crate::binlog::event::{CommitMark, RawEvent, Tso, kind, read_query};
use crate::binlog::position::FileOffset;
use crate::binlog::profile::ServerProfile;
use crate::schema::{Statement, StatementContext, read_statement};

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

/// Follows the events of a group to its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct EndSearch {
    savepoints: Savepoints<FileOffset>,
    undone: Vec<Undone>,
}

impl EndSearch {
    /// Begins in a group in which these savepoints are set, each with the end of its event.
    pub(crate) fn new(savepoints: Savepoints<FileOffset>) -> Self {
        Self { savepoints, undone: Vec::new() }
    }

    /// Takes the next event, which ends at `end`. Returns the end of the group if the event is its last one.
    pub(crate) fn take(&mut self, event: &RawEvent<'_>, end: FileOffset, profile: &ServerProfile) -> Result<Option<GroupEnd>, StreamError> {
        let mut tso = None;
        let committed = match event.header.kind {
            // Of a transaction with a commit mark, the mark follows.
            kind::XID if profile.is_polardbx() => return Ok(None),
            kind::ROWS_QUERY if profile.is_polardbx() => match CommitMark::read(event.body)? {
                Some(CommitMark::End(found)) => {
                    tso = Some(found);
                    true
                }
                _ => return Ok(None),
            },
            kind::XID => true,
            kind::QUERY => match read_query(event.body, false)?.text {
                b"COMMIT" => true,
                b"ROLLBACK" => false,
                text if text.starts_with(b"SAVEPOINT") || text.starts_with(b"ROLLBACK") => {
                    let text = String::from_utf8_lossy(text);
                    let context = StatementContext { dialect: profile.dialect(), ..StatementContext::new("", &|_| None) };
                    match read_statement(&text, &context) {
                        Statement::Savepoint(name) => self.savepoints.set(name, end),
                        Statement::RollbackTo(name) => {
                            let after = self.savepoints.return_to(&name)?;
                            self.undone.push(Undone { after, upto: end });
                        }
                        _ => {}
                    }
                    return Ok(None);
                }
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        Ok(Some(GroupEnd { committed, undone: std::mem::take(&mut self.undone), tso }))
    }
}
