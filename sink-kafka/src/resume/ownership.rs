//! The rule that a topic must be empty or hold this task's records: what each partition begins with.

use super::scan::{Found, scan};
use crate::client::{LogPart, Session, TopicPartition, log_ranges};
use crate::error::Error;

/// The first record of a partition that is not empty.
#[derive(Clone, Debug)]
pub(crate) struct FirstRecord {
    pub(crate) partition: TopicPartition,
    /// `None`: something that is not a record.
    pub(crate) found: Option<Found>,
}

impl FirstRecord {
    /// Whether it is a record of this run of the task.
    pub(crate) fn is_of(&self, run: u64) -> bool {
        matches!(self.found, Some(Found::Ours(position, _)) if position.run == run)
    }
}

/// The first records of these partitions, as far as they are not empty.
pub(crate) async fn first_records(session: &Session, partitions: &[TopicPartition]) -> Result<Vec<FirstRecord>, Error> {
    let ranges = log_ranges(session, partitions).await?;
    let parts: Vec<LogPart> = partitions
        .iter()
        .zip(ranges)
        .filter(|(_, range)| range.start < range.end)
        .map(|(partition, range)| LogPart { partition: partition.clone(), from: range.start, to: range.end, first_only: true })
        .collect();
    let mut first: Vec<Option<Found>> = vec![None; parts.len()];
    scan(session, &parts, |index, _, found| {
        if let Some(slot) = first.get_mut(index) {
            slot.get_or_insert(found);
        }
        Ok(())
    })
    .await?;
    Ok(parts.into_iter().zip(first).map(|(part, found)| FirstRecord { partition: part.partition, found }).collect())
}
