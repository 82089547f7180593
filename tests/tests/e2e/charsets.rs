//! Character sets: every code of every set is decoded by our code and by the servers, and the results are compared.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use runtime::{Charset, Collation};
use source_polardbx::schema::{Dialect, SessionCollations, collation_of_number, of_collation_number};
use tests::harness::{Database, Flavor};
use tests::{Failure, Result};

use super::case::Servers;

/// A code in a character set, and the text that a server decodes from it, in UTF-8.
type Reading = (Vec<u8>, Option<Vec<u8>>);

/// Lets the server decode codes of the character set `set`. `code` is an SQL expression over the tables in `tables`, which are named `x`,
/// `y`, `z` or `w` and hold all 256 bytes each. `wanted` is the condition that selects the codes.
async fn readings(conn: &mut Conn, set: &str, tables: &str, code: &str, wanted: &str) -> Result<Vec<Reading>> {
    let from: Vec<String> = tables.chars().map(|table| format!("charsets.bytes {table}")).collect();
    let text = format!("CAST(CONVERT(CONVERT({code} USING {set}) USING utf8mb4) AS BINARY)");
    Ok(conn.query(format!("SELECT {code}, {text} FROM {} WHERE {wanted}", from.join(", "))).await?)
}

/// The text that the server decoded from `code`; `None` if it could not decode the code. For an invalid byte, servers return NULL, cut
/// the text at the byte, or return a question mark. MySQL uses U+FFFD for codes without a character; U+FFFD as a real character exists
/// only in character sets that have all of Unicode.
fn read(set: &str, code: &[u8], text: &Option<Vec<u8>>) -> Result<Option<String>> {
    let marks = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'?').count();
    let text = match text {
        Some(text) if !text.is_empty() && marks(text) <= marks(code) => text,
        _ => return Ok(None),
    };
    let text = String::from_utf8(text.clone())?;
    // The Unicode sets have a code for U+FFFD, and so does gb18030.
    let meant = matches!(set, "ucs2" | "utf16" | "utf16le" | "utf32" | "gb18030") || code == [0x84, 0x31, 0xA4, 0x37];
    Ok(Some(text).filter(|text| meant || !text.contains('\u{fffd}')))
}

/// Compares the server's text of each code with ours; returns the number of codes that were compared.
fn compare(set: &str, readings: &[Reading]) -> Result<usize> {
    let charset = Charset::from_name(set).ok_or_else(|| Failure::new(format!("{set} is not known")))?;
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (code, text) in readings {
        // If the first byte is a character by itself, these two bytes are not one code and are skipped. Single bytes are compared
        // separately.
        if let [first, _] = code.as_slice()
            && !matches!(set, "ucs2" | "utf16" | "utf16le")
            && charset.decode(&[*first]).is_some()
        {
            continue;
        }
        compared += 1;
        let (theirs, ours) = (read(set, code, text)?, charset.decode(code));
        if theirs.as_deref() != ours.as_deref() {
            wrong.push(format!("{code:02x?}: {theirs:?} and not {ours:?}"));
        }
    }
    match wrong.as_slice() {
        [] => Ok(compared),
        [..] => Failure::err(format!("{set}: {} codes differ, such as {}", wrong.len(), wrong[..wrong.len().min(5)].join("; "))),
    }
}

