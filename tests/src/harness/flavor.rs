//! The databases that the tests know, and how each of them wants to be called.

use std::path::Path;
use std::process::Command;

use super::packages::MARIADBD;
use super::provision;
use crate::Result;

/// A kind of database server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// MySQL 5.7.22: anonymous GTIDs, no metadata in TABLE_MAP, no TLS that is still spoken.
    MySql57,
    /// MySQL 8.0.15: `caching_sha2_password`; its TLS is too old for rustls.
    MySql80,
    /// MariaDB 10.11: rows events of version 1, GTIDs of its own, JSON as text, TLS 1.3.
    MariaDb,
    /// The newest MySQL that Debian has, 9.7 at present. Only for tests that can do without: see [`Flavor::is_at_hand`].
    MySqlNewest,
}

impl Flavor {
    /// All that must be there.
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
    pub async fn is_at_hand(self) -> Result<()> {
        tokio::task::spawn_blocking(move || provision::database(self).map(drop)).await?
    }

    /// The size of InnoDB's log in the template; a server must be started with the same value.
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
                // The system's C library is older than the one that it was built with.
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

    /// What this server needs beyond the options that all take.
    pub(super) fn own_options(self) -> &'static [&'static str] {
        match self {
            Self::MySql80 | Self::MySqlNewest => &["--mysqlx=OFF"],
            Self::MySql57 | Self::MariaDb => &[],
        }
    }
}
