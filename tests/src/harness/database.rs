//! A database server with a row-based binlog and its own scratch folder. Tests can start, stop, kill and freeze it.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Pool, PoolConstraints, PoolOpts};
use tempfile::TempDir;

use super::command::copy_folder;
use super::flavor::Flavor;
use super::process::{Process, free_ports};
use super::provision::{self, DatabaseFiles};
use super::server::Server;
use crate::{Failure, Result};

/// The account that the program under test uses. It has only the grants that a migration needs.
pub const USER: &str = "dts";
/// The password of [`USER`].
pub const PASSWORD: &str = "dts-secret";

const START_LIMIT: Duration = Duration::from_secs(60);

/// A running database; the methods of [`Server`] control its process. Dropping the database kills the server and removes its files.
#[derive(Debug)]
pub struct Database {
    // This field must be before `folder`: fields are dropped in the order of their declaration, and the server uses the folder.
    server: Server,
    files: DatabaseFiles,
    flavor: Flavor,
    folder: TempDir,
    port: u16,
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
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let mut database = Self { server: Server::default(), files, flavor, folder, port, options };
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

    /// Starts the server again on its existing data.
    pub async fn resume(&mut self) -> Result<()> {
        let mut command = self.flavor.command(&self.files.base, &self.data());
        command
            .args(["--bind-address=127.0.0.1", "--server-id=1", "--log-bin=binlog", "--binlog-format=ROW"])
            .args(["--performance-schema=OFF", "--innodb-buffer-pool-size=64M"])
            .arg(format!("--port={}", self.port))
            .arg(format!("--socket={}", self.socket().display()))
            // Servers must not share this folder: a server removes all temporary tables in it at its start.
            .arg(format!("--tmpdir={}", self.folder.path().display()))
            .arg(format!("--pid-file={}", self.folder.path().join("pid").display()))
            .args(self.flavor.own_options())
            .args(&self.options);
        let mut process = Process::spawn(self.flavor.name(), &mut command, self.folder.path(), "log")?;
        let start = std::time::Instant::now();
        loop {
            process.must_run()?;
            if let Ok(mut connection) = Conn::new(self.root()).await
                && connection.query_drop("SELECT 1").await.is_ok()
            {
                let _ = connection.disconnect().await;
                break;
            }
            if start.elapsed() > START_LIMIT {
                return Failure::err(format!("{} does not respond; its log:\n{}", self.flavor.name(), process.tail()));
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        self.server.up(process);
        Ok(())
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
        let setup = ["SET NAMES utf8mb4", "SET SESSION sql_mode='', time_zone='+00:00'"];
        OptsBuilder::default().user(Some("root")).socket(Some(self.socket().display().to_string())).setup(setup.to_vec())
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
