//! DTS Avro: the `Record` of Alibaba DTS as an Avro datum without a header. A message holds one row.
//!
//! All known consumers decode the same values from these records: type numbers and union branches are those that DTS writes, text is
//! UTF-8 under the name `utf8mb4` whatever the column's character set is, ENUM and SET are labels, and every part of a negative TIME is
//! negative.

mod cell;
mod config;
mod encoding;
mod readable;
mod record;
mod schema;
mod template;
mod text;

pub use config::{Config, Heartbeats, InvalidText, TextCharset};
use runtime::{Body, Control, Encoder, EncoderInfo, Event, Message, Op, RowChange, SchemaChange};

use crate::cache::SchemaCache;
use crate::error::FormatError;
use crate::message::{MessageIds, SnapshotType};
use crate::row::Images;
use record::{Head, Operation};
use template::{OriginParts, Template};

/// Encodes events as DTS Avro: one record per row and per schema change, and if configured one per transaction boundary and per
/// heartbeat.
///
/// Each lane needs an encoder of its own; clone an encoder for another lane. A clone has the same settings and its own caches, and the
/// two encoders never give the same `id` to two records.
pub struct DtsAvro {
    config: Config,
    templates: SchemaCache<Template>,
    origin: OriginParts,
    ids: MessageIds,
    /// The size of the last message in bytes, used as the estimate for the next message.
    last_size: usize,
}

impl DtsAvro {
    /// An encoder with these settings.
    pub fn new(config: Config) -> Self {
        Self::with_ids(config, MessageIds::default())
    }

    /// An encoder whose records take their ids from `ids`.
    pub(crate) fn with_ids(config: Config, ids: MessageIds) -> Self {
        Self { config, templates: SchemaCache::default(), origin: OriginParts::default(), ids, last_size: 0 }
    }

    fn encode_event(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), FormatError> {
        match &event.body {
            Body::Row(change) => self.encode_row(event, change, out),
            Body::Schema(change) => {
                self.encode_schema_change(event, change, out);
                Ok(())
            }
            Body::Begin | Body::Commit | Body::Heartbeat => {
                if let Some(operation) = self.control_operation(&event.body) {
                    self.encode_without_row(event, operation, None, None, out);
                }
                Ok(())
            }
            _ => Err(FormatError::UnknownEvent),
        }
    }

    fn encode_row(&mut self, event: &Event, change: &RowChange, out: &mut Vec<u8>) -> Result<(), FormatError> {
        let config = &self.config;
        let template = self.templates.get(&change.schema, |schema| Template::of(schema, config))?;
        let images = Images::of(change)?;
        self.origin.set(event);
        let head = Head {
            id: self.ids.next(event.origin.read_ms),
            timestamp: seconds(event),
            source: &self.origin.source,
            operation: operation(change.op, config.snapshot_type),
        };
        out.reserve(self.last_size);
        record::write_row(out, &head, template, &self.origin.tags, images)?;
        self.last_size = out.len();
        Ok(())
    }

    fn encode_schema_change(&mut self, event: &Event, change: &SchemaChange, out: &mut Vec<u8>) {
        let database = match (change.database.as_str(), change.tables.first()) {
            ("", Some((table, _))) => &table.database,
            (database, _) => database,
        };
        let object_name = (!database.is_empty()).then(|| template::escaped_name(database));
        self.encode_without_row(event, Operation::Ddl, object_name.as_deref(), Some(&change.statement), out);
    }

    fn encode_without_row(
        &mut self,
        event: &Event,
        operation: Operation,
        object: Option<&str>,
        statement: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        self.origin.set_statement(event);
        let id = self.ids.next(event.origin.read_ms);
        let head = Head { id, timestamp: seconds(event), source: &self.origin.source, operation };
        record::write_without_row(out, &head, object, &self.origin.statement, statement);
    }

    /// The operation of a transaction boundary or heartbeat; `None` if the settings do not ask for such a record.
    fn control_operation(&self, body: &Body) -> Option<Operation> {
        match (body, self.config.heartbeats) {
            (Body::Begin, _) => self.config.transactions.then_some(Operation::Begin),
            (Body::Commit, _) => self.config.transactions.then_some(Operation::Commit),
            (Body::Heartbeat, Heartbeats::Heartbeat) => Some(Operation::Heartbeat),
            (Body::Heartbeat, Heartbeats::Checkpoint) => Some(Operation::Checkpoint),
            _ => None,
        }
    }
}

impl Default for DtsAvro {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

impl Clone for DtsAvro {
    fn clone(&self) -> Self {
        Self::with_ids(self.config.clone(), self.ids.clone())
    }
}

impl Encoder for DtsAvro {
    fn info(&self) -> EncoderInfo {
        let boundary = if self.config.transactions { Control::Emitted { setting: "transactions = true" } } else { Control::Ignored };
        let mut info = EncoderInfo::default();
        info.schema = schema::text().map(str::to_owned);
        (info.begin, info.commit) = (boundary, boundary);
        info.heartbeat = match self.config.heartbeats {
            Heartbeats::Off => Control::Ignored,
            Heartbeats::Heartbeat => Control::Emitted { setting: r#"heartbeats = "heartbeat""# },
            Heartbeats::Checkpoint => Control::Emitted { setting: r#"heartbeats = "checkpoint""# },
        };
        info
    }

    fn encode(&mut self, event: &Event, out: &mut Message) -> runtime::Result<()> {
        let encoded = self.encode_event(event, &mut out.value);
        if encoded.is_err() {
            // The buffer must not hold the beginning of a message after an error: it could be mistaken for a complete message.
            out.value.clear();
        }
        Ok(encoded?)
    }

    fn readable(&self, value: &[u8]) -> runtime::Result<String> {
        readable::json(value).ok_or_else(|| runtime::Error::fatal("a message is not a record of DTS Avro"))
    }
}

fn seconds(event: &Event) -> i64 {
    event.timestamp_ms.div_euclid(1000)
}

fn operation(op: Op, snapshot: SnapshotType) -> Operation {
    match op {
        Op::Read => match snapshot {
            SnapshotType::Insert => Operation::Insert,
            SnapshotType::Init => Operation::Init,
        },
        Op::Insert => Operation::Insert,
        Op::Update => Operation::Update,
        Op::Delete => Operation::Delete,
    }
}
#[cfg(test)]
mod vectors;
