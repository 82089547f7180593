//! What was delivered behind the receipt under earlier numbers, before the source numbered its events anew.
//!
//! Such records cannot be compared with the events by their seq. They are compared by their transaction and their number within it, which
//! stay the same ([`runtime::Renumbered`]). In a partition, the records of a transaction that were delivered are a beginning of all its
//! records there. So the greatest number of each transaction in each partition says what was delivered.
//!
//! Servers may write transactions in different orders. So the marks in the receipt stay as they were until all transactions of the tail were
//! read once more: after a failure before that, the tail is read from the log again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use runtime::Seq;

use crate::error::Error;
use crate::routing::Target;

/// The transactions of the tail in one partition, each with the greatest number of its records.
pub(crate) type PartitionTail = BTreeMap<Arc<str>, u64>;

/// The transactions of the tail in all partitions of a lane, until they were read once more.
#[derive(Debug, Default)]
pub(crate) struct Tail(HashMap<Arc<str>, Transaction>);

#[derive(Debug, Default)]
struct Transaction {
    /// Whether an event of it was read.
    is_seen: bool,
    partitions: BTreeMap<Target, Delivered>,
}

#[derive(Debug)]
struct Delivered {
    /// The number of the last record.
    last: u64,
    /// Whether the event of this record was read.
    is_reached: bool,
}

impl Tail {
    /// Whether nothing of the tail is left.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the tail of a partition.
    pub(crate) fn add(&mut self, target: Target, tail: PartitionTail) {
        for (id, last) in tail {
            self.0.entry(id).or_default().partitions.insert(target, Delivered { last, is_reached: false });
        }
    }

    /// Notes that an event of a transaction was read.
    pub(crate) fn note(&mut self, id: Option<&Arc<str>>) {
        if let Some(transaction) = id.and_then(|id| self.0.get_mut(id)) {
            transaction.is_seen = true;
        }
    }

    /// Whether a record was delivered to the partition. Notes that it was read once more.
    pub(crate) fn covers(&mut self, target: Target, id: Option<&Arc<str>>, seq: Seq) -> bool {
        let Some(delivered) = id.and_then(|id| self.0.get_mut(id)?.partitions.get_mut(&target)) else { return false };
        let number = seq.in_transaction();
        delivered.is_reached |= number >= delivered.last;
        number <= delivered.last
    }

    /// Forgets the transactions that were read. All of them must have been read to their end. Fails if one of them does not have all records
    /// any more that were delivered.
    pub(crate) fn forget_read(&mut self) -> Result<(), Error> {
        let short =
            |transaction: &Transaction| transaction.is_seen && transaction.partitions.values().any(|delivered| !delivered.is_reached);
        if let Some((id, _)) = self.0.iter().find(|(_, transaction)| short(transaction)) {
            return Err(Error::TransactionDiffers { id: id.to_string() });
        }
        self.0.retain(|_, transaction| !transaction.is_seen);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(partition: usize) -> Target {
        Target { topic: 0, partition }
    }

    fn tail(entries: &[(usize, &str, u64)]) -> Tail {
        let mut tail = Tail::default();
        for &(partition, id, last) in entries {
            tail.add(target(partition), PartitionTail::from([(id.into(), last)]));
        }
        tail
    }

    #[test]
    fn a_transaction_is_compared_in_each_partition() {
        let mut tail = tail(&[(0, "a", 3), (1, "a", 2), (0, "b", 1)]);
        let id = |id: &str| Arc::<str>::from(id);
        // The upper bits are those of the transaction's place, which differ.
        let seq = |number: u64| Seq(7 << 100 | u128::from(number));
        for (partition, of, number, covered) in [
            (0, "a", 1, true),
            (0, "a", 3, true),
            (0, "a", 4, false),
            (1, "a", 2, true),
            (1, "a", 3, false),
            (2, "a", 1, false),
            (0, "c", 1, false),
        ] {
            tail.note(Some(&id(of)));
            assert_eq!(tail.covers(target(partition), Some(&id(of)), seq(number)), covered, "{partition} {of} {number}");
        }
        assert!(!tail.covers(target(0), None, seq(1)));
        tail.forget_read().unwrap();
        assert!(!tail.is_empty(), "b was not read");
        tail.note(Some(&id("b")));
        assert!(tail.covers(target(0), Some(&id("b")), seq(1)));
        tail.forget_read().unwrap();
        assert!(tail.is_empty());
    }

    #[test]
    fn a_transaction_that_lost_records_is_an_error() {
        let mut tail = tail(&[(0, "a", 3), (1, "a", 2)]);
        let id = Arc::<str>::from("a");
        tail.note(Some(&id));
        assert!(tail.covers(target(0), Some(&id), Seq(3)));
        assert!(tail.forget_read().unwrap_err().to_string().contains("transaction a"));
    }

    proptest! {
        // Transactions with records in some partitions were delivered up to some record, in one order, and are read again in another order:
        // each record is in the log once.
        #[test]
        fn each_record_is_delivered_once(
            transactions in prop::collection::vec(prop::collection::vec(0usize..3, 1..6), 1..8),
            delivered in 0usize..40,
            order in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let id = |number: usize| Arc::<str>::from(format!("0-1-{number}"));
            let all: Vec<(usize, u64, usize)> = transactions.iter().enumerate()
                .flat_map(|(number, records)| records.iter().enumerate().map(move |(ord, partition)| (number, ord as u64 + 1, *partition)))
                .collect();
            let mut log: Vec<_> = all.iter().copied().take(delivered).collect();
            let mut tail = Tail::default();
            for partition in 0..3 {
                let mut of = PartitionTail::new();
                for &(number, ord, _) in log.iter().filter(|record| record.2 == partition) {
                    of.insert(id(number), ord);
                }
                tail.add(target(partition), of);
            }
            for number in order.into_iter().filter(|number| *number < transactions.len()) {
                for &(of, ord, partition) in all.iter().filter(|record| record.0 == number) {
                    tail.note(Some(&id(of)));
                    if !tail.covers(target(partition), Some(&id(of)), Seq(u128::from(ord))) {
                        log.push((of, ord, partition));
                    }
                }
                tail.forget_read().unwrap();
            }
            prop_assert!(tail.is_empty());
            log.sort_unstable();
            prop_assert_eq!(log, all);
        }
    }
}
