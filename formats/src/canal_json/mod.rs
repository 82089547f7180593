//! Canal JSON: the *FlatMessage* of Alibaba Canal. A message holds one row unless configured otherwise.
//!
//! A message has Canal's 14 keys in alphabetical order. The profile `dts` writes what Alibaba DTS calls Canal Json. Where Canal loses
//! information about a value, this format differs on purpose: `old` holds exactly the changed columns, text is decoded in the character
//! set of its column, and TIMESTAMP values are written in a configured time zone (default: UTC).

mod cell;
mod config;
mod json_text;
mod number;
mod rows;
mod schema_change;
mod template;
mod zone;

pub use config::{BinaryText, Config, DecimalText, JsonText, LabelText, MysqlType, NullKeys, Old, Profile, RowsPerMessage, SqlType};
use runtime::{Body, Control, Encoder, EncoderInfo, Event, Message};
pub use zone::{NotAnOffset, ZoneOffset};

use crate::cache::SchemaCache;
use crate::error::FormatError;
use crate::message::MessageIds;
use schema_change::write_schema_change;
use template::{OriginParts, Template};

/// Encodes events as Canal JSON: one message per row (or per binlog event), and one per schema change. Transaction boundaries and
/// heartbeats produce no message.
///
/// Each lane needs an encoder of its own; clone an encoder for another lane. A clone has the same settings and its own caches, and the
/// two encoders never give the same `id` to two messages.
pub struct CanalJson {
    config: Config,
    templates: SchemaCache<Template>,
    ids: MessageIds,
    origin: OriginParts,
    /// Which columns changed in the rows of an update. The vector is kept so that its memory is reused.
    changed: Vec<bool>,
    /// The size of the last message in bytes, used as the estimate for the next message.
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
    fn info(&self) -> EncoderInfo {
        let mut info = EncoderInfo::default();
        info.many_rows = self.config.rows == RowsPerMessage::Event;
        (info.begin, info.commit, info.heartbeat) = (Control::Ignored, Control::Ignored, Control::Ignored);
        info
    }

    fn encode(&mut self, event: &Event, out: &mut Message) -> runtime::Result<()> {
        self.encode_many(std::slice::from_ref(event), out).map(|_| ())
    }

    fn encode_many(&mut self, events: &[Event], out: &mut Message) -> runtime::Result<usize> {
        let Some(event) = events.first() else { return Err(FormatError::NoEvents.into()) };
        let encoded = match &event.body {
            Body::Row(change) => self.encode_rows(events, change, &mut out.value),
            Body::Schema(change) => {
                self.origin.set(event);
                let id = self.ids.next(event.origin.read_ms);
                write_schema_change(&mut out.value, change, &self.config, &self.origin, id).map(|()| 1)
            }
            Body::Begin | Body::Commit | Body::Heartbeat => Ok(1),
            _ => Err(FormatError::UnknownEvent),
        };
        if encoded.is_err() {
            // The buffer must not hold the beginning of a message after an error: it could be mistaken for a complete message.
            out.value.clear();
        }
        Ok(encoded?)
    }
}
