//! A table with a column of every supported type, and values at the limits of each type.

use fastrand::Rng;

/// A column and its values as SQL literals. NULL is an additional value of every column.
struct Column {
    name: &'static str,
    definition: &'static str,
    values: &'static [&'static str],
}

const fn column(name: &'static str, definition: &'static str, values: &'static [&'static str]) -> Column {
    Column { name, definition, values }
}

const COLUMNS: &[Column] = &[
    column("i8", "TINYINT", &["-128", "-1", "0", "127"]),
    column("u8", "TINYINT UNSIGNED", &["0", "127", "128", "255"]),
    column("flag", "TINYINT(1)", &["0", "1", "-1"]),
    column("i16", "SMALLINT", &["-32768", "0", "32767"]),
    column("u16", "SMALLINT UNSIGNED", &["0", "32768", "65535"]),
    column("i24", "MEDIUMINT", &["-8388608", "-1", "8388607"]),
    column("u24", "MEDIUMINT UNSIGNED", &["0", "8388608", "16777215"]),
    column("i32", "INT", &["-2147483648", "-1", "2147483647"]),
    column("u32", "INT UNSIGNED", &["0", "2147483648", "4294967295"]),
    column("z32", "INT(5) UNSIGNED ZEROFILL", &["0", "42", "4294967295"]),
    column("i64", "BIGINT", &["-9223372036854775808", "-1", "0", "9223372036854775807"]),
    column("u64", "BIGINT UNSIGNED", &["0", "9223372036854775807", "9223372036854775808", "18446744073709551615"]),
    column("dec10", "DECIMAL(10,2)", &["0", "5", "5.1", "-0.01", "99999999.99", "-99999999.99"]),
    column("dec5", "DECIMAL(5,0)", &["0", "-99999", "99999"]),
    column("dec4", "DECIMAL(4,4)", &["0", "-0.5", "0.0001", "0.9999"]),
    column("dec20", "DECIMAL(20,10) UNSIGNED", &["1.5", "0.0000000001", "9999999999.9999999999"]),
    column("dec27", "DECIMAL(27,11)", &["1.000000001", "-1234567890123456.12345678901", "0"]),
    column(
        "dec65",
        "DECIMAL(65,30)",
        &[
            "0",
            "1",
            "-0.000000000000000000000000000001",
            "99999999999999999999999999999999999.999999999999999999999999999999",
            "-99999999999999999999999999999999999.999999999999999999999999999999",
            "12345678901234567890123456789012345.678901234567890123456789012345",
        ],
    ),
    column("f32", "FLOAT", &["0", "-0.0", "1.1", "-1.5", "16777216", "3.4028234e38", "1.17549435e-38", "1e-45", "1e10", "0.001", "0.0001"]),
    column(
        "f64",
        "DOUBLE",
        &["0", "-0.0", "0.1", "1e7", "9999999.5", "12345678.9", "1.7976931348623157e308", "4.9e-324", "2e23", "9007199254740993"],
    ),
    column("b1", "BIT(1)", &["b'0'", "b'1'"]),
    column("b10", "BIT(10)", &["b'0'", "b'1000000001'", "b'1111111111'"]),
    column("b33", "BIT(33)", &["b'0'", "b'1'", "b'100000000000000000000000000000001'"]),
    column("b64", "BIT(64)", &["0", "1", "9223372036854775808", "18446744073709551615"]),
    column("y", "YEAR", &["0", "1901", "2024", "2155"]),
    column("d", "DATE", &["'0000-00-00'", "'2024-00-00'", "'2024-02-29'", "'1000-01-01'", "'9999-12-31'"]),
    column("t0", "TIME", &["'00:00:00'", "'838:59:59'", "'-838:59:59'", "'-00:30:00'", "'12:34:56'"]),
    column("t1", "TIME(1)", &["'-00:00:00.1'", "'00:00:00.9'", "'-01:00:00'"]),
    column("t2", "TIME(2)", &["'-00:00:00.01'", "'23:59:59.99'"]),
    column("t3", "TIME(3)", &["'-12:34:56.789'", "'100:00:00.001'"]),
    column("t4", "TIME(4)", &["'838:59:59'", "'-00:00:59.0001'"]),
    column("t5", "TIME(5)", &["'-00:01:00.00001'", "'00:00:00.99999'"]),
    column("t6", "TIME(6)", &["'-100:00:00.000001'", "'23:59:59.999999'", "'-00:00:00.000001'", "'-00:00:00.999999'"]),
    column("dt0", "DATETIME", &["'0000-00-00 00:00:00'", "'9999-12-31 23:59:59'", "'2024-00-00 00:00:00'", "'1000-01-01 00:00:00'"]),
    column("dt1", "DATETIME(1)", &["'2024-02-29 12:34:56.7'", "'0000-00-00 00:00:00'"]),
    column("dt2", "DATETIME(2)", &["'2024-02-29 12:34:56.78'"]),
    column("dt3", "DATETIME(3)", &["'0000-00-00 00:00:00'", "'2024-02-29 12:34:56.789'"]),
    column("dt4", "DATETIME(4)", &["'2024-02-29 12:34:56.0001'"]),
    column("dt5", "DATETIME(5)", &["'2024-02-29 12:34:56.00001'"]),
    column("dt6", "DATETIME(6)", &["'2024-02-29 12:34:56.000001'", "'9999-12-31 23:59:59.999999'"]),
    column("ts0", "TIMESTAMP NULL", &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "0"]),
    column("ts1", "TIMESTAMP(1) NULL", &["'2024-02-29 12:34:56.7'", "0"]),
    column("ts2", "TIMESTAMP(2) NULL", &["'2024-02-29 12:34:56.78'"]),
    column("ts3", "TIMESTAMP(3) NULL", &["'2024-02-29 12:34:56.789'", "0"]),
    column("ts4", "TIMESTAMP(4) NULL", &["'2024-02-29 12:34:56.0001'"]),
    column("ts5", "TIMESTAMP(5) NULL", &["'2024-02-29 12:34:56.00001'"]),
    column("ts6", "TIMESTAMP(6) NULL", &["'2038-01-19 03:14:07.999999'", "'1970-01-01 00:00:01.000001'", "0"]),
    column("c_mb4", "CHAR(20) CHARACTER SET utf8mb4", &["''", "'ab  '", "'中文😀'", "'\"\\\\/'"]),
    column(
        "v_mb4",
        "VARCHAR(300) CHARACTER SET utf8mb4",
        &["''", "'a\"b\\\\c/\\n\\t<>&'", "'x\\0y'", "'😀'", "'NULL'", "REPEAT('é', 300)", "' end '"],
    ),
    column("v_utf8", "VARCHAR(30) CHARACTER SET utf8", &["'中文'", "'é'", "'null'"]),
    column("v_ascii", "VARCHAR(30) CHARACTER SET ascii", &["'plain'", "X'7F01'"]),
    column("c_latin1", "CHAR(30) CHARACTER SET latin1", &["'é'", "X'80'", "X'9F'", "X'FFFE'"]),
    column("v_latin1", "VARCHAR(30) CHARACTER SET latin1", &["'äöü'", "'€'", "X'818D8F909D'"]),
    column("tt", "TINYTEXT CHARACTER SET utf8mb4", &["''", "'😀'", "REPEAT('a', 255)"]),
    column("tx", "TEXT CHARACTER SET utf8mb4", &["''", "REPEAT('中', 1000)", "'line\\r\\nline'"]),
    column("mt", "MEDIUMTEXT CHARACTER SET utf8", &["'中'", "REPEAT('x', 70000)"]),
    column("lt", "LONGTEXT CHARACTER SET latin1", &["'é'", "''"]),
    column("bin4", "BINARY(4)", &["X'0102'", "X'00000000'", "X'FFFFFFFF'", "X'01000000'", "''"]),
    column("vbin", "VARBINARY(300)", &["''", "X'00FF80'", "X'0000'", "REPEAT(X'EE', 300)"]),
    column("tb", "TINYBLOB", &["''", "X'DEADBEEF'"]),
    column("bl", "BLOB", &["X'00'", "REPEAT(X'FE', 5000)"]),
    column("mb", "MEDIUMBLOB", &["X'C0'", "REPEAT(X'00', 70000)"]),
    column("lb", "LONGBLOB", &["X'22275C'", "''"]),
    column("en", "ENUM('a','b','c''d','é')", &["'a'", "'b'", "'é'", "'not a label'"]),
    column("st", "SET('x','y','z','w')", &["''", "'x'", "'x,z'", "'x,y,z,w'"]),
];

