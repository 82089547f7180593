//! The schemas of the tables at the start of the stream, from a file that the user has kept: the key `start_schema`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use runtime::{Collation, TableId, TableSchema};

use crate::config::{ConfigError, SourceSettings};
use crate::error::Result;
use crate::schema::{
    Dialect, ExplicitTimestamps, History, Interest, Statement, StatementContext, read_statement, statements, used_database,
};
use crate::selection::Selection;
use crate::server::Server;

/// The largest file that is read, in bytes.
const MOST: u64 = 64 << 20;

/// The schemas of the selected tables at the start of the stream, as the file of the user gives them. Empty without such a file.
pub(crate) fn given(
    settings: &SourceSettings,
    server: &Server,
    databases: &HashMap<String, Option<Collation>>,
) -> Result<Vec<Arc<TableSchema>>> {
    let Some(path) = &settings.config.start_schema else { return Ok(Vec::new()) };
    let selection = settings.selection.clone().folded(server.lower_case());
    let databases: Vec<_> = databases.iter().map(|(name, collation)| (name.clone(), collation.clone())).collect();
    let (tables, _) = read(path, &selection, server.profile().dialect(), server.lower_case(), &databases)?;
    if tables.is_empty() {
        let help = "write CREATE TABLE statements into it, behind USE or with the names of the databases";
        return Err(ConfigError::new("start_schema", format!("{} defines no selected table", path.display()), help).into());
    }
    Ok(tables)
}

/// The schemas of the selected tables, and the databases with their default collations.
pub(crate) type Known = (Vec<Arc<TableSchema>>, HashMap<String, Option<Collation>>);

/// Reads the definitions of the selected tables from a file with SQL statements, such as the output of `mysqldump --no-data`. Fails if a
/// statement about a selected table cannot be read. `databases` are known before the first statement.
pub(crate) fn read(
    path: &Path,
    selection: &Selection,
    dialect: Dialect,
    lower_case: bool,
    databases: &[(String, Option<Collation>)],
) -> Result<Known> {
    let shown = path.display();
    let wrong = |why: String, help: &str| ConfigError::new("start_schema", why, help.to_owned());
    let bytes = runtime::read_file(path, MOST).map_err(|error| {
        let help = match error.kind() {
            std::io::ErrorKind::FileTooLarge => "leave the rows out: mysqldump --no-data",
            _ => "name a file that can be read",
        };
        wrong(format!("{shown}: {error}"), help)
    })?;
    // Rows may hold any bytes, and are not looked at.
    let text = String::from_utf8_lossy(&bytes);
    let mut history = History::new([], databases.iter().cloned(), lower_case);
    let interest = |table: &TableId| selection.interest(table);
    let mut database = String::new();
    for statement in statements(&text, dialect.backslash_escapes) {
        let statement = statement.trim();
        let line = || 1 + text.get(..statement.as_ptr() as usize - text.as_ptr() as usize).unwrap_or_default().matches('\n').count();
        if let Some(name) = used_database(statement) {
            database = name;
            continue;
        }
        let read = {
            let collations = |name: &str| history.collation(name);
            let context = StatementContext {
                dialect,
                explicit_timestamps: ExplicitTimestamps::Known(false),
                ..StatementContext::new(&database, &collations)
            };
            read_statement(statement, &context)
        };
        let refused = |error: String| {
            wrong(format!("{shown}: the statement in line {} cannot be read: {error}", line()), "correct the statement, or leave it out")
        };
        match read {
            Statement::Change(_) if statement.contains(char::REPLACEMENT_CHARACTER) => {
                return Err(refused("it is not UTF-8".to_owned()).into());
            }
            Statement::Change(change) => {
                history.apply(&change, 0, &interest).map_err(|error| refused(error.to_string()))?;
            }
            Statement::Unreadable(error, tables) if tables.iter().any(|table| interest(&history.fold(table)) == Interest::Selected) => {
                return Err(refused(error.to_string()).into());
            }
            _ => {}
        }
    }
    let mut tables: Vec<Arc<TableSchema>> = history.tables().filter(|schema| selection.selects(&schema.id)).cloned().collect();
    tables.sort_by(|one, other| one.id.cmp(&other.id));
    let databases = history.databases().iter().map(|(name, collation)| (name.clone(), collation.clone())).collect();
    Ok((tables, databases))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(text: impl AsRef<[u8]>) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dump.sql");
        std::fs::write(&path, text).unwrap();
        let selection = Selection::new(&["shop.*".to_owned()], &["shop.no".to_owned()]).unwrap();
        let shop = [("shop".to_owned(), Some(Collation::new("utf8mb4_bin")))];
        let (read, databases) = read(&path, &selection, Dialect::of_version("8.0.33"), false, &shop)?;
        assert!(databases.contains_key("shop"));
        let columns = |schema: &TableSchema| schema.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(",");
        Ok(read.iter().map(|schema| format!("{} {}", schema.id, columns(schema))).collect())
    }

    #[test]
    fn the_output_of_mysqldump_is_read() {
        let dump = "-- MySQL dump\n/*!40101 SET NAMES utf8 */;\nCREATE DATABASE /*!32312 IF NOT EXISTS*/ `shop`;\nUSE `shop`;\n\
                    DROP TABLE IF EXISTS `a`;\nCREATE TABLE `a` (\n `id` int NOT NULL COMMENT 'x;y',\n `b` varchar(9),\n PRIMARY KEY (`id`)\n);\n\
                    LOCK TABLES `a` WRITE;\nINSERT INTO `a` VALUES (1,';');\nDELIMITER ;;\nCREATE TRIGGER x BEFORE INSERT ON a FOR EACH ROW BEGIN END ;;\nDELIMITER ;\n\
                    CREATE TABLE no (a INT);\nCREATE TABLE other.c (a INT);\nALTER TABLE a ADD c INT;\n";
        assert_eq!(tables(dump).unwrap(), ["shop.a id,b,c"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let error = tables(b"USE shop;\nCREATE TABLE a (b INT);\nINSERT INTO a VALUES ('\xff\xfe');\nCREATE TABLE c (\xff INT);")
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 4") && error.contains("not UTF-8"), "{error}");
        let error = tables("USE shop;\n\nCREATE TABLE a (b gizmo);").unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("gizmo"), "{error}");
        assert!(tables("USE other; CREATE TABLE a (b INT);").unwrap().is_empty());
    }
}
