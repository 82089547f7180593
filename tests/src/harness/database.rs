//! A database server with a row-based binlog and its own scratch folder. Tests can start, stop, kill and freeze it.
//!
//! A database of [`Flavor::PolarDbX`] has two processes, [`MYSQL`] and [`STAND_IN`]. All connections lead to the stand-in. Options that
//! begin with `--standin-` are for the stand-in, such as `--standin-set=lag_ms=0` and `--standin-first-file=999998`; the others are
//! MySQL's.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Pool, PoolConstraints, PoolOpts};
use tempfile::TempDir;

use super::command::copy_folder;
use super::flavor::Flavor;
use super::process::{Process, free_ports};
use super::provision::{self, DatabaseFiles};
use super::server::Server;
use super::standin::{LoggedStatement, Settings, read_general_log};
use crate::{Failure, Result};

/// The account that the program under test uses. It has only the grants that a migration needs.
pub const USER: &str = "dts";
/// The password of [`USER`].
pub const PASSWORD: &str = "dts-secret";

/// The index of MySQL's process.
pub const MYSQL: usize = 0;
/// The index of the stand-in's process.
pub const STAND_IN: usize = 1;

const FOR_STAND_IN: &str = "--standin-";

const START_LIMIT: Duration = Duration::from_secs(60);

/// A running database; the methods of [`Server`] control its process. Dropping the database kills the server and removes its files.
#[derive(Debug)]
pub struct Database {
    // This field must be before `folder`: fields are dropped in the order of their declaration, and the server uses the folder.
    server: Server,
    files: DatabaseFiles,
    flavor: Flavor,
    folder: TempDir,
    /// The port to which clients connect.
    port: u16,
    /// The port of MySQL itself, which differs behind a stand-in.
    node_port: u16,
    options: Vec<String>,
}

impl Database {
    /// Starts an empty server with extra options (such as `--sync-binlog=0`), and creates the account and the watermark table of the
    /// tests.
    pub async fn start(flavor: Flavor, options: &[&str]) -> Result<Self> {
        let files = tokio::task::spawn_blocking(move || provision::database(flavor)).await??;
        // The path of the socket must be shorter than 108 bytes, so the folder's name is short.
        let folder = tempfile::Builder::new().prefix("db").tempdir()?;
        copy_folder(&files.template, &folder.path().join("data"))?;
        // The file holds the server_uuid of the template; without the file the server generates a new one.
        let _ = std::fs::remove_file(folder.path().join("data/auto.cnf"));
        let [port] = free_ports()?;
        let node_port = if flavor == Flavor::PolarDbX { free_ports::<1>()?[0] } else { port };
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let mut database = Self { server: Server::default(), files, flavor, folder, port, node_port, options };
        database.resume().await?;
        database
            .execute(&[
                &format!("CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'"),
                &format!("GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{USER}'@'%'"),
                "CREATE DATABASE dts_health_check",
                "CREATE TABLE dts_health_check.dts_watermark (task VARCHAR(64) PRIMARY KEY, token BIGINT)",
                &format!("GRANT ALL ON dts_health_check.* TO '{USER}'@'%'"),
            ])
            .await?;
        Ok(database)
    }

    /// The kind of the server.
    pub fn flavor(&self) -> Flavor {
        self.flavor
    }

    /// The server's port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's address, for a [`super::Proxy`].
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The server's data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Replaces the extra options; the next start uses them.
    pub fn set_options(&mut self, options: &[&str]) {
        self.options = options.iter().map(|&option| option.to_owned()).collect();
    }

    /// The statements that the stand-in has received.
    pub fn general_log(&self) -> Result<Vec<LoggedStatement>> {
        read_general_log(&self.global_binlog().join("general.log"))
    }

    /// The folder of the global binlog that the stand-in writes.
    pub fn global_binlog(&self) -> PathBuf {
        self.folder.path().join("global")
    }

    /// Starts the server again on its existing data. Of several processes, those are started that do not run.
    pub async fn resume(&mut self) -> Result<()> {
        if !self.server.is_up_at(MYSQL) {
            let process = self.start_mysql().await?;
            self.server.up_at(MYSQL, process);
        }
        if self.flavor == Flavor::PolarDbX && !self.server.is_up_at(STAND_IN) {
            let process = self.start_stand_in().await?;
            self.server.up_at(STAND_IN, process);
        }
        Ok(())
    }

