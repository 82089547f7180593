//! The configuration of a task, as the file that a user would write.

use std::net::SocketAddr;
use std::path::Path;

use super::Access;
use crate::Result;
use crate::checker::Format;
use crate::harness::{Database, Kafka, database};

/// What a task does; rendered as the TOML file that a user would write.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The task's name.
    pub name: String,
    /// Port of the database on 127.0.0.1.
    pub source_port: u16,
    /// Account.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Selected tables.
    pub tables: Vec<String>,
    /// Further lines of `[source.polardbx]`.
    pub source: String,
    /// The brokers.
    pub brokers: Vec<String>,
    /// Lines of `[sink.kafka]` for the access to Kafka.
    pub access: String,
    /// The topic.
    pub topic: String,
    /// Further lines of `[sink.kafka]`.
    pub sink: String,
    /// Format of the values.
    pub format: Format,
    /// Keys of the format, as they stand between its braces.
    pub options: String,
    /// Further sections.
    pub more: String,
}

impl Settings {
    /// Full and incremental phase of `tables` into `topic`; all other settings have their defaults.
    pub fn new(name: &str, source: &Database, tables: &[&str], kafka: &Kafka, topic: &str, format: Format) -> Self {
        Self {
            name: name.to_owned(),
            source_port: source.port(),
            user: database::USER.to_owned(),
            password: database::PASSWORD.to_owned(),
            tables: tables.iter().map(|&table| table.to_owned()).collect(),
            source: String::new(),
            brokers: vec![kafka.broker()],
            access: String::new(),
            topic: topic.to_owned(),
            sink: String::new(),
            format,
            options: String::new(),
            more: String::new(),
        }
    }

    /// Accesses Kafka in another way, with the addresses of all brokers.
    pub fn enter(&mut self, kafka: &Kafka, access: Access) -> Result<()> {
        self.brokers = kafka.addresses(access.listener());
        self.access = access.sink_keys()?;
        Ok(())
    }

    /// Uses another address of the database, on this machine.
    pub fn read_from(&mut self, address: SocketAddr) {
        self.source_port = address.port();
    }

    /// The file, with the checkpoint in `state`.
    pub fn toml(&self, state: &Path) -> String {
        let Self { name, source_port, user, password, tables, source, brokers, access, topic, sink, format, options, more } = self;
        format!(
            "name = {name:?}\n\n[source.polardbx]\nhost = \"127.0.0.1\"\nport = {source_port}\nuser = {user:?}\npassword = {password:?}\n\
             tables = {tables:?}\n{source}\n\n[sink.kafka]\nbrokers = {brokers:?}\ntopic = {topic:?}\nformat.{} = {{{options}}}\n{access}\n{sink}\n\n\
             [store.local]\npath = {:?}\n\n{more}\n",
            format.name(),
            state.display().to_string(),
        )
    }
}
