//! Contracts of a sink beyond that of single batches: updates of keys, and the evidence of a snapshot.

use std::collections::BTreeSet;
use std::future::Future;

use super::sink::events;
use crate::{Batch, Body, Context, Event, Kind, Lane, Op, Receipt, Result, Row, Seq, Sink, SplitKind, Value};

fn context(number: u32, kind: SplitKind, epoch: u32) -> Context {
    Context::testing("contract").with_lane(Lane { run: 0x0c0f_fee1, epoch, number, split: format!("contract-{number}").into(), kind })
}

/// A change of the row with the key `before` to the key `after`.
fn change(number: u128, before: Option<i64>, after: Option<i64>) -> Event {
    let mut event = events(number, 1).remove(0);
    // The seven low bits are for the further records of an event.
    event.seq = Seq(number << 7);
    let image = |key: i64| Row::from_values([Value::Int(key), Value::Text(b"row")]);
    if let Body::Row(row) = &mut event.body {
        row.op = match (before, after) {
            (None, _) => Op::Insert,
            (Some(_), None) => Op::Delete,
            (Some(_), Some(_)) => Op::Update,
        };
        (row.before, row.after) = (before.map(image), after.map(image));
    }
    event
}

/// Checks that a reader gets the right rows although updates change their keys. `rows` reads the target from the outside, as the sink's
/// documentation says that it is read, and returns the keys of the rows that are left. If readers may read parts of the target at different
/// speeds, it must try orders of the parts that are bad for it.
///
/// # Panics
/// When rows are missing, left over or repeated, also after a sink was dropped without `close` and the updates came again.
pub async fn key_move_contract<M, R, F>(make: M, rows: R)
where
    M: Fn() -> Result<Box<dyn Sink>>,
    R: Fn() -> F,
    F: Future<Output = Vec<i64>>,
{
    let changes = || {
        let inserts = (1..=20).map(|key| (None, Some(key)));
        // Each key moves up, the last one first, so that no two rows have the same key at any time. Then some rows move back and are deleted.
        let moves = (1..=20).rev().map(|key| (Some(key), Some(key + 1)));
        let back = [(Some(2), Some(1)), (Some(21), Some(40)), (Some(40), None)];
        inserts.chain(moves).chain(back).zip(1..).map(|((before, after), number)| change(number, before, after)).collect::<Vec<_>>()
    };
    let expected: BTreeSet<i64> = [1].into_iter().chain(3..=20).collect();
    let mut sink = make().expect("make the sink");
    sink.open(&context(1, SplitKind::Stream, 1), &Receipt::default()).await.expect("open a new sink");
    let baseline = sink.receipt();
    sink.write(&mut Batch::new(changes(), None, 0)).await.expect("write changes of keys");
    drop(sink);
    for epoch in [2, 3] {
        let found = rows().await;
        assert_eq!(found.iter().copied().collect::<BTreeSet<_>>(), expected, "rows are missing or left over after their keys have changed");
        assert_eq!(found.len(), expected.len(), "rows are repeated: {found:?}");
        let mut sink = make().expect("make the sink again");
        sink.open(&context(1, SplitKind::Stream, epoch), &baseline).await.expect("open with an older receipt");
        sink.write(&mut Batch::new(changes(), None, 0)).await.expect("write the changes again");
    }
}

/// Checks that a sink proves the records of a snapshot, whose splits are not opened again when they are done. `lose` removes everything from
/// the target. For sinks whose [`Sink::evidence`] is not `None`.
///
/// # Panics
/// When the sink gives no evidence, refuses its own, or opens a split although the records of another one are gone.
pub async fn evidence_contract<M, L, F>(make: M, lose: L)
where
    M: Fn() -> Result<Box<dyn Sink>>,
    L: FnOnce() -> F,
    F: Future<Output = ()>,
{
    let mut sink = make().expect("make the sink");
    sink.open(&context(1, SplitKind::Snapshot, 1), &Receipt::default()).await.expect("open a split of a snapshot");
    sink.write(&mut Batch::new(events(1, 10), None, 0)).await.expect("write a batch");
    let evidence = sink.evidence().expect("the sink says nothing of what it has written");
    sink.close().await.expect("close");
    drop(sink);
    let open = async |number, kind| {
        let context = context(number, kind, number).with_evidence(evidence.clone());
        make().expect("make a sink").open(&context, &Receipt::default()).await
    };
    open(2, SplitKind::Snapshot).await.expect("open the next split with the evidence of the first");
    lose().await;
    for (number, kind) in [(3, SplitKind::Snapshot), (4, SplitKind::Stream)] {
        match open(number, kind).await {
            Ok(()) => panic!("a {kind:?} split was opened although the records of the snapshot are gone"),
            Err(error) => assert_ne!(error.kind(), Kind::Retryable, "an operator must look at it: {error}"),
        }
    }
}
