//! Keeps the resume point, and checks after a restart that the server's binlog still has the transaction that was delivered last.

use std::cmp::Ordering;

use runtime::Position;

use super::fingerprint::Fingerprint;
use super::transaction::ClosedGroup;
use crate::binlog::error::StreamError;
use crate::binlog::event::{Gtid, Tso};
use crate::binlog::position::{DUMP_LIMIT, FileOffset, Insertion, StreamPosition};

/// Finds the last delivered transaction again after a restart, and compares its fingerprint with the committed fingerprint. From then on,
/// the guard tracks the resume point.
///
/// Invariant: the resume point is never inside a transaction, and no event is emitted before [`ResumeGuard::is_live`] is true.
#[derive(Debug)]
pub(super) struct ResumeGuard {
    phase: Phase,
    /// Where the stream resumes. Its `fingerprint` is updated only in [`ResumeGuard::hand_out`].
    position: StreamPosition,
    /// Fingerprint of the transaction that ends at the resume point; `None` if none was read since the start.
    last: Option<Fingerprint>,
    /// The resume point that [`ResumeGuard::hand_out`] returned last.
    handed_out: FileOffset,
    /// Whether the open group is passed over, because of its GTID.
    passes_over: bool,
}

/// How the current events are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Before the last delivered transaction: only transaction boundaries are followed.
    Skip,
    /// In the last delivered transaction: its fingerprint is compared with the committed fingerprint.
    Verify,
    /// After the last delivered transaction: events are emitted.
    Live,
}

impl ResumeGuard {
    /// Creates the guard of a stream whose dump begins at [`ResumeGuard::dump_from`].
    pub(super) fn new(position: StreamPosition) -> Self {
        Self { phase: first_phase(&position), handed_out: position.at, position, last: None, passes_over: false }
    }

    /// Where the dump has to begin so that it contains the last delivered transaction.
    pub(super) fn dump_from(position: &StreamPosition) -> FileOffset {
        let (target, _) = target(position);
        if target.offset < DUMP_LIMIT {
            return target;
        }
        let floor = position.floor.filter(|floor| floor.file == target.file && floor.offset < DUMP_LIMIT);
        floor.unwrap_or(FileOffset::new(target.file, FileOffset::FIRST))
    }

    /// Whether the events that are being read are emitted.
    #[inline]
    pub(super) fn is_live(&self) -> bool {
        self.phase == Phase::Live && !self.passes_over
    }

    pub(super) fn position(&self) -> &StreamPosition {
        &self.position
    }