async fn every_code(server: &Database) -> Result<()> {
    server.execute(&["CREATE DATABASE charsets", "CREATE TABLE charsets.bytes (b VARBINARY(1) PRIMARY KEY)"]).await?;
    let all: Vec<String> = (0..=255).map(|byte| format!("(x'{byte:02x}')")).collect();
    let mut conn = server.connect().await?;
    conn.query_drop(format!("INSERT INTO charsets.bytes VALUES {}", all.join(", "))).await?;
    let sets: Vec<String> = conn.query("SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS").await?;
    assert!(sets.len() >= 40, "{sets:?}");
    const PAIR: &str = "CONCAT(x.b, y.b)";
    for set in sets.iter().map(String::as_str).filter(|set| *set != "binary") {
        let mut compared = 0;
        match set {
            "ucs2" | "utf16" | "utf16le" => {
                // Surrogate halves are left out: only ucs2 accepts them as characters.
                let half = if set == "utf16le" { "y.b" } else { "x.b" };
                let whole = format!("{half} NOT BETWEEN x'D8' AND x'DF'");
                compared += compare(set, &readings(&mut conn, set, "xy", PAIR, &whole).await?)?;
            }
            "utf32" => {
                let code = "CONCAT(x'00', z.b, x.b, y.b)";
                let wanted = "z.b IN (x'00', x'01', x'10') AND NOT (z.b = x'00' AND x.b BETWEEN x'D8' AND x'DF')";
                compared += compare(set, &readings(&mut conn, set, "xyz", code, wanted).await?)?;
            }
            _ => compared += compare(set, &readings(&mut conn, set, "x", "x.b", "TRUE").await?)?,
        }
        if matches!(set, "big5" | "gbk" | "gb2312" | "gb18030" | "sjis" | "cp932" | "euckr" | "ujis" | "eucjpms") {
            compared += compare(set, &readings(&mut conn, set, "xy", PAIR, "x.b >= x'80'").await?)?;
        }
        if matches!(set, "ujis" | "eucjpms") {
            let code = "CONCAT(x'8F', x.b, y.b)";
            compared += compare(set, &readings(&mut conn, set, "xy", code, "x.b >= x'A1' AND y.b >= x'A1'").await?)?;
        }
        // gb18030 has 1.6 million codes of four bytes. All servers use the same table for them, so one server is enough.
        if set == "gb18030" && server.flavor() == Flavor::MySql57 {
            let digits = "BETWEEN x'30' AND x'39'";
            let wanted = format!("x.b >= x'81' AND y.b {digits} AND z.b >= x'81' AND w.b {digits}");
            let code = "CONCAT(x.b, y.b, z.b, w.b)";
            compared += compare(set, &readings(&mut conn, set, "xyzw", code, &wanted).await?)?;
        }
        assert!(compared >= 128, "{set}");
    }
    Ok(())
}

/// Checks our table of collations: the number of each collation of the server leads to its name and its character set, and each character set
/// to its default collation.
async fn every_collation(server: &Database) -> Result<()> {
    let mut conn = server.connect().await?;
    let (table, name) = match server.flavor() {
        Flavor::MariaDb => ("COLLATION_CHARACTER_SET_APPLICABILITY", "FULL_COLLATION_NAME"),
        _ => ("COLLATIONS", "COLLATION_NAME"),
    };
    let query = format!("SELECT ID, {name}, CHARACTER_SET_NAME, IS_DEFAULT = 'Yes' FROM information_schema.{table} WHERE ID IS NOT NULL");
    let collations: Vec<(u16, String, String, bool)> = conn.query(query).await?;
    assert!(collations.len() > 200, "{}", collations.len());
    let version: String = conn.query_first("SELECT VERSION()").await?.unwrap_or_default();
    let dialect = Dialect::of_version(&version);
    let mut defaults = 0;
    for (number, name, set, is_default) in collations {
        // MySQL 8 and MariaDB 10.6 changed the name `utf8` to `utf8mb3`.
        let (collation, set) = (Collation::new(&name), set.replace("utf8mb3", "utf8"));
        assert_eq!(of_collation_number(number), Some(set.as_str()), "collation {number}");
        assert_eq!(
            (collation_of_number(number, dialect), collation.charset()),
            (Some(collation.clone()), set.as_str()),
            "collation {number}"
        );
        defaults += usize::from(is_default);
        let default = SessionCollations::default().default_of(&set, dialect);
        assert_eq!(default == collation, is_default, "{set} and {collation}");
    }
    assert!(defaults >= 40, "{defaults}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_collation_leads_to_its_character_set() -> Result<()> {
    for flavor in [Flavor::MySql57, Flavor::MySql80, Flavor::MariaDb] {
        every_collation(&Servers::shared_of(flavor).await?.source).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_code_is_read_as_mysql_5_7_does() -> Result<()> {
    every_code(&Servers::shared_of(Flavor::MySql57).await?.source).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_code_is_read_as_mysql_8_does() -> Result<()> {
    every_code(&Servers::shared_of(Flavor::MySql80).await?.source).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_code_is_read_as_mariadb_does() -> Result<()> {
    every_code(&Servers::shared_of(Flavor::MariaDb).await?.source).await
}
