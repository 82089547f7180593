//! Statements of every kind between the transactions of files that the CDC component of PolarDB-X has written.
//!
//! The files know nothing of the statement, so it states what is not true of the rows behind it. Either that does not matter to them, or it
//! is an error: rows never differ without one. `INSERTED_CASES` sets the number of cases.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use runtime::RowChange;

use super::super::*;
use super::captured::{Captured, FIRST, decode, decoder_at, tables};

const ALL: &str = include_str!("../../../../../tests/corpus/all.sql");
const MYSQL: &str = include_str!("../../../../../tests/corpus/mysql.sql");
const MARIADB: &str = include_str!("../../../../../tests/corpus/mariadb.sql");
const POLARDBX: &str = include_str!("../../../../../tests/corpus/polardbx.sql");

/// The tables of the files, with their columns in the order that they have at last.
const TABLES: [(&str, [&str; 3]); 5] = [
    ("acc", ["id", "bal", "ver"]),
    ("nopk", ["c", "a", "b"]),
    ("multi", ["id", "v", "x"]),
    ("orders", ["id", "amount", "note"]),
    ("base_t", ["id", "v", "x"]),
];

/// A file set, and what it holds without a changed event.
struct Intact {
    events: Vec<Vec<u8>>,
    rows: Vec<String>,
    /// Behind which events a statement can stand: those that end a transaction.
    gaps: Vec<usize>,
}

impl Intact {
    fn read(set: &str) -> Self {
        let events = Captured::read(set).dump(FIRST);
        let (batches, failed) = decode(&mut decoder_at(FIRST, tables()), &events);
        assert!(failed.is_none(), "{failed:?}");
        let gaps = (0..events.len()).filter(|&index| mark(&events[index]).is_some()).collect();
        Self { rows: rows(&batches), events, gaps }
    }

    /// The events with a statement behind the event `gap`.
    fn with(&self, gap: usize, text: &[u8]) -> Vec<Vec<u8>> {
        let mut events = self.events[..=gap].to_vec();
        let mut end = log_pos(&events[gap]);
        let (digits, number) = mark(&events[gap]).unwrap().split_at(38);
        let tso = format!("{digits}{:016}", number.parse::<u64>().unwrap() + 1);
        let mut body = vec![7, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 7, 0, 4, 45, 0, 45, 0, 45, 0];
        body.extend_from_slice(b"shop\0");
        body.extend_from_slice(text);
        for (kind, body) in [(2, body), (29, format!("\u{1}CTS::{tso}").into_bytes())] {
            let event = EventBytes::new(kind).body(&body);
            end += event.size();
            events.push(event.ending_at(end).finish());
        }
        let more = end - log_pos(&self.events[gap]);
        let mut is_same_file = true;
        for event in &self.events[gap + 1..] {
            const FORMAT_DESCRIPTION: u8 = 15;
            is_same_file &= event[4] != FORMAT_DESCRIPTION;
            let mut event = event.clone();
            if is_same_file && log_pos(&event) > 0 {
                let moved = (log_pos(&event) + more) as u32;
                event[13..17].copy_from_slice(&moved.to_le_bytes());
                let covered = event.len() - 4;
                let crc = crc32fast::hash(&event[..covered]);
                event[covered..].copy_from_slice(&crc.to_le_bytes());
            }
            events.push(event);
        }
        events
    }

    /// How many rows are before the statement.
    fn before(&self, gap: usize) -> usize {
        rows(&decode(&mut decoder_at(FIRST, tables()), &self.events[..=gap]).0).len()
    }

    /// Whether the files hold a TABLE_MAP of a table behind the event `gap`, before their own next statement about it.
    fn maps_behind(&self, gap: usize, table: &str) -> bool {
        const QUERY: u8 = 2;
        const TABLE_MAP: u8 = 19;
        let name = [&[4][..], b"shop\0", &[table.len() as u8], table.as_bytes(), b"\0"].concat();
        let names = |event: &[u8]| event.windows(table.len()).any(|window| window == table.as_bytes());
        let until = self.events[gap + 1..].iter().take_while(|event| event[4] != QUERY || !names(event));
        until.into_iter().any(|event| event[4] == TABLE_MAP && event[27..].starts_with(&name))
    }
}

static FILES: LazyLock<[Intact; 2]> = LazyLock::new(|| ["small", "plain"].map(Intact::read));

fn log_pos(event: &[u8]) -> u64 {
    u32::from_le_bytes(event[13..17].try_into().unwrap()).into()
}

/// The timestamp of the mark that ends a transaction.
fn mark(event: &[u8]) -> Option<&str> {
    const ROWS_QUERY: u8 = 29;
    let text = std::str::from_utf8(event.get(20..event.len() - 4).filter(|_| event[4] == ROWS_QUERY)?).ok()?;
    text.strip_prefix("CTS::")?.get(..54)
}

/// The rows of batches: everything that does not depend on a name, a sign or a character set. A binlog without full metadata does not show
/// these.
fn rows(batches: &[Batch]) -> Vec<String> {
    let cell = |value: Value<'_>, column: &Column| match (value, &column.kind) {
        (Value::Int(number), ColumnKind::Int { bytes }) => format!("{:x}", number as u64 & (u64::MAX >> (64 - 8 * u32::from(*bytes)))),
        (Value::UInt(number), _) => format!("{number:x}"),
        (Value::Text(bytes) | Value::Bytes(bytes), _) => format!("{bytes:?}"),
        (value, _) => format!("{value:?}"),
    };
    let image = |row: &Option<Row>, schema: &TableSchema| {
        let cells = |row: &Row| (0..schema.columns.len()).map(|index| cell(row.get(index), &schema.columns[index])).collect::<Vec<_>>();
        row.as_ref().map(cells)
    };
    let of = |txid: &Option<Arc<str>>, change: &RowChange| {
        let images = (image(&change.before, &change.schema), image(&change.after, &change.schema));
        format!("{} {txid:?} {:?} {images:?}", change.schema.id, change.op)
    };
    let events = batches.iter().flat_map(|batch| &batch.events);
    events.filter_map(|event| if let Body::Row(change) = &event.body { Some(of(&event.txid, change)) } else { None }).collect()
}

