//! The real parts of the tests: a MySQL and a Kafka that run as processes of their own, a checker that reads topics back and compares them
//! with the source, workloads, and a child process that is the program under test.
//!
//! It does not test single functions: those tests live beside the code. It holds no copy of the product's logic either: the checker decodes
//! headers, Canal JSON and DTS Avro with code and libraries of its own, so that it can disagree.
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
mod failure;
pub mod fuzz;
pub mod golden;
pub mod harness;
pub mod measure;
pub mod program;
pub mod workload;

pub use failure::{Failure, Result};
