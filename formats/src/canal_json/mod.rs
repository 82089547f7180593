//! Canal JSON: the *FlatMessage* of Alibaba Canal, one row per message unless configured otherwise.
//!
//! A message has Canal's 14 keys in alphabetical order. The profile `dts` writes what Alibaba DTS calls Canal Json. Where Canal loses or
//! blurs a value, this format differs on purpose: `old` holds exactly the changed columns, text is decoded in the character set of its
//! column, and TIMESTAMP texts are in a configured time zone (default: UTC).

mod cell;
mod config;
mod json_text;
mod number;
mod rows;
mod schema_change;
mod template;
mod zone;

pub use config::{BinaryText, Config, DecimalText, JsonText, LabelText, MysqlType, NullKeys, Old, Profile, RowsPerMessage, SqlType};
use runtime::{Body, Control, Encoder, Event, Message};
pub use zone::{NotAnOffset, ZoneOffset};

use crate::cache::SchemaCache;
use crate::error::FormatError;
use crate::in_context;
use crate::message_id::MessageIds;
use template::{OriginParts, Template};

/// Encodes events as Canal JSON: one message per row (or per binlog event) and per schema change. Transaction boundaries and heartbeats have
/// no message.
///
/// An encoder serves one lane. A clone serves another lane with the same settings: it has caches of its own, and the two never give the same
/// `id` to two messages.
pub struct CanalJson {
    config: Config,
    templates: SchemaCache<Template>,
    ids: MessageIds,
    origin: OriginParts,
    /// Which columns changed in the rows of an update; kept to reuse its memory.
    changed: Vec<bool>,
    /// Size of the last message: the next one is probably as long.
    last_size: usize,
}

impl CanalJson {
    /// An encoder with these settings.
    pub fn new(config: Config) -> Self {
        Self::with_ids(config, MessageIds::default())
    }

    /// An encoder whose messages take their ids from `ids`.
    pub(crate) fn with_ids(config: Config, ids: MessageIds) -> Self {
        let origin = OriginParts::new(config.null_keys);
        Self { config, templates: SchemaCache::default(), ids, origin, changed: Vec::new(), last_size: 0 }
    }

    /// Encodes one message from the front of `events`; returns how many events it holds.
    fn encode_front(&mut self, event: &Event, events: &[Event], out: &mut Vec<u8>) -> Result<usize, FormatError> {
        match &event.body {
            Body::Row(change) => self.encode_rows(events, change, out),
            Body::Schema(change) => self.encode_schema_change(event, change, out).map(|()| 1),
            Body::Begin | Body::Commit | Body::Heartbeat => Ok(1),
            _ => Err(FormatError::UnknownEvent),
        }
    }
}

impl Default for CanalJson {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

impl Clone for CanalJson {
    fn clone(&self) -> Self {
        Self::with_ids(self.config.clone(), self.ids.clone())
    }
}

impl Encoder for CanalJson {
    fn encode(&mut self, events: &[Event], out: &mut Message) -> runtime::Result<usize> {
        let event = events.first().ok_or_else(|| FormatError::NoEvents)?;
        self.encode_front(event, events, &mut out.value).map_err(|error| {
            // Nobody may take half a message for a whole one.
            out.value.clear();
            in_context(error, event)
        })
    }

    fn control(&self, _: &Body) -> Control {
        Control::Left
    }
}