/// A statement of the corpus about tables of the files: the text of the user, and the text for MySQL.
fn statement(line: &str, tables: [usize; 2]) -> (String, String) {
    let of = |text: &str| {
        let mut made = String::new();
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        for piece in text.split_inclusive(|c| !is_word(c)) {
            let word = piece.trim_end_matches(|c| !is_word(c));
            let [(table, [a, b, c]), (other, _)] = tables.map(|table| TABLES[table]);
            let known = [("t", table), ("u", other), ("d", "shop"), ("a", a), ("b", b), ("c", c)];
            made.push_str(known.iter().find(|(name, _)| *name == word).map_or(word, |(_, with)| with));
            made.push_str(&piece[word.len()..]);
        }
        made
    };
    match line.split_once(" =>") {
        Some((user, mysql)) => (of(user), of(mysql.trim_start())),
        None => (of(line), of(line)),
    }
}

/// The text of an event, with the comment lines in one of their forms.
fn logged(user: &str, mysql: &str, form: u8) -> String {
    match form {
        0 => mysql.to_owned(),
        1 => {
            format!("# POLARX_ORIGIN_SQL_ENCODE=BASE64\n# POLARX_ORIGIN_SQL={}\n# POLARX_TSO=1\n{mysql}", BASE64_STANDARD.encode(user))
        }
        _ => format!("# POLARX_ORIGIN_SQL={user}\n# POLARX_TSO=1\n# POLARX_DDL_ID=0\n{mysql}"),
    }
}

fn cases(usual: u32) -> ProptestConfig {
    ProptestConfig::with_cases(std::env::var("INSERTED_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual))
}

fn lines() -> Vec<&'static str> {
    [ALL, MYSQL, MARIADB, POLARDBX].iter().flat_map(|corpus| corpus.lines()).collect()
}

/// Statements that change a column into one of another kind, add one, or take one away.
const MISSTATED: &[&str] = &[
    "ALTER TABLE t ADD COLUMN zz INT",
    "ALTER TABLE t ADD zz VARCHAR(10) FIRST, ALGORITHM=OMC",
    "ALTER TABLE t DROP COLUMN a",
    "ALTER TABLE t MODIFY a TINYBLOB",
    "ALTER TABLE t CHANGE COLUMN a zz FLOAT",
    "ALTER TABLE t ADD (y INT, x DATETIME(6) NOT NULL), DROP COLUMN a",
    "/*+TDDL:cmd_extra(X=true)*/ ALTER TABLE t MODIFY COLUMN a DATETIME AFTER b",
    "ALTER TABLE t MODIFY a TIME FIRST",
    "ALTER TABLE t MODIFY b YEAR",
    "CREATE OR REPLACE TABLE t (zz JSON)",
];

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn rows_never_differ_without_an_error(
        set in 0..2usize, at in any::<prop::sample::Index>(), line in prop::sample::select(lines()), table in 0..TABLES.len(), other in 0..TABLES.len(), form in 0..4u8,
    ) {
        let intact = &FILES[set];
        let gap = *at.get(&intact.gaps);
        let (user, mysql) = statement(line, [table, other]);
        let (batches, failed) = decode(&mut decoder_at(FIRST, tables()), &intact.with(gap, logged(&user, &mysql, form).as_bytes()));
        let found = rows(&batches);
        match failed {
            None => prop_assert!(found == intact.rows, "{} behind event {}", mysql, gap),
            Some(error) => {
                let text = error.to_string();
                prop_assert!(intact.rows.starts_with(&found) && found.len() >= intact.before(gap), "{}: {}", mysql, text);
                prop_assert!(text.contains("binlog.00000") && error.code().is_some(), "{}: {}", mysql, text);
                // The name of an XA transaction stands for its statement. Of a statement that may hold values of rows, little is shown.
                let begins = [&user, &mysql].map(|text| text.split(' ').next().unwrap_or(text));
                let named = begins.into_iter().chain(["X'61'"]).chain(TABLES.map(|(table, _)| table)).any(|name| text.contains(name));
                prop_assert!(named, "{}: neither a table nor the statement is named: {}", mysql, text);
            }
        }
    }

    #[test]
    fn a_misstated_change_is_found_at_the_next_table_map(
        set in 0..2usize, at in any::<prop::sample::Index>(), line in prop::sample::select(MISSTATED), table in 0..TABLES.len(), form in 0..4u8,
    ) {
        let intact = &FILES[set];
        let gap = *at.get(&intact.gaps);
        let (user, mysql) = statement(line, [table, table]);
        let (batches, failed) = decode(&mut decoder_at(FIRST, tables()), &intact.with(gap, logged(&user, &mysql, form).as_bytes()));
        let (name, found) = (TABLES[table].0, rows(&batches));
        prop_assert!(intact.rows.starts_with(&found));
        if intact.maps_behind(gap, name) {
            let before = intact.before(gap);
            let of_table = |row: &&String| row.starts_with(&format!("shop.{name} "));
            prop_assert_eq!(found[before..].iter().find(of_table), None);
            let error = failed.map(|error| error.to_string()).unwrap_or_default();
            prop_assert!(error.contains(name), "{} behind event {}: {}", mysql, gap, error);
        }
    }
}
