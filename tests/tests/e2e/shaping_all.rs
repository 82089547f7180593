//! One configuration with every transform, in both phases, with schema changes and kills: what readers have equals a SELECT.

use std::time::Duration;

use fastrand::Rng;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tests::Result;
use tests::checker::{Format, Table};
use tests::harness::{Database, Flavor};

use super::case::{Case, Servers};
use super::refusals::ended;

const LIMIT: Duration = Duration::from_secs(120);
const PARALLELISM: usize = 2;
const FIRST_ROWS: u32 = 3_000;

/// The transforms. `FILTER` stands for a condition, `SOURCE` for the name of the database.
const TRANSFORMS: &str = r##"
[[transform]]
filter = { tables = ["SOURCE.c_orders"], where = "FILTER" }
[[transform]]
operations = { tables = ["SOURCE.audit"], keep = ["insert", "alter_table"] }
[[transform]]
add_columns = { tables = ["SOURCE.part_*"], columns = [{ name = "origin", type = "varchar(129)", value = "op_add(__DB__, \".\", __TB__)", key = true }] }
[[transform]]
etl = { tables = ["SOURCE.c_orders"], script = '''
e_compose(
    e_drop(op_eq(`c_state`, "draft")),
    e_set(`c_note`, str_upper(substring_before(`c_note`, "#"))),
    e_set(`c_double`, op_mul(`c_version`, 2)),
    e_set(`c_state`, (`c_version` > 1 ? "paid" : `c_state`)))
''' }
[[transform]]
mask = { tables = ["SOURCE.c_orders"], columns = { c_mail = { hash = { salt = "pepper" } }, c_phone = { partial = { start = 3, end = 6, with = "*" } } } }
[[transform]]
columns = { tables = ["SOURCE.c_orders"], exclude = ["secret"], rename = { c_placed = "placed_at" }, order = ["c_mail"] }
[[transform]]
rename = { tables = { "SOURCE.c_orders" = "SOURCE_out.sales", "SOURCE.audit" = "SOURCE_out.inserts" }, patterns = [{ match = "SOURCE\\.part_\\d+", to = "SOURCE_out.parts" }], columns = [{ tables = ["SOURCE.*"], match = "c_(.*)", to = "{1}" }], merge = true }
"##;

const FILTER: &str = "c_region <> 'us' and (c_amount > 10 or c_amount is null)";
/// The condition when the table has no `c_region`.
const SHORTER_FILTER: &str = "c_amount > 10 or c_amount is null";

/// Schema changes, a list between one load and the next.
const CHAPTERS: &[&[&str]] = &[
    &["MODIFY c_amount DECIMAL(12,2)", "MODIFY c_phone VARCHAR(40)"],
    &["DROP c_phone", "MODIFY c_mail VARCHAR(90) AFTER c_no"],
    &["ADD c_phone VARCHAR(30) AFTER c_note, ADD c_grade INT NOT NULL DEFAULT 1", "MODIFY c_placed DATETIME(6)"],
    &["DROP c_placed, DROP secret", "ADD c_placed DATETIME(3), ADD secret TEXT"],
    &["MODIFY c_region VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci"],
];

async fn create(mysql: &Database, name: &str) -> Result<()> {
    let mut statements = vec![
        format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
        format!(
            "CREATE TABLE {name}.c_orders (c_no BIGINT NOT NULL PRIMARY KEY, c_region VARCHAR(10) COLLATE utf8mb4_general_ci, c_amount INT, \
             c_state ENUM('new','draft','paid') NOT NULL, c_phone VARCHAR(20), c_mail VARCHAR(60), c_note VARCHAR(40), c_placed DATETIME(3), \
             c_version INT NOT NULL DEFAULT 0, secret VARCHAR(20))"
        ),
        format!("CREATE TABLE {name}.part_0 (id INT NOT NULL PRIMARY KEY, v VARCHAR(20))"),
        format!("CREATE TABLE {name}.part_1 LIKE {name}.part_0"),
        format!("CREATE TABLE {name}.audit (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20))"),
        format!("CREATE TABLE {name}.audit_copy LIKE {name}.audit"),
    ];
    let mut rng = Rng::with_seed(1);
    for first in (0..FIRST_ROWS).step_by(500) {
        let rows: Vec<String> = (first..first + 500).map(|number| order(&mut rng, number)).collect();
        statements.push(format!("INSERT INTO {name}.c_orders ({ORDER_COLUMNS}) VALUES {}", rows.join(", ")));
    }
    mysql.execute(&statements.iter().map(String::as_str).collect::<Vec<_>>()).await
}