    /// Handles the beginning of a group at `start`. Until the stream is live, this decides whether the group is skipped, verified or
    /// emitted.
    pub(super) fn open(&mut self, start: FileOffset) -> Result<(), StreamError> {
        self.passes_over = false;
        if self.is_live() {
            return self.end_catch_up(start);
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

    /// Decides by the GTID of the open group whether it is passed over. `None` is a group without a GTID, or with one that cannot be compared.
    pub(super) fn decide(&mut self, gtid: Option<Gtid>) -> Result<(), StreamError> {
        if let Some(catch_up) = self.position.catch_up.as_ref().filter(|_| self.phase == Phase::Live) {
            self.passes_over = catch_up.passes_over(gtid).map_err(|what| self.diverged(&what))?;
        }
        Ok(())
    }

    /// Ends the catch-up if all that it passes over comes before `at`.
    fn end_catch_up(&mut self, at: FileOffset) -> Result<(), StreamError> {
        if let Some(catch_up) = &self.position.catch_up
            && catch_up.is_over(at).map_err(|what| self.diverged(&what))?
        {
            self.position.catch_up = None;
        }
        Ok(())
    }

    fn diverged(&self, what: &str) -> StreamError {
        StreamError::HistoryDiverged { what: format!("behind {}, {what}", self.position.location(self.position.at)) }
    }

    /// Notes the GTID of a group that was read to its end.
    fn note_gtid(&mut self, gtid: Option<Gtid>) {
        if std::mem::take(&mut self.passes_over) {
            if let Some(catch_up) = &mut self.position.catch_up {
                catch_up.note_passed(gtid);
            }
            return;
        }
        let Some(delivered) = &mut self.position.gtid else { return };
        if !gtid.is_some_and(|gtid| delivered.add(gtid)) {
            tracing::warn!(
                position = %self.position.location(self.position.at),
                "a transaction has no GTID that can be compared: until the stream is opened again, this task cannot go on at another server"
            );
            self.position.gtid = None;
        }
    }

    /// Checks that a commit timestamp comes behind that of the last transaction. A mark without a transaction may repeat it.
    pub(super) fn check_timestamp(&self, tso: Tso, may_repeat: bool) -> Result<(), StreamError> {
        match self.position.tso.filter(|last| self.is_live() && (tso < *last || (tso == *last && !may_repeat))) {
            Some(last) => Err(StreamError::HistoryDiverged { what: format!("the commit timestamp {tso} comes behind {last}") }),
            None => Ok(()),
        }
    }

    /// Whether the start of the stream, before which nothing was delivered, is inside the group that is skipped and ends at `end`.
    pub(super) fn starts_inside(&self, end: FileOffset) -> bool {
        let (target, verified) = target(&self.position);
        self.phase == Phase::Skip && !verified && end > target
    }

    /// Handles the end of a group at `end`. Returns whether `end` is the new resume point. A group that is skipped or verified does not
    /// move the resume point.
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
        self.position.tso = group.tso.or(self.position.tso);
        self.note_gtid(group.gtid);
        self.position.at = end;
        self.position.previous = Some(group.start);
        self.last = Some(group.fingerprint);
        self.end_catch_up(end)?;
        Ok(true)
    }

    /// Notes the chunk that was inserted last at the resume point.
    pub(super) fn insert(&mut self, inserted: Insertion) {
        self.position.inserted = Some(inserted);
    }

    /// Begins the next timeline. The resume point is moved by [`ResumeGuard::enter_file`].
    pub(super) fn begin_timeline(&mut self) {
        if self.is_live() {
            self.position.timeline += 1;
            self.position.inserted = None;
        }
    }

    /// Handles the start of the next file, which always lies between two transactions.
    pub(super) fn enter_file(&mut self, start: FileOffset) {
        if self.is_live() {
            self.position.at = start;
        }
    }

    /// Whether the resume point has moved since the last call of [`ResumeGuard::hand_out`].
    pub(super) fn has_moved(&self) -> bool {
        self.handed_out != self.position.at
    }

    /// Returns the resume point, which is to be committed with a batch.
    pub(super) fn hand_out(&mut self) -> Position {
        if let Some(last) = &self.last {
            self.position.fingerprint = Some(last.value());
        }
        self.handed_out = self.position.at;
        self.position.to_position()
    }

    /// Checks at the end of a binlog that the last delivered transaction was read.
    pub(super) fn check_end(&self) -> Result<(), StreamError> {
        match target(&self.position) {
            (target, true) if self.phase != Phase::Live => {
                let what =
                    format!("the last delivered transaction began at {}, and the binlog ends before", self.position.location(target));
                Err(StreamError::HistoryDiverged { what })
            }
            _ => Ok(()),
        }
    }

    /// Compares the last delivered transaction with `group`, which the server now has at the same position.
    fn verify(&mut self, group: ClosedGroup, end: FileOffset) -> Result<(), StreamError> {
        let at = self.position.at;
        // After the last transaction of a file, the resume point moves to the beginning of the next file.
        let ends_right = end == at || (end.file != at.file && at.offset == FileOffset::FIRST);
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

/// The start of the group that is verified or emitted first, and whether it is verified. If the start and the fingerprint of the last
/// delivered transaction are known, the result is this start and `true`. Otherwise nothing can be compared: the result is the resume point
/// and `false`.
fn target(position: &StreamPosition) -> (FileOffset, bool) {
    match (position.previous, position.fingerprint) {
        (Some(previous), Some(_)) => (previous, true),
        _ => (position.at, false),
    }
}
