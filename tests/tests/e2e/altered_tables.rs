//! The schemas of tables after DDL statements: what is read from the statements equals what the server shows.

use fastrand::Rng;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use runtime::{Collation, Column, OtherKey, TableId, TableSchema};
use source_polardbx::schema::{
    Dialect, ExplicitTimestamps, History, Interest, Statement, StatementContext, read_create_table, read_statement,
};
use tests::harness::Flavor;
use tests::{Failure, Result};

use crate::case::Servers;

/// Types of columns, each with what may follow it.
const TYPES: &[&str] = &[
    "INT",
    "INT UNSIGNED",
    "TINYINT(1)",
    "BIGINT(20) ZEROFILL",
    "SMALLINT",
    "DECIMAL(9,2)",
    "DECIMAL(20) UNSIGNED",
    "FLOAT",
    "FLOAT(7,3)",
    "DOUBLE",
    "BIT(5)",
    "YEAR",
    "DATE",
    "TIME(2)",
    "DATETIME",
    "DATETIME(6)",
    "TIMESTAMP(3)",
    "CHAR(3)",
    "CHAR(3) CHARACTER SET latin1",
    "CHAR(3) CHARACTER SET latin1 COLLATE latin1_german1_ci",
    "CHAR(4) CHARACTER SET utf8mb4",
    "CHAR(4) BINARY",
    "CHAR(4) CHARACTER SET latin1 BINARY",
    "CHAR(4) BINARY CHARACTER SET utf8",
    "CHAR(4) ASCII",
    "CHAR(4) UNICODE",
    "CHAR(4) BINARY ASCII",
    "CHAR(4) UNICODE BINARY",
    "CHAR(4) BYTE",
    "NCHAR(5) BINARY",
    "NCHAR(5) COLLATE utf8_unicode_ci",
    "NATIONAL VARCHAR(7) COLLATE utf8_bin",
    "VARCHAR(6) COLLATE utf8mb4_unicode_ci",
    "VARCHAR(6) COLLATE latin1_general_cs",
    "VARCHAR(6) CHARACTER SET utf8mb4 COLLATE utf8mb4_czech_ci",
    "VARCHAR(6) CHARACTER SET binary",
    "TEXT COLLATE gbk_bin",
    "MEDIUMTEXT BINARY",
    "TINYTEXT ASCII",
    "ENUM('a','b') COLLATE latin1_german2_ci",
    "ENUM('a','b') BINARY",
    "ENUM('a','b') CHARACTER SET binary",
    "SET('x','y') COLLATE utf8mb4_general_ci",
    "LONG VARCHAR BINARY",
    "JSON",
    "NCHAR(5)",
    "VARCHAR(10)",
    "VARCHAR(300) CHARACTER SET gbk",
    "VARCHAR(20) COLLATE utf8_bin",
    "VARCHAR(12) BINARY",
    "TINYTEXT",
    "TEXT",
    "TEXT(100)",
    "TEXT CHARACTER SET latin1",
    "MEDIUMTEXT",
    "LONGTEXT",
    "TINYBLOB",
    "BLOB",
    "BLOB(70000)",
    "BINARY(4)",
    "VARBINARY(20)",
    "ENUM('a','b')",
    "SET('x','y') CHARACTER SET latin1",
    "POINT",
    "BOOLEAN",
    "NATIONAL VARCHAR(7)",
    "LONG VARCHAR",
    "DOUBLE PRECISION",
    "CHARACTER VARYING(9)",
];
const NULLS: &[&str] = &["", " NULL", " NOT NULL", " COMMENT 'a, b'", " NOT NULL COMMENT 'FIRST'"];
const CHARSETS: &[&str] = &[
    "latin1",
    "utf8",
    "utf8mb4",
    "gbk",
    "utf8mb4 COLLATE utf8mb4_bin",
    "latin1 COLLATE latin1_german1_ci",
    "utf8 COLLATE utf8_czech_ci",
    "DEFAULT",
    "DEFAULT COLLATE utf8mb4_general_ci",
    "ascii",
    "binary",
];
/// Options of a table.
const OPTIONS: &[&str] = &[
    "COLLATE latin1_german1_ci",
    "COLLATE = utf8mb4_unicode_ci",
    "DEFAULT COLLATE utf8_bin",
    "COLLATE DEFAULT",
    "COLLATE latin1_bin CHARSET latin1",
    "CHARSET latin1 COLLATE DEFAULT",
    "CHARSET DEFAULT",
    "DEFAULT CHARSET = utf8mb4, COLLATE utf8mb4_bin",
];
/// What only MariaDB has.
const OF_MARIADB: &[&str] = &[
    "COLLATE uca1400_ai_ci",
    "ADD `mariadb_a` VARCHAR(3) COLLATE uca1400_as_cs",
    "ADD `mariadb_b` VARCHAR(3) CHARACTER SET utf8 COLLATE uca1400_nopad_ai_ci",
    "ADD `mariadb_c` VARCHAR(3) COLLATE DEFAULT",
    "ADD `mariadb_d` VARCHAR(3) COLLATE utf8mb4_general_nopad_ci",
    "CONVERT TO CHARACTER SET utf8mb4 COLLATE uca1400_swedish_as_ci",
];