/// The `CREATE TABLE` statement of a table with a column of every type and the primary key `id`.
pub fn create(table: &str) -> String {
    let columns: Vec<String> = COLUMNS.iter().map(|column| format!("`{}` {}", column.name, column.definition)).collect();
    // The long columns fit into one row only with the dynamic row format.
    format!("CREATE TABLE {table} (id BIGINT NOT NULL PRIMARY KEY, {}) CHARACTER SET utf8mb4 ROW_FORMAT=DYNAMIC", columns.join(", "))
}

/// The number of rows that are needed so that every value of every column occurs at least once.
pub fn variants() -> u64 {
    COLUMNS.iter().map(|column| column.values.len() as u64 + 1).max().unwrap_or(1)
}

/// The `INSERT` statement of the row `id`. Each column gets value number `id` of its list. The list ends with NULL and then begins again.
/// The first [`variants`] rows together contain every value.
pub fn insert_variant(table: &str, id: u64) -> String {
    let pick = |column: &Column| {
        let index = (id % (column.values.len() as u64 + 1)) as usize;
        column.values.get(index).copied().unwrap_or("NULL")
    };
    insert(table, id, COLUMNS.iter().map(pick).collect())
}

/// The `INSERT` statement of the row `id`, with random values.
pub fn insert_random(table: &str, id: u64, rng: &mut Rng) -> String {
    insert(table, id, COLUMNS.iter().map(|column| random(column, rng)).collect())
}

fn insert(table: &str, id: u64, values: Vec<&str>) -> String {
    format!("INSERT INTO {table} VALUES ({id}, {})", values.join(", "))
}

/// The `SET` list of an `UPDATE` that gives a few random columns random values.
pub fn assignments(rng: &mut Rng) -> String {
    let count = 1 + rng.usize(..5);
    let chosen = (0..count).map(|_| &COLUMNS[rng.usize(..COLUMNS.len())]);
    let chosen: Vec<&Column> = chosen.collect();
    let texts: Vec<String> = chosen.into_iter().map(|column| format!("`{}` = {}", column.name, random(column, rng))).collect();
    texts.join(", ")
}

fn random(column: &Column, rng: &mut Rng) -> &'static str {
    let value = column.values.get(rng.usize(..=column.values.len())).copied().unwrap_or("NULL");
    // Long values are made rare; otherwise the binlog would contain little else.
    if value.starts_with("REPEAT") && rng.u8(..16) != 0 { "NULL" } else { value }
}
