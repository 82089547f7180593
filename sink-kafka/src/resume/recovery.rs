//! Finds out where a stream split continues in each partition. The decision what to read is a pure function, separate from the reading.
//!
//! In each partition the log must not end before the offset in the receipt, and the split's last record must be at the offset in the
//! receipt. The records that were written after the receipt are read; the split continues after their greatest seq. The replay of a
//! snapshot split is not exact, so its records are not searched and none is skipped.

use std::sync::Arc;
use std::time::Duration;

use runtime::{Renumbered, Seq};

use super::receipt::Mark;
use super::record_header::{LaneId, RecordPosition};
use super::scan::{Found, scan_heads, transaction_of};
use super::tail::PartitionTail;
use crate::client::{LogPart, LogRange, Retry, Session, TopicPartition, log_ranges};
use crate::error::Error;

pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A partition with its mark in the last receipt; `None` if the receipt does not contain the partition.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) partition: TopicPartition,
    pub(crate) mark: Option<Mark>,
}

/// The result of the recovery of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// The mark up to which the split was delivered.
    pub(crate) mark: Mark,
    /// What was delivered behind the receipt under earlier numbers, and the mark from which it was read.
    pub(crate) tail: Option<(Mark, PartitionTail)>,
    /// The offset at which the log ends.
    pub(crate) end: i64,
    /// Whether other programs write to the partition.
    pub(crate) shared: bool,
}

/// Finds out up to where a lane's split was delivered. The results are in the order of `partitions`. `at_end` says that the log cannot
/// contain records of the split in partitions without a mark.
///
/// A log that does not hold what was acknowledged may be that of a broker that is cut off from the others and does not lead any more. So
/// it is read again for some time, over new connections and from the leaders that other brokers name, before this is an error.
///
/// `renumbered` says since when the events of the lane have other numbers than before.
pub(crate) async fn recover(
    session: &Session,
    lane: LaneId,
    partitions: &[Known],
    at_end: bool,
    renumbered: Option<&Renumbered>,
) -> Result<Vec<Recovered>, Error> {
    let names: Vec<TopicPartition> = partitions.iter().map(|known| known.partition.clone()).collect();
    session.confirm_leaders(&names).await?;
    let mut retry = Retry::new(session.timeouts().propagation, FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        match recover_once(session, lane, partitions, &names, at_end, renumbered).await {
            Err(error @ (Error::Regressed { .. } | Error::TopicChanged { .. })) => {
                tracing::warn!(%error, "looking again: the broker may be cut off from the others");
                retry.again(error).await?;
                session.look_again(&names).await?;
            }
            result => return result,
        }
    }
}

async fn recover_once(
    session: &Session,
    lane: LaneId,
    partitions: &[Known],
    names: &[TopicPartition],
    at_end: bool,
    renumbered: Option<&Renumbered>,
) -> Result<Vec<Recovered>, Error> {
    let ranges = log_ranges(session, names).await?;
    let mut plans = Vec::with_capacity(partitions.len());
    for (Known { partition, mark }, range) in partitions.iter().zip(&ranges) {
        let plan =
            plan(*mark, *range, at_end).map_err(|expected| Error::Regressed { partition: partition.clone(), end: range.end, expected })?;
        if plan.evidence_deleted {
            tracing::warn!(
                %partition,
                "records were deleted before this task could read them: until the next checkpoint the guarantee is at_least_once"
            );
        }
        plans.push(plan);
    }
    let parts: Vec<LogPart> = names
        .iter()
        .zip(&ranges)
        .zip(&plans)
        .map(|((partition, range), plan)| LogPart { partition: partition.clone(), from: plan.from, to: range.end, first_only: false })
        .collect();
    let mut shared = vec![false; parts.len()];
    let first: Vec<Mark> = plans.iter().map(|plan| plan.mark).collect();
    let mut tails = vec![PartitionTail::new(); parts.len()];
    let mut asked = Asked::default();
    scan_heads(session, &parts, |index, offset, found, head| {
        let (Some(partition), Some(plan), Some(shared)) = (names.get(index), plans.get_mut(index), shared.get_mut(index)) else {
            return Ok(());
        };
        note(partition, plan, lane, offset, found, shared)?;
        let (Some(renumbered), Some(tail)) = (renumbered, tails.get_mut(index)) else { return Ok(()) };
        let Some(position) = in_tail(plan, lane, offset, found).filter(|position| position.seq < renumbered.since) else { return Ok(()) };
        let Some(id) = transaction_of(head) else { return Err(Error::NoTransactionId { partition: partition.clone(), offset }) };
        if asked.is_ahead(renumbered, &id)? {
            let last = tail.entry(id).or_default();
            *last = position.seq.in_transaction().max(*last);
        }
        Ok(())
    })
    .await?;
    let recovered = plans.into_iter().zip(ranges).zip(shared).zip(first.into_iter().zip(tails));
    Ok(recovered
        .map(|(((plan, range), shared), (first, tail))| Recovered {
            mark: searched(plan.mark, range),
            tail: (!tail.is_empty()).then_some((first, tail)),
            end: range.end,
            shared,
        })
        .collect())
}

/// What the source has said of the last transaction. The records of a transaction mostly follow one another.
#[derive(Default)]
struct Asked(Option<(Arc<str>, bool)>);

