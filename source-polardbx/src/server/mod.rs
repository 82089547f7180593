//! The questions that the source asks the server. `kind` finds out what kind of server it is, `identity` which one, `settings` and
//! `retention` check its settings, `binlog` asks for its binlog, and `tables` asks for its tables.

mod binlog;
mod gtid;
mod identity;
mod kind;
mod retention;
mod settings;
mod tables;

use std::collections::HashMap;

use runtime::Finding;

use crate::binlog::ServerProfile;
use crate::binlog::profile::is_polardbx;
use crate::error::Result;
use crate::session::Session;
pub(crate) use binlog::{BinlogFilters, binlog_end, binlog_files, binlog_filters, has_global_binlog, stream_groups};
pub(crate) use gtid::{ServerGtids, gtids_before};
pub(crate) use identity::Identity;
pub(crate) use kind::{ServerKind, kind_of};
pub(crate) use retention::{Needed, kept_hours, retention};
pub(crate) use tables::{Definition, Listed, database_collations, list_tables, parse_definition, read_ddl, read_definitions};

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
    "polardbx_instance_role",
    "transaction_policy",
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
        let version = session.version().to_owned();
        // PolarDB-X would not apply a WHERE.
        let statement = if is_polardbx(&version) {
            "SHOW GLOBAL VARIABLES".to_owned()
        } else {
            let list = VARIABLES.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
            format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({list})")
        };
        let rows = session.rows(DOING, statement).await?;
        let variables = rows.iter().filter_map(|row| Some((row.text(0)?.to_ascii_lowercase(), row.text(1)?)));
        let variables: HashMap<String, String> =
            variables.filter(|(name, value)| !value.is_empty() && VARIABLES.contains(&name.as_str())).collect();
        let comment = variables.get("version_comment").map_or("", String::as_str);
        Ok(Self { kind: kind_of(&version, comment), version, variables })
    }

    /// The value of a variable; empty if the server does not have the variable.
    pub(crate) fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    /// The identity of the server's binlog history.
    pub(crate) fn identity(&self) -> Result<String> {
        Identity::of(self.kind, |name| self.variable(name)).map(|identity| identity.history)
    }

    pub(crate) fn server_id(&self) -> u32 {
        self.variable("server_id").parse().unwrap_or_default()
    }

    /// Whether the server stores the names of databases and tables in lower case.
    pub(crate) fn lower_case(&self) -> bool {
        self.is_polardbx() || self.variable("lower_case_table_names") == "1"
    }

    /// The properties of the server that decide how the events of its binlog are read.
    pub(crate) fn profile(&self) -> ServerProfile {
        ServerProfile::new(self.version.as_str())
            .with_explicit_timestamps(self.variable("explicit_defaults_for_timestamp").eq_ignore_ascii_case("ON"))
            .with_lower_case_names(self.lower_case())
    }

    /// Whether the server is PolarDB-X.
    pub(crate) fn is_polardbx(&self) -> bool {
        self.kind == ServerKind::PolarDbX
    }

    /// The finding `server`: whether this kind of server is supported.
    pub(crate) fn support(&self) -> Finding {
        self.kind.support(&self.version)
    }
}
