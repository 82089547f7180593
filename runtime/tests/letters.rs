//! Rows that cannot be delivered, by configuration: the task stops, they are skipped, or they become dead letters before anything behind
//! them is delivered.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::testing::{MemoryStore, events};
use runtime::{
    Batch, Body, Cause, Committed, Context, DataErrors, Error, Event, Fate, Kind, Letter, OnDataError, Phase, Pipeline, PipelineBuilder,
    Plan, Result, Retry, RunState, SchemaChange, SchemaChangeKind, Sink, Source, Split, SplitKind, SplitReader, Status, Transform,
    async_trait,
};

/// A stream of batches of ten rows; the position is the number of the last row. The last batch may be a schema change.
#[derive(Clone)]
struct Stream {
    rows: u128,
    ends_with_schema_change: bool,
}

struct Reader(Stream, u128);

#[async_trait]
impl Source for Stream {
    async fn plan(&self, _: &Context, committed: &Committed) -> Result<Plan> {
        let mut plan = Plan::new(Phase::Stream);
        if !committed.split(&"stream".into()).is_some_and(|split| split.checkpoint.done) {
            plan.splits = vec![Split { id: "stream".into(), kind: SplitKind::Stream, start: "0".into() }];
        } else {
            plan.phase = Phase::Done;
        }
        Ok(plan)
    }

    async fn open(&self, _: &Context, split: &Split, _: &Committed) -> Result<Box<dyn SplitReader>> {
        Ok(Box::new(Reader(self.clone(), split.start.as_str().parse().unwrap())))
    }
}

#[async_trait]
impl SplitReader for Reader {
    async fn next(&mut self) -> Result<Option<Batch>> {
        let Self(Stream { rows, ends_with_schema_change }, at) = self;
        let first = *at + 1;
        if first > *rows + u128::from(*ends_with_schema_change) {
            return Ok(None);
        }
        let count = 10.min(rows.saturating_sub(*at)).max(1);
        *at += count;
        let mut list = events(first, count as usize);
        if first > *rows {
            list[0].body = Body::Schema(SchemaChange::new(SchemaChangeKind::Other, "contract", "x"));
        }
        Ok(Some(Batch::new(list, Some(at.to_string().into()), 10)))
    }
}

/// What the sinks of all lanes have written.
#[derive(Clone, Default)]
struct Written {
    rows: Arc<Mutex<Vec<u128>>>,
    letters: Arc<Mutex<Vec<(u128, Cause)>>>,
    /// How many writes of letters fail before, and after, all of them are durable.
    failures: Arc<Mutex<Vec<bool>>>,
}

/// A target of one partition, which counts everything up to its last row as delivered.
#[derive(Clone)]
struct Picky {
    written: Written,
    wrong: BTreeSet<u128>,
}

#[async_trait]
impl Sink for Picky {
    async fn write(&mut self, batch: &mut Batch) -> Result<()> {
        let mut rows = self.written.rows.lock().unwrap();
        let last = rows.last().copied().unwrap_or(0);
        let is_wrong = |event: &Event| event.seq.0 > last && self.wrong.contains(&event.seq.0);
        let first = batch.events.iter().position(is_wrong).unwrap_or(batch.events.len());
        rows.extend(batch.events[..first].iter().map(|event| event.seq.0).filter(|seq| *seq > last));
        batch.sort_out(|index| match index {
            _ if index < first => Fate::Delivered,
            _ if index == first => Fate::Rejected(Error::data("too wide").with_data_cause(Cause::TooLarge)),
            _ => Fate::Postponed,
        });
        Ok(())
    }
}

#[derive(Clone)]
struct Letters(Written);

#[async_trait]
impl Sink for Letters {
    async fn open(&mut self, context: &Context, last: &runtime::Receipt) -> Result<()> {
        assert!(context.is_for_letters() && last.is_empty() && context.evidence().is_empty());
        Ok(())
    }

    async fn write(&mut self, _: &mut Batch) -> Result<()> {
        panic!("rows are written to the sink for letters")
    }

