//! Message formats: events in, bytes out.
//!
//! [`canal_json`] writes the JSON of Alibaba Canal, [`dts_avro`] the Avro record of Alibaba DTS. Both write one message per row (the first
//! on request one per binlog event) straight from the packed cells into the message's buffer; what is constant per table version is prepared
//! once, and nothing is allocated per row (only a text that is not ASCII, in a character set other than UTF-8, is decoded into a buffer of
//! its own).
//!
//! This crate does no I/O, has no clock and starts no task. Framing for a schema registry, topics, keys and partitions belong to the sink
//! that sends the bytes.
//!
//! ```
//! use std::sync::Arc;
//! use formats::canal_json::{CanalJson, Config};
//! use runtime::{Body, Column, ColumnKind, Encoder, Event, Message, Op, Origin, Position, Row, RowChange, Seq, TableId, TableSchema, Value};
//!
//! let columns = vec![Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint(20)")];
//! let schema = Arc::new(TableSchema::new(TableId::new("shop", "orders"), columns));
//! let row = Row::from_values([Value::Int(9001)]);
//! let event = Event {
//!     seq: Seq(1),
//!     position: Position::from("binlog.000014:4"),
//!     timestamp_ms: 1_748_737_800_000,
//!     txid: None,
//!     origin: Arc::new(Origin::default()),
//!     body: Body::Row(RowChange { schema, op: Op::Insert, before: None, after: Some(row) }),
//! };
//! let mut message = Message::default();
//! CanalJson::new(Config::default()).encode(&[event], &mut message)?;
//! assert!(message.value.starts_with(br#"{"data":[{"id":"9001"}],"database":"shop","es":1748737800000,"#));
//! # Ok::<(), runtime::Error>(())
//! ```

mod cache;
pub mod canal_json;
pub mod dts_avro;
mod error;
mod escape;
mod labels;
mod limits;
mod message_id;
mod row;
mod snapshot_type;

pub use error::FormatError;
pub use message_id::MessageIds;
use runtime::{Body, Charset, Column, Event, Registry};
pub use snapshot_type::SnapshotType;

use canal_json::CanalJson;
use dts_avro::DtsAvro;

/// The code in the page on `dts_avro` is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/formats/dts-avro.md")]
struct PageOfDtsAvro;

/// Registers the encoders `canal_json` and `dts_avro`.
pub fn register(registry: &mut Registry) {
    // Each lane has an encoder of its own.
    let (of_canal, of_dts) = (MessageIds::default(), MessageIds::default());
    registry.encoder("canal_json", move |config: canal_json::Config, _| Ok(CanalJson::new(config).with_ids(of_canal.clone())));
    registry.encoder("dts_avro", move |config: dts_avro::Config, _| Ok(DtsAvro::new(config)?.with_ids(of_dts.clone())));
}

/// The name of a text column's character set.
fn charset_name(column: &Column) -> &str {
    column.charset.as_deref().unwrap_or("utf8mb4")
}

/// The character set of a text column.
fn charset(column: &Column) -> Result<Charset, FormatError> {
    let name = charset_name(column);
    Charset::from_name(name).ok_or_else(|| FormatError::UnsupportedCharset { column: column.name.clone(), charset: name.to_owned() })
}

/// Adds where it happened.
fn in_context(error: FormatError, event: &Event) -> runtime::Error {
    let error = runtime::Error::from(error).at(&event.place());
    match &event.body {
        Body::Row(change) => error.of_table(&change.schema.id),
        _ => error,
    }
}
