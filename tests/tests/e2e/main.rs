//! The end-to-end tests: real MySQL, real Kafka, the real program as a child process. One binary, so that the servers are shared.

mod case;
mod charsets;
mod cli;
mod compressed_columns;
mod contracts;
mod crash;
mod database_tls;
mod ddl_golden;
mod defaults;
mod doors;
mod examples;
mod faults;
mod first_light;
mod golden;
mod harness;
mod json;
mod keys;
mod matrix;
mod proxy;
mod refusals;
mod registry;
mod schema_changes;
mod servers;
mod sizes;
mod statements;
mod topics;
