//! What server we are talking to: its kind, its identity, its settings, its binlog.

use std::collections::HashMap;

use mysql_async::Row;
use runtime::{Finding, TableId, TableSchema};

use crate::binlog::FileOffset;
use crate::error::{Result, SourceError};
use crate::schema::read_create_table;
use crate::selection::Selection;
use crate::session::{Session, named, nth, quoted};

/// Kinds of servers that speak the MySQL protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerKind {
    MySql {
        major: u16,
        minor: u16,
    },
    MariaDb,
    /// Enterprise edition: a compute node with a logical binlog of its own.
    PolarDbX,
    /// Standard edition: a MySQL with Paxos.
    PolarDbXStandard,
    /// Speaks the protocol, is none of these.
    Other,
}

/// The server as it was found.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) kind: ServerKind,
    /// Answer to `SELECT VERSION()`.
    pub(crate) version: String,
    variables: HashMap<String, String>,
}

/// A place in the binlog with the name of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BinlogPlace {
    /// Name without the number.
    pub(crate) base: String,
    pub(crate) at: FileOffset,
}

impl Server {
    /// Asks the server who it is. Sends nothing that changes it.
    pub(crate) async fn identify(session: &mut Session) -> Result<Self> {
        const DOING: &str = "ask the server for its version and settings";
        let version = session.rows(DOING, "SELECT VERSION()").await?.first().and_then(|row| nth(row, 0));
        let version = version.ok_or_else(|| SourceError::answer(DOING, "the server does not tell its version"))?;
        let wanted = [
            "server_uuid",
            "server_id",
            "version_comment",
            "lower_case_table_names",
            "log_bin",
            "binlog_format",
            "binlog_row_image",
            "binlog_row_value_options",
            "binlog_order_commits",
            "expire_logs_days",
            "binlog_expire_logs_seconds",
        ];
        let list = wanted.map(|name| format!("'{name}'")).join(", ");
        let rows = session.rows(DOING, format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({list})")).await?;
        let mut variables: HashMap<String, String> =
            rows.iter().filter_map(|row| Some((nth(row, 0)?.to_ascii_lowercase(), nth(row, 1)?))).collect();
        let polardbx = !session.rows(DOING, "SHOW GLOBAL VARIABLES LIKE 'polarx\\_%'").await?.is_empty();
        variables.retain(|_, value| !value.is_empty());
        let comment = variables.get("version_comment").map_or("", String::as_str);
        Ok(Self { kind: kind_of(&version, comment, polardbx), version, variables })
    }

    /// A setting; empty if the server does not have it.
    pub(crate) fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    /// Text that stays the same as long as binlog positions mean the same.
    pub(crate) fn identity(&self) -> Result<String> {
        match self.variable("server_uuid") {
            "" => Err(SourceError::answer("ask the server for its identity", "it has no server_uuid")),
            uuid => Ok(uuid.to_owned()),
        }
    }

    pub(crate) fn server_id(&self) -> u32 {
        self.variable("server_id").parse().unwrap_or_default()
    }

    /// Whether names are stored in lower case.
    pub(crate) fn lower_case(&self) -> bool {
        self.kind == ServerKind::PolarDbX || self.variable("lower_case_table_names") == "1"
    }

    /// Whether this kind of server can be read.
    pub(crate) fn support(&self) -> Finding {
        let version = &self.version;
        let name = match self.kind {
            ServerKind::MySql { major: 5, minor: 7 } => return Finding::passed("server", format!("MySQL {version}")),
            ServerKind::MySql { .. } => "MySQL",
            ServerKind::MariaDb => "MariaDB",
            ServerKind::PolarDbX => "PolarDB-X",
            ServerKind::PolarDbXStandard => "PolarDB-X Standard Edition",
            ServerKind::Other => "a server that is neither MySQL nor PolarDB-X",
        };
        Finding::failed("server", format!("{name}, version {version}, is not supported yet"), "use a source of MySQL 5.7")
    }

    /// The settings that the stream needs.
    pub(crate) fn stream_settings(&self) -> Vec<Finding> {
        let want = |item: &'static str, expected: &str, remedy: &str| {
            let found = self.variable(item);
            if found.eq_ignore_ascii_case(expected) {
                Finding::passed(item, if found.is_empty() { "empty" } else { found })
            } else {
                Finding::failed(item, format!("it is {found:?}, and must be {expected:?}"), remedy)
            }
        };
        vec![
            want("log_bin", "ON", "start the server with --log-bin and --server-id"),
            want(
                "binlog_format",
                "ROW",
                "SET GLOBAL binlog_format = 'ROW', the same in the server's option file, and let all sessions connect anew",
            ),
            want(
                "binlog_row_image",
                "FULL",
                "SET GLOBAL binlog_row_image = 'FULL', the same in the server's option file, and let all sessions connect anew",
            ),
            want("binlog_row_value_options", "", "SET GLOBAL binlog_row_value_options = ''"),
            match self.server_id() {
                0 => Finding::failed(
                    "source_server_id",
                    "it is 0, and the server gives its binlog to nobody then",
                    "SET GLOBAL server_id to a number above 0, the same in the server's option file",
                ),
                id => Finding::passed("source_server_id", id.to_string()),
            },
        ]
    }
}

