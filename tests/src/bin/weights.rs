//! Asks servers for the weights of characters and writes the files from which filters compare texts.
//!
//! `cargo run -p tests --bin weights -- runtime/src/transforms/filter/collation`
//!
//! The folder then has `general.weights`, `unicode.weights` (both utf8mb4, MySQL 5.7), `gbk.weights` (gbk_chinese_ci, MySQL 5.7),
//! `uca0900.weights` (utf8mb4_0900_ai_ci, MySQL 8.0) and `single.weights` (the collations of one byte a character, MySQL 5.7). Each
//! character is stored in a table, and the server answers with its `WEIGHT_STRING`. The module `collation::weights` of the filter describes
//! the form of the files.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tests::harness::{Database, Flavor};
use tests::{Failure, Result};

/// How many characters one INSERT has.
const ROWS: usize = 20_000;

#[tokio::main]
async fn main() -> ExitCode {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let Some(folder) = folder else {
        eprintln!("usage: weights FOLDER");
        return ExitCode::FAILURE;
    };
    match write_all(&folder).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("the weights were not written: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn write_all(folder: &Path) -> Result<()> {
    let old = Database::start(Flavor::MySql57, &[]).await?;
    let mut conn = old.connect().await?;
    let unicode: Vec<(u32, Vec<u8>)> =
        (0..=0x10_FFFF).filter_map(char::from_u32).map(|c| (u32::from(c), c.to_string().into_bytes())).collect();
    for (file, collation) in [("general", "utf8mb4_general_ci"), ("unicode", "utf8mb4_unicode_ci")] {
        let weights = ask(&mut conn, "utf8mb4", collation, &unicode).await?;
        write(folder, file, &runs(0x11_0000, &pairs(&weights)?)?)?;
    }
    let pair = |first: u8, second: u8| (u32::from(first) << 8 | u32::from(second), vec![first, second]);
    let seconds = || (0x40..=0x7E).chain(0x80..=0xFE);
    let mut gbk: Vec<(u32, Vec<u8>)> = (0..0x80).map(|byte| (u32::from(byte), vec![byte])).collect();
    gbk.extend((0x81..=0xFE).flat_map(|first| seconds().map(move |second| pair(first, second))));
    let weights = ask(&mut conn, "gbk", "gbk_chinese_ci", &gbk).await?;
    let whole = weights.iter().map(|(code, bytes)| (*code, vec![bytes.iter().fold(0_u16, |weight, byte| weight << 8 | u16::from(*byte))]));
    write(folder, "gbk", &runs(0x1_0000, &whole.collect::<Vec<_>>())?)?;
    write(folder, "single", single(&mut conn).await?.as_bytes())?;

    let new = Database::start(Flavor::MySql80, &[]).await?;
    let weights = ask(&mut new.connect().await?, "utf8mb4", "utf8mb4_0900_ai_ci", &unicode).await?;
    write(folder, "uca0900", &runs(0x11_0000, &pairs(&weights)?)?)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    println!("{name}: {} bytes", bytes.len());
    Ok(std::fs::write(folder.join(name).with_extension("weights"), bytes)?)
}

/// The weights of characters, sorted by code.
async fn ask(conn: &mut Conn, charset: &str, collation: &str, characters: &[(u32, Vec<u8>)]) -> Result<Vec<(u32, Vec<u8>)>> {
    conn.query_drop("CREATE DATABASE IF NOT EXISTS weights").await?;
    conn.query_drop("DROP TABLE IF EXISTS weights.t").await?;
    let column = format!("c VARCHAR(4) CHARACTER SET {charset} COLLATE {collation}");
    conn.query_drop(format!("CREATE TABLE weights.t (code INT PRIMARY KEY, {column}) ENGINE = MyISAM")).await?;
    for part in characters.chunks(ROWS) {
        let mut sql = "INSERT INTO weights.t VALUES ".to_owned();
        for (index, (code, bytes)) in part.iter().enumerate() {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            write!(sql, "{}({code}, _{charset} x'{digits}')", if index == 0 { "" } else { ", " })?;
        }
        conn.query_drop(sql).await?;
    }
    Ok(conn.query("SELECT code, WEIGHT_STRING(c) FROM weights.t ORDER BY code").await?)
}

/// Weights of two bytes each.
fn pairs(weights: &[(u32, Vec<u8>)]) -> Result<Vec<(u32, Vec<u16>)>> {
    let list = |bytes: &Vec<u8>| bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    match weights.iter().find(|(_, bytes)| bytes.len() % 2 == 1) {
        Some((code, _)) => Failure::err(format!("the weights of {code:x} are no pairs of bytes")),
        None => Ok(weights.iter().map(|(code, bytes)| (*code, list(bytes))).collect()),
    }
}

/// The file that describes the weights of all codes below `codes`.
fn runs(codes: usize, known: &[(u32, Vec<u16>)]) -> Result<Vec<u8>> {
    let mut all = vec![Vec::new(); codes];
    for (code, weights) in known {
        *all.get_mut(*code as usize).ok_or_else(|| Failure::new("a code is too large"))? = weights.clone();
    }
    let (mut file, mut rest) = (Vec::new(), all.as_slice());
    while let Some((first, after)) = rest.split_first() {
        let rise = after.first().and_then(|second| step(first, second)).unwrap_or(0);
        let follows = |(index, weights): &(usize, &Vec<u16>)| step(first, weights) == Some(rise * (*index as i64 + 1));
        let count = 1 + after.iter().enumerate().take_while(follows).count();
        number(&mut file, count as u64);
        number(&mut file, first.len() as u64);
        first.iter().for_each(|weight| number(&mut file, u64::from(*weight)));
        if count > 1 && !first.is_empty() {
            number(&mut file, if rise < 0 { rise.unsigned_abs() * 2 - 1 } else { rise.unsigned_abs() * 2 });
        }
        rest = &rest[count..];
    }
    Ok(file)
}

/// By how much the last weight of `b` is greater than that of `a`; `None` if they differ in more.
fn step(a: &[u16], b: &[u16]) -> Option<i64> {
    match (a.split_last(), b.split_last()) {
        (Some((x, before)), Some((y, same))) if before == same => Some(i64::from(*y) - i64::from(*x)),
        (None, None) => Some(0),
        _ => None,
    }
}

fn number(file: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        file.push(number as u8 & 0x7F | 0x80);
        number >>= 7;
    }
    file.push(number as u8);
}

