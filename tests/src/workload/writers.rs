//! Concurrent writers that change the same rows in every way: insert, update, delete, key change, delete and re-insert, transactions over
//! several tables, and rollbacks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use tokio::task::JoinSet;

use super::every_type;
use crate::checker::Table;
use crate::harness::Database;
use crate::{Failure, Result};

/// The keys in the shared tables are smaller than this number, so that writers often conflict.
const KEYS: u64 = 400;
/// Errors that concurrent writers must expect: duplicate key, lock wait timeout, deadlock.
const EXPECTED: [u16; 3] = [1062, 1205, 1213];

/// The numbers of transactions that the writers ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Transactions that were committed.
    pub committed: u64,
    /// Transactions that were rolled back, on purpose or by the server.
    pub rolled_back: u64,
}

/// Running writers.
pub struct Writers {
    tasks: JoinSet<Result<Written>>,
    stop: Arc<AtomicBool>,
    committed: Arc<AtomicU64>,
}

/// Creates a database with the tables that the writers change, and inserts `rows` rows into each table except `moves`, which stays empty.
///
/// `every` has a column of every type, and its key is a number. The key of `pairs` is a text (compared without case) and a number. The
/// key of `accounts` is a random text; its rows are changed together with `moves`, into which rows are only inserted.
pub async fn create_tables(mysql: &Database, database: &str, rows: u64) -> Result<Vec<Table>> {
    let every = format!("{database}.every");
    mysql
        .execute(&[
            &format!("CREATE DATABASE {database} CHARACTER SET utf8mb4"),
            &every_type::create(&every),
            &format!("CREATE TABLE {database}.pairs (region VARCHAR(20) NOT NULL, n INT UNSIGNED NOT NULL, note TEXT, PRIMARY KEY (region, n))"),
            &format!("CREATE TABLE {database}.accounts (name CHAR(12) CHARACTER SET latin1 NOT NULL PRIMARY KEY, balance DECIMAL(18,4) NOT NULL)"),
            &format!("CREATE TABLE {database}.moves (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, at TIMESTAMP(3), account CHAR(12), amount DOUBLE)"),
        ])
        .await?;
    let (mut connection, mut rng) = (mysql.connect().await?, Rng::with_seed(rows));
    connection.query_drop("BEGIN").await?;
    for id in 0..rows {
        // The first rows have the limits of each type, the others random values.
        let row = if id < every_type::variants() {
            every_type::insert_variant(&every, id)
        } else {
            every_type::insert_random(&every, id, &mut rng)
        };
        connection.query_drop(row).await?;
        connection.query_drop(format!("INSERT INTO {database}.pairs VALUES ('{}', {id}, NULL)", region(&mut rng))).await?;
        connection.query_drop(format!("INSERT INTO {database}.accounts VALUES ('{}', 1000)", account(id))).await?;
    }
    connection.query_drop("COMMIT").await?;
    connection.disconnect().await?;
    Ok(["every", "pairs", "accounts", "moves"].map(|table| Table::new(database, table)).into())
}

impl Writers {
    /// Starts `count` writers on the tables of [`create_tables`]. Each writer pauses a little after each transaction and runs until
    /// [`Writers::stop`].
    pub async fn start(mysql: &Database, database: &str, count: u64, pause: Duration, seed: u64) -> Result<Self> {
        let (stop, committed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let connection = mysql.connect().await?;
            let writer = Writer { connection, database: database.to_owned(), rng: Rng::with_seed(seed.wrapping_mul(1000) + number) };
            tasks.spawn(writer.run(stop.clone(), committed.clone(), pause));
        }
        Ok(Self { tasks, stop, committed })
    }

    /// The number of transactions that were committed so far.
    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }

    /// Stops the writers after their current transactions.
    pub async fn stop(mut self) -> Result<Written> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Written::default();
        while let Some(ended) = self.tasks.join_next().await {
            let written = ended??;
            all.committed += written.committed;
            all.rolled_back += written.rolled_back;
        }
        Ok(all)
    }
}

