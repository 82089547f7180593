//! Shows what becomes of real rows, without writing anything.

use super::task::Task;
use crate::{Batch, Error, Event, Kind, PreviewRecord, Result, TableId};

/// A row of the source, and what becomes of it.
#[derive(Debug)]
pub struct Previewed {
    /// The row as the source has it.
    pub row: Event,
    /// What becomes of it.
    pub outcome: PreviewOutcome,
}

/// What becomes of a row of the source.
#[derive(Debug)]
pub enum PreviewOutcome {
    /// These records would be written; a format may have none for a row.
    Records(Vec<PreviewRecord>),
    /// The transform of this name drops it.
    Dropped(String),
    /// It cannot be processed: with the table and the position of the row.
    Failed(Error),
}

pub(super) async fn preview(task: &Task, table: &TableId, limit: usize) -> Result<Vec<Previewed>> {
    let rows = task.source.preview(&task.context, table, limit).await?;
    let mut transforms = task.transforms()?;
    let mut sink = (task.sink)()?;
    let mut previewed = Vec::with_capacity(rows.len());
    'rows: for row in rows {
        let mut batch = Batch::new(vec![row.clone()], None, 0);
        for (transform, named) in transforms.iter_mut().zip(&task.transforms) {
            transform.apply(&mut batch).map_err(|error| error.while_doing(format!("transforming a row with `{}`", named.name())))?;
            let outcome = match batch.take_rejected().pop() {
                Some((event, error)) => PreviewOutcome::Failed(error.of_event(&event)),
                None if batch.events.is_empty() => PreviewOutcome::Dropped(named.name().to_owned()),
                None => continue,
            };
            previewed.push(Previewed { row, outcome });
            continue 'rows;
        }
        let mut records = Vec::new();
        let mut failed = None;
        for event in &batch.events {
            match sink.preview(&task.context, event) {
                Ok(mut of_event) => records.append(&mut of_event),
                Err(error) if error.kind() == Kind::Data => failed = Some(error.of_event(event)),
                Err(error) => return Err(error),
            }
        }
        previewed.push(Previewed { row, outcome: failed.map_or(PreviewOutcome::Records(records), PreviewOutcome::Failed) });
    }
    Ok(previewed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MemoryStore, events};
    use crate::{Committed, Context, Pipeline, Plan, Sink, Source, Split, SplitReader, Transform, async_trait};

    /// A table with rows, at least one of which is asked for.
    struct Rows;

    #[async_trait]
    impl Source for Rows {
        async fn plan(&self, _: &Context, _: &Committed) -> Result<Plan> {
            Err(Error::fatal("a preview plans nothing"))
        }

        async fn open(&self, _: &Context, _: &Split, _: &Committed) -> Result<Box<dyn SplitReader>> {
            Err(Error::fatal("a preview opens nothing"))
        }

        async fn preview(&self, _: &Context, _: &TableId, limit: usize) -> Result<Vec<Event>> {
            Ok(events(1, limit))
        }
    }

    /// Shows records, and cannot carry the fifth row.
    struct Shows;

    #[async_trait]
    impl Sink for Shows {
        async fn write(&mut self, _: &mut Batch) -> Result<()> {
            Err(Error::fatal("a preview writes nothing"))
        }

        fn preview(&mut self, _: &Context, event: &Event) -> Result<Vec<PreviewRecord>> {
            match event.seq.0 {
                5 => Err(Error::data("too large")),
                seq => Ok(vec![PreviewRecord { destination: "t".into(), key: None, value: seq.to_string() }]),
            }
        }
    }

    /// Drops the second row, rejects the third one, and cannot work behind the ninth one.
    struct Picky;

    impl Transform for Picky {
        fn apply(&mut self, batch: &mut Batch) -> Result<()> {
            if batch.events.iter().any(|event| event.seq.0 == 10) {
                return Err(Error::config("there is no such column"));
            }
            batch.retain(|event| if event.seq.0 == 3 { Err(Error::data("no value")) } else { Ok(event.seq.0 != 2) })
        }

        fn fingerprint(&self) -> String {
            String::new()
        }
    }

    struct Idle;

    impl Transform for Idle {
        fn apply(&mut self, _: &mut Batch) -> Result<()> {
            Ok(())
        }

        fn fingerprint(&self) -> String {
            String::new()
        }
    }

    #[tokio::test]
    async fn each_row_is_shown_with_what_becomes_of_it() {
        let store = MemoryStore::new(1);
        let pipeline = Pipeline::builder("shop").source(Rows).sink(|| Ok(Shows)).store(store.clone());
        let pipeline = pipeline.transform(|| Ok(Idle)).transform(|| Ok(Picky)).build().unwrap();
        let table = TableId::new("contract", "rows");
        let shown = |row: &Previewed| match &row.outcome {
            PreviewOutcome::Records(records) => records.iter().map(|record| record.value.clone()).collect(),
            PreviewOutcome::Dropped(by) => format!("dropped by {by}"),
            PreviewOutcome::Failed(error) => error.to_string(),
        };
        let rows = pipeline.preview(&table, 5).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.row.seq.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        let found: Vec<String> = rows.iter().map(shown).collect();
        assert_eq!((&*found[0], &*found[1], &*found[3]), ("1", "dropped by Picky", "4"));
        for (failed, why, place) in [(&found[2], "no value", "contract:3"), (&found[4], "too large", "contract:5")] {
            assert!(failed.contains(why) && failed.contains(place) && failed.contains("contract.rows"), "{failed}");
        }
        let error = pipeline.preview(&table, 10).await.unwrap_err();
        assert!(error.kind() == Kind::Config && error.to_string().contains("`Picky`"), "{error}");
        assert!(store.committed().is_new());
    }
}
