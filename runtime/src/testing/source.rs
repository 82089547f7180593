use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Batch, Checkpoint, Committed, Position, Progress, Receipt, Seq, Source, Split, SplitKind};

/// Runs the contract of [`Source`] on `source`, whose data must not change meanwhile except as `change` does, which is called once, when the
/// streams begin, and must cause at least one event. A stream counts as caught up when nothing came for `quiet`.
///
/// Checks: a plan repeats as long as nothing was committed; every snapshot split ends; every batch keeps its invariants; finished splits are
/// not planned again; a stream that is opened again at any of its resume positions gives exactly the same rest, seq by seq.
///
/// # Panics
/// When the contract is broken.
pub async fn source_contract<C: Future<Output = ()>>(source: &dyn Source, change: impl FnOnce() -> C, quiet: Duration) {
    let mut committed = Committed { run: 1, ..Committed::default() };
    let mut change = Some(change);
    loop {
        let splits = source.plan(&committed, &[]).await.expect("plan");
        let ids = |splits: &[Split]| splits.iter().map(|split| split.id.clone()).collect::<Vec<_>>();
        let again = source.plan(&committed, &[]).await.expect("plan again");
        assert_eq!(ids(&splits), ids(&again), "a second plan from the same checkpoint differs");
        if splits.is_empty() {
            return;
        }
        for split in &splits {
            assert!(!committed.splits.get(&split.id).is_some_and(|known| known.done), "{} was finished and is planned again", split.id);
            if !committed.splits.contains_key(&split.id) {
                commit(&mut committed, split, split.start.clone(), false);
            }
        }
        let snapshots: Vec<_> = splits.iter().filter(|split| split.kind == SplitKind::Snapshot).collect();
        for split in &snapshots {
            let mut reader = source.open(split, &committed).await.expect("open a snapshot split");
            let mut last = Seq(0);
            while let Some(batch) = reader.next().await.expect("read a snapshot split") {
                verify(&batch, &mut last, split);
            }
            commit(&mut committed, split, split.start.clone(), true);
        }
        if snapshots.is_empty() {
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
    let mut reader = source.open(split, committed).await.expect("open a stream split");
    let (mut seqs, mut resumes, mut last) = (Vec::new(), BTreeMap::new(), Seq(0));
    while let Ok(batch) = tokio::time::timeout(quiet, reader.next()).await {
        let batch = batch.expect("read a stream split").expect("a stream has no end");
        verify(&batch, &mut last, split);
        seqs.extend(batch.events.iter().map(|event| event.seq));
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
    let start = !committed.splits.contains_key(&split.id);
    committed.apply(&Progress {
        split: split.id.clone(),
        checkpoint: Checkpoint { position, receipt: Receipt::default(), done },
        schemas: if start { split.schemas.iter().map(|schema| (schema.id.clone(), Some(schema.clone()))).collect() } else { Vec::new() },
        state: if start { split.state.clone() } else { Vec::new() },
    });
}
