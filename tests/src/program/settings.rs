//! The configuration of a task, as the file that a user would write.

use std::net::SocketAddr;
use std::path::Path;

use super::Access;
use crate::Result;
use crate::checker::Format;
use crate::harness::{Database, Kafka, database};

/// The settings of a task, which are written as TOML.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The task's name.
    pub name: String,
    /// The port of the database on 127.0.0.1.
    pub source_port: u16,
    /// The account in the database.
    pub user: String,
    /// The account's password.
    pub password: String,
    /// The selected tables.
    pub tables: Vec<String>,
    /// The lines of `[source.polardbx]` that say how the password may be sent.
    pub login: String,
    /// Additional lines for `[source.polardbx]`.
    pub source: String,
    /// The addresses of the brokers.
    pub brokers: Vec<String>,
    /// The lines of `[sink.kafka]` that configure the access to Kafka.
    pub access: String,
    /// The topic.
    pub topic: String,
    /// Additional lines for `[sink.kafka]`.
    pub sink: String,
    /// The format of the values.
    pub format: Format,
    /// The keys of the format, as TOML without the braces around them.
    pub options: String,
    /// Additional sections of the file.
    pub more: String,
    /// Whether a task with both phases and one stream has the program's default of `handover`, which merges the rows of the full phase into the
    /// stream. Otherwise it is sequential, unless `source` has the key. Each way is tested by a part of the tests.
    pub merged: bool,
}

impl Settings {
    /// Settings for a full and an incremental phase of `tables` into `topic`; all other settings have their defaults.
    pub fn new(name: &str, source: &Database, tables: &[&str], kafka: &Kafka, topic: &str, format: Format) -> Self {
        Self {
            name: name.to_owned(),
            source_port: source.port(),
            user: database::USER.to_owned(),
            password: database::PASSWORD.to_owned(),
            tables: tables.iter().map(|&table| table.to_owned()).collect(),
            login: source.flavor().login_keys().to_owned(),
            source: String::new(),
            brokers: vec![kafka.broker()],
            access: String::new(),
            topic: topic.to_owned(),
            sink: String::new(),
            format,
            options: String::new(),
            more: String::new(),
            merged: false,
        }
    }

    /// Changes the way of access to Kafka; the addresses become those of all brokers.
    pub fn enter(&mut self, kafka: &Kafka, access: Access) -> Result<()> {
        self.brokers = kafka.addresses(access.listener());
        self.access = access.sink_keys()?;
        Ok(())
    }

    /// Changes the port of the database to that of `address`, which must be on this machine.
    pub fn read_from(&mut self, address: SocketAddr) {
        self.source_port = address.port();
    }

    /// Whether the rows of the full phase are merged into the stream. Tests of groups of streams have several, which are sequential.
    pub fn is_in_band(&self) -> bool {
        let has_streams = ["stream_group", "stream_split"].iter().any(|key| self.source.contains(key));
        let is_wanted = self.source.contains("handover = \"in_band\"") || self.merged && !self.source.contains("handover");
        self.has_both_phases() && is_wanted && !has_streams
    }

    fn has_both_phases(&self) -> bool {
        let phases = self.source.lines().find(|line| line.trim_start().starts_with("phases"));
        phases.is_none_or(|line| line.contains("\"full\"") && line.contains("\"incremental\""))
    }

    /// The configuration file as text, with the checkpoint at the path `state`.
    pub fn toml(&self, state: &Path) -> String {
        let Self { brokers, access, topic, sink, format, options, .. } = self;
        let format = format.name();
        let kafka = format!("[sink.kafka]\nbrokers = {brokers:?}\ntopic = {topic:?}\nformat.{format} = {{{options}}}\n{access}\n{sink}\n");
        self.toml_with_sink(state, &kafka)
    }

    /// The configuration file as text, with `sink` in place of the usual section of the sink.
    pub fn toml_with_sink(&self, state: &Path, sink: &str) -> String {
        let Self { name, source_port, user, password, tables, login, source, more, .. } = self;
        let is_free = !self.has_both_phases() || source.contains("handover");
        let handover = if self.merged || is_free { "" } else { "handover = \"sequential\"" };
        format!(
            "name = {name:?}\n\n[source.polardbx]\nhost = \"127.0.0.1\"\nport = {source_port}\nuser = {user:?}\npassword = {password:?}\n\
             tables = {tables:?}\n{login}\n{handover}\n{source}\n\n{sink}\n\n[store.local]\npath = {:?}\n\n{more}\n",
            state.display().to_string(),
        )
    }
}