    fn accepts_letters(&self, main: &dyn Sink) -> Result<()> {
        assert!(!main.could_write_to("letters"));
        Ok(())
    }

    async fn write_letters(&mut self, letters: &[Letter]) -> Result<()> {
        let failure = self.0.failures.lock().unwrap().pop();
        if failure == Some(false) {
            return Err(Error::retryable("the target of the letters is away"));
        }
        let last = self.0.rows.lock().unwrap().last().copied().unwrap_or(0);
        for letter in letters {
            assert!(letter.event.seq.0 > last, "{} was delivered before the letter of {} was written", last, letter.event.seq.0);
            self.0.letters.lock().unwrap().push((letter.event.seq.0, letter.cause));
        }
        if failure == Some(true) {
            return Err(Error::retryable("the target of the letters went away"));
        }
        Ok(())
    }
}

/// Fails on some rows.
struct Faulty(BTreeSet<u128>);

impl Transform for Faulty {
    fn apply(&mut self, batch: &mut Batch) -> Result<()> {
        batch.retain(|event| if self.0.contains(&event.seq.0) { Err(Error::data("not a date")) } else { Ok(true) })
    }

    fn fingerprint(&self) -> String {
        String::new()
    }
}

fn stream(rows: u128) -> Stream {
    Stream { rows, ends_with_schema_change: false }
}

fn pipeline(source: Stream, written: &Written, wrong: &[u128], errors: DataErrors) -> PipelineBuilder {
    let sink = Picky { written: written.clone(), wrong: wrong.iter().copied().collect() };
    let mut retry = Retry::default();
    (retry.first_pause, retry.longest_pause) = (Duration::from_millis(1), Duration::from_millis(2));
    Pipeline::builder("letters")
        .source(source)
        .sink(move || Ok(sink.clone()))
        .store(MemoryStore::new(1))
        .flush_interval(Duration::ZERO)
        .retry(retry)
        .on_data_error(errors)
}

async fn run(builder: PipelineBuilder) -> (Status, Option<Error>) {
    let running = builder.build().unwrap().start();
    running.wait_for(RunState::is_ended).await;
    let status = running.status();
    (status, running.wait().await.err())
}

fn but(rows: u128, without: &[u128]) -> Vec<u128> {
    (1..=rows).filter(|seq| !without.contains(seq)).collect()
}

#[tokio::test]
async fn rejected_rows_become_letters_before_anything_behind_them() {
    let written = Written::default();
    // The letters fail twice, once before and once after they are durable.
    *written.failures.lock().unwrap() = vec![true, false];
    let letters = Letters(written.clone());
    let errors = DataErrors::new(OnDataError::DeadLetters);
    let builder = pipeline(stream(40), &written, &[3, 4, 17, 40], errors)
        .dead_letters(move || Ok(letters.clone()))
        .transform(|| Ok(Faulty(BTreeSet::from([11, 21, 30]))));
    let (status, error) = run(builder).await;
    assert!(error.is_none() && status.state == RunState::Finished, "{error:?}");
    assert_eq!(*written.rows.lock().unwrap(), but(40, &[3, 4, 17, 40, 11, 21, 30]));
    let mut found = written.letters.lock().unwrap().clone();
    found.sort();
    let repeated = found.len();
    found.dedup();
    assert!(repeated > found.len(), "a letter that was durable before a failure is written again");
    let (large, transform) = (Cause::TooLarge, Cause::Transform);
    assert_eq!(found, [(3, large), (4, large), (11, transform), (17, large), (21, transform), (30, transform), (40, large)]);
    assert_eq!((status.rejected, status.rows, status.splits[0].rejected), (7, 33, 7), "each row counts once");
    assert!(status.metrics["dead_letters"] >= 7 && status.metrics["rejected_too_large"] >= 4, "{:?}", status.metrics);
    let notice = &status.notices[0];
    assert!(&*notice.table.table == "rows" && notice.what.contains("became dead letters"), "{notice:?}");
}

