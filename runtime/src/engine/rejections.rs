//! What a lane does with events that cannot be carried: it fails, leaves them out, or writes them to the sink for dead letters.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::stats::SplitStats;
use crate::sync::lock;
use crate::{Batch, Body, Cause, Context, DataErrors, Error, Letter, OnDataError, Result, Sink, TableId};

/// How often a warning about a table and a cause is repeated.
const REPEAT: Duration = Duration::from_secs(60);

/// The rules of a task for such events, and what all lanes have done by them.
pub(crate) struct Rules {
    errors: DataErrors,
    warned: Mutex<HashMap<(TableId, Cause), Warned>>,
}

struct Warned {
    rows: u64,
    last: Instant,
}

/// The rejected events of one lane.
pub(crate) struct Rejections<'a> {
    rules: &'a Rules,
    /// The open sink for dead letters, if there is one.
    letters: Option<Box<dyn Sink>>,
    context: Context,
    stats: &'a SplitStats,
}

impl Rules {
    pub(crate) fn new(errors: DataErrors) -> Self {
        Self { errors, warned: Mutex::default() }
    }

    /// Counts a row, and returns the number of rows with this table and cause if a warning is due.
    fn count(&self, table: &TableId, cause: Cause) -> Option<u64> {
        let mut warned = lock(&self.warned);
        let now = Instant::now();
        match warned.get_mut(&(table.clone(), cause)) {
            None => {
                warned.insert((table.clone(), cause), Warned { rows: 1, last: now });
                Some(1)
            }
            Some(known) => {
                known.rows += 1;
                let is_due = now - known.last >= REPEAT;
                if is_due {
                    known.last = now;
                }
                is_due.then_some(known.rows)
            }
        }
    }
}

impl<'a> Rejections<'a> {
    pub(crate) fn new(rules: &'a Rules, letters: Option<Box<dyn Sink>>, context: Context, stats: &'a SplitStats) -> Self {
        Self { rules, letters, context, stats }
    }

    /// Deals with the rejected events of a batch. `cause` is the cause of errors that do not tell theirs.
    ///
    /// `Ok` means that each of them was left out as configured, or that its dead letter is durable. `Err` ends the lane before the batch
    /// counts as delivered, so all of them are rejected again.
    pub(crate) async fn settle(&mut self, batch: &mut Batch, cause: Cause) -> Result<()> {
        let mut letters = Vec::new();
        for (event, error) in batch.take_rejected() {
            let cause = error.data_cause().unwrap_or(cause);
            let error = error.of_event(&event);
            // Without a schema change or a border, readers would misunderstand the rows behind it. So only rows may be left out.
            let Body::Row(row) = &event.body else { return Err(error) };
            let action = self.rules.errors.action(cause);
            if action == OnDataError::Fail {
                return Err(error);
            }
            let (rejected, delivered) = self.stats.rejected(event.seq);
            let budget = self.rules.errors.budget(delivered);
            if rejected > budget {
                let what = format!("more than {budget} rows cannot be delivered; the last one: {}", error.message());
                return Err(error
                    .map_message(|_| what)
                    .with_code("E_TOO_MANY_REJECTED")
                    .with_help("correct the cause, or raise `errors.max_rejected`; the task continues with this row"));
            }
            self.warn(&row.schema.id, cause, action, &error);
            if action == OnDataError::DeadLetters {
                letters.push(Letter::new(event, error, cause));
            }
        }
        if letters.is_empty() {
            return Ok(());
        }
        let sink = self.letters.as_mut().ok_or_else(|| Error::fatal("there is no sink for dead letters"))?;
        sink.write_letters(&letters).await.map_err(|error| error.while_doing("writing dead letters"))?;
        self.context.metrics().counter("dead_letters", "Dead letters written.").add(letters.len() as u64);
        Ok(())
    }

    fn warn(&self, table: &TableId, cause: Cause, action: OnDataError, error: &Error) {
        let metrics = self.context.metrics();
        metrics.counter(&format!("rejected_{}", cause.as_str()), "Rows that were skipped or written as dead letters, by cause.").add(1);
        let Some(rows) = self.rules.count(table, cause) else { return };
        let done = match action {
            OnDataError::DeadLetters => "became dead letters",
            _ => "were skipped",
        };
        self.context.notices().warn(table, format!("rows that {done} ({}) since the start: {rows}; the last one: {error}", cause.as_str()));
    }

    /// Ends the sink for dead letters.
    pub(crate) async fn close(&mut self) -> Result<()> {
        match &mut self.letters {
            Some(sink) => sink.close().await.map_err(|error| error.while_doing("closing the sink for dead letters")),
            None => Ok(()),
        }
    }
}
