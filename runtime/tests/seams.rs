//! A task that continues with other transforms than before.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::testing::{MemoryStore, events};
use runtime::{
    Batch, Body, Choice, Committed, Context, Error, Phase, Pipeline, Plan, Position, Receipt, Registry, Result, RunState, SchemaChanges,
    Seam, Sink, Source, Split, SplitKind, SplitReader, Status, Transform, async_trait,
};
use serde::Deserialize;
use serde_json::json;

/// A stream of events without an end, of which so many are there.
#[derive(Clone)]
struct Stream {
    at: u64,
    there: u64,
}

/// The table of the events.
fn of_rows() -> SchemaChanges {
    let schemas = events(1, 1).into_iter().filter_map(|event| if let Body::Row(change) = event.body { Some(change.schema) } else { None });
    schemas.map(|schema| (schema.id.clone(), Some(schema))).collect()
}

#[async_trait]
impl Source for Stream {
    async fn plan(&self, _: &Context, committed: &Committed) -> Result<Plan> {
        let mut plan = Plan::new(Phase::Stream);
        if committed.is_new() {
            plan.schemas = of_rows();
        }
        plan.splits = vec![Split { id: "stream".into(), kind: SplitKind::Stream, start: "0".into() }];
        Ok(plan)
    }

    async fn open(&self, _: &Context, split: &Split, _: &Committed) -> Result<Box<dyn SplitReader>> {
        Ok(Box::new(Self { at: split.start.as_str().parse().unwrap(), ..self.clone() }))
    }

    fn location(&self, position: &Position) -> Position {
        format!("log:{position}").into()
    }
}

#[async_trait]
impl SplitReader for Stream {
    async fn next(&mut self) -> Result<Option<Batch>> {
        if self.at == self.there {
            std::future::pending::<()>().await;
        }
        self.at += 1;
        Ok(Some(Batch::new(events(self.at.into(), 1), Some(self.at.to_string().into()), 1)))
    }
}

/// Keeps the events whose number can be divided by this one.
#[derive(Clone, Deserialize)]
struct Multiples {
    of: u128,
}

impl Transform for Multiples {
    fn apply(&mut self, batch: &mut Batch) -> Result<()> {
        batch.retain(|event| Ok(event.seq.0.is_multiple_of(self.of)))
    }

    fn fingerprint(&self) -> String {
        String::new()
    }
}

/// Notes what it is given; may refuse the settings.
#[derive(Clone, Default)]
struct Noted {
    seqs: Arc<Mutex<Vec<u128>>>,
    refuses: bool,
}

#[async_trait]
impl Sink for Noted {
    async fn open(&mut self, _: &Context, _: &Receipt) -> Result<()> {
        if self.refuses { Err(Error::config("these settings are not those of the task").with_code("E_CONFIG_CONFLICT")) } else { Ok(()) }
    }

    async fn write(&mut self, batch: &mut Batch) -> Result<()> {
        self.seqs.lock().unwrap().extend(batch.events.iter().map(|event| event.seq.0));
        Ok(())
    }
}

/// Runs the task up to the event `there`, with one transform `multiples` for each number. Returns its last status.
async fn run(store: &MemoryStore, sink: &Noted, there: u64, of: &[u128]) -> (Status, Result<()>) {
    let mut registry = Registry::new();
    registry.transform("multiples", |config: Multiples| Ok(config));
    let choices: Vec<Choice> = of.iter().map(|of| serde_json::from_value(json!({"multiples": {"of": of}})).unwrap()).collect();
    let lanes = sink.clone();
    let mut builder = Pipeline::builder("seams")
        .source(Stream { at: 0, there })
        .sink(move || Ok(lanes.clone()))
        .store(store.clone())
        .flush_interval(Duration::from_millis(1));
    for transform in registry.build_transforms(&choices).unwrap() {
        builder = builder.named_transform(transform);
    }
    let running = builder.build().unwrap().start();
    running.wait_for(|state| state == RunState::Streaming).await;
    let reached = |committed: Committed| {
        committed.split(&"stream".into()).is_some_and(|split| split.checkpoint.position.as_str() == there.to_string())
    };
    while !reached(store.committed()) && !running.state().is_ended() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let status = running.status();
    (status, running.stop().await)
}

fn shown(seam: &Option<Seam>) -> Option<String> {
    seam.as_ref().map(Seam::text)
}

