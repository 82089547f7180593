//! Reads every row of a source table by SELECT and renders it as a format writes it.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Value};

use super::change::key_of;
use super::fold::Rows;
use super::render::{Cell, Kind, Reader, render};
use super::{Format, Image, Table};
use crate::harness::Database;
use crate::{Failure, Result};

/// The rows of a table, as the topic should describe them.
pub(super) struct SourceTable {
    pub(super) rows: Rows,
    pub(super) columns: usize,
}

struct Column {
    name: String,
    kind: Kind,
    expression: String,
}

pub(super) async fn read(mysql: &Database, table: &Table, format: Format, reader: Reader) -> Result<SourceTable> {
    let mut connection = mysql.connect().await?;
    let columns = columns(&mut connection, table).await?;
    let key: Vec<String> = connection
        .exec(
            "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND INDEX_NAME = 'PRIMARY'",
            (&table.database, &table.name),
        )
        .await?;
    if columns.is_empty() || key.is_empty() {
        return Failure::err(format!("{table} does not exist or has no primary key"));
    }
    let expressions: Vec<&str> = columns.iter().map(|column| column.expression.as_str()).collect();
    // A prepared statement returns floats as they are stored; a plain statement would round them to six digits.
    let mut answer = connection.exec_iter(format!("SELECT {} FROM {table}", expressions.join(", ")), ()).await?;
    let mut rows = Rows::new();
    while let Some(row) = answer.next().await? {
        let mut image = Image::new();
        for (column, value) in columns.iter().zip(row.unwrap()) {
            let cell = cell(value).map_err(|error| error.context(format!("{table} column {}", column.name)))?;
            image.insert(column.name.clone(), render(format, reader, &column.kind, cell).map_err(|error| error.context(&column.name))?);
        }
        rows.insert(key_of(&key, &image), image);
    }
    drop(answer);
    connection.disconnect().await?;
    Ok(SourceTable { rows, columns: columns.len() })
}

fn cell(value: Value) -> Result<Cell> {
    match value {
        Value::NULL => Ok(Cell::Null),
        Value::Bytes(bytes) => Ok(Cell::Bytes(bytes)),
        Value::Double(number) => Ok(Cell::Real(number)),
        other => Failure::err(format!("the server returned {other:?}")),
    }
}

async fn columns(connection: &mut Conn, table: &Table) -> Result<Vec<Column>> {
    type Described = (String, String, Option<u64>, Option<u64>);
    let described: Vec<Described> = connection
        .exec(
            "SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_OCTET_LENGTH, NUMERIC_PRECISION \
             FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION",
            (&table.database, &table.name),
        )
        .await?;
    described.into_iter().map(|(name, data_type, octets, precision)| column(name, &data_type, octets, precision)).collect()
}

/// Describes a column: its kind, and the SQL expression with which its values are read exactly.
fn column(name: String, data_type: &str, octets: Option<u64>, precision: Option<u64>) -> Result<Column> {
    let quoted = format!("`{}`", name.replace('`', "``"));
    let text = format!("CAST({quoted} AS CHAR)");
    let labelled = format!("CONCAT({quoted} + 0, ':', CONVERT({quoted} USING utf8mb4))");
    // Adding zero removes the padding of ZEROFILL.
    let whole = format!("CAST({quoted} + 0 AS CHAR)");
    let (kind, expression) = match data_type {
        "tinyint" => (Kind::Int { number: 1, bytes: 1 }, whole),
        "smallint" => (Kind::Int { number: 2, bytes: 2 }, whole),
        "mediumint" => (Kind::Int { number: 9, bytes: 3 }, whole),
        "int" => (Kind::Int { number: 3, bytes: 4 }, whole),
        "bigint" => (Kind::Int { number: 8, bytes: 8 }, whole),
        "decimal" => (Kind::Decimal, text),
        "float" => (Kind::Float, format!("{quoted} + 0e0")),
        "double" => (Kind::Double, format!("{quoted} + 0e0")),
        "bit" => (Kind::Bit { bits: precision.unwrap_or(1) }, format!("CAST(CAST({quoted} AS UNSIGNED) AS CHAR)")),
        "year" => (Kind::Year, text),
        "date" => (Kind::Date, text),
        "time" => (Kind::Time, text),
        "datetime" => (Kind::DateTime, text),
        "timestamp" => (Kind::Timestamp, text),
        "char" => (Kind::Text { number: 254 }, format!("CONVERT({quoted} USING utf8mb4)")),
        "varchar" => (Kind::Text { number: 253 }, format!("CONVERT({quoted} USING utf8mb4)")),
        "tinytext" | "text" | "mediumtext" | "longtext" => (Kind::Text { number: 15 }, format!("CONVERT({quoted} USING utf8mb4)")),
        "binary" => (Kind::Binary { length: octets }, quoted),
        "varbinary" => (Kind::Binary { length: None }, quoted),
        "tinyblob" | "blob" | "mediumblob" | "longblob" => (Kind::Blob, quoted),
        "enum" => (Kind::Enum, labelled),
        "set" => (Kind::Set, labelled),
        other => return Failure::err(format!("the checker has no model of type {other} (column {name})")),
    };
    Ok(Column { name, kind, expression })
}