impl Asked {
    fn is_ahead(&mut self, renumbered: &Renumbered, id: &Arc<str>) -> Result<bool, Error> {
        match &self.0 {
            Some((known, is_ahead)) if known == id => Ok(*is_ahead),
            _ => {
                let is_ahead = renumbered.is_ahead(id).map_err(Error::Source)?;
                self.0 = Some((id.clone(), is_ahead));
                Ok(is_ahead)
            }
        }
    }
}

/// The position of a record of the lane's split that lies behind the last acknowledged one, which is read only to be checked.
fn in_tail(plan: &Plan, lane: LaneId, offset: i64, found: Found) -> Option<RecordPosition> {
    let Found::Ours(position, _) = found else { return None };
    let is_of_lane = (position.run, position.split) == (lane.run, lane.split) && !position.is_heartbeat();
    (is_of_lane && plan.anchor != Some(offset)).then_some(position)
}

/// The mark of a partition whose log was read to its end. If no record of the split was found, the next search begins at that end.
fn searched(mark: Mark, range: LogRange) -> Mark {
    if mark.is_written() { mark } else { Mark { next_offset: range.end, ..mark } }
}

/// The range of a partition that must be read, and what is known before the reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    mark: Mark,
    from: i64,
    /// The offset at which the record with the mark's seq must be; `None` if this is not checked.
    anchor: Option<i64>,
    /// Whether records after the receipt were deleted before they could be read.
    evidence_deleted: bool,
}

/// Decides from which offset a partition is read. `Err` is the offset that the log should have reached at least.
fn plan(known: Option<Mark>, range: LogRange, at_end: bool) -> Result<Plan, i64> {
    let whole =
        Plan { mark: Mark { next_offset: range.start, last_seq: Seq(0) }, from: range.start, anchor: None, evidence_deleted: false };
    match known {
        None if at_end => Ok(Plan { mark: Mark { next_offset: range.end, last_seq: Seq(0) }, from: range.end, ..whole }),
        None => Ok(whole),
        // The split had written nothing to the partition. A log that is shorter than before is another log, so all of it is read.
        Some(mark) if !mark.is_written() && range.end < mark.next_offset => Ok(whole),
        Some(mark) if !mark.is_written() => {
            let from = mark.next_offset.max(range.start);
            let evidence_deleted = range.start > mark.next_offset;
            Ok(Plan { mark: Mark { next_offset: from, ..mark }, from, anchor: None, evidence_deleted })
        }
        Some(mark) if range.end < mark.next_offset => Err(mark.next_offset),
        Some(mark) => {
            let last = mark.next_offset - 1;
            let anchor = (last >= range.start).then_some(last);
            Ok(Plan { mark, from: last.max(range.start), anchor, evidence_deleted: range.start > mark.next_offset })
        }
    }
}

/// Updates the plan with one record of the log.
fn note(partition: &TopicPartition, plan: &mut Plan, lane: LaneId, offset: i64, found: Found, shared: &mut bool) -> Result<(), Error> {
    let position = match found {
        Found::Ours(position, _) if position.run == lane.run => Some(position),
        Found::Ours(_, _) | Found::Foreign => None,
    };
    if plan.anchor == Some(offset) && position.is_none_or(|position| (position.split, position.seq) != (lane.split, plan.mark.last_seq)) {
        let problem = format!("offset {offset} of partition {} holds another record than the acknowledged one", partition.partition);
        return Err(Error::TopicChanged { topic: partition.topic.to_string(), problem });
    }
    match position {
        None => *shared = true,
        Some(position) if position.epoch > lane.epoch => {
            return Err(Error::Fenced { partition: partition.clone(), theirs: position.epoch, ours: lane.epoch });
        }
        Some(position) if position.split == lane.split => {
            // A heartbeat states the seq of an earlier record, so it never says that more was delivered.
            if !position.is_heartbeat() || position.seq <= plan.mark.last_seq {
                plan.mark.advance(offset, position.seq);
            }
        }
        Some(_) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(next_offset: i64, last_seq: u128) -> Mark {
        Mark { next_offset, last_seq: Seq(last_seq) }
    }

    fn planned(known: Option<Mark>, start: i64, end: i64, at_end: bool) -> Result<(i64, Option<i64>, bool), i64> {
        plan(known, LogRange { start, end }, at_end).map(|plan| (plan.from, plan.anchor, plan.evidence_deleted))
    }

    #[test]
    fn where_reading_begins() {
        // A partition without a mark: reading begins at the end if the split cannot have written yet, otherwise at the start.
        assert_eq!(planned(None, 3, 10, true), Ok((10, None, false)));
        assert_eq!(planned(None, 3, 10, false), Ok((3, None, false)));
        // A partition with a mark but without a record of the split.
        assert_eq!(planned(Some(mark(5, 0)), 3, 10, false), Ok((5, None, false)));
        assert_eq!(planned(Some(mark(5, 0)), 7, 10, false), Ok((7, None, true)));
        assert_eq!(planned(Some(mark(50, 0)), 0, 10, false), Ok((0, None, false)));
        // A partition with a record of the split: that last record is read and checked too.
        assert_eq!(planned(Some(mark(5, 9)), 3, 10, false), Ok((4, Some(4), false)));
        assert_eq!(planned(Some(mark(5, 9)), 5, 10, false), Ok((5, None, false)));
        assert_eq!(planned(Some(mark(5, 9)), 6, 10, false), Ok((6, None, true)));
        assert_eq!(planned(Some(mark(5, 9)), 5, 5, false), Ok((5, None, false)));
        assert_eq!(planned(Some(mark(5, 9)), 0, 4, false), Err(5));
    }
}
