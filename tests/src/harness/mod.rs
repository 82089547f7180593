//! Fetches, starts and ends real servers as child processes, and provides proxies that disturb the connections to them.
//!
//! Every server runs in its own process group, on free ports of 127.0.0.1, with its files in a scratch folder. A watchdog ends the server
//! and removes the folder even if the test program is killed. A test whose server is unavailable fails. Only a test of
//! [`Flavor::MySqlNewest`] is skipped instead.

pub mod alibaba;
mod certificates;
mod command;
pub mod database;
mod flavor;
mod http;
mod impostor;
pub mod kafka;
mod packages;
pub mod process;
mod provision;
mod proxy;
mod registry;
pub mod registry_stub;
pub mod replication;
mod server;
pub mod standin;
pub mod topic;

pub use certificates::{Certificates, Identity, certificates};
pub use database::Database;
pub use flavor::Flavor;
pub use impostor::{Disguise, Impostor};
pub use kafka::{Kafka, Listener};
pub use process::{Process, free_ports, poll};
pub use proxy::Proxy;
pub use registry::Registry;
pub use registry_stub::RegistryStub;
pub use server::Server;
pub use topic::{Entry, TopicReader};
