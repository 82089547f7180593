//! The tables that a statement names which cannot be read.

use runtime::TableId;

use super::take_alter_table;
use crate::schema::cursor::Cursor;
use crate::schema::lexer::Token;

/// The tables of a statement, from its first word on. ALTER TABLE says where its table stands; of any other statement, every name counts.
pub(super) fn named_tables(cursor: &mut Cursor<'_>, default_database: &str) -> Vec<TableId> {
    while cursor.take_symbol(';') || cursor.take_symbol('(') {}
    let mark = cursor.mark();
    if cursor.take_word(&["ALTER"])
        && take_alter_table(cursor)
        && let Ok(table) = cursor.table(default_database)
    {
        let mut found = vec![table];
        found.extend(other_tables(cursor, default_database));
        return found;
    }
    cursor.reset(mark);
    // The first word is what the statement does.
    cursor.advance();
    cursor.names_in_rest(default_database)
}

/// Other tables in an ALTER TABLE: pairs `a.b`, and what stands behind a word that a table follows.
fn other_tables(cursor: &mut Cursor<'_>, default_database: &str) -> Vec<TableId> {
    const BEFORE_TABLE: &[&str] = &["TABLE", "TO", "AS", "RENAME", "WITH", "FROM", "INTO"];
    let mut found = Vec::new();
    while cursor.peek().is_some() {
        let expected = cursor.take_word(BEFORE_TABLE);
        while expected && cursor.take_word(BEFORE_TABLE) {}
        let named = matches!(cursor.peek(), Some(Token::Word(_) | Token::Name(_)));
        if named && (expected || cursor.is_symbol(1, '.')) {
            found.extend(cursor.table(default_database));
        } else {
            cursor.advance();
        }
    }
    found
}