const ORDER_COLUMNS: &str = "c_no, c_region, c_amount, c_state, c_mail, c_note";

fn region(rng: &mut Rng) -> &'static str {
    // In utf8mb4_general_ci and latin1_swedish_ci, four of them are equal to 'us'.
    ["'eu'", "'cn'", "'us'", "'US'", "'Us '", "'ús'", "NULL", "''"][rng.usize(..8)]
}

fn amount(rng: &mut Rng) -> &'static str {
    ["NULL", "5", "10", "11", "12", "300", "-4", "40"][rng.usize(..8)]
}

fn order(rng: &mut Rng, number: u32) -> String {
    let state = ["new", "draft", "paid"][rng.usize(..3)];
    let (region, amount, note) = (region(rng), amount(rng), ["NULL", "'soon # later'", "'none'"][rng.usize(..3)]);
    format!("({number}, {region}, {amount}, '{state}', 'anna{}@example.com', {note})", rng.u8(..50))
}

/// Writes to the tables of a database.
struct Writer {
    connection: Conn,
    database: String,
    rng: Rng,
    next: u32,
    /// Whether the rows of `audit` may be changed, which readers do not see. The full phase would see it.
    changes_audit: bool,
}

impl Writer {
    fn statement(&mut self) -> String {
        let (database, rng) = (&self.database, &mut self.rng);
        let some = rng.u32(..self.next);
        let of_some = format!("UPDATE IGNORE {database}.c_orders SET");
        let part = rng.u8(..2);
        match rng.u8(..17) {
            0..=2 => {
                self.next += 1;
                format!("INSERT INTO {database}.c_orders ({ORDER_COLUMNS}) VALUES {}", order(rng, self.next))
            }
            3 => format!("{of_some} c_region = {} WHERE c_no % 50 = {}", region(rng), rng.u8(..50)),
            4 => format!("{of_some} c_amount = {} WHERE c_no % 50 = {}", amount(rng), rng.u8(..50)),
            5 => format!("{of_some} c_state = {} WHERE c_no % 50 = {}", rng.u8(1..4), rng.u8(..50)),
            6 => format!("{of_some} c_phone = '{}' WHERE c_no % 20 = {}", &"0123456789"[..rng.usize(..11)], rng.u8(..20)),
            7 => format!("{of_some} c_placed = '2026-11-{:02} 10:20:30.125', secret = 'hidden' WHERE c_no = {some}", rng.u8(1..31)),
            8 => format!("{of_some} c_version = c_version + 1, c_note = 'a#b' WHERE c_no = {some}"),
            // The key changes.
            9 => format!("{of_some} c_no = c_no + 1000000 WHERE c_no = {some}"),
            10 => format!("DELETE FROM {database}.c_orders WHERE c_no = {some}"),
            11 => format!("REPLACE INTO {database}.part_{part} VALUES ({}, 'v{some}')", rng.u8(..40)),
            12 => format!("UPDATE IGNORE {database}.part_{part} SET id = id + 1 WHERE id = {}", rng.u8(..40)),
            13 => format!("DELETE FROM {database}.part_{part} WHERE id = {}", rng.u8(..40)),
            14 if self.changes_audit => format!("UPDATE {database}.audit SET what = 'changed' WHERE id % 5 = {}", rng.u8(..5)),
            15 if self.changes_audit => format!("DELETE FROM {database}.audit WHERE id % 20 = {}", rng.u8(..20)),
            _ => format!("INSERT INTO {database}.audit (what) VALUES ('what {some}')"),
        }
    }

    async fn write(&mut self, count: usize) -> Result<()> {
        /// The column was dropped.
        const UNKNOWN_COLUMN: u16 = 1054;
        for _ in 0..count {
            let statement = self.statement();
            match self.connection.query_drop(&statement).await {
                Err(mysql_async::Error::Server(error)) if error.code == UNKNOWN_COLUMN => continue,
                other => other?,
            }
            if statement.contains(".audit (what)") {
                let database = &self.database;
                let copy = format!("INSERT INTO {database}.audit_copy SELECT * FROM {database}.audit WHERE id = LAST_INSERT_ID()");
                self.connection.query_drop(copy).await?;
            }
        }
        Ok(())
    }

