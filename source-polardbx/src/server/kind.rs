//! Kinds of servers that speak the MySQL protocol, and which of them can be read.

use std::fmt;

use runtime::Finding;

use crate::binlog::profile::is_polardbx;

/// The kind of a server that speaks the MySQL protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerKind {
    MySql {
        major: u16,
        minor: u16,
    },
    MariaDb {
        major: u16,
        minor: u16,
    },
    /// PolarDB-X Enterprise Edition: a compute node, which has a logical binlog of its own.
    PolarDbX,
    /// PolarDB-X Standard Edition: a MySQL server that is replicated with Paxos.
    PolarDbXStandard,
    /// Another server that speaks the protocol, such as TiDB.
    Other,
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MySql { .. } => "MySQL",
            Self::MariaDb { .. } => "MariaDB",
            Self::PolarDbX => "PolarDB-X",
            Self::PolarDbXStandard => "PolarDB-X Standard Edition",
            Self::Other => "a server that is neither MySQL, MariaDB nor PolarDB-X",
        })
    }
}

impl ServerKind {
    /// Whether the server is MariaDB, whose events and statements differ from MySQL's.
    pub(crate) fn is_mariadb(self) -> bool {
        matches!(self, Self::MariaDb { .. })
    }

    /// Whether the server has SHOW BINARY LOG STATUS in place of SHOW MASTER STATUS.
    pub(super) fn has_binary_log_status(self) -> bool {
        matches!(self, Self::MySql { major, minor } if (major, minor) >= (8, 4))
    }

    /// Whether this kind of server is supported. `version` is the server's version text.
    pub(crate) fn support(self, version: &str) -> Finding {
        const SUPPORTED: &str = "use a source of PolarDB-X 2.0 (Enterprise Edition), of MySQL 5.7 to 9, or of MariaDB 10.5 to 11";
        let name = format!("{self} {version}");
        let untested = || Finding::warning("server", format!("{name} is newer than what this program was tested with"), SUPPORTED);
        match self {
            Self::MySql { major: 5, minor: 7 } | Self::MySql { major: 8 | 9, .. } | Self::MariaDb { major: 11, .. } => {
                Finding::passed("server", name)
            }
            Self::MariaDb { major: 10, minor } if minor >= 5 => Finding::passed("server", name),
            Self::MySql { major, .. } if major > 9 => untested(),
            Self::MariaDb { major, .. } if major > 11 => untested(),
            Self::MySql { .. } | Self::MariaDb { .. } => Finding::failed("server", format!("{name} is too old"), SUPPORTED),
            Self::PolarDbX => match polardbx_version(version) {
                Some(found) if found >= OLDEST_POLARDBX => Finding::passed("server", name),
                Some((a, b, c)) => Finding::failed(
                    "server",
                    format!("{name} is too old: it is version {a}.{b}.{c}, or the earlier product DRDS"),
                    "upgrade the instance to version 5.4.12 or newer, as SELECT VERSION() names it; DRDS 1.0 has no global binlog",
                ),
                None => Finding::warning("server", format!("{name} does not say which version it is"), "use version 5.4.12 or newer"),
            },
            Self::PolarDbXStandard | Self::Other => {
                Finding::failed("server", format!("{self}, version {version}, is not supported yet"), SUPPORTED)
            }
        }
    }
}

/// The oldest version of PolarDB-X that is read.
const OLDEST_POLARDBX: (u32, u32, u32) = (5, 4, 12);

