//! Fills tables fast: each statement inserts many rows, several connections are used, and the server's durability is reduced meanwhile.

use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;

use crate::Result;
use crate::harness::Database;

/// The number of connections that load at the same time.
const CONNECTIONS: u64 = 4;

/// The `CREATE TABLE` statement of the table with ten columns on which the project's performance is measured.
pub fn create_ten_columns(table: &str) -> String {
    format!(
        "CREATE TABLE {table} (id BIGINT NOT NULL PRIMARY KEY, customer INT UNSIGNED NOT NULL, name VARCHAR(50) NOT NULL, address VARCHAR(128) NOT NULL, \
         state TINYINT NOT NULL, amount DECIMAL(18,4) NOT NULL, score DOUBLE NOT NULL, created DATETIME(6) NOT NULL, updated TIMESTAMP(3) NOT NULL, \
         note TEXT NULL) CHARACTER SET utf8mb4"
    )
}

/// The values of one row of the table with ten columns: about 110 bytes in the binlog. The note is NULL in every second row.
pub fn ten_columns(id: u64) -> String {
    // Mixes the bits of the id, so that neighbouring rows differ as real rows do.
    let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
    let note = if id.is_multiple_of(2) { "NULL".to_owned() } else { format!("'note {:08x}'", mixed as u32) };
    format!(
        "({id}, {}, 'customer {:06x}', '{} Station Road, {:05} Springfield', {}, {}.{:04}, {}, '2024-{:02}-{:02} 10:20:30.{:06}', '2024-05-{:02} 01:02:03.{:03}', {note})",
        mixed as u32,
        mixed >> 40,
        mixed % 900,
        mixed % 99_999,
        mixed % 7,
        mixed % 10_000_000,
        mixed % 10_000,
        (mixed % 1_000_003) as f64 / 1000.0,
        1 + mixed % 12,
        1 + mixed % 28,
        mixed % 1_000_000,
        1 + mixed % 28,
        mixed % 1000,
    )
}

/// Inserts the rows `from..to`, with the values that `row` returns. Each statement inserts `batch` rows and is a transaction of its own.
pub async fn insert(mysql: &Database, table: &str, from: u64, to: u64, batch: u64, row: fn(u64) -> String) -> Result<()> {
    let table = table.to_owned();
    run(mysql, (to - from).div_ceil(batch), move |number| {
        let first = from + number * batch;
        let rows: Vec<String> = (first..to.min(first + batch)).map(row).collect();
        format!("INSERT INTO {table} VALUES {}", rows.join(", "))
    })
    .await
}

/// Executes the statements with the numbers 0 to `count` - 1 over several connections, in no particular order. Each statement is a
/// transaction of its own.
pub async fn run(mysql: &Database, count: u64, statement: impl Fn(u64) -> String + Clone + Send + Sync + 'static) -> Result<()> {
    mysql.execute(&["SET GLOBAL sync_binlog = 0", "SET GLOBAL innodb_flush_log_at_trx_commit = 0"]).await?;
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    for number in 0..CONNECTIONS {
        let (mut connection, statement) = (mysql.connect().await?, statement.clone());
        tasks.spawn(async move {
            for number in (number..count).step_by(CONNECTIONS as usize) {
                connection.query_drop(statement(number)).await?;
            }
            Ok(connection.disconnect().await?)
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    mysql.execute(&["SET GLOBAL sync_binlog = 1", "SET GLOBAL innodb_flush_log_at_trx_commit = 1"]).await
}