    async fn start_stand_in(&self) -> Result<Process> {
        let mut settings =
            Settings { port: self.port, socket: self.socket(), folder: self.global_binlog(), first_file: 1, switches: vec![] };
        for option in self.options.iter().filter_map(|option| option.strip_prefix(FOR_STAND_IN)) {
            let mut parts = option.splitn(3, '=');
            match (parts.next(), parts.next(), parts.next()) {
                (Some("set"), Some(name), Some(value)) => settings.switches.push((name.to_owned(), value.to_owned())),
                (Some("first-file"), Some(number), None) => settings.first_file = number.parse()?,
                _ => return Failure::err(format!("{FOR_STAND_IN}{option} is not an option of the stand-in")),
            }
        }
        // Cargo puts the programs of a package next to the folder of its tests.
        let this = std::env::current_exe()?;
        let folders = this.ancestors().skip(1).take(2).map(|folder| folder.join("standin"));
        let program = folders.into_iter().find(|path| path.is_file());
        let program = program.ok_or_else(|| Failure::new("the program standin is not built: cargo build -p tests --bin standin"))?;
        let process = Process::spawn("the stand-in", Command::new(program).args(settings.arguments()), self.folder.path(), "standin-log")?;
        answering("the stand-in", process, self.root()).await
    }

    async fn start_mysql(&self) -> Result<Process> {
        let mut command = self.flavor.command(&self.files.base, &self.data());
        command
            .args(["--bind-address=127.0.0.1", "--server-id=1", "--log-bin=binlog", "--binlog-format=ROW"])
            .args(["--performance-schema=OFF", "--innodb-buffer-pool-size=64M"])
            .arg(format!("--port={}", self.node_port))
            .arg(format!("--socket={}", self.socket().display()))
            // Servers must not share this folder: a server removes all temporary tables in it at its start.
            .arg(format!("--tmpdir={}", self.folder.path().display()))
            .arg(format!("--pid-file={}", self.folder.path().join("pid").display()))
            .args(self.flavor.own_options())
            .args(self.options.iter().filter(|option| !option.starts_with(FOR_STAND_IN)));
        let process = Process::spawn(self.flavor.name(), &mut command, self.folder.path(), "log")?;
        answering(self.flavor.name(), process, self.root_at_socket()).await
    }

    /// Opens a connection as root, in UTC and with `sql_mode=''`, so that it can write every value that the server can store.
    pub async fn connect(&self) -> Result<Conn> {
        Ok(Conn::new(self.root()).await?)
    }

    /// A pool of connections as root, for concurrent use.
    pub fn pool(&self, connections: usize) -> Result<Pool> {
        let constraints = PoolConstraints::new(0, connections).ok_or_else(|| Failure::new("a pool needs a connection"))?;
        Ok(Pool::new(self.root().pool_opts(PoolOpts::default().with_constraints(constraints))))
    }

    /// Executes statements one after the other as root.
    pub async fn execute(&self, statements: &[&str]) -> Result<()> {
        let mut connection = self.connect().await?;
        for statement in statements {
            connection.query_drop(*statement).await.map_err(|error| Failure::from(error).context(*statement))?;
        }
        Ok(connection.disconnect().await?)
    }

    /// The file name and offset of the binlog's end.
    pub async fn position(&self) -> Result<(String, u64)> {
        let mut connection = self.connect().await?;
        if self.flavor == Flavor::PolarDbX {
            // The global binlog is behind MySQL: wait until it has all that was committed.
            connection.query_drop("SET @standin_sync = 1").await?;
        }
        let query = if self.flavor == Flavor::MySqlNewest { "SHOW BINARY LOG STATUS" } else { "SHOW MASTER STATUS" };
        let row: Option<mysql_async::Row> = connection.query_first(query).await?;
        connection.disconnect().await?;
        let row = row.ok_or_else(|| Failure::new(format!("{query} returned no row")))?;
        match (row.get(0), row.get(1)) {
            (Some(file), Some(offset)) => Ok((file, offset)),
            _ => Failure::err(format!("{query} returned no position")),
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    fn root(&self) -> OptsBuilder {
        if self.flavor != Flavor::PolarDbX {
            return self.root_at_socket();
        }
        // The library would otherwise ask for the server's socket file and use it instead.
        let opts = OptsBuilder::default().user(Some("root")).ip_or_hostname("127.0.0.1").tcp_port(self.port).prefer_socket(false);
        opts.setup(ROOT_SETUP.to_vec())
    }

    fn root_at_socket(&self) -> OptsBuilder {
        OptsBuilder::default().user(Some("root")).socket(Some(self.socket().display().to_string())).setup(ROOT_SETUP.to_vec())
    }
}

const ROOT_SETUP: [&str; 2] = ["SET NAMES utf8mb4", "SET SESSION sql_mode='', time_zone='+00:00'"];

/// Waits until a process that was just started answers queries.
async fn answering(name: &str, mut process: Process, opts: OptsBuilder) -> Result<Process> {
    let start = Instant::now();
    loop {
        process.must_run()?;
        if let Ok(mut connection) = Conn::new(opts.clone()).await
            && connection.query_drop("SELECT 1").await.is_ok()
        {
            let _ = connection.disconnect().await;
            return Ok(process);
        }
        if start.elapsed() > START_LIMIT {
            return Failure::err(format!("{name} does not respond; its log:\n{}", process.tail()));
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

impl Deref for Database {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for Database {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}
