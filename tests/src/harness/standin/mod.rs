//! A stand-in for the compute node and the CDC component of PolarDB-X, in front of a MySQL 5.7.
//!
//! To its clients it is a PolarDB-X: statements are forwarded to MySQL, changed on their way, answered here, or refused, as a compute node
//! does. A global binlog is written from MySQL's own binlog, and sent to clients as the dump service of PolarDB-X does. The stand-in is a
//! process of its own, so that tests can kill and freeze it.
//!
//! Besides the global binlog there may be groups of streams, over which the rows of the same binlog are split.
//!
//! What it does not imitate: most of the column `Info` of SHOW BINLOG EVENTS.

mod answers;
mod binary_rows;
mod ddl;
mod dialect;
mod dump;
mod errors;
mod events;
mod follow;
mod front;
mod general_log;
mod parts;
mod relay;
mod rows;
mod shown_events;
mod sql;
mod statement;
mod store;
mod switches;
mod transactions;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;

pub use general_log::{LoggedStatement, Outcome, read_general_log};
pub use switches::SWITCHES;

use crate::{Failure, Result};

/// The answer to `SELECT VERSION()`, which is in the files as well.
pub const VERSION: &str = "5.7.25-PXC-5.4.20-20251031";

/// The settings of the stand-in.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The port of 127.0.0.1 on which it listens.
    pub port: u16,
    /// The socket file of the MySQL server behind it.
    pub socket: PathBuf,
    /// The folder of the global binlog. It also holds the general log, `general.log`.
    pub folder: PathBuf,
    /// The number of the first file of the global binlog.
    pub first_file: u32,
    /// Switches that differ from their defaults.
    pub switches: Vec<(String, String)>,
}

impl Settings {
    /// Reads the settings from command-line arguments such as `--port 3306 --set lag_ms=0`.
    pub fn of_arguments(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut settings = Self { first_file: 1, ..Self::default() };
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| Failure::new(format!("{name} needs a value")))?;
            match name.as_str() {
                "--port" => settings.port = value.parse()?,
                "--socket" => settings.socket = value.into(),
                "--folder" => settings.folder = value.into(),
                "--first-file" => settings.first_file = value.parse()?,
                "--set" => {
                    let (name, value) = value.split_once('=').ok_or_else(|| Failure::new("--set needs name=value"))?;
                    settings.switches.push((name.to_owned(), value.to_owned()));
                }
                _ => return Failure::err(format!("the argument {name} is not known")),
            }
        }
        Ok(settings)
    }

    /// The arguments from which [`Settings::of_arguments`] reads these settings.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = Vec::new();
        for (name, value) in [
            ("--port", self.port.to_string()),
            ("--socket", self.socket.display().to_string()),
            ("--folder", self.folder.display().to_string()),
            ("--first-file", self.first_file.to_string()),
        ] {
            arguments.extend([name.to_owned(), value]);
        }
        for (name, value) in &self.switches {
            arguments.extend(["--set".to_owned(), format!("{name}={value}")]);
        }
        arguments
    }
}

/// Runs the stand-in until something fails.
pub async fn run(settings: Settings) -> Result<()> {
    let switches = switches::Switches::new();
    for (name, value) in &settings.switches {
        switches.set(name, value)?;
    }
    std::fs::create_dir_all(&settings.folder)?;
    let mut client = wire::Client::connect(&settings.socket).await?;
    let server_id: u32 = client.query("SELECT @@server_id").await?.text(0, 0).parse()?;
    let open = |base: &str| store::Writer::open(&settings.folder, base, settings.first_file, server_id, VERSION);
    let (writer, store) = open(store::GLOBAL)?;
    let mut logs = vec![follow::Log::new(writer, Arc::clone(&store), None)];
    let (split, mut streams) = (parts::Split::parse(&switches.text("split"))?, Vec::new());
    for (group, switch) in [("group1", "streams"), ("group2", "more_streams")] {
        let count = switches.number(switch) as usize;
        for number in 0..count {
            let name = format!("{group}_stream_{number}");
            let (writer, store) = open(&format!("{name}_binlog"))?;
            logs.push(follow::Log::new(writer, Arc::clone(&store), Some(parts::Place { split, number, count })));
            streams.push((name, store));
        }
    }
    let (handle, mut failures) = follow::start(settings.socket.clone(), logs, switches.clone());
    let log = general_log::GeneralLog::open(&settings.folder.join("general.log"))?;
    let shared = front::Shared::new(settings.socket, server_id, store, streams, switches, handle, log);
    shared.look_for_hidden_keys().await?;
    let shared = Arc::new(shared);
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, settings.port)).await?;
    loop {
        tokio::select! {
            connection = listener.accept() => {
                let (stream, _) = connection?;
                stream.set_nodelay(true)?;
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    if let Err(error) = front::serve(stream, shared).await {
                        eprintln!("a connection ended: {error}");
                    }
                });
            }
            failure = failures.recv() => {
                return Err(failure.unwrap_or_else(|| Failure::new("the global binlog is not written any more")));
            }
        }
    }
}
