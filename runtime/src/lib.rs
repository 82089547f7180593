//! A Kafka Connect-style framework: sources, transforms, encoders, sinks and checkpoint stores as traits, and the pipeline that runs them.
//! The pipeline loses no event and keeps the order of events within a split. If a sink can find out what it has delivered, no event is
//! delivered twice.
//!
//! There are two layers. `api` has the traits and types for authors of plugins. `engine` runs the plugins; start reading it at
//! `engine/lane.rs`.
//!
//! The runtime has no client of a database or a message broker, and no message format: these belong to plugins. Only the built-in transforms
//! (feature `transforms`) read SQL, the conditions of filters. It reads no TOML, no
//! environment variables and no signals, and sets up no logging: these belong to the program that embeds it. Its value types and character
//! sets are those of MySQL, so any other source must map its types to them.

mod api;
mod engine;
mod sync;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(feature = "transforms")]
pub mod transforms;

pub use api::batch::{Batch, BatchBuilder, Fate};
pub use api::charset::{self, Charset};
pub use api::checkpoint::{Checkpoint, CheckpointStore, Commit, Committed, Progress, SchemaChanges, SplitState};
pub use api::collation::Collation;
pub use api::context::{Cancellation, Context, Lane};
pub use api::encoder::{Control, Encoder, EncoderInfo, Message};
pub use api::error::{Cause, Error, Kind, Result};
pub use api::escape::{Escaped, is_unprintable};
pub use api::event::{Body, Event, Op, Origin, RowChange, SchemaChange, SchemaChangeKind};
pub use api::facts::{Fact, Facts};
pub use api::files::{SMALL_FILE_BYTES, create_private_directory, private_file, read_file, read_small_file, shown_path};
pub use api::finding::{Finding, Level};
pub use api::ids::{Position, Receipt, Seq, SplitId};
pub use api::letter::{DataErrors, Letter, OnDataError};
pub use api::metrics::{Counter, Gauge, Histogram, Metrics};
pub use api::notices::{Notice, Notices};
pub use api::patterns::{NameCase, PatternError, TablePattern};
pub use api::resume_filter::{ResumeFilter, Tag};
pub use api::row::{Cell, CellBlock, Date, DateTime, Row, RowWriter, Value};
pub use api::schema::{Column, ColumnKind, KeyPart, OtherKey, TableId, TableSchema, UniqueKey, split_name};
pub use api::sink::{PreviewRecord, Sink};
pub use api::source::{
    Phase, Plan, Played, Refetched, Renumbered, Resnapshot, Source, SourceInfo, Split, SplitKind, SplitReader, TableProgress, TestInput,
};
pub use api::text;
pub use api::transform::Transform;
pub use async_trait::async_trait;
pub use engine::named_transform::NamedTransform;
pub use engine::pipeline::{Pipeline, PipelineBuilder, Rehearsed};
pub use engine::preview::{PreviewOutcome, Previewed};
pub use engine::registry::{EncoderFactory, Registry, SinkFactory};
pub use engine::running::Running;
pub use engine::seams::{Seam, SeamSplit};
pub use engine::settings::{Choice, Settings};
pub use engine::stats::{RunState, SplitStatus, Status, TableStatus};
pub use engine::store::{LocalStore, LocalStoreConfig};
pub use engine::task::Retry;

/// Registers the store `local` and the built-in transforms.
pub fn register(registry: &mut Registry) {
    registry.store("local", |config: LocalStoreConfig| Ok(LocalStore::new(config.path)));
    #[cfg(feature = "transforms")]
    transforms::register(registry);
}
