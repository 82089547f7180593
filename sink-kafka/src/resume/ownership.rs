//! Reads the first record of each partition, to check that a topic is empty or contains records of this task.

use super::scan::{Found, scan};
use crate::client::{LogPart, Session, TopicPartition, log_ranges};
use crate::error::Error;

/// The first record of a partition that is not empty.
#[derive(Clone, Debug)]
pub(crate) struct FirstRecord {
    pub(crate) partition: TopicPartition,
    /// `None` if the log is not empty but has no ordinary record, for example only transaction markers.
    pub(crate) found: Option<Found>,
}

impl FirstRecord {
    /// Whether the record is from this run of the task.
    pub(crate) fn is_of(&self, run: u64) -> bool {
        matches!(self.found, Some(Found::Ours(position, _)) if position.run == run)
    }
}

/// Returns the first record of each partition that is not empty.
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
