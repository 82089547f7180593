//! Reads the INSERT, UPDATE and DELETE statements of tests.

use runtime::TableId;

use super::literal::Literal;
use crate::schema::{Cursor, ReadError, Token};

/// A statement that changes rows.
#[derive(Debug, PartialEq)]
pub(super) enum Dml {
    Insert {
        table: TableId,
        /// Empty for all columns in their order.
        columns: Vec<String>,
        rows: Vec<Vec<Literal>>,
    },
    Update {
        table: TableId,
        set: Vec<(String, Literal)>,
        /// Columns and their values, all of which a row must have.
        with: Vec<(String, Literal)>,
    },
    Delete {
        table: TableId,
        with: Vec<(String, Literal)>,
    },
}

/// Reads a statement; `None` if it is none of the three.
pub(super) fn read(cursor: &mut Cursor<'_>, database: &str) -> Result<Option<Dml>, ReadError> {
    let dml = if cursor.take_word(&["INSERT"]) {
        cursor.take_word(&["INTO"]);
        let table = cursor.table(database)?;
        let columns = if cursor.is_symbol(0, '(') { cursor.names_in_parentheses()? } else { Vec::new() };
        if !cursor.take_word(&["VALUES", "VALUE"]) {
            return Err(cursor.error("VALUES is expected here"));
        }
        let mut rows = vec![row(cursor)?];
        while cursor.take_symbol(',') {
            rows.push(row(cursor)?);
        }
        Dml::Insert { table, columns, rows }
    } else if cursor.take_word(&["UPDATE"]) {
        let table = cursor.table(database)?;
        if !cursor.take_word(&["SET"]) {
            return Err(cursor.error("SET is expected here"));
        }
        let mut set = vec![assignment(cursor)?];
        while cursor.take_symbol(',') {
            set.push(assignment(cursor)?);
        }
        Dml::Update { table, set, with: condition(cursor)? }
    } else if cursor.take_word(&["DELETE"]) {
        cursor.take_word(&["FROM"]);
        Dml::Delete { table: cursor.table(database)?, with: condition(cursor)? }
    } else {
        return Ok(None);
    };
    if !cursor.at_end() {
        return Err(cursor.error("a test does not play what follows here"));
    }
    Ok(Some(dml))
}

fn row(cursor: &mut Cursor<'_>) -> Result<Vec<Literal>, ReadError> {
    cursor.expect_symbol('(')?;
    let mut values = vec![literal(cursor)?];
    while cursor.take_symbol(',') {
        values.push(literal(cursor)?);
    }
    cursor.expect_symbol(')')?;
    Ok(values)
}

fn assignment(cursor: &mut Cursor<'_>) -> Result<(String, Literal), ReadError> {
    let name = cursor.name("a column")?;
    cursor.expect_symbol('=')?;
    Ok((name, literal(cursor)?))
}

/// `WHERE a = 1 AND b IS NULL`, or nothing.
fn condition(cursor: &mut Cursor<'_>) -> Result<Vec<(String, Literal)>, ReadError> {
    let mut with = Vec::new();
    if !cursor.take_word(&["WHERE"]) {
        return Ok(with);
    }
    loop {
        let name = cursor.name("a column")?;
        if cursor.take_words(&["IS", "NULL"]) {
            with.push((name, Literal::Null));
        } else if cursor.take_symbol('=') {
            match literal(cursor)? {
                Literal::Null => return Err(cursor.error("nothing equals NULL: write IS NULL")),
                value => with.push((name, value)),
            }
        } else {
            return Err(cursor.error("a test plays conditions such as a = 1 AND b IS NULL only"));
        }
        if !cursor.take_word(&["AND"]) {
            return Ok(with);
        }
    }
}