    async fn alter(&mut self, clause: &str) -> Result<()> {
        Ok(self.connection.query_drop(format!("ALTER TABLE {}.c_orders {clause}", self.database)).await?)
    }
}

/// Makes tables of what readers should have.
async fn expect(mysql: &Database, name: &str) -> Result<()> {
    let block = |byte: u8| {
        let salt = b"pepper".iter().copied().chain(std::iter::repeat(0)).take(64);
        salt.map(|of_salt| format!("{:02X}", of_salt ^ byte)).collect::<String>()
    };
    // HMAC, as RFC 2104 defines it.
    let inner = format!("UNHEX(SHA2(CONCAT(UNHEX('{}'), c_mail), 256))", block(0x36));
    let mail = format!("SHA2(CONCAT(UNHEX('{}'), {inner}), 256)", block(0x5c));
    let phone = "IF(CHAR_LENGTH(c_phone) <= 3, REPEAT('*', CHAR_LENGTH(c_phone)), \
                 CONCAT(LEFT(c_phone, 3), REPEAT('*', LEAST(4, CHAR_LENGTH(c_phone) - 3)), SUBSTRING(c_phone, 8)))";
    mysql
        .execute(&[
            &format!("CREATE DATABASE {name}_out CHARACTER SET utf8mb4"),
            &format!(
                "CREATE TABLE {name}_out.sales (mail VARCHAR(64), no BIGINT NOT NULL PRIMARY KEY, region VARCHAR(20), amount DECIMAL(12,2), \
                 state ENUM('new','draft','paid') NOT NULL, note VARCHAR(40), phone VARCHAR(30), version INT NOT NULL, grade INT NOT NULL, \
                 placed_at DATETIME(3), `double` BIGINT)"
            ),
            &format!(
                "INSERT INTO {name}_out.sales SELECT {mail}, c_no, c_region, c_amount, IF(c_version > 1, 'paid', c_state), \
                 UPPER(SUBSTRING_INDEX(c_note, '#', 1)), {phone}, c_version, c_grade, c_placed, c_version * 2 FROM {name}.c_orders \
                 WHERE {FILTER} AND c_state <> 'draft'"
            ),
            &format!("CREATE TABLE {name}_out.inserts LIKE {name}.audit_copy"),
            &format!("INSERT INTO {name}_out.inserts SELECT * FROM {name}.audit_copy"),
            &format!("CREATE TABLE {name}_out.parts (id INT NOT NULL, v VARCHAR(20), origin VARCHAR(129) NOT NULL, PRIMARY KEY (id, origin))"),
            &format!(
                "INSERT INTO {name}_out.parts SELECT id, v, '{name}.part_0' FROM {name}.part_0 \
                 UNION ALL SELECT id, v, '{name}.part_1' FROM {name}.part_1 UNION ALL SELECT id, v, '{name}.part_2' FROM {name}.part_2"
            ),
        ])
        .await
}

fn configure(cases: &mut [Case], name: &str, filter: &str) -> Result<()> {
    for case in cases {
        case.settings.more = TRANSFORMS.replace("FILTER", filter).replace("SOURCE", name);
        case.task.configure(&case.settings)?;
    }
    Ok(())
}

/// Writes, and kills the tasks meanwhile. Returns how many kills there were for each task.
async fn write_and_kill(writer: &mut Writer, cases: &mut [Case], count: usize, kills: usize) -> Result<usize> {
    for _ in 0..kills {
        writer.write(count / (kills + 1)).await?;
        for case in &mut *cases {
            case.task.must_run()?;
            case.task.kill()?;
            case.task.start()?;
        }
        tokio::time::sleep(Duration::from_millis(writer.rng.u64(200..900))).await;
    }
    writer.write(count / (kills + 1)).await?;
    Ok(kills)
}

