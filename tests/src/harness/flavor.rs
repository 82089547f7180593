//! The databases that the tests know, and how each of them wants to be called.

use std::path::Path;
use std::process::Command;

use super::provision::Servers;

/// Path of MariaDB's server; Debian keeps it outside the search path of ordinary accounts.
pub(super) const MARIADBD: &str = "/usr/sbin/mariadbd";

/// A kind of database server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// MySQL 5.7.22: anonymous GTIDs, no metadata in TABLE_MAP, no TLS that is still spoken.
    MySql57,
    /// MySQL 8.0.15: `caching_sha2_password`; its TLS is too old for rustls.
    MySql80,
    /// MariaDB 10.11: rows events of version 1, GTIDs of its own, JSON as text, TLS 1.3.
    MariaDb,
}

impl Flavor {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::MySql57, Self::MySql80, Self::MariaDb];

    /// A short name for databases, topics and folders.
    pub fn name(self) -> &'static str {
        match self {
            Self::MySql57 => "mysql57",
            Self::MySql80 => "mysql80",
            Self::MariaDb => "mariadb",
        }
    }

    /// The size of InnoDB's log in the template; a server must be started with the same value.
    pub(super) fn log_size(self) -> &'static str {
        match self {
            Self::MySql57 | Self::MySql80 => "--innodb-log-file-size=4M",
            Self::MariaDb => "--innodb-log-file-size=8M",
        }
    }

    /// The server on a data folder, without anything about ports.
    pub(super) fn command(self, servers: &Servers, data: &Path) -> Command {
        let mut command = match self {
            Self::MySql57 | Self::MySql80 => {
                let base = servers.mysql(self);
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
        };
        command.args(["--user=root", self.log_size()]).arg(format!("--datadir={}", data.display()));
        command
    }

    /// What this server needs beyond the options that all take.
    pub(super) fn own_options(self) -> &'static [&'static str] {
        match self {
            Self::MySql80 => &["--mysqlx=OFF"],
            Self::MySql57 | Self::MariaDb => &[],
        }
    }
}
