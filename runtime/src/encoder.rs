//! How events become bytes.

use crate::{Event, Result};

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
}

/// The buffer for one encoded message; reused, so that nothing is allocated per message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The bytes.
    pub value: Vec<u8>,
}