#[tokio::test]
async fn a_change_is_kept_with_the_place_where_it_begins() {
    let (store, sink) = (MemoryStore::new(1), Noted::default());
    let (status, ended) = run(&store, &sink, 6, &[2]).await;
    assert!(ended.is_ok() && status.seam.is_none(), "a task begins without a seam");
    let (status, _) = run(&store, &sink, 8, &[2]).await;
    assert_eq!(shown(&status.seam), None, "nothing has changed");

    let (status, _) = run(&store, &sink, 13, &[3]).await;
    let first = status.seam.clone().unwrap();
    assert_eq!(first.text(), "multiples changed: stream continues at log:8");
    assert!(first.at_ms > 0);
    assert_eq!(*sink.seqs.lock().unwrap(), [2, 4, 6, 8, 9, 12], "the old shape before the seam, and the new one behind it");

    // It is still known later, until the next change.
    let (status, _) = run(&store, &sink, 14, &[3]).await;
    assert_eq!(status.seam, Some(first));
    let (status, _) = run(&store, &sink, 15, &[3, 5]).await;
    assert_eq!(shown(&status.seam).unwrap(), "multiples changed: stream continues at log:14");
    let (status, _) = run(&store, &sink, 16, &[]).await;
    assert_eq!(shown(&status.seam).unwrap(), "multiples removed: stream continues at log:15");
    let (status, _) = run(&store, &sink, 17, &[1]).await;
    assert_eq!(shown(&status.seam).unwrap(), "multiples added: stream continues at log:16");
    assert_eq!(*sink.seqs.lock().unwrap(), [2, 4, 6, 8, 9, 12, 15, 16, 17]);
}

#[tokio::test]
async fn settings_that_the_sink_refuses_leave_no_seam() {
    let (store, sink) = (MemoryStore::new(1), Noted::default());
    run(&store, &sink, 6, &[2]).await.1.unwrap();
    let (_, ended) = run(&store, &Noted { refuses: true, ..sink.clone() }, 9, &[3]).await;
    assert_eq!(ended.unwrap_err().code(), Some("E_CONFIG_CONFLICT"));
    let (status, _) = run(&store, &sink, 9, &[2]).await;
    assert_eq!(shown(&status.seam), None, "the task has only ever worked with these settings");
}

#[tokio::test]
async fn a_check_tells_of_a_change() {
    let (store, sink) = (MemoryStore::new(1), Noted::default());
    run(&store, &sink, 2, &[2]).await.1.unwrap();
    let mut registry = Registry::new();
    registry.transform("multiples", |config: Multiples| Ok(config));
    for (of, expected) in [(2, None), (3, Some("multiples changed"))] {
        let choice: Choice = serde_json::from_value(json!({"multiples": {"of": of}})).unwrap();
        let transform = registry.build_transforms(&[choice]).unwrap().remove(0);
        let pipeline = Pipeline::builder("seams").source(Stream { at: 0, there: 2 }).sink(|| Ok(Noted::default())).store(store.clone());
        let findings = pipeline.named_transform(transform).build().unwrap().check().await;
        let found = findings.iter().find(|finding| finding.what.contains("last run")).map(|finding| finding.what.as_str());
        assert_eq!(found.is_some(), expected.is_some(), "{findings:?}");
        assert!(expected.is_none_or(|expected| found.unwrap().ends_with(expected)), "{findings:?}");
    }
}

/// What becomes of the task when it starts with these built-in transforms.
async fn start_with(store: &MemoryStore, sink: &Noted, transforms: serde_json::Value) -> Result<()> {
    let mut registry = Registry::new();
    runtime::register(&mut registry);
    let choices: Vec<Choice> = serde_json::from_value(transforms).unwrap();
    let lanes = sink.clone();
    let mut builder = Pipeline::builder("seams").source(Stream { at: 0, there: 6 }).sink(move || Ok(lanes.clone())).store(store.clone());
    for transform in registry.build_transforms(&choices).unwrap() {
        builder = builder.named_transform(transform);
    }
    let running = builder.build().unwrap().start();
    running.wait_for(|state| state == RunState::Streaming || state.is_ended()).await;
    running.stop().await
}

#[tokio::test]
async fn a_mask_for_the_new_name_of_a_table_starts_no_task_and_continues_none() {
    let rename = json!({"rename": {"tables": {"contract.rows": "sales.rows"}}});
    let mask = |table: &str| json!({"mask": {"tables": [table], "columns": {"text": "null"}}});
    let (store, sink) = (MemoryStore::new(1), Noted::default());
    let refused = |ended: Result<()>| {
        let error = ended.unwrap_err();
        assert_eq!(error.code(), Some("E_TRANSFORM"), "{error}");
        assert!(error.help().unwrap().contains("contract.rows"), "{error}");
    };
    refused(start_with(&store, &sink, json!([mask("sales.rows"), rename])).await);
    assert!(store.committed().is_new());
    run(&store, &sink, 6, &[]).await.1.unwrap();
    refused(start_with(&store, &sink, json!([mask("sales.rows"), rename])).await);
    start_with(&store, &sink, json!([mask("contract.rows"), rename])).await.unwrap();
}
