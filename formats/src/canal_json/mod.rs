//! Canal JSON: the *FlatMessage* of Alibaba Canal, one row a message unless more are asked for.
//!
//! The envelope is Canal's own: its 14 keys in alphabetical order, all of them always there; the profile `dts` writes what Alibaba DTS calls
//! Canal Json. What differs from Canal, because Canal's own form loses or blurs something: `old` holds exactly the changed columns, text is
//! read in the character set of its column, and timestamps are in a zone that the settings name (UTC if they do not).

mod binary;
mod cell;
mod config;
mod form;
mod json_text;
mod number;
mod origin;
mod piece;
mod rows;
mod schema_change;
mod template;
mod zone;

pub use config::{BinaryText, Config, DecimalText, JsonText, LabelText, MysqlType, NullKeys, Old, Profile, RowsPerMessage, SqlType};
use runtime::{Body, Control, Encoder, Event, Message};
pub use zone::{NotAnOffset, ZoneOffset};

use crate::cache::Plans;
use crate::error::FormatError;
use crate::{MessageIds, in_context};
use origin::OriginPart;
use template::Plan;

/// Encodes events as Canal JSON, one message per row, per rows of a binlog event or per schema change; transaction borders and heartbeats
/// have no message.
pub struct CanalJson {
    config: Config,
    plans: Plans<Plan>,
    ids: MessageIds,
    origin: OriginPart,
    /// Which columns changed in the rows of an update; kept for its memory.
    changed: Vec<bool>,
    /// Size of the last message: the next one is probably as long.
    last_size: usize,
}

impl CanalJson {
    /// An encoder for one lane.
    pub fn new(config: Config) -> Self {
        let origin = OriginPart::new(config.null_keys);
        Self { config, plans: Plans::new(), ids: MessageIds::default(), origin, changed: Vec::new(), last_size: 0 }
    }

    /// The same with ids from `ids`, of which other encoders may have clones.
    #[must_use]
    pub fn with_ids(self, ids: MessageIds) -> Self {
        Self { ids, ..self }
    }

    /// Encodes what is at the front of `events`; returns how many were taken.
    fn encode_front(&mut self, event: &Event, events: &[Event], out: &mut Vec<u8>) -> Result<usize, FormatError> {
        match &event.body {
            Body::Row(change) => self.encode_rows(events, change, out),
            Body::Schema(change) => self.encode_schema_change(event, change, out).map(|()| 1),
            Body::Begin | Body::Commit | Body::Heartbeat => Ok(1),
            _ => Err(FormatError::UnknownEvent),
        }
    }
}

impl Encoder for CanalJson {
    fn encode(&mut self, events: &[Event], out: &mut Message) -> runtime::Result<usize> {
        let event = events.first().ok_or_else(|| FormatError::NoEvents)?;
        self.encode_front(event, events, &mut out.value).map_err(|error| {
            // Half a message must not look like one.
            out.value.clear();
            in_context(error, event)
        })
    }

    fn control(&self, _: &Body) -> Control {
        Control::Left
    }
}
