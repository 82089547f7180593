//! Asks the server for its databases, its tables and their definitions.

use std::collections::HashMap;
use std::sync::Arc;

use runtime::{Collation, TableId, TableSchema};
use tokio::task::JoinSet;

use crate::binlog::profile::is_polardbx;
use crate::error::{Result, SourceError};
use crate::schema::{Interest, read_create_table};
use crate::selection::Selection;
use crate::session::{Endpoint, Session, quoted};
use crate::wire::Row;

/// The tables of the databases that a selection names.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// The selected tables, sorted by name.
    pub(crate) tables: Vec<TableId>,
    /// The selected views.
    pub(crate) views: Vec<TableId>,
    /// The tables that are not selected, but followed.
    pub(crate) followed: Vec<TableId>,
    /// All views and sequences in these databases.
    pub(crate) others: Vec<TableId>,
}

/// The greatest number of tables, views and sequences in the databases of a selection.
const MOST_TABLES: usize = 250_000;

/// How many tables, views and sequences were listed.
#[derive(Default)]
struct Count(usize);

impl Count {
    /// Fails behind [`MOST_TABLES`]: a server could list names until the memory is used up.
    fn add_one(&mut self) -> Result<()> {
        if self.0 == MOST_TABLES {
            let what =
                format!("the databases that `tables` names have more than {MOST_TABLES} tables: select from fewer databases in a task");
            return Err(SourceError::answer("list the tables", what));
        }
        self.0 += 1;
        Ok(())
    }
}

/// Lists the tables of the databases that may hold selected tables.
pub(crate) async fn list_tables(session: &mut Session, selection: &Selection) -> Result<Listed> {
    let (mut listed, mut count) = (Listed::default(), Count::default());
    for row in session.rows("list the databases", "SHOW DATABASES").await? {
        let Some(database) = row.text(0).filter(|name| selection.may_select_from(name)) else { continue };
        let sql = format!("SHOW FULL TABLES FROM {}", quoted(&database));
        for row in session.rows(format!("list the tables of {database}"), sql).await? {
            let (Some(name), Some(kind)) = (row.text(0), row.text(1)) else { continue };
            let id = compared(session, TableId::new(database.as_str(), name));
            let is_table = kind.eq_ignore_ascii_case("BASE TABLE") || kind.eq_ignore_ascii_case("SYSTEM VERSIONED");
            let interest = selection.interest(&id);
            if interest == Interest::None {
                continue;
            }
            count.add_one()?;
            if !is_table {
                listed.others.push(id.clone());
            }
            match interest {
                Interest::Selected if is_table => listed.tables.push(id),
                Interest::Selected if !kind.eq_ignore_ascii_case("SEQUENCE") => listed.views.push(id),
                Interest::Followed if is_table => listed.followed.push(id),
                Interest::Selected | Interest::Followed | Interest::None => {}
            }
        }
    }
    listed.tables.sort();
    unambiguous(&listed.tables)?;
    Ok(listed)
}

/// The name of a table in the form in which the server compares it and writes it into its binlog. PolarDB-X does both in lower case, although
/// it may print a name with capitals.
fn compared(session: &Session, table: TableId) -> TableId {
    if is_polardbx(session.version()) { in_lower_case(&table) } else { table }
}

fn in_lower_case(table: &TableId) -> TableId {
    TableId::new(table.database.to_lowercase(), table.table.to_lowercase())
}

/// Checks that no two of the tables, which are sorted, have the same name. Fails if the server lists names that differ only in their capitals,
/// and compares them in lower case.
fn unambiguous(tables: &[TableId]) -> Result<()> {
    match tables.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(SourceError::Requirement {
            what: format!("the server lists several tables whose names are {} in lower case", pair[0]),
            help: "rename all but one of them, or leave them out with `exclude`".into(),
        }),
    }
}

/// The default collation of every database that the account can see.
pub(crate) async fn database_collations(session: &mut Session) -> Result<HashMap<String, Option<Collation>>> {
    let sql = "SELECT SCHEMA_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA";
    let rows = session.rows("ask for the databases' collations", sql).await?;
    let is_polardbx = is_polardbx(session.version());
    let name = |row: &Row| row.text(0).map(|name| if is_polardbx { name.to_lowercase() } else { name });
    Ok(rows.iter().filter_map(|row| Some((name(row)?, row.text(1).map(Collation::new)))).collect())
}

/// The definition of a table, from SHOW CREATE TABLE.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    /// The table's schema. Its columns have the same order as in the row events of the binlog.
    pub(crate) schema: Arc<TableSchema>,
    /// The CREATE TABLE statement.
    pub(crate) ddl: String,
}

/// Asks the server for the CREATE TABLE statement of a table.
pub(crate) async fn read_ddl(session: &mut Session, table: &TableId) -> Result<String> {
    let doing = || format!("read the definition of table {table}");
    let sql = format!("SHOW CREATE TABLE {}.{}", quoted(&table.database), quoted(&table.table));
    let rows = session.rows_of(doing, sql).await?;
    let ddl = rows.first().and_then(|row| row.named("Create Table"));
    let ddl = ddl.ok_or_else(|| SourceError::answer(doing(), "the server's answer holds no CREATE TABLE"))?;
    Ok(if is_polardbx(session.version()) { with_compared_name(ddl) } else { ddl })
}

