//! MySQL, MariaDB and PolarDB-X 2.0 as a source: every selected table once, in parallel chunks, and then the binlog.
//!
//! It knows the server's protocol, its DDL and its binlog. It knows no topic, no message format and no sink, and it writes nothing to
//! the source but one row of `dts_health_check.dts_watermark`, by which it knows that earlier commits are visible.
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
//! Or in code, without a registry: [`PolardbxSource::builder`].
//!
//! Where to read: `planner` plans the splits and [`source`] opens them; `splits` names them, `facts` is what the checkpoint holds about the
//! task; `schema_phase` delivers table definitions, `snapshot` cuts tables into chunks and reads them, `binlog` reads the stream;
//! `schema` reads DDL; `server` knows the kinds of servers; `wire` and `session` are the connections, `tls` their encryption; `check` is
//! the precheck.

// Not part of the API: public for the benches and for tests that read DDL.
#[doc(hidden)]
pub mod binlog;
mod builder;
mod check;
pub mod config;
pub mod error;
mod facts;
mod planner;
#[doc(hidden)]
pub mod schema;
mod schema_phase;
mod selection;
mod server;
mod session;
mod snapshot;
pub mod source;
mod splits;
mod tls;
mod wire;

pub use builder::PolardbxSourceBuilder;
pub use config::Config;
pub use error::SourceError;
pub use selection::Selection;
pub use source::PolardbxSource;

/// Adds the source `polardbx`.
pub fn register(registry: &mut runtime::Registry) {
    registry.source("polardbx", PolardbxSource::new);
}
