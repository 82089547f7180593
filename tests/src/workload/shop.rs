//! A small shop: customers, products, orders and their items, 200,000 rows in all, and transactions that change them.

use std::time::{Duration, Instant};

use fastrand::Rng;
use mysql_async::prelude::Queryable;

use super::load;
use crate::Result;
use crate::checker::Table;
use crate::harness::Database;

/// The number of rows of each table at the beginning.
const CUSTOMERS: u64 = 20_000;
const PRODUCTS: u64 = 5_000;
const ORDERS: u64 = 50_000;
const ITEMS: u64 = 125_000;
/// The number of rows of all tables at the beginning.
pub const ROWS: u64 = CUSTOMERS + PRODUCTS + ORDERS + ITEMS;

/// The number of rows per statement while the shop is loaded.
const BATCH: u64 = 1000;

/// Creates the database `shop` and fills it.
pub async fn load(mysql: &Database) -> Result<Vec<Table>> {
    mysql
        .execute(&[
            "CREATE DATABASE shop CHARACTER SET utf8mb4",
            "CREATE TABLE shop.customers (id INT UNSIGNED NOT NULL PRIMARY KEY, name VARCHAR(60) NOT NULL, email VARCHAR(120) NOT NULL, \
             country CHAR(2) NOT NULL, newsletter TINYINT(1) NOT NULL, joined DATE NOT NULL, remark TEXT, UNIQUE KEY by_email (email))",
            "CREATE TABLE shop.products (sku CHAR(8) CHARACTER SET ascii NOT NULL PRIMARY KEY, title VARCHAR(100) NOT NULL, price DECIMAL(10,2) NOT NULL, \
             weight_kg FLOAT, colours SET('red','green','blue','black'), thumbnail VARBINARY(16))",
            "CREATE TABLE shop.orders (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, customer INT UNSIGNED NOT NULL, \
             state ENUM('new','paid','shipped','cancelled') NOT NULL, total DECIMAL(12,2) NOT NULL, placed DATETIME(3) NOT NULL, \
             changed TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), KEY by_customer (customer))",
            "CREATE TABLE shop.order_items (order_id BIGINT NOT NULL, line SMALLINT UNSIGNED NOT NULL, sku CHAR(8) CHARACTER SET ascii NOT NULL, \
             quantity INT NOT NULL, price DECIMAL(10,2) NOT NULL, PRIMARY KEY (order_id, line))",
        ])
        .await?;
    load::insert(mysql, "shop.customers", 1, CUSTOMERS + 1, BATCH, customer).await?;
    load::insert(mysql, "shop.products", 0, PRODUCTS, BATCH, product).await?;
    load::insert(mysql, "shop.orders", 1, ORDERS + 1, BATCH, order).await?;
    load::insert(mysql, "shop.order_items", 0, ITEMS, BATCH, item).await?;
    Ok(["customers", "products", "orders", "order_items"].map(|table| Table::new("shop", table)).into())
}

fn customer(id: u64) -> String {
    const NAMES: [&str; 8] = ["Ada", "Émile", "Jürgen", "Søren", "王芳", "Ольга", "María", "Noor"];
    const COUNTRIES: [&str; 6] = ["DE", "FR", "CN", "BR", "NG", "IN"];
    let (name, country) = (NAMES[id as usize % NAMES.len()], COUNTRIES[id as usize % COUNTRIES.len()]);
    let remark = if id.is_multiple_of(5) { "'calls \"back\" only after 5 pm 😀'" } else { "NULL" };
    format!("({id}, '{name} {id}', 'c{id}@example.com', '{country}', {}, '2023-{:02}-{:02}', {remark})", id % 2, 1 + id % 12, 1 + id % 28)
}

fn product(id: u64) -> String {
    format!("('SKU{id:05}', 'Product {id}', {}.{:02}, {}, {}, X'{:08X}')", 1 + id % 300, id % 100, id as f32 / 7.0, id % 16, id * 977)
}

fn order(id: u64) -> String {
    let (customer, state) = (1 + id * 7919 % CUSTOMERS, ["new", "paid", "shipped"][id as usize % 3]);
    format!(
        "({id}, {customer}, '{state}', {}.{:02}, '2024-{:02}-{:02} 08:{:02}:15.{:03}', NOW(3))",
        id % 900,
        id % 100,
        1 + id % 12,
        1 + id % 28,
        id % 60,
        id % 1000
    )
}

fn item(number: u64) -> String {
    // Each order has two or three items.
    let (order, line) = (1 + number % ORDERS, 1 + number / ORDERS);
    format!("({order}, {line}, 'SKU{:05}', {}, {}.{:02})", number % PRODUCTS, 1 + number % 4, 1 + number % 300, number % 100)
}

/// How often each kind of transaction was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Business {
    /// Orders placed.
    pub placed: u32,
    /// Orders whose state advanced.
    pub advanced: u32,
    /// Orders deleted with their items.
    pub deleted: u32,
    /// Changes of single customers and products.
    pub edited: u32,
    /// Abandoned carts: transactions that were rolled back.
    pub abandoned: u32,
}

/// Runs random transactions of the shop for the given time, one every few milliseconds.
pub async fn do_business(mysql: &Database, time: Duration, seed: u64) -> Result<Business> {
    let (mut connection, mut rng, mut done) = (mysql.connect().await?, Rng::with_seed(seed), Business::default());
    let start = Instant::now();
    while start.elapsed() < time {
        let order = rng.u64(1..=ORDERS);
        let mut statements = vec!["BEGIN".to_owned()];
        let mut end = "COMMIT";
        match rng.u8(..10) {
            0..=3 => {
                let customer = rng.u64(1..=CUSTOMERS);
                statements.push(format!(
                    "INSERT INTO shop.orders (customer, state, total, placed) VALUES ({customer}, 'new', {}.50, NOW(3))",
                    rng.u32(..900)
                ));
                statements.push("SET @placed = LAST_INSERT_ID()".into());
                for line in 1..=rng.u32(1..=4) {
                    let sku = rng.u64(..PRODUCTS);
                    statements.push(format!("INSERT INTO shop.order_items VALUES (@placed, {line}, 'SKU{sku:05}', {line}, 9.90)"));
                }
                if rng.u8(..10) == 0 {
                    end = "ROLLBACK";
                    done.abandoned += 1;
                } else {
                    done.placed += 1;
                }
            }
            4..=6 => {
                statements.push(format!("UPDATE shop.orders SET state = LEAST(state + 1, 3) WHERE id = {order}"));
                done.advanced += 1;
            }
            7 => {
                statements.push(format!("DELETE FROM shop.order_items WHERE order_id = {order}"));
                statements.push(format!("DELETE FROM shop.orders WHERE id = {order}"));
                done.deleted += 1;
            }
            _ => {
                let customer = rng.u64(1..=CUSTOMERS);
                statements.push(format!("UPDATE shop.customers SET newsletter = 1 - newsletter WHERE id = {customer}"));
                statements.push(format!("UPDATE shop.products SET price = price + 0.01 WHERE sku = 'SKU{:05}'", rng.u64(..PRODUCTS)));
                done.edited += 2;
            }
        }
        statements.push(end.into());
        for statement in statements {
            connection.query_drop(statement).await?;
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(1..10))).await;
    }
    connection.disconnect().await?;
    Ok(done)
}