/// The collation of the database, which is not the default one of its character set.
const OF_DATABASE: &str = "utf8mb4_unicode_ci";

/// The name of a column, of which half exist.
fn name(rng: &mut Rng, schema: &TableSchema) -> String {
    match rng.choice(&schema.columns).filter(|_| rng.u8(..10) > 0) {
        Some(column) if rng.u8(..4) == 0 => column.name.to_uppercase(),
        Some(column) => column.name.clone(),
        None => format!("c{}", rng.u8(..12)),
    }
}

fn definition(rng: &mut Rng) -> String {
    format!("{}{}", rng.choice(TYPES).unwrap_or(&"INT"), rng.choice(NULLS).unwrap_or(&""))
}

fn place(rng: &mut Rng, schema: &TableSchema) -> String {
    match rng.u8(..5) {
        0 => " FIRST".to_owned(),
        1 | 2 => format!(" AFTER `{}`", name(rng, schema)),
        _ => String::new(),
    }
}

/// A clause of ALTER TABLE.
pub(crate) fn clause(rng: &mut Rng, schema: &TableSchema, flavor: Flavor) -> String {
    // A name that no column has: a statement that adds a column and changes another of the same name is nobody's.
    let taken = |name: &String| schema.columns.iter().any(|column| column.name == *name);
    let fresh = (0..100).map(|_| format!("c{}", rng.u8(..14))).find(|name| !taken(name)).unwrap_or_default();
    let column = |rng: &mut Rng| if rng.bool() { "COLUMN " } else { "" };
    match rng.u8(..22) {
        20 if flavor == Flavor::MariaDb && rng.bool() => (*rng.choice(OF_MARIADB).unwrap_or(&"COLLATE DEFAULT")).to_owned(),
        20 | 21 => (*rng.choice(OPTIONS).unwrap_or(&"COLLATE DEFAULT")).to_owned(),
        0..=4 => format!("ADD {}`{fresh}` {}{}", column(rng), definition(rng), place(rng, schema)),
        5 => format!("ADD COLUMN (`{fresh}` {}, n{} {})", definition(rng), rng.u16(..), definition(rng)),
        6 | 7 => format!("DROP {}`{}`", column(rng), name(rng, schema)),
        8..=10 => format!("MODIFY {}`{}` {}{}", column(rng), name(rng, schema), definition(rng), place(rng, schema)),
        11..=13 => format!("CHANGE {}`{}` `{fresh}` {}{}", column(rng), name(rng, schema), definition(rng), place(rng, schema)),
        14 if flavor != Flavor::MySql57 => format!("RENAME COLUMN `{}` TO `{fresh}`", name(rng, schema)),
        14 | 15 => format!("ADD UNIQUE KEY {} (`{}`)", if rng.bool() { fresh.as_str() } else { "" }, name(rng, schema)),
        16 => match (rng.choice(&schema.unique_keys), rng.choice(&schema.other_keys)) {
            (Some(key), _) if rng.bool() => format!("DROP KEY `{}`", key.name),
            (_, Some(key)) if rng.bool() => format!("RENAME INDEX `{}` TO `{fresh}`", key.name),
            (_, Some(key)) => format!("DROP INDEX `{}`", key.name),
            _ => format!("ADD `{fresh}` INT UNIQUE"),
        },
        17 if rng.bool() => format!("ADD {}KEY (`{}`({}))", if rng.bool() { "UNIQUE " } else { "" }, name(rng, schema), rng.u8(1..12)),
        17 if schema.primary_key.is_empty() => format!("ADD PRIMARY KEY (`{}`)", name(rng, schema)),
        17 if rng.bool() => "DROP PRIMARY KEY".to_owned(),
        17 => format!("DROP PRIMARY KEY, ADD PRIMARY KEY (`{}`, `{}`)", name(rng, schema), name(rng, schema)),
        18 => format!("CONVERT TO CHARACTER SET {}", rng.choice(CHARSETS).unwrap_or(&"latin1")),
        _ => format!("DEFAULT CHARACTER SET = {}", rng.choice(CHARSETS).unwrap_or(&"latin1")),
    }
}

