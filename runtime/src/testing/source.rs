use std::collections::BTreeMap;
use std::time::Duration;

use super::{MIDWAY, drop_midway};
use crate::{
    Batch, Body, Checkpoint, Commit, Committed, Context, Lane, Phase, Plan, Position, Progress, Receipt, Seq, Source, Split, SplitKind,
};

/// Runs the contract of [`Source`] on `source`, whose data must not change meanwhile except as `change` does, which is called once, when the
/// streams begin, and must cause at least one event. A stream counts as caught up when nothing came for `quiet`.
///
/// Checks: a plan repeats as long as nothing was committed, also after calls that were dropped midway; every snapshot split ends; every
/// batch keeps its invariants; finished splits are not planned again; a stream that is opened again at any of its resume positions gives
/// exactly the same rest, seq by seq.
///
/// # Panics
/// When the contract is broken.
pub async fn source_contract<C: Future<Output = ()>>(source: &dyn Source, change: impl FnOnce() -> C, quiet: Duration) {
    let mut committed = Committed::new(1, 1, 0);
    let context = Context::testing("contract");
    let mut change = Some(change);
    loop {
        for limit in MIDWAY {
            drop_midway(limit, source.plan(&context, &committed)).await;
        }
        let plan = source.plan(&context, &committed).await.expect("plan");
        let ids = |plan: &Plan| plan.splits.iter().map(|split| split.id.clone()).collect::<Vec<_>>();
        let again = source.plan(&context, &committed).await.expect("plan again");
        assert_eq!((plan.phase, ids(&plan)), (again.phase, ids(&again)), "a second plan from the same checkpoint differs");
        let Plan { phase, splits, facts, schemas, forget, .. } = plan;
        for split in &splits {
            let done = committed.split(&split.id).is_some_and(|known| known.checkpoint.done);
            assert!(!done, "{} was finished and is planned again", split.id);
        }
        committed.apply(&Commit { facts, schemas, forget, ..Commit::default() });
        for split in &splits {
            if committed.split(&split.id).is_none() {
                commit(&mut committed, split, split.start.clone(), false);
            }
        }
        match phase {
            Phase::Done => return,
            Phase::Snapshot => {
                for split in &splits {
                    assert_eq!(split.kind, SplitKind::Snapshot);
                    let mut reader = source.open(&lane(&context, split), split, &committed).await.expect("open a snapshot split");
                    let mut last = Seq(0);
                    while let Some(batch) = reader.next().await.expect("read a snapshot split") {
                        verify(&batch, &mut last, split);
                        committed.apply(&Commit { facts: batch.facts, ..Commit::default() });
                    }
                    commit(&mut committed, split, split.start.clone(), true);
                }
            }
            Phase::Stream => {
                if let Some(change) = change.take() {
                    change().await;
                }
                for split in &splits {
                    stream(source, split, &committed, quiet).await;
                }
                return;
            }
        }
    }
}

fn lane(context: &Context, split: &Split) -> Context {
    context.with_lane(Lane { run: 1, epoch: 1, number: 1, split: split.id.clone(), kind: split.kind })
}

async fn stream(source: &dyn Source, split: &Split, committed: &Committed, quiet: Duration) {
    let (whole, resumes) = read_until_quiet(source, split, committed, quiet).await;
    assert!(!whole.is_empty(), "{}: no event after the change", split.id);
    for (resume, seen) in resumes.into_values() {
        let mut from = committed.clone();
        commit(&mut from, split, resume.clone(), false);
        let (rest, _) = read_until_quiet(source, &Split { start: resume.clone(), ..split.clone() }, &from, quiet).await;
        assert_eq!(rest, whole[seen..], "{}: the rest from {resume} differs", split.id);
    }
}

/// The seqs of all events, and the resume positions with the count of events before them.
async fn read_until_quiet(
    source: &dyn Source,
    split: &Split,
    committed: &Committed,
    quiet: Duration,
) -> (Vec<Seq>, BTreeMap<String, (Position, usize)>) {
    let context = lane(&Context::testing("contract"), split);
    for limit in MIDWAY {
        drop_midway(limit, source.open(&context, split, committed)).await;
    }
    let mut reader = source.open(&context, split, committed).await.expect("open a stream split");
    let (mut seqs, mut resumes, mut last) = (Vec::new(), BTreeMap::new(), Seq(0));
    while let Ok(batch) = tokio::time::timeout(quiet, reader.next()).await {
        let batch = batch.expect("read a stream split").expect("a stream has no end");
        verify(&batch, &mut last, split);
        seqs.extend(batch.events.iter().filter(|event| !matches!(event.body, Body::Heartbeat)).map(|event| event.seq));
        if let Some(resume) = &batch.resume {
            resumes.insert(resume.to_string(), (resume.clone(), seqs.len()));
        }
        // Heartbeats of an idle stream must not keep the contract from ending.
        if batch.events.is_empty() && resumes.len() > 64 {
            break;
        }
    }
    (seqs, resumes)
}

fn verify(batch: &Batch, last: &mut Seq, split: &Split) {
    if let Err(broken) = batch.verify(*last) {
        panic!("{}: {broken}", split.id);
    }
    *last = batch.last_seq().unwrap_or(*last);
}

fn commit(committed: &mut Committed, split: &Split, position: Position, done: bool) {
    let number = committed.split(&split.id).map_or(committed.next_number(), |known| known.number);
    let checkpoint = Checkpoint { position, receipt: Receipt::default(), done };
    let progress = Progress { split: split.id.clone(), number, checkpoint, schemas: Vec::new() };
    committed.apply(&Commit { splits: vec![progress], ..Commit::default() });
}
