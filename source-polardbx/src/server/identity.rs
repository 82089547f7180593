//! Which server a connection has reached. Behind a name or a proxy there may be several servers, so every connection is asked.

use super::kind::{ServerKind, kind_of};
use crate::error::{Result, SourceError};
use crate::session::Session;

/// The question to PolarDB-X. Its `server_uuid` is that of one of its data nodes, and changes.
const OF_POLARDBX: &str = "SELECT 'server_id', @@server_id";
const OF_OTHERS: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'server_id', 'gtid_domain_id', 'hostname')";

/// The identity of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The identity of the binlog history. A position is valid only on a server with the same identity. MySQL has an id for this, the
    /// `server_uuid`. MariaDB has none, so its server id, its domain id and its host name are used. PolarDB-X has its server id.
    pub(crate) history: String,
    /// The id that the server writes into the events which it makes for a dump.
    pub(crate) server_id: u32,
}

impl Identity {
    /// Asks the server on the other end of a connection.
    pub(crate) async fn ask(session: &mut Session) -> Result<Self> {
        let kind = kind_of(session.version(), "");
        let rows = session.rows("ask the server for its identity", Self::question(kind)).await?;
        Self::of_rows(kind, rows.iter().map(|row| (row.text(0), row.text(1))))
    }

    /// The question whose answer [`Identity::of_rows`] reads. No account needs a grant for it.
    pub(crate) fn question(kind: ServerKind) -> &'static str {
        if kind == ServerKind::PolarDbX { OF_POLARDBX } else { OF_OTHERS }
    }

    /// Reads the names and values of variables.
    pub(crate) fn of_rows(kind: ServerKind, rows: impl IntoIterator<Item = (Option<String>, Option<String>)>) -> Result<Self> {
        let rows: Vec<(String, String)> = rows.into_iter().filter_map(|(name, value)| Some((name?.to_ascii_lowercase(), value?))).collect();
        let variable = |name: &str| rows.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value.as_str());
        Self::of(kind, variable)
    }

    pub(super) fn of<'a>(kind: ServerKind, variable: impl Fn(&str) -> &'a str) -> Result<Self> {
        let missing = |what| Err(SourceError::answer("ask the server for its identity", format!("it has no {what}")));
        let server_id = variable("server_id").parse().unwrap_or_default();
        let history = if kind == ServerKind::PolarDbX {
            match variable("server_id") {
                "" => return missing("server_id"),
                id => format!("polardbx server {id}"),
            }
        } else if kind.is_mariadb() || !variable("gtid_domain_id").is_empty() {
            // Only MariaDB has domains, and its version does not always say so.
            match (variable("server_id"), variable("gtid_domain_id"), variable("hostname")) {
                ("", ..) => return missing("server_id"),
                (_, "", _) => return missing("gtid_domain_id"),
                (id, domain, host) => format!("mariadb server {id} domain {domain} host {host}"),
            }
        } else {
            match variable("server_uuid") {
                "" => return missing("server_uuid"),
                uuid => uuid.to_owned(),
            }
        };
        Ok(Self { history, server_id })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Server;
    use super::super::kind::kind_of;
    use super::*;

    #[test]
    fn the_identity_is_what_positions_belong_to() {
        let server = |version: &str, variables: &[(&str, &str)]| Server {
            kind: kind_of(version, ""),
            version: version.to_owned(),
            variables: variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
        };
        assert_eq!(server("8.0.15", &[("server_uuid", "3e11"), ("server_id", "1")]).identity().unwrap(), "3e11");
        assert!(server("8.0.15", &[("server_id", "1")]).identity().is_err());
        let facts = [("server_id", "1"), ("gtid_domain_id", "0"), ("hostname", "db-1")];
        assert_eq!(server("10.11.2-MariaDB", &facts).identity().unwrap(), "mariadb server 1 domain 0 host db-1");
        assert!(server("10.11.2-MariaDB", &[("server_uuid", "3e11")]).identity().is_err());
    }

    #[test]
    fn each_connection_is_asked_the_same() {
        let asked = |variables: &[(&str, &str)]| {
            Identity::of_rows(kind_of("8.0.15", ""), variables.iter().map(|&(name, value)| (Some(name.to_owned()), Some(value.to_owned()))))
        };
        let mysql = asked(&[("hostname", "db-1"), ("server_id", "7"), ("server_uuid", "3e11")]).unwrap();
        assert_eq!((mysql.history.as_str(), mysql.server_id), ("3e11", 7));
        let mariadb = asked(&[("gtid_domain_id", "0"), ("hostname", "db-1"), ("server_id", "1")]).unwrap();
        assert_eq!(mariadb.history, "mariadb server 1 domain 0 host db-1");
        assert!(asked(&[]).is_err());
        let row = |name: &str, value: &str| (Some(name.to_owned()), Some(value.to_owned()));
        let polardbx = kind_of("5.7.25-PXC-5.4.20", "");
        let found = Identity::of_rows(polardbx, [row("server_id", "1147473645"), row("server_uuid", "of a data node")]).unwrap();
        assert_eq!((found.history.as_str(), found.server_id), ("polardbx server 1147473645", 1_147_473_645));
    }
}
