//! Finds the tables in a statement: the tables that DML writes to, and all tables that a statement may name if it cannot be parsed.

use runtime::TableId;

use super::create_drop::take_alter_table;
use crate::schema::ReadError;
use crate::schema::create::StatementContext;
use crate::schema::cursor::Cursor;
use crate::schema::lexer::Token;

/// The targets of INSERT, REPLACE, LOAD, UPDATE and DELETE. For other statements, the result is every name in the statement.
pub(super) fn tables_written(cursor: &mut Cursor<'_>, context: &StatementContext<'_>) -> Result<Vec<TableId>, ReadError> {
    const BEFORE_TABLE: &[&str] =
        &["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "QUICK", "IGNORE", "INTO", "FROM", "JOIN", "STRAIGHT_JOIN", "USING", "TABLE"];
    const BEHIND_TABLES: &[&str] = &["SET", "WHERE", "VALUES", "VALUE", "SELECT", "ORDER", "LIMIT"];
    if cursor.is_word(0, &["WITH", "MERGE"]) {
        return cursor.names_in_rest(context.database);
    }
    let one = cursor.is_word(0, &["INSERT", "REPLACE", "LOAD"]);
    let load = cursor.is_word(0, &["LOAD"]);
    cursor.advance();
    while load && !cursor.at_end() && !cursor.take_word(&["TABLE"]) {
        cursor.advance();
    }
    let mut tables = Vec::new();
    let mut expected = true;
    while !cursor.at_end() && !cursor.is_word(0, BEHIND_TABLES) {
        if cursor.take_word(BEFORE_TABLE) || cursor.take_symbol(',') || cursor.take_symbol('(') {
            expected = true;
        } else if expected && matches!(cursor.peek(), Some(Token::Word(_) | Token::Name(_))) {
            tables.push(cursor.table(context.database)?);
            if one {
                break;
            }
            expected = false;
        } else {
            cursor.advance();
        }
    }
    Ok(tables)
}

/// Whether DML calls nothing but functions of the server itself. A SELECT may read a view that calls others.
pub(super) fn calls_only_builtins(cursor: &mut Cursor<'_>, context: &StatementContext<'_>) -> bool {
    /// Words that may stand before a parenthesis: functions of the server, and words that begin a list or an expression.
    const BEFORE_PARENTHESIS: &[&str] = &[
        "VALUES",
        "VALUE",
        "SET",
        "WHERE",
        "IN",
        "AND",
        "OR",
        "NOT",
        "ON",
        "KEY",
        "BETWEEN",
        "NOW",
        "SYSDATE",
        "CURDATE",
        "CURTIME",
        "CURRENT_TIMESTAMP",
        "CURRENT_DATE",
        "CURRENT_TIME",
        "LOCALTIME",
        "LOCALTIMESTAMP",
        "UTC_TIMESTAMP",
        "UNIX_TIMESTAMP",
        "FROM_UNIXTIME",
        "UUID",
        "VERSION",
        "USER",
        "CURRENT_USER",
        "DATABASE",
        "CONNECTION_ID",
        "CONCAT",
        "COALESCE",
        "IFNULL",
        "IF",
        "PASSWORD",
        "MD5",
        "SHA1",
        "SHA2",
    ];
    if cursor.is_word(0, &["INSERT", "REPLACE"]) {
        // The table may be followed by the list of its columns.
        let named = tables_written(cursor, context).is_ok();
        if !named || (cursor.is_symbol(0, '(') && cursor.skip_parentheses().is_err()) {
            return false;
        }
    }
    let mut behind_dot = false;
    while let Some(token) = cursor.advance() {
        let called = cursor.is_symbol(0, '(');
        let harmless = match token {
            Token::Word(word) if word.eq_ignore_ascii_case("SELECT") || word.eq_ignore_ascii_case("WITH") => false,
            Token::Word(word) if called => !behind_dot && BEFORE_PARENTHESIS.iter().any(|known| word.eq_ignore_ascii_case(known)),
            Token::Name(_) => !called,
            _ => true,
        };
        if !harmless {
            return false;
        }
        behind_dot = token == Token::Symbol('.');
    }
    true
}

/// The tables that a statement may concern if it cannot be parsed. For ALTER TABLE, these are the altered table and the names next to
/// certain words. For any other statement, these are all names in the statement. Fails if there are too many.
pub(super) fn tables_named(cursor: &mut Cursor<'_>, default_database: &str) -> Result<Vec<TableId>, ReadError> {
    let mark = cursor.mark();
    if cursor.take_word(&["ALTER"])
        && take_alter_table(cursor)
        && let Some(table) = cursor.take_table(default_database)
    {
        let mut found = vec![table];
        found.extend(other_tables(cursor, default_database)?);
        return Ok(found);
    }
    cursor.reset(mark);
    // The first word is skipped, because it is a verb and not a name.
    cursor.advance();
    cursor.names_in_rest(default_database)
}

/// The other tables in an ALTER TABLE: pairs `a.b`, and names after a word that may come before a table.
fn other_tables(cursor: &mut Cursor<'_>, default_database: &str) -> Result<Vec<TableId>, ReadError> {
    const BEFORE_TABLE: &[&str] = &["TABLE", "TO", "AS", "RENAME", "WITH", "FROM", "INTO"];
    let mut found = Vec::new();
    while cursor.peek().is_some() {
        let expected = cursor.take_word(BEFORE_TABLE);
        while expected && cursor.take_word(BEFORE_TABLE) {}
        let named = matches!(cursor.peek(), Some(Token::Word(_) | Token::Name(_)));
        if named && (expected || cursor.is_symbol(1, '.')) {
            cursor.keep()?;
            found.extend(cursor.take_table(default_database));
        } else {
            cursor.advance();
        }
    }
    Ok(found)
}
