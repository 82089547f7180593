//! Reads the attributes that follow a column's type: sign, NULL, character set, keys.

use crate::schema::ReadError;
use crate::schema::collation::ColumnWords;
use crate::schema::cursor::Cursor;
use crate::schema::lexer::Token;

/// Where a column is put that an ALTER TABLE adds or changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    First,
    /// Behind the column with this name.
    After(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) unsigned: bool,
    pub(super) zerofill: bool,
    pub(super) not_null: bool,
    pub(super) null: bool,
    pub(super) collation: ColumnWords,
    pub(super) auto_increment: bool,
    pub(super) primary: bool,
    pub(super) unique: bool,
    /// Only in ALTER TABLE.
    pub(super) place: Option<Place>,
}

pub(super) fn read_attributes(cursor: &mut Cursor<'_>) -> Result<Attributes, ReadError> {
    let mut read = Attributes::default();
    while let Some(token) = cursor.peek() {
        // A partition clause may follow the last column of an ALTER TABLE without a comma.
        if cursor.is_partition_clause() {
            break;
        }
        match token {
            Token::Symbol(',' | ')' | ';') => break,
            Token::Symbol('(') => cursor.skip_parentheses()?,
            Token::Word(_) => read_attribute(cursor, &mut read)?,
            _ => _ = cursor.advance(),
        }
    }
    Ok(read)
}

fn read_attribute(cursor: &mut Cursor<'_>, read: &mut Attributes) -> Result<(), ReadError> {
    if cursor.take_words(&["NOT", "NULL"]) {
        read.not_null = true;
    } else if cursor.take_words(&["CHARACTER", "SET"]) || cursor.take_words(&["CHAR", "SET"]) || cursor.take_word(&["CHARSET"]) {
        cursor.take_symbol('=');
        read.collation.charset = Some(cursor.name_or_text("a character set")?.to_ascii_lowercase());
    } else if cursor.take_word(&["COLLATE"]) {
        cursor.take_symbol('=');
        read.collation.collation = Some(cursor.charset_or_default("a collation")?);
    } else if cursor.take_words(&["SERIAL", "DEFAULT", "VALUE"]) {
        (read.not_null, read.auto_increment, read.unique) = (true, true, true);
    } else if cursor.take_word(&["DEFAULT", "UPDATE", "COMMENT", "COLUMN_FORMAT", "STORAGE", "CONSTRAINT", "SRID", "ENGINE_ATTRIBUTE"]) {
        // Skip the value. It may be a word such as NULL, which would otherwise be read as an attribute of its own.
        while cursor.take_symbol('-') || cursor.take_symbol('+') {}
        if !cursor.is_symbol(0, '(') && !cursor.is_symbol(0, ',') && !cursor.is_symbol(0, ')') {
            cursor.advance();
        }
    } else if cursor.take_word(&["REFERENCES"]) {
        cursor.table("")?;
    } else if cursor.take_word(&["NULL"]) {
        read.null = true;
    } else if cursor.take_word(&["UNSIGNED"]) {
        read.unsigned = true;
    } else if cursor.take_word(&["ZEROFILL"]) {
        read.zerofill = true;
    } else if cursor.take_word(&["ASCII"]) {
        (read.collation.charset, read.collation.is_short) = (Some("latin1".to_owned()), true);
    } else if cursor.take_word(&["UNICODE"]) {
        (read.collation.charset, read.collation.is_short) = (Some("ucs2".to_owned()), true);
    } else if cursor.take_word(&["BINARY"]) {
        read.collation.binary = true;
    } else if cursor.take_word(&["BYTE"]) {
        (read.collation.charset, read.collation.is_short) = (Some("binary".to_owned()), true);
    } else if cursor.take_word(&["AUTO_INCREMENT"]) {
        read.auto_increment = true;
    } else if cursor.take_word(&["UNIQUE"]) {
        read.unique = true;
        cursor.take_word(&["KEY"]);
    } else if cursor.take_words(&["PRIMARY", "KEY"]) || cursor.take_word(&["KEY"]) {
        read.primary = true;
    } else if cursor.take_word(&["FIRST"]) {
        read.place = Some(Place::First);
    } else if cursor.take_word(&["AFTER"]) {
        read.place = Some(Place::After(cursor.name("a column")?));
    } else {
        // All other attributes are skipped, because they do not change how values look: generated columns, COMPRESSED (MariaDB), ON UPDATE,
        // VIRTUAL, INVISIBLE, AUTO_INCREMENT BY GROUP and others.
        cursor.advance();
    }
    Ok(())
}
