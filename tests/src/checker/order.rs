//! Checks that a topic has no repeated record, no record out of order, and no gap in the history of a row.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Decoded, Image, Op, Record, Table};

/// Removes repeats of stream records as a reader does, but at most `late` of them.
///
/// A killed process may leave a request on its way, which reaches the log after the next process has looked there. The next process finds
/// these records behind its first answer and states their number, which is `late`. A repeat is removed only if it equals the record that it
/// repeats.
pub(super) fn without_repeats(records: Vec<Record>, late: usize) -> Vec<Record> {
    let mut left = late;
    let mut kept: Vec<Record> = Vec::with_capacity(records.len());
    let mut known = BTreeMap::new();
    for record in records {
        let (header, entry) = (&record.header, &record.entry);
        if left > 0 && !header.inexact() && !header.heartbeat() {
            let first = *known.entry((header.run, header.split, entry.partition, header.seq)).or_insert(kept.len());
            if kept.get(first).is_some_and(|first| (&first.entry.key, &first.decoded) == (&entry.key, &record.decoded)) {
                left -= 1;
                continue;
            }
        }
        kept.push(record);
    }
    kept
}

/// Checks the headers of each partition in log order.
///
/// - Stream records: within a run, split and partition `seq` increases, so no record is repeated. The epoch never decreases.
/// - Heartbeats state the last `seq` of their split in the partition.
/// - Snapshot rows: within an attempt, split and partition the number of the row increases. At most `cut_chunks` splits may be delivered
///   again by a later attempt.
/// - All records belong to one run.
pub(super) fn check(records: &[Record], cut_chunks: usize, in_band: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let runs: BTreeSet<u64> = records.iter().map(|record| record.header.run).collect();
    if runs.len() > 1 {
        wrong.push(format!("records of {} runs in one topic", runs.len()));
    }
    let mut stream_last = BTreeMap::new();
    let mut snapshot_last = BTreeMap::new();
    let mut snapshot_seen = BTreeSet::new();
    let mut repeated = BTreeSet::new();
    for record in records {
        let (header, partition) = (&record.header, record.entry.partition);
        let location = format!("partition {partition} offset {}", record.entry.offset);
        if header.heartbeat() && matches!(record.decoded, Decoded::Control) {
            let last = stream_last.get(&(header.run, header.split, partition)).map_or(0, |(seq, _)| *seq);
            if header.seq != last {
                wrong.push(format!("{location}: a heartbeat states seq {:#x}, the last in its partition is {last:#x}", header.seq));
            }
            continue;
        }
        if header.inexact() != (header.snapshot() && !in_band) {
            wrong.push(format!("{location}: flags {:#x}: rows of a snapshot split, and only they, have an inexact replay", header.flags));
        }
        if header.inexact() {
            let last = snapshot_last.insert((header.epoch, header.attempt(), header.split, partition), header.row());
            if last.is_some_and(|last| last >= header.row()) {
                wrong.push(format!("{location}: snapshot split {}: row {} after {last:?} in one attempt", header.split, header.row()));
            }
            if !snapshot_seen.insert((header.split, partition, header.row())) {
                repeated.insert(header.split);
            }
            continue;
        }
        let last = stream_last.insert((header.run, header.split, partition), (header.seq, header.epoch));
        if let Some((seq, epoch)) = last {
            if seq >= header.seq {
                let what = if seq == header.seq { "is repeated" } else { "steps back" };
                wrong.push(format!("{location}: split {} seq {:#x} {what} (last was {seq:#x})", header.split, header.seq));
            }
            if epoch > header.epoch {
                wrong.push(format!("{location}: epoch {} after epoch {epoch}", header.epoch));
            }
        }
    }
    if repeated.len() > cut_chunks {
        wrong.push(format!("{} snapshot splits were delivered more than once, at most {cut_chunks} can have been cut", repeated.len()));
    }
    wrong
}

/// Checks the transaction ids in the headers of the stream: in the order of `seq`, the records of a transaction follow one another.
pub(super) fn check_transactions(records: &[Record]) -> Vec<String> {
    let mut stream: Vec<_> = records.iter().map(|record| &record.header).filter(|header| !header.inexact()).collect();
    stream.sort_by_key(|header| (header.run, header.split, header.seq));
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for of_transaction in stream.chunk_by(|one, other| (one.run, one.split, &one.txid) == (other.run, other.split, &other.txid)) {
        let header = of_transaction[0];
        if let Some(id) = &header.txid
            && !seen.insert((header.run, header.split, id))
        {
            wrong.push(format!("split {} seq {:#x}: the transaction {id} continues behind another one", header.split, header.seq));
        }
    }
    wrong
}