/// The name of the column that a clause defines or renames.
fn defines(clause: &str) -> Option<String> {
    let mut names = clause.split('`').skip(1).step_by(2);
    let name = match clause.split(' ').next() {
        Some("ADD") if !clause.contains("KEY") => names.next(),
        Some("MODIFY") => names.next(),
        Some("CHANGE") => names.nth(1),
        Some("RENAME") if clause.starts_with("RENAME COLUMN") => names.nth(1),
        _ => None,
    };
    name.map(str::to_lowercase)
}

fn shown(schema: &TableSchema) -> Vec<String> {
    let keys = |columns: &[usize]| columns.iter().map(|&column| schema.columns[column].name.clone()).collect::<Vec<_>>().join(",");
    let column = |column: &Column| {
        let null = if column.nullable { "null" } else { "not null" };
        format!("{} {} {:?} {} {null}", column.name, column.source_type, column.kind, named(column.collation.as_ref()))
    };
    let mut lines: Vec<String> = schema.columns.iter().map(column).collect();
    lines.push(format!("primary {}", keys(&schema.primary_key)));
    // The order of keys depends on the history of a table in ways that are not followed. Nothing but the choice among several keys depends on
    // it.
    let mut others: Vec<String> = schema.unique_keys.iter().map(|key| format!("unique {} {}", key.name, keys(&key.columns))).collect();
    // Servers shorten the parts of other keys by rules of their own.
    let parts = |key: &OtherKey| if key.unique { format!("{:?}", key.parts) } else { String::new() };
    others.extend(schema.other_keys.iter().map(|key| format!("key {} {} {}", key.name, key.unique, parts(key))));
    others.sort();
    lines.extend(others);
    lines.push(format!("collation {}", named(schema.collation.as_ref())));
    lines
}

fn named(collation: Option<&Collation>) -> &str {
    collation.map_or("-", Collation::name)
}

/// The collations of the table `t` and of its columns, as the server itself names them.
async fn collations(connection: &mut Conn, database: &str) -> Result<Vec<String>> {
    let own = format!("SELECT TABLE_COLLATION FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{database}' AND TABLE_NAME = 't'");
    let of_columns = format!(
        "SELECT COLUMN_NAME, COLLATION_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '{database}' AND TABLE_NAME = 't' \
         ORDER BY ORDINAL_POSITION"
    );
    let own: Option<String> = connection.query_first(own).await?;
    let mut lines = vec![named(own.map(Collation::new).as_ref()).to_owned()];
    let of_columns: Vec<(String, Option<String>)> = connection.query(of_columns).await?;
    lines.extend(of_columns.into_iter().map(|(name, collation)| format!("{name} {}", named(collation.map(Collation::new).as_ref()))));
    Ok(lines)
}

/// The same of a schema. For columns of bytes there is no collation; MySQL 8 shows none for labels of bytes, too.
fn known_collations(schema: &TableSchema, flavor: Flavor) -> Vec<String> {
    let of = |column: &Column| match column.charset() {
        Some("binary") if flavor == Flavor::MySql80 => format!("{} -", column.name),
        _ => format!("{} {}", column.name, named(column.collation.as_ref())),
    };
    let columns = schema.columns.iter().map(of);
    [named(schema.collation.as_ref()).to_owned()].into_iter().chain(columns).collect()
}

