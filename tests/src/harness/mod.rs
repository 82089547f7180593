//! Real servers as processes: where they come from, how they start, how they end.
//!
//! Every server runs in a process group of its own, on free ports of 127.0.0.1, with its files in a scratch folder. A watchdog ends it and
//! removes the folder even when this process is killed. A server that cannot be had is a failure, never a skip.

pub mod kafka;
pub mod mysql;
mod packages;
pub mod process;
mod provision;
pub mod topic;

pub use kafka::Kafka;
pub use mysql::MySql;
pub use process::{Process, free_ports, poll};
pub use provision::{Servers, servers};
pub use topic::{Entry, TopicReader};
