//! How events become bytes.

use crate::{Body, Event, Result};

/// Turns events into the messages of a format. CPU only; one instance per lane.
pub trait Encoder: Send {
    /// Encodes one message from the front of `events`, which is never empty and holds events of one table and one route. Returns how many
    /// events it took, at least one. `out` comes cleared; if its value is still empty on return, the format has no message for what was taken.
    ///
    /// An error of kind `Data` means that the first event cannot be carried by the format.
    fn encode(&mut self, events: &[Event], out: &mut Message) -> Result<usize>;

    /// The Avro schema of the messages as JSON text, if the format has one: what a sink registers before the first of them.
    fn schema(&self) -> Option<&str> {
        None
    }

    /// What becomes of an event of no table: `Begin`, `Commit` or `Heartbeat`. Sinks that give each table a place of its own ask before
    /// anything runs, since such messages have none there. By default it is not told, and shows when the first of them is encoded.
    fn control(&self, event: &Body) -> Control {
        let _ = event;
        Control::Untold
    }
}

/// What a format makes of transaction borders and signs of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// It does not tell.
    Untold,
    /// No message.
    Left,
    /// A message, because of this setting, which is shown as it stands in a file: `transactions = true`.
    Written(&'static str),
}

/// The buffer for one encoded message; reused, so that nothing is allocated per message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The bytes.
    pub value: Vec<u8>,
}