struct Writer {
    connection: Conn,
    database: String,
    rng: Rng,
}

impl Writer {
    async fn run(mut self, stop: Arc<AtomicBool>, committed: Arc<AtomicU64>, pause: Duration) -> Result<Written> {
        let mut written = Written::default();
        while !stop.load(Ordering::Relaxed) {
            if self.transaction().await? {
                written.committed += 1;
                committed.fetch_add(1, Ordering::Relaxed);
            } else {
                written.rolled_back += 1;
            }
            tokio::time::sleep(pause).await;
        }
        self.connection.disconnect().await?;
        Ok(written)
    }

    /// Runs a transaction of one to four changes; returns whether it was committed.
    async fn transaction(&mut self) -> Result<bool> {
        self.connection.query_drop("BEGIN").await?;
        for _ in 0..self.rng.usize(1..=4) {
            for statement in self.change() {
                match self.connection.query_drop(&statement).await {
                    Ok(()) => {}
                    Err(Error::Server(error)) if EXPECTED.contains(&error.code) => {
                        self.connection.query_drop("ROLLBACK").await?;
                        return Ok(false);
                    }
                    Err(error) => return Err(Failure::from(error).context(statement)),
                }
            }
        }
        let commit = self.rng.u8(..10) != 0;
        self.connection.query_drop(if commit { "COMMIT" } else { "ROLLBACK" }).await?;
        Ok(commit)
    }

    fn change(&mut self) -> Vec<String> {
        let (db, rng) = (&self.database, &mut self.rng);
        let every = format!("{db}.every");
        let (id, other) = (rng.u64(..KEYS), rng.u64(..KEYS));
        match rng.u8(..14) {
            0 | 1 => vec![every_type::insert_random(&every, id, rng)],
            2..=4 => vec![format!("UPDATE {every} SET {} WHERE id = {id}", every_type::assignments(rng))],
            5 => vec![format!("DELETE FROM {every} WHERE id = {id}")],
            6 => vec![format!("UPDATE {every} SET id = {other} WHERE id = {id}")],
            7 => vec![format!("DELETE FROM {every} WHERE id = {id}"), every_type::insert_random(&every, id, rng)],
            8 => vec![format!("INSERT INTO {db}.pairs VALUES ('{}', {id}, '{}')", region(rng), rng.u64(..))],
            9 => vec![format!("UPDATE {db}.pairs SET region = '{}', note = '{}' WHERE n = {id} LIMIT 1", region(rng), rng.u64(..))],
            // This UPDATE changes all rows with a number in a range, so one binlog event has several rows.
            10 => vec![format!("UPDATE {db}.pairs SET note = CONCAT(IFNULL(note, ''), '.') WHERE n BETWEEN {id} AND {}", id + 8)],
            11 => vec![format!("DELETE FROM {db}.pairs WHERE n = {id}")],
            _ => {
                let amount = f64::from(rng.u32(..10_000)) / 100.0;
                let (from, to) = (account(id), account(other));
                vec![
                    format!("UPDATE {db}.accounts SET balance = balance - {amount} WHERE name = '{from}'"),
                    format!("UPDATE {db}.accounts SET balance = balance + {amount} WHERE name = '{to}'"),
                    format!("INSERT INTO {db}.moves (at, account, amount) VALUES (NOW(3), '{from}', {amount})"),
                ]
            }
        }
    }
}

/// A random text. To MySQL, texts that differ only in case are the same key value.
fn region(rng: &mut Rng) -> &'static str {
    ["north", "North", "south", "östlich", "西", ""][rng.usize(..6)]
}

/// A key for the account `id`. The keys are not in the order of the ids.
fn account(id: u64) -> String {
    format!("acc-{:04x}", (id * 40_503) % 65_536)
}