/// Checks that the stream has no gap in the history of a row: the before image of each change must equal the row after the previous
/// change. A row of the full phase that is merged into the stream must be what the changes before it have left, and comes only once between two
/// statements that change schemas.
pub(super) fn check_histories(records: &[Record]) -> Vec<String> {
    let mut stream: Vec<&Record> = records.iter().filter(|record| !record.header.inexact()).collect();
    stream.sort_by_key(|record| (record.header.split, record.header.seq));
    let mut read = BTreeSet::new();
    // The state of each row after its last change; `None` if the row was deleted. A row without an entry may be in any state.
    let mut rows: BTreeMap<(&Table, Vec<Option<String>>), Option<&Image>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for record in stream {
        let changes = match &record.decoded {
            Decoded::Rows(changes) => changes,
            // TRUNCATE and DROP TABLE remove rows without a change for each row, so every DDL statement ends all histories.
            Decoded::Schema { .. } => {
                rows.clear();
                read.clear();
                continue;
            }
            Decoded::Control => continue,
        };
        // Rows of a table without a primary key cannot be told apart.
        for change in changes.iter().filter(|change| !change.key.is_empty()) {
            let mut must_be = |image: Option<&Image>, key: &Image, what: &str| {
                let key = change.key_of(key);
                if let Some(known) = rows.get(&(&change.table, key.clone()))
                    && *known != image
                {
                    let location = format!("partition {} offset {}", record.entry.partition, record.entry.offset);
                    wrong.push(format!("{location}: {} {key:?}: {what} ({})", change.table, difference(*known, image)));
                }
            };
            if let Some(before) = &change.before {
                must_be(Some(before), before, "the row before this change is not what the change before it left");
            }
            let is_read = record.header.snapshot();
            if let (true, Some(after)) = (is_read, &change.after) {
                must_be(Some(after), after, "a row was read that is not what the changes before it left");
                if !read.insert((&change.table, change.key_of(after))) {
                    wrong.push(format!("{} {:?}: the row was read twice", change.table, change.key_of(after)));
                }
            } else if let Some(after) = fresh_key(change) {
                must_be(None, after, "a row appears under a key that is taken");
            }
            if let Some(before) = &change.before {
                rows.insert((&change.table, change.key_of(before)), None);
            }
            if let Some(after) = &change.after {
                rows.insert((&change.table, change.key_of(after)), Some(after));
            }
        }
    }
    wrong
}

/// The new row, if the change created its key: an insert, or an update that changed the key.
fn fresh_key(change: &Change) -> Option<&Image> {
    let after = change.after.as_ref()?;
    match (&change.op, &change.before) {
        (Op::Insert, _) => Some(after),
        (Op::Update, Some(before)) if change.key_of(before) != change.key_of(after) => Some(after),
        _ => None,
    }
}

