//! DTS Avro: the `Record` of Alibaba DTS as a bare Avro datum, one row a message.
//!
//! Written so that every known consumer decodes the same values: type numbers and union branches agree, text is UTF-8 under the name
//! `utf8mb4` whatever the column's character set, enums and sets are labels, and negative times carry the sign in every part.

mod cell;
mod config;
mod encoding;
mod origin;
mod record;
mod schema;
mod template;
mod text;

pub use config::{Config, Heartbeats, InvalidText, TextCharset};
use runtime::{Body, Control, Encoder, Event, Message, Op, RowChange, SchemaChange};

use crate::cache::Plans;
use crate::error::FormatError;
use crate::row::Images;
use crate::{MessageIds, SnapshotType, in_context};
use origin::OriginPart;
use record::{Head, Operation};
use template::Plan;

/// Encodes events as DTS Avro, one record per row or schema change, and on request per transaction border and heartbeat.
pub struct DtsAvro {
    config: Config,
    schema: &'static str,
    plans: Plans<Plan>,
    origin: OriginPart,
    ids: MessageIds,
    /// Size of the last message: the next one is probably as long.
    last_size: usize,
}

impl DtsAvro {
    /// An encoder for one lane. An error of kind `Fatal` means that this build's own schema is broken.
    pub fn new(config: Config) -> runtime::Result<Self> {
        let schema = schema::text()?;
        Ok(Self { config, schema, plans: Plans::new(), origin: OriginPart::default(), ids: MessageIds::default(), last_size: 0 })
    }

    /// The same with ids from `ids`, of which other encoders may have clones.
    #[must_use]
    pub fn with_ids(self, ids: MessageIds) -> Self {
        Self { ids, ..self }
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
        let plan = self.plans.get(&change.schema, |schema| Plan::of(schema, config))?;
        let images = Images::of(change)?;
        self.origin.renew(&event.origin);
        let head = Head {
            id: self.ids.next(event.origin.read_ms),
            timestamp: seconds(event),
            place: &self.origin.place,
            operation: operation(change.op, config.snapshot_type),
        };
        out.reserve(self.last_size);
        record::write_row(out, &head, plan, &self.origin.tags, images)?;
        self.last_size = out.len();
        Ok(())
    }

    fn encode_schema_change(&mut self, event: &Event, change: &SchemaChange, out: &mut Vec<u8>) {
        let database = match (change.database.as_str(), change.tables.first()) {
            ("", Some((table, _))) => &table.database,
            (database, _) => database,
        };
        let object_name = (!database.is_empty()).then(|| record::escaped_name(database));
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
        self.origin.renew(&event.origin);
        let id = self.ids.next(event.origin.read_ms);
        self.origin.renew_statement();
        let head = Head { id, timestamp: seconds(event), place: &self.origin.place, operation };
        record::write_without_row(out, &head, object, &self.origin.statement, statement);
    }

    /// The operation of a border or heartbeat, if the settings ask for one.
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

impl Encoder for DtsAvro {
    fn encode(&mut self, events: &[Event], out: &mut Message) -> runtime::Result<usize> {
        let event = events.first().ok_or_else(|| FormatError::NoEvents)?;
        match self.encode_event(event, &mut out.value) {
            Ok(()) => Ok(1),
            Err(error) => {
                // Half a message must not look like one.
                out.value.clear();
                Err(in_context(error, event))
            }
        }
    }

    fn schema(&self) -> Option<&str> {
        Some(self.schema)
    }

    fn control(&self, event: &Body) -> Control {
        match self.control_operation(event) {
            Some(Operation::Heartbeat) => Control::Written(r#"heartbeats = "heartbeat""#),
            Some(Operation::Checkpoint) => Control::Written(r#"heartbeats = "checkpoint""#),
            Some(_) => Control::Written("transactions = true"),
            None => Control::Left,
        }
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