/// The version of PolarDB-X itself, which stands behind that of MySQL; `None` if there are no three numbers.
fn polardbx_version(version: &str) -> Option<(u32, u32, u32)> {
    let version = version.to_ascii_lowercase();
    let (_, own) = version.split_once("-pxc-").or_else(|| version.split_once("-tddl-"))?;
    let mut numbers = own.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Finds the kind from the answer to `SELECT VERSION()` and the variable `version_comment`. What a server says when a connection begins is
/// not enough: PolarDB-X names only the MySQL version there.
pub(crate) fn kind_of(version: &str, comment: &str) -> ServerKind {
    let has = |word: &str| version.to_ascii_lowercase().contains(word) || comment.to_ascii_lowercase().contains(word);
    if has("tidb") || has("oceanbase") || has("doris") || has("starrocks") || has("vitess") {
        return ServerKind::Other;
    }
    let mariadb = has("mariadb");
    if !mariadb && has("x-cluster") {
        return ServerKind::PolarDbXStandard;
    }
    if !mariadb && is_polardbx(version) {
        return ServerKind::PolarDbX;
    }
    // MariaDB may put `5.5.5-` before its version, for clients that expect MySQL.
    let own = version.strip_prefix("5.5.5-").filter(|_| mariadb).unwrap_or(version);
    let mut numbers = own.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if mariadb => ServerKind::MariaDb { major, minor },
        (Some(Ok(major)), Some(Ok(minor))) => ServerKind::MySql { major, minor },
        _ => ServerKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use runtime::Level;

    use super::*;

    #[test]
    fn kinds_by_version() {
        for (version, comment, kind) in [
            ("5.7.22-log", "MySQL Community Server (GPL)", ServerKind::MySql { major: 5, minor: 7 }),
            ("8.0.15", "", ServerKind::MySql { major: 8, minor: 0 }),
            ("8.0.30-22", "Percona Server (GPL), Release 22", ServerKind::MySql { major: 8, minor: 0 }),
            ("5.7.25-TDDL-5.4.19-20251031", "", ServerKind::PolarDbX),
            ("5.7.25-PXC-5.4.20", "", ServerKind::PolarDbX),
            ("8.0.32-X-Cluster-8.4.20-20241014", "", ServerKind::PolarDbXStandard),
            ("10.11.6-MariaDB-0+deb12u1", "", ServerKind::MariaDb { major: 10, minor: 11 }),
            ("5.5.5-10.6.4-MariaDB-log", "", ServerKind::MariaDb { major: 10, minor: 6 }),
            ("11.4.5", "mariadb.org binary distribution", ServerKind::MariaDb { major: 11, minor: 4 }),
            ("5.7.25-TiDB-v6.5.0", "", ServerKind::Other),
            ("5.7.25", "OceanBase_CE 4.2", ServerKind::Other),
            ("strange", "", ServerKind::Other),
        ] {
            assert_eq!(kind_of(version, comment), kind, "{version}");
        }
    }

    #[test]
    fn only_what_is_built_is_supported() {
        for (version, level) in [
            ("5.6.51", Level::Failed),
            ("5.7.22", Level::Passed),
            ("8.0.15", Level::Passed),
            ("9.7.4", Level::Passed),
            ("10.0.1", Level::Warning),
            ("10.4.1-MariaDB", Level::Failed),
            ("10.11.19-MariaDB", Level::Passed),
            ("12.0.1-MariaDB", Level::Warning),
            ("5.7.25-PXC-5.4.20", Level::Passed),
            ("5.6.29-TDDL-5.4.12-16349923", Level::Passed),
            ("5.6.29-TDDL-5.4.6-15772413", Level::Failed),
            ("5.6.29-TDDL-5.3.10-15772413", Level::Failed),
            ("5.6.29-TDDL-5.10.1-1", Level::Passed),
            ("5.7.25-PXC-6.0.0", Level::Passed),
            ("5.7.25-PXC-new", Level::Warning),
            ("8.0.32-X-Cluster-8.4.20-20241014", Level::Failed),
        ] {
            let finding = kind_of(version, "").support(version);
            assert_eq!(finding.level, level, "{version}");
            assert!(finding.what.contains(version), "{}", finding.what);
            assert!(level == Level::Passed || !finding.help.is_empty(), "{version}");
        }
    }
}