fn difference(known: Option<&Image>, found: Option<&Image>) -> String {
    match (known, found) {
        (Some(known), Some(found)) => {
            let columns = known.iter().filter(|(column, value)| found.get(*column) != Some(value));
            let texts: Vec<String> = columns.map(|(column, value)| format!("{column}: {value:?} → {:?}", found.get(column))).collect();
            texts.join(", ")
        }
        (None, Some(_)) => "it was deleted".into(),
        _ => "it is still there".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Header;
    use super::*;
    use crate::harness::Entry;

    fn record(seq: u128, epoch: u64, flags: u8, decoded: Decoded) -> Record {
        let entry = Entry {
            partition: 0,
            offset: seq as i64,
            key: None,
            value: Vec::new(),
            tombstone: false,
            header: None,
            headers: Default::default(),
            timestamp_ms: 0,
        };
        Record { entry, header: Header { run: 1, epoch, split: u64::from(flags), seq, flags, txid: None }, decoded }
    }

    fn change(op: Op, before: Option<(&str, &str)>, after: Option<(&str, &str)>) -> Decoded {
        let image = |(id, a): (&str, &str)| Image::from([("id".into(), Some(id.into())), ("a".into(), Some(a.into()))]);
        let (before, after) = (before.map(image), after.map(image));
        Decoded::Rows(vec![Change { table: Table::new("d", "t"), op, key: vec!["id".into()], before, after }])
    }

    #[test]
    fn rows_of_the_full_phase_in_the_stream_are_as_exact_as_its_changes() {
        let of_stream = |record: Record| Record { header: Header { split: 0, ..record.header }, ..record };
        let read = |seq, a| of_stream(record(seq, 1, 1, change(Op::Read, None, Some(("1", a)))));
        let update = |seq, before, after| record(seq, 1, 0, change(Op::Update, Some(("1", before)), Some(("1", after))));
        assert!(check(&[read(1, "7")], 0, true).is_empty());
        assert!(!check(&[read(1, "7")], 0, false).is_empty());
        assert_eq!(check_histories(&[update(1, "6", "7"), read(2, "7"), update(3, "7", "8")]), [""; 0]);
        assert!(check_histories(&[update(1, "6", "7"), read(2, "6")])[0].contains("not what the changes before it left"));
        assert!(check_histories(&[read(1, "6"), update(2, "7", "8")])[0].contains("not what the change before it left"));
        assert!(check_histories(&[read(1, "6"), read(2, "6")])[0].contains("read twice"));
    }

    #[test]
    fn a_repeat_and_a_step_back_are_found() {
        let log = |seqs: &[u128]| seqs.iter().map(|&seq| record(seq, 1, 0, Decoded::Control)).collect::<Vec<_>>();
        assert!(check(&log(&[1, 2, 5]), 0, false).is_empty());
        assert!(check(&log(&[1, 2, 2]), 0, false)[0].contains("is repeated"));
        assert!(check(&log(&[1, 3, 2]), 0, false)[0].contains("steps back"));
    }

    #[test]
    fn repeats_of_a_late_request_are_left_out_but_no_more_than_announced() {
        let log = |seqs: &[(u128, u64)]| seqs.iter().map(|&(seq, epoch)| record(seq, epoch, 0, Decoded::Control)).collect::<Vec<_>>();
        let repeated = [(1, 1), (2, 1), (1, 2), (2, 2), (3, 2)];
        let left = |late| without_repeats(log(&repeated), late);
        assert!(check(&left(2), 0, false).is_empty());
        assert!(check(&left(1), 0, false)[0].contains("is repeated"));
        assert!(check(&left(0), 0, false)[0].contains("steps back"));
        let mut other = log(&repeated);
        other[2].entry.key = Some(b"another".to_vec());
        assert!(check(&without_repeats(other, 2), 0, false)[0].contains("steps back"));
    }

    #[test]
    fn a_transaction_in_two_parts_is_found() {
        let log = |ids: &[Option<&str>]| -> Vec<Record> {
            let record = |(seq, id): (usize, &Option<&str>)| {
                let mut record = record(seq as u128 + 1, 1, 0, Decoded::Control);
                record.header.txid = id.map(str::to_owned);
                record
            };
            ids.iter().enumerate().map(record).rev().collect()
        };
        assert!(check_transactions(&log(&[Some("a"), Some("a"), None, Some("b"), None, Some("c")])).is_empty());
        let wrong = check_transactions(&log(&[Some("a"), Some("b"), Some("a")]));
        assert!(wrong.len() == 1 && wrong[0].contains("transaction a continues"), "{wrong:?}");
    }

    #[test]
    fn a_heartbeat_states_the_last_seq() {
        let heartbeat = |seq| {
            let mut record = record(seq, 1, 2, Decoded::Control);
            record.header.split = 0;
            record
        };
        let row = |seq| record(seq, 1, 0, Decoded::Control);
        assert!(check(&[heartbeat(0), row(5), heartbeat(5), heartbeat(5), row(7), heartbeat(7)], 0, false).is_empty());
        assert!(check(&[row(5), heartbeat(6)], 0, false)[0].contains("the last in its partition is 0x5"));
    }

    #[test]
    fn a_snapshot_chunk_may_repeat_only_where_a_kill_cut_it() {
        let log = vec![record(1, 1, 3, Decoded::Control), record(1, 2, 3, Decoded::Control), record(2, 2, 3, Decoded::Control)];
        assert!(check(&log, 1, false).is_empty());
        assert!(check(&log, 0, false)[0].contains("delivered more than once"));
        let twice = vec![record(1, 1, 3, Decoded::Control), record(1, 1, 3, Decoded::Control)];
        assert!(!check(&twice, 1, false).is_empty());
    }

    #[test]
    fn a_lost_change_breaks_a_history() {
        let insert = || record(1, 1, 0, change(Op::Insert, None, Some(("1", "x"))));
        let next = |before, after| record(3, 1, 0, change(Op::Update, Some(before), Some(after)));
        assert!(check_histories(&[insert(), next(("1", "x"), ("2", "y"))]).is_empty());
        assert!(check_histories(&[insert(), next(("1", "z"), ("1", "y"))])[0].contains("is not what"));
        assert!(check_histories(&[insert(), record(2, 1, 0, change(Op::Insert, None, Some(("1", "y"))))])[0].contains("is taken"));
        assert!(check_histories(&[insert(), next(("7", "x"), ("1", "y"))])[0].contains("is taken"));
    }
}
