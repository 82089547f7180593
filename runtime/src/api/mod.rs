//! What the author of a plugin reads: events and their parts, the traits, errors, texts of values. Knows nothing of the engine.

pub(crate) mod batch;
pub mod charset;
pub(crate) mod checkpoint;
pub(crate) mod collation;
pub(crate) mod context;
pub(crate) mod encoder;
pub(crate) mod error;
pub(crate) mod escape;
pub(crate) mod event;
pub(crate) mod facts;
pub(crate) mod files;
pub(crate) mod finding;
pub(crate) mod ids;
mod json;
pub(crate) mod letter;
pub(crate) mod metrics;
pub(crate) mod notices;
pub(crate) mod patterns;
pub(crate) mod resume_filter;
pub(crate) mod row;
pub(crate) mod schema;
pub(crate) mod sink;
pub(crate) mod source;
pub mod text;
pub(crate) mod transform;