fn literal(cursor: &mut Cursor<'_>) -> Result<Literal, ReadError> {
    let wrong = |cursor: &Cursor<'_>| {
        cursor.error("a value is expected here (a number, a text in quotes, X'00ff', TRUE, FALSE or NULL), and a test computes no functions and no DEFAULT")
    };
    if let Some(text) = cursor.take_text() {
        return Ok(Literal::Text(text.into_owned()));
    }
    let sign = if cursor.take_symbol('-') { "-" } else { "" };
    let Some(Token::Word(word)) = cursor.peek() else { return Err(wrong(cursor)) };
    cursor.advance();
    if sign.is_empty()
        && let Some(value) = keyword(word)
    {
        return Ok(value);
    }
    if sign.is_empty() && word.eq_ignore_ascii_case("x") {
        let digits = cursor.take_text().ok_or_else(|| wrong(cursor))?;
        return from_hex(&digits).map(Literal::Bytes).ok_or_else(|| wrong(cursor));
    }
    if sign.is_empty()
        && let Some(digits) = word.strip_prefix("0x")
    {
        return from_hex(digits).map(Literal::Bytes).ok_or_else(|| wrong(cursor));
    }
    if !word.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) {
        return Err(wrong(cursor));
    }
    let mut number = format!("{sign}{word}");
    if cursor.take_symbol('.') {
        let Some(Token::Word(fraction)) = cursor.advance() else { return Err(wrong(cursor)) };
        number = format!("{number}.{fraction}");
    }
    match number.parse::<f64>() {
        Ok(_) => Ok(Literal::Number(number)),
        Err(_) => Err(wrong(cursor)),
    }
}

fn keyword(word: &str) -> Option<Literal> {
    let words = [("NULL", Literal::Null), ("TRUE", Literal::Number("1".into())), ("FALSE", Literal::Number("0".into()))];
    words.into_iter().find(|(keyword, _)| word.eq_ignore_ascii_case(keyword)).map(|(_, value)| value)
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let nibbles: Vec<u8> = digits.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let pairs = nibbles.as_chunks::<2>();
    pairs.1.is_empty().then(|| pairs.0.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Dialect;

    fn read_one(sql: &str) -> Result<Option<Dml>, ReadError> {
        read(&mut Cursor::new(sql, Dialect::default())?, "shop")
    }

    #[test]
    fn statements_are_read() {
        let (number, text) = (|text: &str| Literal::Number(text.into()), |text: &str| Literal::Text(text.into()));
        let table = TableId::new("shop", "t");
        assert_eq!(
            read_one("INSERT INTO t (a, `b c`) VALUES (-1.50, 'it''s'), (NULL, X'00ff'), (true, 0xAB);").unwrap(),
            Some(Dml::Insert {
                table: table.clone(),
                columns: vec!["a".into(), "b c".into()],
                rows: vec![
                    vec![number("-1.50"), text("it's")],
                    vec![Literal::Null, Literal::Bytes(vec![0, 255])],
                    vec![number("1"), Literal::Bytes(vec![0xab])],
                ],
            })
        );
        assert_eq!(
            read_one("update crm.t set a = 2, b = 'x' where id = 7 and c is null").unwrap(),
            Some(Dml::Update {
                table: TableId::new("crm", "t"),
                set: vec![("a".into(), number("2")), ("b".into(), text("x"))],
                with: vec![("id".into(), number("7")), ("c".into(), Literal::Null)],
            })
        );
        assert_eq!(read_one("DELETE FROM t").unwrap(), Some(Dml::Delete { table, with: Vec::new() }));
        assert_eq!(read_one("CREATE TABLE t (a INT)").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_played_is_refused() {
        for sql in [
            "INSERT INTO t SELECT 1",
            "INSERT INTO t VALUES (a + 1)",
            "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = 1",
            "INSERT INTO t VALUES (X'0')",
            "UPDATE t SET a = NOW()",
            "INSERT INTO t VALUES (DEFAULT)",
            "DELETE FROM t WHERE a > 1",
            "DELETE FROM t WHERE a = NULL",
            "DELETE FROM t WHERE a IS NOT NULL",
            "DELETE FROM t WHERE a = 1 OR b = 1",
            "UPDATE t",
        ] {
            assert!(read_one(sql).is_err(), "{sql}");
        }
    }
}