/// Puts the name of the table, which is the first name of the statement and stands in backticks, into lower case.
fn with_compared_name(ddl: String) -> String {
    let end = |start: usize| {
        let mut rest = ddl.get(start + 1..)?.match_indices('`').map(|(at, _)| start + 1 + at);
        loop {
            let at = rest.next()?;
            if !ddl[at + 1..].starts_with('`') {
                return Some(at);
            }
            // Two backticks stand for one in the name.
            rest.next();
        }
    };
    match ddl.find('`').and_then(|start| Some((start, end(start)?))) {
        Some((start, end)) => [&ddl[..start], &ddl[start..end].to_lowercase(), &ddl[end..]].concat(),
        None => ddl,
    }
}

/// Parses the text of SHOW CREATE TABLE into the schema.
pub(crate) fn parse_definition(table: &TableId, ddl: &str) -> Result<TableSchema> {
    let mut create = read_create_table(ddl, &table.database, &|_| None).map_err(|error| SourceError::Requirement {
        what: format!("the definition of table {table} cannot be read: {error}"),
        help: "leave the table out with `exclude`, or change it in the source".into(),
    })?;
    create.schema.id = table.clone();
    Ok(create.schema)
}

/// Reads the definitions of many tables, in the order of `tables`. It uses `session` and, in parallel, up to `more` other connections. A table
/// that cannot be read is an error if it is `demanded`; otherwise it is left out.
pub(crate) async fn read_definitions(
    session: &mut Session,
    endpoint: &Endpoint,
    more: usize,
    tables: &[TableId],
    demanded: bool,
) -> Result<Vec<Definition>> {
    /// The number of tables for which another connection is worthwhile.
    const TABLES_PER_CONNECTION: usize = 32;
    let parts = (tables.len() / TABLES_PER_CONNECTION).clamp(1, more + 1);
    let mut parts = tables.chunks(tables.len().div_ceil(parts).max(1)).map(<[TableId]>::to_vec).enumerate();
    let own = parts.next();
    // Dropping the `JoinSet` aborts its tasks, so they end with this future.
    let mut others = JoinSet::new();
    for (number, part) in parts {
        let endpoint = endpoint.clone();
        others.spawn(async move {
            let mut session = endpoint.connect().await?;
            let read = read_part(&mut session, &part, demanded).await?;
            session.close().await;
            Ok::<_, SourceError>((number, read))
        });
    }
    let mut read = HashMap::new();
    if let Some((number, part)) = own {
        read.insert(number, read_part(session, &part, demanded).await?);
    }
    while let Some(joined) = others.join_next().await {
        let (number, part) = joined.map_err(|error| SourceError::answer("read the definitions of the tables", error.to_string()))??;
        read.insert(number, part);
    }
    Ok((0..read.len()).filter_map(|number| read.remove(&number)).flatten().collect())
}

async fn read_part(session: &mut Session, tables: &[TableId], demanded: bool) -> Result<Vec<Definition>> {
    let mut read = Vec::with_capacity(tables.len());
    for table in tables {
        let ddl = match read_ddl(session, table).await {
            // The account may not read it, or it was dropped since.
            Err(error) if !demanded && error.code().is_some() => continue,
            ddl => ddl?,
        };
        match parse_definition(table, &ddl) {
            Err(_) if !demanded => {}
            schema => read.push(Definition { schema: Arc::new(schema?), ddl }),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_tables_has_an_end() {
        let mut count = Count::default();
        assert!((0..250_000).all(|_| count.add_one().is_ok()));
        let error = count.add_one().unwrap_err();
        assert!(error.to_string().contains("more than 250000 tables"), "{error}");
    }

    #[test]
    fn names_are_compared_in_lower_case() {
        let folded = in_lower_case(&TableId::new("Shop9", "MixedCase"));
        assert_eq!(folded, TableId::new("shop9", "mixedcase"));
        assert!(unambiguous(&[TableId::new("a", "t"), folded.clone()]).is_ok());
        let error = runtime::Error::from(unambiguous(&[folded.clone(), folded]).unwrap_err());
        assert!(error.to_string().contains("shop9.mixedcase") && error.kind() == runtime::Kind::Config, "{error}");
    }

    #[test]
    fn the_definition_has_the_compared_name() {
        for (printed, expected) in [
            ("CREATE TABLE `MixedCase` (\n\t`Id` int\n)", "CREATE TABLE `mixedcase` (\n\t`Id` int\n)"),
            ("CREATE TABLE `A``B` (`C` int)", "CREATE TABLE `a``b` (`C` int)"),
            ("CREATE TABLE `ÄRGER```\n(`C` int)", "CREATE TABLE `ärger```\n(`C` int)"),
            ("CREATE TABLE T (A int)", "CREATE TABLE T (A int)"),
            ("CREATE TABLE `T", "CREATE TABLE `T"),
        ] {
            assert_eq!(with_compared_name(printed.to_owned()), expected);
        }
    }
}
