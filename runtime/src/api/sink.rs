//! Where events go.

use std::time::Duration;

use crate::{Batch, Context, Error, Event, Finding, Letter, Receipt, Result, async_trait};

/// A record that a sink would write for an event, in texts for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewRecord {
    /// Where it would go, such as the name of a topic.
    pub destination: String,
    /// Its key, if it has one.
    pub key: Option<String>,
    /// Its value, decoded if it is not a text.
    pub value: String,
}

/// A destination of events. One instance serves one lane.
#[async_trait]
pub trait Sink: Send {
    /// Connects, and finds out what earlier lanes of the split delivered after the last committed receipt. The default is right for a sink
    /// that cannot find out, which may then repeat events after a failure.
    ///
    /// A call may be dropped at any await, because the lane is to end. The instance is then dropped too, and a new one can be opened.
    async fn open(&mut self, context: &Context, last: &Receipt) -> Result<()> {
        let _ = (context, last);
        Ok(())
    }

    /// Delivers a batch. `Ok` means that every event left in `batch` is durable. Events that cannot be carried are rejected from it
    /// ([`Batch::reject`]); a sink that skips delivered events after a restart also postpones what comes behind them ([`Batch::sort_out`]).
    /// `Err` means that it is unknown what was delivered: the lane is dropped, and the batch is replayed into a new one. Never called
    /// concurrently, never cancelled.
    async fn write(&mut self, batch: &mut Batch) -> Result<()>;

    /// The shortest time between two small batches of a stream that is busy, for a sink whose writes have a cost of their own. Batches that
    /// come faster are read as one. The first events after such a time are written at once. Called once, after `open`. By default every
    /// batch is written as soon as it is read.
    fn linger(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether the sink could write events to this topic, queue or file. It is asked by the sink for dead letters, which must not write to the
    /// same one. The default does not know, so it says no.
    fn could_write_to(&self, destination: &str) -> bool {
        let _ = destination;
        false
    }

    /// Whether the sink can be the one for dead letters beside `main`, the sink of the task. It is asked before anything runs. By default it
    /// cannot, with an error of kind `Config`.
    fn accepts_letters(&self, main: &dyn Sink) -> Result<()> {
        let _ = main;
        Err(Error::config("the sink cannot write dead letters").with_help("choose another sink in [dead_letters], such as `kafka`"))
    }

    /// Writes events that the sink of the task could not deliver. `Ok` means that all of them are durable. A letter that was written before
    /// a failure is written again; it must not be left out by its `seq`, because letters do not come in that order. An instance that writes
    /// letters is opened with an empty receipt and a context that says so ([`Context::is_for_letters`]), and `write` is never called on it.
    /// Never called concurrently, never cancelled.
    async fn write_letters(&mut self, letters: &[Letter]) -> Result<()> {
        let _ = letters;
        Err(Error::fatal("the sink accepts dead letters and does not write them"))
    }

    /// What is known to be delivered, in the sink's own text. Called after `open` and whenever a commit begins, not after every batch.
    /// The default knows nothing.
    fn receipt(&self) -> Receipt {
        Receipt::default()
    }

    /// What the destination must still hold of the whole task, in the sink's own text. It is committed beside the receipt of whichever lane
    /// commits, and given to every later lane ([`Context::evidence`]). So the lanes of a snapshot, which are never opened again once they are
    /// done, can still be proven later. Called as often as `receipt`; what is returned later is newer, whichever lane returns it. `None`
    /// keeps what was committed before.
    fn evidence(&self) -> Option<Receipt> {
        None
    }

    /// Ends cleanly, after the last write was committed. Nothing to do by default.
    async fn close(&mut self) -> Result<()> {
        Ok(())
    }

    /// Looks for what would make the task fail: connections, topics, permissions. Called on an instance that is not opened. The default
    /// checks nothing.
    async fn check(&mut self, context: &Context) -> Vec<Finding> {
        let _ = context;
        Vec::new()
    }

    /// The records that would be written for a row of a snapshot. Called on an instance that is not opened; connects nowhere and writes
    /// nothing. An error of kind `Data` means that the row cannot be carried. By default no sink can.
    fn preview(&mut self, context: &Context, event: &Event) -> Result<Vec<PreviewRecord>> {
        let _ = context;
        Err(Error::config("this sink cannot show what it would write").of_event(event))
    }
}