fn kind_of(version: &str, comment: &str, polardbx: bool) -> ServerKind {
    let has = |word: &str| version.to_ascii_lowercase().contains(word) || comment.to_ascii_lowercase().contains(word);
    if has("tidb") || has("oceanbase") || has("doris") || has("starrocks") || has("vitess") {
        return ServerKind::Other;
    }
    if has("mariadb") {
        return ServerKind::MariaDb;
    }
    if has("x-cluster") {
        return ServerKind::PolarDbXStandard;
    }
    if has("-tddl-") || has("-pxc-") || polardbx {
        return ServerKind::PolarDbX;
    }
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => ServerKind::MySql { major, minor },
        _ => ServerKind::Other,
    }
}

impl BinlogPlace {
    /// From a file's name and an offset; `None` if the name has no number at its end.
    pub(crate) fn new(file: &str, offset: u64) -> Option<Self> {
        let (base, number) = file.rsplit_once('.')?;
        let digits = !base.is_empty() && number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit());
        let file = digits.then(|| number.parse().ok())??;
        Some(Self { base: base.to_owned(), at: FileOffset { file, offset } })
    }

    pub(crate) fn file(&self) -> String {
        file_name(&self.base, self.at.file)
    }

    /// The form that DTS prints: `<offset>@<file number>`.
    pub(crate) fn offset_text(&self) -> String {
        format!("{}@{}", self.at.offset, self.at.file)
    }
}

/// Name of a binlog file.
pub(crate) fn file_name(base: &str, number: u32) -> String {
    format!("{base}.{number:06}")
}

/// The end of the binlog; `None` if the server writes none.
pub(crate) async fn binlog_end(session: &mut Session) -> Result<Option<BinlogPlace>> {
    const DOING: &str = "ask for the end of the binlog (SHOW MASTER STATUS)";
    let rows = session.rows(DOING, "SHOW MASTER STATUS").await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let place = named(row, "File").zip(named(row, "Position").and_then(|text| text.parse().ok()));
    let place = place.and_then(|(file, offset)| BinlogPlace::new(&file, offset));
    place.map(Some).ok_or_else(|| SourceError::answer(DOING, "the server's answer names no binlog file and position"))
}

/// The binlog files that the server still has, oldest first, with their sizes.
pub(crate) async fn binlog_files(session: &mut Session) -> Result<Vec<(String, u64)>> {
    let rows = session.rows("list the binlog files (SHOW BINARY LOGS)", "SHOW BINARY LOGS").await?;
    let file = |row: &Row| Some((named(row, "Log_name")?, named(row, "File_size")?.parse().ok()?));
    Ok(rows.iter().filter_map(file).collect())
}

/// All tables that are selected, sorted by name, and the views that are selected by a literal.
pub(crate) async fn selected_tables(session: &mut Session, selection: &Selection) -> Result<(Vec<TableId>, Vec<TableId>)> {
    let (mut tables, mut views) = (Vec::new(), Vec::new());
    for row in session.rows("list the databases", "SHOW DATABASES").await? {
        let Some(database) = nth(&row, 0).filter(|name| selection.may_select_from(name)) else { continue };
        let sql = format!("SHOW FULL TABLES FROM {}", quoted(&database));
        for row in session.rows(format!("list the tables of {database}"), sql).await? {
            let (Some(name), Some(kind)) = (nth(&row, 0), nth(&row, 1)) else { continue };
            let id = TableId::new(database.as_str(), name);
            if selection.selects(&id) {
                if kind.eq_ignore_ascii_case("BASE TABLE") { tables.push(id) } else { views.push(id) }
            }
        }
    }
    tables.sort();
    Ok((tables, views))
}