#[tokio::test]
async fn skipped_rows_have_a_budget() {
    let written = Written::default();
    let errors = || DataErrors::new(OnDataError::Skip);
    let (status, error) = run(pipeline(stream(20), &written, &[2, 3, 15], errors().with_max_rejected(3))).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!((written.rows.lock().unwrap().clone(), status.rejected), (but(20, &[2, 3, 15]), 3));

    let written = Written::default();
    let (status, error) = run(pipeline(stream(20), &written, &[2, 3, 15], errors().with_max_rejected(2))).await;
    let error = error.unwrap();
    assert_eq!((error.kind(), error.code(), status.state), (Kind::Data, Some("E_TOO_MANY_REJECTED"), RunState::Failed), "{error}");
    assert!(error.to_string().contains("more than 2 rows") && error.to_string().contains("contract:15"), "{error}");
    assert!(error.help().unwrap().contains("errors.max_rejected"));
    assert_eq!(written.rows.lock().unwrap().last(), Some(&14), "the task stops before the row");
    let zero = run(pipeline(stream(20), &Written::default(), &[2], errors().with_max_rejected(0))).await.1.unwrap();
    assert_eq!(zero.code(), Some("E_TOO_MANY_REJECTED"), "{zero}");
}

#[tokio::test]
async fn each_cause_has_its_action() {
    let written = Written::default();
    let errors = DataErrors::default().with_cause(Cause::Transform, OnDataError::Skip);
    let faulty = || Ok(Faulty(BTreeSet::from([2, 5])));
    let (_, error) = run(pipeline(stream(20), &written, &[13], errors).transform(faulty)).await;
    let error = error.unwrap();
    assert_eq!((error.kind(), error.code(), error.message()), (Kind::Data, None, "too wide"));
    assert!(error.to_string().contains("contract.rows") && error.to_string().contains("contract:13"), "{error}");
    assert_eq!(*written.rows.lock().unwrap(), but(12, &[2, 5]));
}

#[tokio::test]
async fn only_rows_are_left_out() {
    let written = Written::default();
    let source = Stream { rows: 10, ends_with_schema_change: true };
    let (_, error) = run(pipeline(source, &written, &[11], DataErrors::new(OnDataError::Skip))).await;
    assert_eq!((error.unwrap().kind(), written.rows.lock().unwrap().len()), (Kind::Data, 10));
}

/// Postpones everything and rejects nothing.
struct Idle;

#[async_trait]
impl Sink for Idle {
    async fn write(&mut self, batch: &mut Batch) -> Result<()> {
        batch.sort_out(|_| Fate::Postponed);
        Ok(())
    }
}

#[tokio::test]
async fn a_sink_that_only_postpones_is_an_error() {
    let builder = Pipeline::builder("idle").source(stream(10)).sink(|| Ok(Idle)).store(MemoryStore::new(1));
    let error = run(builder).await.1.unwrap();
    assert_eq!((error.kind(), error.message()), (Kind::Fatal, "the sink postponed events and rejected none"));
}

#[test]
fn letters_need_a_sink_that_accepts_them_and_the_sink_a_use() {
    let written = Written::default();
    let letters = || {
        let letters = Letters(Written::default());
        move || Ok(letters.clone())
    };
    let builder = |errors| pipeline(stream(1), &written, &[], errors);
    let to_letters = || DataErrors::new(OnDataError::Skip).with_cause(Cause::TooLarge, OnDataError::DeadLetters);
    assert!(builder(to_letters()).dead_letters(letters()).build().is_ok());
    for (builder, expected) in [
        (builder(to_letters()), "there is no sink for them"),
        (builder(DataErrors::new(OnDataError::Skip)).dead_letters(letters()), "no error makes a row one"),
        (builder(to_letters()).dead_letters(|| Ok(Idle)), "the sink cannot write dead letters"),
    ] {
        let error = builder.build().err().unwrap();
        assert!(error.kind() == Kind::Config && error.message().contains(expected) && error.help().is_some(), "{error}");
    }
}
