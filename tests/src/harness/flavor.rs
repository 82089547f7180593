//! The databases that the tests run on, and how each of them is started.

use std::path::Path;
use std::process::Command;

use super::packages::MARIADBD;
use super::provision;
use crate::Result;

/// A kind of database server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// MySQL 5.7.22: anonymous GTIDs, no metadata in TABLE_MAP, no TLS version that clients still accept.
    MySql57,
    /// MySQL 8.0.15: `caching_sha2_password`; its TLS is too old for rustls.
    MySql80,
    /// MariaDB 10.11: rows events of version 1, GTIDs of its own, JSON as text, TLS 1.3.
    MariaDb,
    /// The newest MySQL that Debian has, 9.7 at present. It may be unavailable: see [`Flavor::available`].
    MySqlNewest,
}

impl Flavor {
    /// All flavors that the tests require.
    pub const ALL: [Self; 3] = [Self::MySql57, Self::MySql80, Self::MariaDb];

    /// A short name for databases, topics and folders.
    pub fn name(self) -> &'static str {
        match self {
            Self::MySql57 => "mysql57",
            Self::MySql80 => "mysql80",
            Self::MariaDb => "mariadb",
            Self::MySqlNewest => "mysql_newest",
        }
    }

    /// Fetches the server; the error says why it is not available.
    pub async fn available(self) -> Result<()> {
        tokio::task::spawn_blocking(move || provision::database(self).map(drop)).await?
    }

    /// The size of InnoDB's log in the template; the server must be started with the same value.
    pub(super) fn log_size(self) -> &'static str {
        match self {
            Self::MySql57 | Self::MySql80 => "--innodb-log-file-size=4M",
            Self::MySqlNewest => "--innodb-redo-log-capacity=8M",
            Self::MariaDb => "--innodb-log-file-size=8M",
        }
    }

    /// The server installed in `base` on a data folder, without anything about ports.
    pub(super) fn command(self, base: &Path, data: &Path) -> Command {
        let mut command = match self {
            Self::MySql57 | Self::MySql80 => {
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
                // It needs a newer C library than the system's.
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

    /// Options that only this server needs.
    pub(super) fn own_options(self) -> &'static [&'static str] {
        match self {
            Self::MySql80 | Self::MySqlNewest => &["--mysqlx=OFF"],
            Self::MySql57 | Self::MariaDb => &[],
        }
    }
}