/// The collations of one byte a character in which each byte has one weight, whatever is beside it.
async fn single(conn: &mut Conn) -> Result<String> {
    const COLLATIONS: &str = "SELECT COLLATION_NAME, s.CHARACTER_SET_NAME FROM information_schema.COLLATIONS c JOIN \
         information_schema.CHARACTER_SETS s USING (CHARACTER_SET_NAME) WHERE MAXLEN = 1 AND COLLATION_NAME NOT LIKE '%\\_bin' AND \
         COLLATION_NAME <> 'binary' ORDER BY COLLATION_NAME";
    const TOGETHER: &str = "SELECT COUNT(*) FROM weights.t a, weights.t b WHERE WEIGHT_STRING(CONCAT(a.c, b.c)) <> \
         CONCAT(WEIGHT_STRING(a.c), WEIGHT_STRING(b.c))";
    let bytes: Vec<(u32, Vec<u8>)> = (0..=255).map(|byte: u8| (u32::from(byte), vec![byte])).collect();
    let mut lines = String::new();
    let collations: Vec<(String, String)> = conn.query(COLLATIONS).await?;
    for (collation, charset) in collations {
        let weights = ask(conn, &charset, &collation, &bytes).await?;
        let together: Option<u64> = conn.query_first(TOGETHER).await?;
        if together == Some(0) && weights.len() == 256 && weights.iter().all(|(_, weights)| weights.len() == 1) {
            let digits: String = weights.iter().flat_map(|(_, weights)| weights).map(|weight| format!("{weight:02X}")).collect();
            writeln!(lines, "{collation} {digits}")?;
        }
    }
    Ok(lines)
}
