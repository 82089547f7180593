use std::future::Future;
use std::sync::Arc;

use super::{MIDWAY, drop_midway};
use crate::{
    Batch, Body, Collation, Column, ColumnKind, Context, Event, Lane, Op, Origin, Position, Receipt, Result, Row, RowChange, Seq, Sink,
    SplitKind, TableId, TableSchema, Value,
};

/// `count` inserts into a table `contract.rows (id BIGINT PRIMARY KEY, text VARCHAR(20))` with the seqs from `first`.
pub fn events(first: u128, count: usize) -> Vec<Event> {
    let key = Column { nullable: false, ..Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint(20)") };
    let text =
        Column { collation: Some(Collation::new("utf8mb4_bin")), ..Column::new("text", ColumnKind::Varchar { length: 20 }, "varchar(20)") };
    let schema = TableSchema { primary_key: vec![0], ..TableSchema::new(TableId::new("contract", "rows"), vec![key, text]) };
    let (schema, origin) = (
        Arc::new(schema),
        Arc::new(Origin { offset: "4@1".into(), safe_offset: "4@1".into(), read_ms: 1_700_000_000_000, ..Origin::default() }),
    );
    let event = |seq: u128| Event {
        seq: Seq(seq),
        position: Position::from(format!("contract:{seq}")),
        timestamp_ms: 1_700_000_000_000,
        txid: None,
        origin: origin.clone(),
        body: Body::Row(RowChange::new(
            schema.clone(),
            Op::Insert,
            None,
            Some(Row::from_values([Value::Int(seq as i64), Value::Text(b"row")])),
        )),
    };
    (first..first + count as u128).map(event).collect()
}

/// Runs the contract of [`Sink`] on what `make` makes. `delivered` reads back, from the outside, the seqs of all events in their order in the
/// target, without heartbeats; `exact` says whether the sink promises to repeat nothing after a failure.
///
/// Checks: everything is delivered in order; an empty batch and a heartbeat are accepted; a sink that was dropped without `close` and replaced by one with an
/// *older* receipt loses nothing, keeps the order of first deliveries, and repeats nothing if `exact`; a sink whose `open` was dropped midway
/// changes nothing of all that.
///
/// # Panics
/// When the contract is broken.
pub async fn sink_contract<M, D, F>(make: M, delivered: D, exact: bool)
where
    M: Fn() -> Result<Box<dyn Sink>>,
    D: Fn() -> F,
    F: Future<Output = Vec<u128>>,
{
    let lane = |epoch| Lane { run: 0x0c0f_fee0, epoch, number: 1, split: "contract".into(), kind: SplitKind::Stream };
    let context = |epoch| Context::testing("contract").with_lane(lane(epoch));

    let abandon = async |context: &Context, receipt: &Receipt| {
        for limit in MIDWAY {
            let mut sink = make().expect("make a sink to abandon");
            drop_midway(limit, sink.open(context, receipt)).await;
        }
    };

    abandon(&context(1), &Receipt::default()).await;
    let mut sink = make().expect("make the sink");
    sink.open(&context(1), &Receipt::default()).await.expect("open a new sink");
    let baseline = sink.receipt();
    sink.write(&mut Batch::new(events(1, 10), None, 0)).await.expect("write a batch");
    let first = sink.receipt();
    sink.write(&mut Batch::new(Vec::new(), Some(Position::from("10")), 0)).await.expect("write an empty batch");
    let heartbeat = Event { seq: Seq(0), body: Body::Heartbeat, ..events(1, 1).remove(0) };
    sink.write(&mut Batch::new(vec![heartbeat], Some(Position::from("10")), 0)).await.expect("write a heartbeat");
    sink.write(&mut Batch::new(events(11, 10), None, 0)).await.expect("write a second batch");
    assert_eq!(delivered().await, (1..=20).collect::<Vec<_>>(), "a write that returned Ok was not delivered, or not in order");
    let evidence = sink.evidence().unwrap_or_default();
    drop(sink);

    // As after a crash between the second write and its commit: the receipt is older than what was delivered.
    for (epoch, receipt, from) in [(2, first, 11), (3, baseline, 1)] {
        let context = context(epoch).with_evidence(evidence.clone());
        abandon(&context, &receipt).await;
        let mut sink = make().expect("make the sink again");
        sink.open(&context, &receipt).await.expect("open with an older receipt");
        let last = 20 + u128::from(epoch) - 1;
        let mut replay = Batch::new(events(from, (last + 1 - from) as usize), None, 0);
        sink.write(&mut replay).await.expect("write the replay");
        sink.close().await.expect("close");
        let seqs = delivered().await;
        let mut firsts = Vec::new();
        seqs.iter().for_each(|seq| {
            if !firsts.contains(seq) {
                firsts.push(*seq)
            }
        });
        assert_eq!(firsts, (1..=last).collect::<Vec<_>>(), "lost or reordered after a replay with receipt {receipt:?}");
        assert!(!exact || seqs.len() == firsts.len(), "repeated after a replay: {seqs:?}");
    }
}
