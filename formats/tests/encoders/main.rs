//! Tests of the encoders through their public API: published vectors, independent models, golden files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests, in modules that clippy does not know as such")]

mod avro_model;
mod avro_options;
mod avro_values;
mod canal_model;
mod canal_options;
mod canal_vectors;
mod documents;
mod golden;
mod info;
mod random;
mod refusals;
mod support;
