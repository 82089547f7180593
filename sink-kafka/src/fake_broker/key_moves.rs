//! Tests of updates that move a row to another partition or key: what the log contains, what readers of single partitions make of it, and
//! what happens after a crash between the halves.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use runtime::{Body, Encoder, Event, Kind, Message, Receipt, Sink as _, SplitKind};
use serde_json::json;

use super::FakeCluster;
use super::keys::{Short, batch, change, key_of, records, sink};
use super::scenarios::{any_fault, open, row, table, task_of, write};
use crate::sink::KafkaSink;

/// Two keys with different partitions out of five.
const KEYS: (i64, i64) = (1, 2);

/// The partition that holds records, found by trying all.
fn of_value(fake: &FakeCluster, value: &str) -> usize {
    (0..5).find(|&partition| records(fake, "t", partition).iter().any(|record| record.1.as_deref() == Some(value))).unwrap()
}

#[tokio::test]
async fn a_moved_row_is_deleted_in_one_partition_and_inserted_in_another() {
    let schema = table("a");
    for tombstones in [false, true] {
        let fake = FakeCluster::start(1, &[("t", 5)]).await;
        let settings =
            json!({"partition": "primary_key", "record_key": if tombstones { "primary_key" } else { "none" }, "tombstones": tombstones});
        let task = || task_of(&fake, settings.clone());
        let mut first = sink(&task());
        let baseline = open(&mut first, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
        let (one, two) = KEYS;
        let events = || batch(vec![change(&schema, 1, None, Some(one)), change(&schema, 2, Some(one), Some(two))]);
        let after = write(&mut first, events()).await.unwrap();
        let (old, new) = (of_value(&fake, "d1"), of_value(&fake, "i2"));
        assert_ne!(old, new);
        let values = |partition| records(&fake, "t", partition).into_iter().map(|(_, value, seq)| (value, seq)).collect::<Vec<_>>();
        let mut expected = vec![(Some("i1".to_owned()), 128), (Some("d1".to_owned()), 256)];
        expected.extend(tombstones.then_some((None, 257)));
        // The seq of the tombstone is left out if there are none.
        assert_eq!((values(old), values(new)), (expected.clone(), vec![(Some("i2".to_owned()), 258)]));
        for receipt in [&baseline, &after] {
            let mut again = sink(&task());
            open(&mut again, SplitKind::Stream, 1, receipt).await.unwrap();
            again.write(&mut events()).await.unwrap();
            assert_eq!((values(old), values(new).len()), (expected.clone(), 1));
        }
    }
}

#[tokio::test]
async fn after_a_crash_between_the_halves_only_the_missing_ones_are_written() {
    let schema = table("a");
    let settings = json!({"partition": "zero", "record_key": "primary_key", "tombstones": true});
    let events =
        || batch(vec![change(&schema, 1, None, Some(1)), change(&schema, 2, Some(1), Some(2)), change(&schema, 3, Some(2), Some(2))]);
    let whole = FakeCluster::start(1, &[("t", 1)]).await;
    let small = |fake: &FakeCluster| {
        let mut settings = settings.clone();
        settings["record_batch_bytes"] = json!(1024);
        task_of(fake, settings)
    };
    let mut first = sink(&small(&whole));
    open(&mut first, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    first.write(&mut events()).await.unwrap();
    let expected = records(&whole, "t", 0);
    assert_eq!(expected.iter().map(|record| record.2).collect::<Vec<_>>(), [128, 256, 257, 258, 384]);
    // The log is cut behind each record, as if the process had been killed there.
    for kept in 0..=expected.len() {
        let fake = FakeCluster::start(1, &[("t", 1)]).await;
        fake.limit_records(1, None);
        let task = small(&fake);
        let mut crashed = sink(&task);
        let baseline = open(&mut crashed, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
        crashed.write(&mut events()).await.unwrap();
        fake.truncate("t", 0, kept as i64);
        let mut next = sink(&small(&fake));
        open(&mut next, SplitKind::Stream, 1, &baseline).await.unwrap();
        next.write(&mut events()).await.unwrap();
        assert_eq!(records(&fake, "t", 0), expected, "{kept} records were left");
    }
}

#[tokio::test]
async fn a_source_that_leaves_no_room_for_the_halves_is_refused() {
    let fake = FakeCluster::start(1, &[("t", 5)]).await;
    let mut sink = sink(&task_of(&fake, json!({"partition": "primary_key"})));
    open(&mut sink, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    let schema = table("a");
    sink.write(&mut batch(vec![row(&schema, 5, 1)])).await.unwrap();
    let mut moved = change(&schema, 1, Some(1), Some(2));
    moved.seq = runtime::Seq(130);
    let error = sink.write(&mut batch(vec![moved])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Fatal, "{error}");
    assert!(error.help().unwrap().contains("key_change = \"keep\"") && fake.produced() == 1, "{error}");
}

#[tokio::test]
async fn a_task_that_has_written_keeps_its_way_with_moved_rows() {
    for (first, then) in [("split", "keep"), ("keep", "split")] {
        let fake = FakeCluster::start(1, &[("t", 5)]).await;
        let with = |how: &str| task_of(&fake, json!({"partition": "primary_key", "key_change": how}));
        let mut task = sink(&with(first));
        open(&mut task, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
        let written = write(&mut task, batch(vec![change(&table("a"), 1, None, Some(1))])).await.unwrap();
        let error = open(&mut sink(&with(then)), SplitKind::Stream, 1, &written).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Config, Some("E_CONFIG_CONFLICT")), "{error}");
        assert!(error.message().contains("key_change"), "{error}");
        open(&mut sink(&with(first)), SplitKind::Stream, 1, &written).await.unwrap();
    }
}

/// The key of a row before and after a change.
type Change = (Option<i64>, Option<i64>);

/// Changes that are possible one after another, made from random ones: an insert needs a free key, the others need a row.
fn history(random: &[(i64, i64, bool)]) -> (Vec<Change>, BTreeSet<i64>) {
    let mut rows = BTreeSet::new();
    let mut changes = Vec::new();
    for &(one, two, moves) in random {
        match (rows.contains(&one), rows.contains(&two)) {
            (false, _) => {
                rows.insert(one);
                changes.push((None, Some(one)));
            }
            (true, false) if moves => {
                rows.remove(&one);
                rows.insert(two);
                changes.push((Some(one), Some(two)));
            }
            (true, _) if moves => changes.push((Some(one), Some(one))),
            (true, _) => {
                rows.remove(&one);
                changes.push((Some(one), None));
            }
        }
    }
    (changes, rows)
}

/// Folds the partitions into one table, each by a reader of its own. `speeds` says which reader takes its next record.
fn fold(mut logs: Vec<Vec<Short>>, speeds: impl IntoIterator<Item = usize>) -> BTreeSet<i64> {
    logs.iter_mut().for_each(|log| log.reverse());
    let mut rows = BTreeMap::new();
    let mut speeds = speeds.into_iter();
    let count = logs.len();
    while logs.iter().any(|log| !log.is_empty()) {
        let reader = speeds.next().unwrap_or_default() % count;
        let Some(record) = (0..count).find_map(|at| logs[(reader + at) % count].pop()) else { break };
        let Some(value) = record.1 else { continue };
        for word in value.split_whitespace() {
            let (sign, key) = word.split_at(1);
            rows.insert(key.parse::<i64>().unwrap(), sign == "+");
        }
    }
    rows.into_iter().filter_map(|(key, there)| there.then_some(key)).collect()
}

/// An encoder whose messages contain the key that a change removes, as `-1`, and the key that it adds, as `+2`.
struct Images;

impl Encoder for Images {
    fn encode(&mut self, event: &Event, out: &mut Message) -> runtime::Result<()> {
        let Body::Row(row) = &event.body else { return Ok(()) };
        let (before, after) = (row.before.as_ref().map(key_of), row.after.as_ref().map(key_of));
        let words = before.map(|key| format!("-{key}")).into_iter().chain(after.map(|key| format!("+{key}")));
        out.value.extend(words.collect::<Vec<_>>().join(" ").bytes());
        Ok(())
    }
}

#[tokio::test]
async fn the_contract_of_key_moves_is_kept() {
    for partitions in [1, 4] {
        let fake = FakeCluster::start(1, &[("t", partitions)]).await;
        let settings = json!({"partition": "primary_key", "record_key": "primary_key"});
        // Each sink stands for a process of its own.
        let make = || -> runtime::Result<Box<dyn runtime::Sink>> {
            Ok(Box::new(KafkaSink::new(task_of(&fake, settings.clone()), Box::new(Images))))
        };
        let logs = || (0..partitions).map(|partition| records(&fake, "t", partition)).collect::<Vec<_>>();
        let rows = || async {
            // The reader of each partition in turn is much faster than the others.
            let folded: Vec<_> = (0..partitions).map(|fast| fold(logs(), std::iter::repeat(fast))).collect();
            assert!(folded.iter().all(|rows| rows == &folded[0]), "{folded:?}");
            folded[0].iter().copied().collect()
        };
        runtime::testing::key_move_contract(make, rows).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn readers_of_any_speed_get_the_table(
        faults in prop::collection::vec(any_fault(), 0..8),
        random in prop::collection::vec((0i64..8, 0i64..8, any::<bool>()), 30..60),
        cuts in prop::collection::vec(1usize..9, 60),
        partitions in 2usize..5,
        speeds in prop::collection::vec(prop::collection::vec(0usize..5, 200), 4),
        keyed: bool,
    ) {
        let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        threads.block_on(async {
            let fake = FakeCluster::start(2, &[("t", partitions)]).await;
            fake.faults(faults);
            let (changes, rows) = history(&random);
            let record_key = if keyed { "primary_key" } else { "none" };
            let settings = json!({"partition": "primary_key", "record_key": record_key, "record_batch_bytes": 1024});
            let (task, schema) = (task_of(&fake, settings), table("a"));
            let (mut receipt, mut acknowledged, mut cuts) = (Receipt::default(), 0, cuts.into_iter().cycle());
            for attempt in 0.. {
                assert!(attempt < 50);
                let mut sink = KafkaSink::new(task.clone(), Box::new(Images));
                let run = async {
                    receipt = open(&mut sink, SplitKind::Stream, 1, &receipt).await?;
                    while acknowledged < changes.len() {
                        let to = (acknowledged + cuts.next().unwrap()).min(changes.len());
                        let part = (acknowledged..to).map(|index| change(&schema, index as u128 + 1, changes[index].0, changes[index].1));
                        receipt = write(&mut sink, batch(part.collect())).await?;
                        acknowledged = to;
                    }
                    Ok::<_, runtime::Error>(())
                };
                match run.await {
                    Ok(()) => break,
                    Err(error) => assert_eq!(error.kind(), Kind::Retryable, "{error}"),
                }
            }
            let logs: Vec<_> = (0..partitions).map(|partition| records(&fake, "t", partition)).collect();
            for speeds in speeds {
                assert_eq!(fold(logs.clone(), speeds), rows);
            }
        });
    }
}
