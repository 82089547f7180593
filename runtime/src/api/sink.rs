//! Where events go.

use crate::{Batch, Context, Error, Event, Finding, Receipt, Result, async_trait};

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

    /// Delivers a batch. `Ok` means that every event left in `batch` is durable; events that cannot be carried are rejected from it
    /// ([`Batch::reject`]). `Err` means that it is unknown what was delivered: the lane is dropped, and the batch is replayed into a new one.
    /// Never called concurrently, never cancelled.
    async fn write(&mut self, batch: &mut Batch) -> Result<()>;

    /// What is known to be delivered, in the sink's own text. Called after `open` and whenever a commit is written, not after every batch.
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
