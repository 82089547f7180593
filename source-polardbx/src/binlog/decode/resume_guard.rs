//! Where the stream resumes, and the proof that the server still has what was delivered before.

use std::cmp::Ordering;

use runtime::Position;

use super::fingerprint::Fingerprint;
use super::transaction::ClosedGroup;
use crate::binlog::error::StreamError;
use crate::binlog::position::{FileOffset, StreamPosition};

/// Offsets in dump requests must be below this: some servers read them as signed 32-bit numbers.
const DUMP_LIMIT: u64 = 1 << 31;

/// After a restart, finds the last delivered transaction again and compares it with what was delivered. From then on, tracks the resume
/// point.
///
/// Invariant: the resume point is the end of a transaction, and nothing is handed on before [`ResumeGuard::is_live`].
#[derive(Debug)]
pub(super) struct ResumeGuard {
    phase: Phase,
    /// Where the stream resumes. Its fingerprint is filled in when it is handed out.
    position: StreamPosition,
    /// The transaction that ends at the resume point.
    last: Option<Fingerprint>,
    /// The resume point that was handed out last.
    handed_out: FileOffset,
}

/// What is done with the current events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Before the last delivered transaction: only transaction boundaries are followed.
    Skip,
    /// In the last delivered transaction: it is compared with what was delivered.
    Verify,
    /// After it: events are handed on.
    Live,
}

impl ResumeGuard {
    /// The guard of a stream that is dumped from [`ResumeGuard::dump_from`].
    pub(super) fn new(position: StreamPosition) -> Self {
        Self { phase: first_phase(&position), handed_out: position.at, position, last: None }
    }

    /// Where the dump has to begin so that the last delivered transaction is in it.
    pub(super) fn dump_from(position: &StreamPosition) -> FileOffset {
        let (target, _) = target(position);
        if target.offset < DUMP_LIMIT {
            return target;
        }
        let floor = position.floor.filter(|floor| floor.file == target.file && floor.offset < DUMP_LIMIT);
        floor.unwrap_or(FileOffset::new(target.file, FileOffset::FIRST))
    }

    /// Whether the current events are to be handed on.
    #[inline]
    pub(super) fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    pub(super) fn position(&self) -> &StreamPosition {
        &self.position
    }

    /// A group begins at `start`. Until the stream is live, decides whether the group is skipped, compared or handed on.
    pub(super) fn open(&mut self, start: FileOffset) -> Result<(), StreamError> {
        if self.is_live() {
            return Ok(());
        }
        let (target, verified) = target(&self.position);
        self.phase = match start.cmp(&target) {
            Ordering::Less => Phase::Skip,
            _ if !verified => Phase::Live,
            Ordering::Equal => Phase::Verify,
            Ordering::Greater => {
                let target = self.position.location(target);
                let what = format!("the last delivered transaction began at {target}, and no transaction begins there");
                return Err(StreamError::HistoryDiverged { what });
            }
        };
        Ok(())
    }

    /// A group ends at `end`; returns whether that is the new resume point, which it is once the stream is live.
    pub(super) fn close(&mut self, group: ClosedGroup, end: FileOffset) -> Result<bool, StreamError> {
        match self.phase {
            Phase::Skip => return Ok(false),
            Phase::Verify => {
                self.verify(group, end)?;
                self.phase = Phase::Live;
                return Ok(false);
            }
            Phase::Live => {}
        }
        if group.start.offset < DUMP_LIMIT {
            self.position.floor = Some(group.start);
        }
        self.position.at = end;
        self.position.previous = Some(group.start);
        self.last = Some(group.fingerprint);
        Ok(true)
    }

    /// The next file begins, between two transactions.
    pub(super) fn enter_file(&mut self, start: FileOffset) {
        if self.is_live() {
            self.position.at = start;
        }
    }

    /// Whether the resume point moved since it was handed out.
    pub(super) fn has_moved(&self) -> bool {
        self.handed_out != self.position.at
    }

    /// The resume point, to be committed.
    pub(super) fn hand_out(&mut self) -> Position {
        if let Some(last) = &self.last {
            self.position.fingerprint = Some(last.value());
        }
        self.handed_out = self.position.at;
        self.position.to_position()
    }

    /// Compares the last delivered transaction with what the server has in its place now.
    fn verify(&mut self, group: ClosedGroup, end: FileOffset) -> Result<(), StreamError> {
        let at = self.position.at;
        // After the last transaction of a file, the resume point moves to the beginning of the next file.
        let ends_right = end == at || (end.file < at.file && at.offset == FileOffset::FIRST);
        if ends_right && Some(group.fingerprint.value()) == self.position.fingerprint {
            self.last = Some(group.fingerprint);
            return Ok(());
        }
        let begin = self.position.location(self.position.previous.unwrap_or(at));
        Err(StreamError::HistoryDiverged { what: format!("the transaction at {begin} is not the one that was delivered") })
    }
}

fn first_phase(position: &StreamPosition) -> Phase {
    match target(position) {
        (target, _) if target.offset >= DUMP_LIMIT => Phase::Skip,
        (_, true) => Phase::Verify,
        (_, false) => Phase::Live,
    }
}

/// Where the last delivered transaction begins, and `true`, if it is known and can be compared; else the resume point, and `false`.
fn target(position: &StreamPosition) -> (FileOffset, bool) {
    match (position.previous, position.fingerprint) {
        (Some(previous), Some(_)) => (previous, true),
        _ => (position.at, false),
    }
}
