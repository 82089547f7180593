//! The common parts of the end-to-end tests: real MySQL and Kafka servers as processes, a checker that reads topics back and compares
//! them with the source, workloads, and the program under test as a child process.
//!
//! Unit tests are next to the code that they test. This crate neither copies nor uses the product's logic: to find mistakes, the checker
//! decodes headers, Canal JSON and DTS Avro with its own code and with other libraries.
//!
//! ```no_run
//! # async fn example() -> tests::Result<()> {
//! use tests::harness::{Database, Flavor, Kafka};
//!
//! let (mysql, kafka) = (Database::start(Flavor::MySql57, &[]).await?, Kafka::start().await?);
//! kafka.create_topic("shop", 4).await?;
//! println!("{} {}", mysql.port(), kafka.broker());
//! # Ok(()) }
//! ```

pub mod checker;
pub mod event_log;
mod failure;
pub mod fuzz;
pub mod golden;
pub mod harness;
pub mod measure;
pub mod program;
pub mod workload;

pub use failure::{Failure, Result};
