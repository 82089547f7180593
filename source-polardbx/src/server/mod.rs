//! The questions that the source asks the server. `kind` finds out what kind of server it is, `identity` which one, `settings` checks its settings, `binlog` asks
//! for its binlog, and `tables` asks for its tables.

mod binlog;
mod identity;
mod kind;
mod settings;
mod tables;

use std::collections::HashMap;

use runtime::Finding;

use crate::binlog::ServerProfile;
use crate::error::{Result, SourceError};
use crate::session::{Session, nth};
pub(crate) use binlog::{BinlogFilters, binlog_end, binlog_files, binlog_filters};
pub(crate) use identity::{IDENTITY, Identity};
pub(crate) use kind::ServerKind;
use kind::kind_of;
pub(crate) use tables::{Definition, database_charsets, parse_definition, read_ddl, read_definitions, selected_tables};

/// The names of the server variables that are read.
const VARIABLES: &[&str] = &[
    "server_uuid",
    "server_id",
    "gtid_domain_id",
    "hostname",
    "version_comment",
    "lower_case_table_names",
    "explicit_defaults_for_timestamp",
    "log_bin",
    "log_bin_compress",
    "log_slave_updates",
    "log_replica_updates",
    "binlog_format",
    "binlog_row_image",
    "binlog_row_value_options",
    "binlog_order_commits",
    "expire_logs_days",
    "binlog_expire_logs_seconds",
];

/// A server's kind, version and variables, as reported at the beginning of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) kind: ServerKind,
    /// The answer to `SELECT VERSION()`.
    pub(crate) version: String,
    variables: HashMap<String, String>,
}

impl Server {
    /// Asks the server for its version and settings.
    pub(crate) async fn identify(session: &mut Session) -> Result<Self> {
        const DOING: &str = "ask the server for its version and settings";
        let version = session.rows(DOING, "SELECT VERSION()").await?.first().and_then(|row| nth(row, 0));
        let version = version.ok_or_else(|| SourceError::answer(DOING, "the server does not report its version"))?;
        let list = VARIABLES.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        let rows = session.rows(DOING, format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({list})")).await?;
        let mut variables: HashMap<String, String> =
            rows.iter().filter_map(|row| Some((nth(row, 0)?.to_ascii_lowercase(), nth(row, 1)?))).collect();
        let polardbx = !session.rows(DOING, "SHOW GLOBAL VARIABLES LIKE 'polarx\\_%'").await?.is_empty();
        variables.retain(|_, value| !value.is_empty());
        let comment = variables.get("version_comment").map_or("", String::as_str);
        Ok(Self { kind: kind_of(&version, comment, polardbx), version, variables })
    }

    /// The value of a variable; empty if the server does not have the variable.
    pub(crate) fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    /// The identity of the server's binlog history.
    pub(crate) fn identity(&self) -> Result<String> {
        Identity::of(self.kind.is_mariadb(), |name| self.variable(name)).map(|identity| identity.history)
    }

    pub(crate) fn server_id(&self) -> u32 {
        self.variable("server_id").parse().unwrap_or_default()
    }

    /// Whether the server stores the names of databases and tables in lower case.
    pub(crate) fn lower_case(&self) -> bool {
        self.kind == ServerKind::PolarDbX || self.variable("lower_case_table_names") == "1"
    }

    /// The properties of the server that decide how the events of its binlog are read.
    pub(crate) fn profile(&self) -> ServerProfile {
        ServerProfile::new(self.version.as_str())
            .with_explicit_timestamps(self.variable("explicit_defaults_for_timestamp").eq_ignore_ascii_case("ON"))
            .with_lower_case_names(self.lower_case())
    }

    /// The finding `server`: whether this kind of server is supported.
    pub(crate) fn support(&self) -> Finding {
        self.kind.support(&self.version)
    }
}
