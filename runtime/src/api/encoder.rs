//! How events become bytes.

use crate::{Error, Event, Result};

/// Turns events into the messages of a format. CPU only; one instance per lane.
pub trait Encoder: Send {
    /// What the format says of itself. The default knows nothing of control events and has no schema.
    fn info(&self) -> EncoderInfo {
        EncoderInfo::default()
    }

    /// Encodes one event. `out` comes cleared; if its value is still empty on return, the format has no message for this event.
    ///
    /// An error of kind `Data` means that the format cannot express the event.
    fn encode(&mut self, event: &Event, out: &mut Message) -> Result<()>;

    /// Encodes one message from the front of `events`, which is never empty and holds events of one table and one route. Returns how many
    /// events it took, at least one. The default takes one; a format with several rows in a message takes more.
    ///
    /// An error of kind `Data` means that the format cannot express the first event.
    fn encode_many(&mut self, events: &[Event], out: &mut Message) -> Result<usize> {
        let first = events.first().ok_or_else(|| Error::fatal("an encoder was called without an event"))?;
        self.encode(first, out).map(|()| 1)
    }

    /// The value of a message of this format as a text for people. By default the value itself if it is UTF-8, or else its bytes in
    /// hexadecimal digits.
    fn readable(&self, value: &[u8]) -> Result<String> {
        Ok(match std::str::from_utf8(value) {
            Ok(text) => text.to_owned(),
            Err(_) => value.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

/// What a format says of itself. Sinks ask before anything runs: a message for an event of no table needs a topic that is not a table's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncoderInfo {
    /// The Avro schema of the messages as JSON, if the format has one: what a sink registers before the first of them.
    pub schema: Option<String>,
    /// Whether a message may hold several rows.
    pub many_rows: bool,
    /// Whether the format gives every message a key.
    pub keys: bool,
    /// What becomes of `Body::Begin`.
    pub begin: Control,
    /// What becomes of `Body::Commit`.
    pub commit: Control,
    /// What becomes of `Body::Heartbeat`.
    pub heartbeat: Control,
}

/// Whether a format emits a message for a kind of control event: BEGIN, COMMIT or a heartbeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// Not known before the first of them is encoded.
    #[default]
    Unknown,
    /// No message.
    Ignored,
    /// A message.
    Emitted {
        /// The setting that asks for it, as it stands in a file: `transactions = true`.
        setting: &'static str,
    },
}

/// The buffer for one encoded message; reused, so that nothing is allocated per message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The bytes.
    pub value: Vec<u8>,
    key: Vec<u8>,
    has_key: bool,
    headers: Vec<(String, Vec<u8>)>,
}

impl Message {
    /// Sets the key, for formats that give their messages one of their own.
    pub fn set_key(&mut self, key: &[u8]) {
        self.key.clear();
        self.key.extend_from_slice(key);
        self.has_key = true;
    }

    /// The key, if the format set one.
    pub fn key(&self) -> Option<&[u8]> {
        self.has_key.then_some(self.key.as_slice())
    }

    /// Adds a header.
    pub fn add_header(&mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) {
        self.headers.push((name.into(), value.into()));
    }

    /// The headers in the order in which they were added.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Empties the message and keeps its buffers.
    pub fn clear(&mut self) {
        self.value.clear();
        self.has_key = false;
        self.headers.clear();
    }
}