/// The default character set of every database.
pub(crate) async fn database_charsets(session: &mut Session) -> Result<HashMap<String, String>> {
    let sql = "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME FROM information_schema.SCHEMATA";
    let rows = session.rows("ask for the databases' character sets", sql).await?;
    Ok(rows.iter().filter_map(|row| Some((nth(row, 0)?, nth(row, 1)?))).collect())
}

/// A table's structure by SHOW CREATE TABLE: logical columns in the order of the binlog.
pub(crate) async fn read_structure(session: &mut Session, table: &TableId) -> Result<TableSchema> {
    let doing = format!("read the structure of table {table}");
    let sql = format!("SHOW CREATE TABLE {}.{}", quoted(&table.database), quoted(&table.table));
    let rows = session.rows(doing.clone(), sql).await?;
    let statement = rows.first().and_then(|row| named(row, "Create Table"));
    let statement = statement.ok_or_else(|| SourceError::answer(doing.clone(), "the server's answer holds no CREATE TABLE"))?;
    let mut create =
        read_create_table(&statement, &table.database, &|_| None).map_err(|error| SourceError::answer(doing, error.to_string()))?;
    create.schema.id = table.clone();
    Ok(create.schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_version() {
        for (version, comment, polardbx, kind) in [
            ("5.7.22-log", "MySQL Community Server (GPL)", false, ServerKind::MySql { major: 5, minor: 7 }),
            ("8.0.15", "", false, ServerKind::MySql { major: 8, minor: 0 }),
            ("5.7.25-TDDL-5.4.19-20251031", "", true, ServerKind::PolarDbX),
            ("5.7.25-PXC-5.4.20", "", false, ServerKind::PolarDbX),
            ("8.0.32-X-Cluster-8.4.20-20241014", "", false, ServerKind::PolarDbXStandard),
            ("10.11.6-MariaDB-0+deb12u1", "", false, ServerKind::MariaDb),
            ("5.7.25-TiDB-v6.5.0", "", false, ServerKind::Other),
            ("5.7.25", "OceanBase_CE 4.2", false, ServerKind::Other),
            ("strange", "", false, ServerKind::Other),
        ] {
            assert_eq!(kind_of(version, comment, polardbx), kind, "{version}");
        }
    }

    #[test]
    fn only_what_is_built_is_supported() {
        let server = |version: &str| Server { kind: kind_of(version, "", false), version: version.into(), variables: HashMap::new() };
        assert_eq!(server("5.7.22").support().level, runtime::Level::Passed);
        let finding = server("8.0.15").support();
        assert_eq!(finding.level, runtime::Level::Failed);
        assert!(finding.what.contains("8.0.15"));
    }

    #[test]
    fn settings_that_lose_rows_fail() {
        let variables = [("log_bin", "ON"), ("binlog_format", "MIXED"), ("binlog_row_image", "FULL"), ("server_id", "0")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let server = Server { kind: ServerKind::MySql { major: 5, minor: 7 }, version: String::new(), variables };
        let failed: Vec<_> = server.stream_settings().into_iter().filter(|finding| finding.level == runtime::Level::Failed).collect();
        let items: Vec<_> = failed.iter().map(|finding| &*finding.item).collect();
        assert_eq!(items, ["binlog_format", "source_server_id"]);
    }

    #[test]
    fn binlog_names() {
        let place = BinlogPlace::new("mysql-bin.0.000017", 4).unwrap();
        assert_eq!((place.base.as_str(), place.at.file, place.file().as_str()), ("mysql-bin.0", 17, "mysql-bin.0.000017"));
        assert_eq!(place.offset_text(), "4@17");
        assert_eq!(BinlogPlace::new("binlog.1000000", 4).unwrap().file(), "binlog.1000000");
        for odd in ["binlog", ".000001", "binlog.1", "binlog.00000x", "binlog.99999999999"] {
            assert_eq!(BinlogPlace::new(odd, 4), None, "{odd}");
        }
    }
}
