//! Where a stream split continues in each partition: the pure decision, and reading what it needs.
//!
//! Per partition, the log must still end where the receipt says, or behind it, and the split's last record must be where the receipt says.
//! What was written after the receipt is read, and its greatest seq is where the split continues. Splits of snapshots are not replayed exactly,
//! so nothing of them is searched, and nothing is skipped.

use runtime::Seq;

use super::receipt::Mark;
use super::record_header::LaneId;
use super::scan::{Found, scan};
use crate::client::{LogPart, LogRange, Session, TopicPartition, log_ranges};
use crate::error::Error;

/// A partition with what the last receipt says of it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) partition: TopicPartition,
    pub(crate) mark: Option<Mark>,
}

/// What was found out about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// Up to where the split was delivered.
    pub(crate) mark: Mark,
    /// The end of the log.
    pub(crate) end: i64,
    /// Other programs write to the partition.
    pub(crate) shared: bool,
}

/// Finds out up to where a lane's split was delivered, in the order of `partitions`. `at_end`: nothing of the split can be there.
pub(crate) async fn recover(session: &Session, lane: LaneId, partitions: &[Known], at_end: bool) -> Result<Vec<Recovered>, Error> {
    let names: Vec<TopicPartition> = partitions.iter().map(|known| known.partition.clone()).collect();
    let ranges = log_ranges(session, &names).await?;
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
    scan(session, &parts, |index, offset, found| match (names.get(index), plans.get_mut(index), shared.get_mut(index)) {
        (Some(partition), Some(plan), Some(shared)) => note(partition, plan, lane, offset, found, shared),
        _ => Ok(()),
    })
    .await?;
    let recovered = plans.into_iter().zip(ranges).zip(shared);
    Ok(recovered.map(|((plan, range), shared)| Recovered { mark: plan.mark, end: range.end, shared }).collect())
}

/// What must be read of a partition, and what is known before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    mark: Mark,
    from: i64,
    /// The record at this offset must be the one with the mark's seq.
    anchor: Option<i64>,
    /// Records after the receipt were deleted before they could be read.
    evidence_deleted: bool,
}

/// Decides from where a partition is read. `Err` holds the offset at which it should end at least.
fn plan(known: Option<Mark>, range: LogRange, at_end: bool) -> Result<Plan, i64> {
    let whole =
        Plan { mark: Mark { next_offset: range.start, last_seq: Seq(0) }, from: range.start, anchor: None, evidence_deleted: false };
    match known {
        None if at_end => Ok(Plan { mark: Mark { next_offset: range.end, last_seq: Seq(0) }, from: range.end, ..whole }),
        None => Ok(whole),
        // The split had not written to it. If it is shorter now, it is another log, and everything in it is unknown.
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

/// Takes note of one record.
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
        Some(position) if position.split == lane.split => plan.mark.advance(offset, position.seq),
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
        // Never opened: the end. Not in the receipt: everything.
        assert_eq!(planned(None, 3, 10, true), Ok((10, None, false)));
        assert_eq!(planned(None, 3, 10, false), Ok((3, None, false)));
        // Known but never written to.
        assert_eq!(planned(Some(mark(5, 0)), 3, 10, false), Ok((5, None, false)));
        assert_eq!(planned(Some(mark(5, 0)), 7, 10, false), Ok((7, None, true)));
        assert_eq!(planned(Some(mark(50, 0)), 0, 10, false), Ok((0, None, false)));
        // Written to: the last record is checked too.
        assert_eq!(planned(Some(mark(5, 9)), 3, 10, false), Ok((4, Some(4), false)));
        assert_eq!(planned(Some(mark(5, 9)), 5, 10, false), Ok((5, None, false)));
        assert_eq!(planned(Some(mark(5, 9)), 6, 10, false), Ok((6, None, true)));
        assert_eq!(planned(Some(mark(5, 9)), 5, 5, false), Ok((5, None, false)));
        assert_eq!(planned(Some(mark(5, 9)), 0, 4, false), Err(5));
    }
}
