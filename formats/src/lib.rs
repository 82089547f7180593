//! Message formats: encoders that turn events into the bytes of messages.
//!
//! [`canal_json`] writes the JSON of Alibaba Canal, [`dts_avro`] the Avro record of Alibaba DTS. Both write one message per row;
//! `canal_json` can also write one per binlog event.
//!
//! Cells are written directly from the row into the message's buffer. The parts that do not depend on the row are prepared once per table
//! version, and nothing is allocated per row. There is one exception: text that is not ASCII, in a character set other than UTF-8, is
//! decoded into a buffer of its own.
//!
//! This crate does no I/O, reads no clock and starts no task. The sink chooses topics and partitions, and writes the schema id before a
//! value.
//!
//! ```
//! use std::sync::Arc;
//! use formats::canal_json::CanalJson;
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
//!     body: Body::Row(RowChange::new(schema, Op::Insert, None, Some(row))),
//! };
//! let mut message = Message::default();
//! CanalJson::default().encode(&event, &mut message)?;
//! assert!(message.value.starts_with(br#"{"data":[{"id":"9001"}],"database":"shop","es":1748737800000,"#));
//! # Ok::<(), runtime::Error>(())
//! ```

mod cache;
pub mod canal_json;
pub mod dts_avro;
mod error;
mod escape;
mod message;
mod row;

pub use error::FormatError;
pub use message::SnapshotType;
use runtime::Registry;

use canal_json::CanalJson;
use dts_avro::DtsAvro;
use message::MessageIds;

/// Compiles and runs the code in the documentation page on `dts_avro`.
#[cfg(doctest)]
#[doc = include_str!("../../docs/formats/dts-avro.md")]
struct PageOfDtsAvro;

/// Registers the encoders `canal_json` and `dts_avro`.
pub fn register(registry: &mut Registry) {
    // Each lane has its own encoder; all encoders of a format share one counter of ids.
    let (canal_ids, dts_ids) = (MessageIds::default(), MessageIds::default());
    registry.encoder("canal_json", move |config: canal_json::Config| Ok(CanalJson::with_ids(config, canal_ids.clone())));
    registry.encoder("dts_avro", move |config: dts_avro::Config| Ok(DtsAvro::with_ids(config, dts_ids.clone())));
}
