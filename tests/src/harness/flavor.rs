//! The databases on which the tests run, and how each of them is started.

use std::path::Path;
use std::process::Command;

use super::packages::MARIADBD;
use super::provision;
use crate::Result;

/// A kind of database server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// MySQL 5.7.22: anonymous GTIDs, no metadata in TABLE_MAP events, only TLS versions that clients do not accept any more.
    MySql57,
    /// MySQL 8.0.15: the authentication `caching_sha2_password`; its TLS versions are too old for rustls.
    MySql80,
    /// MariaDB 10.11: row events of version 1, its own form of GTIDs, JSON stored as text, TLS 1.3.
    MariaDb,
    /// A stand-in for PolarDB-X 2.0 in front of a MySQL 5.7.22; see [`super::standin`].
    PolarDbX,
    /// The newest MySQL in Debian, 9.7 at present. It is not available on every machine; see [`Flavor::available`].
    MySqlNewest,
}

impl Flavor {
    /// All flavors that the tests require.
    pub const ALL: [Self; 4] = [Self::MySql57, Self::MySql80, Self::MariaDb, Self::PolarDbX];

    /// A short name for databases, topics and folders.
    pub fn name(self) -> &'static str {
        match self {
            Self::MySql57 => "mysql57",
            Self::MySql80 => "mysql80",
            Self::MariaDb => "mariadb",
            Self::PolarDbX => "polardbx",
            Self::MySqlNewest => "mysql_newest",
        }
    }

    /// Fetches the server's files; an error says why the server is not available.
    pub async fn available(self) -> Result<()> {
        tokio::task::spawn_blocking(move || provision::database(self).map(drop)).await?
    }

    /// The keys of `[source.polardbx]` with which the account of the tests can log in without TLS. MySQL 8 asks for the password itself
    /// unless it has its hash in a cache.
    pub fn login_keys(self) -> &'static str {
        match self {
            Self::MySql80 | Self::MySqlNewest => "allow_public_key_retrieval = true",
            Self::MySql57 | Self::MariaDb | Self::PolarDbX => "",
        }
    }

    /// The options with which MariaDB loads this plugin, which is not part of the server's own package.
    pub async fn mariadb_plugin(name: &str) -> Result<Vec<String>> {
        let folder = tokio::task::spawn_blocking(provision::mariadb_plugins).await??;
        Ok(vec![format!("--plugin-dir={}", folder.display()), format!("--plugin-load-add={name}")])
    }

    /// The option for the size of InnoDB's log. The template was created with it, and the server must be started with the same value.
    pub(super) fn log_size(self) -> &'static str {
        match self {
            Self::MySql57 | Self::MySql80 | Self::PolarDbX => "--innodb-log-file-size=4M",
            Self::MySqlNewest => "--innodb-redo-log-capacity=8M",
            Self::MariaDb => "--innodb-log-file-size=8M",
        }
    }

    /// The command that starts the server installed in `base` with the data folder `data`; the caller adds options for ports.
    pub(super) fn command(self, base: &Path, data: &Path) -> Command {
        let mut command = match self {
            Self::MySql57 | Self::MySql80 | Self::PolarDbX => {
                let mut command = Command::new(base.join("bin/mysqld"));
                command.arg("--no-defaults");
                command.arg(format!("--basedir={}", base.display()));
                command.arg(format!("--lc-messages-dir={}", base.join("share").display()));
                command
            }
            Self::MariaDb => {
                let mut command = Command::new(MARIADBD);
                command.arg("--no-defaults");
                command
            }
            Self::MySqlNewest => {
                // This server needs a newer C library than the system has. So the loader from the packages of the server starts it, with
                // the libraries from there.
                let base = base.join("usr");
                let mut command = Command::new(base.join("lib64/ld-linux-x86-64.so.2"));
                command.arg("--library-path").arg(base.join("lib/x86_64-linux-gnu")).arg(base.join("sbin/mysqld"));
                command.args(["--no-defaults", "--secure-file-priv="]).arg(format!("--basedir={}", base.display()));
                command.arg(format!("--lc-messages-dir={}", base.join("share/mysql").display()));
                command.arg(format!("--plugin-dir={}", base.join("lib/mysql/plugin").display()));
                command
            }
        };
        command.args(["--user=root", self.log_size()]).arg(format!("--datadir={}", data.display()));
        command
    }

    /// Extra options for this kind of server.
    pub(super) fn own_options(self) -> &'static [&'static str] {
        match self {
            Self::MySql80 | Self::MySqlNewest => &["--mysqlx=OFF"],
            Self::PolarDbX => &["--server-id=1147473645", "--lower-case-table-names=1", "--character-set-server=utf8mb4"],
            Self::MySql57 | Self::MariaDb => &[],
        }
    }
}