async fn every_transform(flavor: Flavor, seed: u64, statements: usize) -> Result<()> {
    let servers = Servers::shared_of(flavor).await?;
    let mysql = servers.source.clone();
    let name = format!("woven_{}_{seed}", flavor.name());
    create(&mysql, &name).await?;
    let tables = ["sales", "inserts", "parts"].map(|table| Table::new(format!("{name}_out"), table));
    let canal = Case::new(servers, &name, Format::CanalJson, 3, tables.into()).await?;
    let avro = canal.sibling(&format!("{name}_avro"), Format::DtsAvro, 3).await?;
    let cases = &mut [canal, avro];
    for case in cases.iter_mut() {
        case.settings.source = format!("exclude = [\"{name}.audit_copy\"]\nchunk_rows = 100\nparallelism = {PARALLELISM}");
        case.settings.sink = "partition = \"primary_key\"\nrecord_key = \"primary_key\"".into();
    }
    configure(cases, &name, FILTER)?;
    let connection = mysql.connect().await?;
    let mut writer = Writer { connection, database: name.clone(), rng: Rng::with_seed(seed), next: FIRST_ROWS, changes_audit: false };
    writer.connection.query_drop("SET sql_mode = ''").await?;
    for case in cases.iter_mut() {
        case.task.start()?;
    }
    let kills = write_and_kill(&mut writer, cases, statements, 3).await?;
    for case in cases.iter_mut() {
        case.catch_up(LIMIT).await?;
    }
    writer.changes_audit = true;
    for clauses in CHAPTERS {
        write_and_kill(&mut writer, cases, statements, 1).await?;
        for clause in *clauses {
            writer.alter(clause).await?;
            writer.write(statements / 10).await?;
        }
    }
    mysql
        .execute(&[
            &format!("ALTER TABLE {name}.audit MODIFY what VARCHAR(30)"),
            &format!("ALTER TABLE {name}.audit_copy MODIFY what VARCHAR(30)"),
            &format!("CREATE TABLE {name}.part_2 LIKE {name}.part_0"),
            &format!("INSERT INTO {name}.part_2 VALUES (1, 'new'), (2, 'too')"),
            // Behind these statements, both conditions keep the same rows.
            &format!("DELETE FROM {name}.c_orders WHERE c_region = 'us' OR c_region IS NULL"),
        ])
        .await?;
    for case in cases.iter_mut() {
        case.catch_up(LIMIT).await?;
    }

    // A column of the condition is dropped: each task stops before the first row without it.
    writer.alter("DROP c_region").await?;
    for case in cases.iter_mut() {
        ended(case, 2, &["E_FILTER_UNSUPPORTED", "c_region", "transform.filter.where"]).await?;
    }
    configure(cases, &name, SHORTER_FILTER)?;
    for case in cases.iter_mut() {
        case.task.start()?;
    }
    write_and_kill(&mut writer, cases, statements, 1).await?;
    writer.alter("ADD c_region VARCHAR(20) DEFAULT 'eu' AFTER c_no").await?;
    for case in cases.iter_mut() {
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
    }
    configure(cases, &name, FILTER)?;
    for case in cases.iter_mut() {
        case.task.start()?;
    }
    write_and_kill(&mut writer, cases, statements, 2).await?;
    // Every row is there with all its columns of now.
    mysql.execute(&[&format!("UPDATE {name}.c_orders SET c_version = c_version + 1")]).await?;
    let last = cases[0].fence().await?;
    for case in cases.iter_mut() {
        case.reach(last, LIMIT).await?;
        case.task.stop().await?;
    }
    expect(&mysql, &name).await?;
    for case in cases.iter_mut() {
        let report = case.verify(kills * PARALLELISM).await?;
        assert!(report.snapshot_rows > 100 && report.stream_rows > 1_000 && report.schema_changes > 10, "{report}");
        for plain in ["hidden", "anna", "example.com"] {
            let shown = case.entries.iter().any(|entry| entry.value.windows(plain.len()).any(|part| part == plain.as_bytes()));
            assert!(!shown, "{plain} was delivered");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_transform_at_once_on_mysql_57() -> Result<()> {
    every_transform(Flavor::MySql57, 1, 150).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn every_transform_at_once_on_every_server() -> Result<()> {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |passed| passed.as_secs());
    for flavor in [Flavor::MySql57, Flavor::MySql80, Flavor::MariaDb] {
        for seed in clock..clock + 3 {
            every_transform(flavor, seed, 600).await?;
        }
    }
    Ok(())
}