/// Runs random statements, and compares the schema after each. Returns how many the server has executed.
async fn random(flavor: Flavor, seed: u64, count: usize) -> Result<usize> {
    let database = format!("altered_{seed}");
    let servers = Servers::shared_of(flavor).await?;
    let mut connection = servers.source.connect().await?;
    connection.query_drop(format!("CREATE DATABASE {database} COLLATE {OF_DATABASE}")).await?;
    connection.query_drop(format!("USE {database}")).await?;
    let version: String = connection.query_first("SELECT VERSION()").await?.unwrap_or_default();
    let explicit: Option<(String, String)> = connection.query_first("SHOW VARIABLES LIKE 'explicit_defaults_for_timestamp'").await?;
    let explicit = explicit.is_some_and(|(_, value)| value == "ON");
    let collation = Collation::new(OF_DATABASE);
    let collations_of = |_: &str| Some(Collation::new(OF_DATABASE));
    let context = StatementContext {
        dialect: Dialect::of_version(&version),
        explicit_timestamps: ExplicitTimestamps::Known(explicit),
        ..StatementContext::new(&database, &collations_of)
    };
    let table = TableId::new(database.as_str(), "t");
    let create = "CREATE TABLE t (id INT NOT NULL, c0 VARCHAR(10), c1 INT UNSIGNED, c2 TEXT, PRIMARY KEY (id)) DEFAULT CHARSET latin1";
    let (mut history, mut rng, mut executed) = (History::new([], [(database.clone(), collation.clone())], false), Rng::with_seed(seed), 0);
    let mut trail = Vec::new();
    for number in 0..count {
        let known = history.table(&table).cloned();
        let statement = match &known {
            Some(schema) if number % 60 > 0 => {
                let mut clauses: Vec<String> = (0..rng.u8(1..4)).map(|_| clause(&mut rng, schema, flavor)).collect();
                // What MariaDB makes of two columns of one name depends on its version.
                let mut defined: Vec<String> = Vec::new();
                clauses.retain(|clause| match defines(clause) {
                    Some(name) if defined.contains(&name) => false,
                    name => {
                        defined.extend(name);
                        true
                    }
                });
                // MySQL 8.0.15 may crash when a statement converts and adds columns.
                if let (Flavor::MySql80, Some(at)) = (flavor, clauses.iter().position(|clause| clause.starts_with("CONVERT"))) {
                    clauses = vec![clauses.swap_remove(at)];
                }
                format!("ALTER TABLE t {}", clauses.join(", "))
            }
            _ => {
                connection.query_drop("DROP TABLE IF EXISTS t").await?;
                history = History::new([], [(database.clone(), collation.clone())], false);
                create.to_owned()
            }
        };
        match connection.query_drop(&statement).await {
            Ok(()) => {}
            Err(mysql_async::Error::Server(_)) => continue,
            Err(error) => return Failure::err(format!("{} {statement}: {error}\nafter\n{}", flavor.name(), trail.join(";\n"))),
        }
        executed += 1;
        trail.push(statement.clone());
        let failed = |what: String| Failure::new(format!("{} {statement}: {what}\nafter\n{}", flavor.name(), trail.join(";\n")));
        let Statement::Change(change) = read_statement(&statement, &context) else { return Err(failed("it is not read".into())) };
        history.apply(&change, 10, &|_| Interest::Selected).map_err(|error| failed(error.to_string()))?;
        let printed: Option<(String, String)> = connection.query_first("SHOW CREATE TABLE t").await?;
        let printed = printed.unwrap_or_default().1;
        let expected = read_create_table(&printed, &database, &collations_of).map_err(|error| failed(error.to_string()))?.schema;
        let found = history.table(&table).ok_or_else(|| failed("the table is not known".into()))?;
        let (known, theirs) = (known_collations(found, flavor), collations(&mut connection, &database).await?);
        if known != theirs {
            return Err(failed(format!("\ncollations read from the statements: {known:#?}\nof the server: {theirs:#?}\n{printed}")));
        }
        let (found, expected) = (shown(found), shown(&expected));
        if found != expected {
            return Err(failed(format!("\nread from the statements: {found:#?}\nthe server: {expected:#?}\n{printed}")));
        }
    }
    Ok(executed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_lead_to_the_schemas_that_the_server_shows() -> Result<()> {
    let seed = std::env::var("ALTERED_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for flavor in [Flavor::MySql57, Flavor::MySql80, Flavor::MariaDb] {
        let executed = random(flavor, seed, 600).await?;
        println!("{}: {executed} statements", flavor.name());
        assert!(executed > 300, "{executed}");
    }
    Ok(())
}
