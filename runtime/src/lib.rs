//! A Kafka Connect-style framework: sources, transforms, encoders, sinks and checkpoint stores as traits, and the pipeline that runs them
//! so that nothing is lost, nothing is reordered in a split, and a sink that can look at what it delivered repeats nothing.
//!
//! It knows rows, schemas and splits. It does not know any database or message broker, any message format, TOML, the environment, signals
//! or log set-up: those belong to plugins and to the program around it. Read `lane.rs` first.

pub mod batch;
mod budget;
pub mod charset;
pub mod check;
pub mod checkpoint;
mod commits;
pub mod encoder;
pub mod error;
pub mod event;
pub mod ids;
mod lane;
pub mod pipeline;
pub mod registry;
pub mod row;
pub mod schema;
pub mod settings;
pub mod sink;
pub mod source;
pub mod stats;
mod supervisor;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;
pub mod transform;
#[cfg(feature = "transforms")]
pub mod transforms;

pub use async_trait::async_trait;
pub use batch::{Batch, BatchBuilder};
pub use charset::Charset;
pub use check::{Finding, Level};
pub use checkpoint::{Checkpoint, CheckpointStore, Committed, LocalStore, Progress, State};
pub use encoder::{Control, Encoder, Message};
pub use error::{Error, Kind, Result};
pub use event::{Body, Event, Op, Origin, RowChange, SchemaChange, SchemaChangeKind};
pub use ids::{Position, Receipt, Seq, SplitId};
pub use pipeline::{Pipeline, PipelineBuilder, Retry, Running};
pub use registry::{EncoderFactory, Registry, SinkFactory, TaskContext, TransformFactory};
pub use row::{CellBlock, Date, DateTime, Row, RowWriter, Value};
pub use schema::{Column, ColumnKind, TableId, TableSchema, UniqueKey};
pub use settings::{Choice, Settings};
pub use sink::{Lane, Sink, Stop};
pub use source::{RowFilter, Source, Split, SplitKind, SplitReader, TableProgress};
pub use stats::{RunState, SplitStatus, Status, TableStatus};
pub use transform::Transform;

/// Registers the store `local` and the built-in transforms.
pub fn register(registry: &mut Registry) {
    registry.store("local", |config: checkpoint::LocalStoreConfig, _: &Registry| LocalStore::open(config.path));
    #[cfg(feature = "transforms")]
    transforms::register(registry);
}
