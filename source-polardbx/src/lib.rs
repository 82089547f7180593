//! MySQL, MariaDB and PolarDB-X 2.0 as a source: every selected table is read once, in parallel chunks, and then the binlog is followed.
//!
//! This crate knows the server's protocol, its DDL and its binlog. It knows no topic, no message format and no sink. The only thing that it
//! writes to the source is one row of `dts_health_check.dts_watermark`. When the commit of that row returns, all earlier commits are
//! visible to a SELECT.
//!
//! ```
//! use runtime::{Registry, Settings};
//!
//! # fn main() -> runtime::Result<()> {
//! let mut registry = Registry::new();
//! source_polardbx::register(&mut registry);
//! let settings = serde_json::json!({"host": "127.0.0.1", "user": "dts", "password": "secret", "tables": ["shop.*"]});
//! let source = registry.build_source("polardbx", &Settings::from(settings))?; // an Arc<dyn Source>; nothing is connected yet
//! # drop(source);
//! # Ok(())
//! # }
//! ```
//!
//! [`PolardbxSource::builder`] builds the same source in code, without a registry.
//!
//! Where to start reading: `planner` plans the splits and [`source`] opens them. `splits` prints and parses the names of splits and
//! streams, `streams` chooses the streams, and `facts` defines what the checkpoint stores about the task. `schema_phase` delivers table definitions, `snapshot` cuts tables into chunks
//! and reads them, and `binlog` reads the stream. [`files`] is a second source, which reads binlog files on disk. `schema` parses DDL, and `server` asks the server for its properties and its tables.
//! `spool` keeps rows in a file until they are needed. `wire` and `session` are the connections, `tls` encrypts them, and `check` is the precheck.

// `binlog`, `fuzzing` and `schema` are not part of the API. They are public only for the benches, for fuzzing and for tests that read DDL.
#[doc(hidden)]
pub mod binlog;
mod builder;
mod check;
pub mod config;
mod denials;
pub mod error;
mod facts;
mod failover;
pub mod failover_error;
pub mod files;
mod in_band;
mod planner;
mod prepared;
mod refetch;
mod rehearsal;
mod resnapshot;
mod restart;
#[doc(hidden)]
pub mod schema;
mod schema_phase;
mod selection;
mod server;
mod session;
mod snapshot;
pub mod source;
mod splits;
mod spool;
mod start;
mod start_schema;
mod start_search;
mod streams;
mod table_phase;
mod tls;
mod wire;

pub use binlog::inspect;
pub use builder::PolardbxSourceBuilder;
pub use config::Config;
pub use error::SourceError;
pub use files::BinlogFilesSource;
pub use selection::Selection;
pub use source::PolardbxSource;
#[doc(hidden)]
pub use wire::fuzzing;

/// Registers the sources `polardbx` and `binlog_files`.
pub fn register(registry: &mut runtime::Registry) {
    registry.source("polardbx", PolardbxSource::new);
    registry.source("binlog_files", BinlogFilesSource::new);
}
