//! The tables that a statement writes rows to.

use runtime::TableId;

use crate::schema::ReadError;
use crate::schema::create::StatementContext;
use crate::schema::cursor::Cursor;
use crate::schema::lexer::Token;

/// The tables that INSERT, REPLACE, LOAD, UPDATE and DELETE name where tables are written; every name for other statements.
pub(super) fn read_written_tables(cursor: &mut Cursor<'_>, context: &StatementContext<'_>) -> Result<Vec<TableId>, ReadError> {
    const BEFORE_TABLE: &[&str] =
        &["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "QUICK", "IGNORE", "INTO", "FROM", "JOIN", "STRAIGHT_JOIN", "USING", "TABLE"];
    const BEHIND_TABLES: &[&str] = &["SET", "WHERE", "VALUES", "VALUE", "SELECT", "ORDER", "LIMIT"];
    if cursor.is_word(0, &["WITH", "MERGE"]) {
        return Ok(cursor.names_in_rest(context.database));
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
