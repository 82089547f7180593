//! Reads the part of a CREATE TABLE after its columns: the collation and the partitions.

use crate::schema::ReadError;
use crate::schema::collation::CollationOptions;
use crate::schema::cursor::Cursor;

/// The options that follow the columns of a CREATE TABLE.
#[derive(Default)]
pub(super) struct TableOptions {
    pub(super) collation: CollationOptions,
    /// Every name in the parentheses of partition clauses. The names that are columns are the partition columns.
    pub(super) partition_names: Vec<String>,
    pub(super) select: bool,
}

impl TableOptions {
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ReadError> {
        let mut options = Self::default();
        while !cursor.at_end() {
            if options.collation.take(cursor)? {
                // It has taken what it reads.
            } else if cursor.take_words(&["WITH", "SYSTEM", "VERSIONING"]) {
                return Err(ReadError::new("tables with system versioning are not supported"));
            } else if cursor.take_word(&["COMMENT", "ENGINE", "CONNECTION", "PASSWORD", "TABLESPACE"]) {
                cursor.take_symbol('=');
                cursor.advance();
            } else if cursor.take_words(&["LOCAL", "PARTITION", "BY"]) {
                // PolarDB-X: it only lets rows expire.
            } else if cursor.is_partition_clause() {
                options.partition_names.extend(read_partition_clause(cursor)?);
            } else if cursor.take_words(&["WITH", "TABLEGROUP"]) {
                // PolarDB-X puts tables without a group of their own into an implicit one.
            } else if cursor.is_word(0, &["SELECT", "AS", "WITH"]) {
                options.select = true;
                break;
            } else if cursor.is_symbol(0, '(') {
                options.select |= cursor.is_word(1, &["SELECT"]);
                cursor.skip_parentheses()?;
            } else {
                cursor.advance();
            }
        }
        Ok(options)
    }
}

/// Takes a partition clause up to the end of its first parentheses. Returns the names in the parentheses.
pub(crate) fn read_partition_clause(cursor: &mut Cursor<'_>) -> Result<Vec<String>, ReadError> {
    cursor.advance();
    cursor.advance();
    while cursor.peek().is_some() && !cursor.is_symbol(0, '(') {
        cursor.advance();
    }
    if cursor.is_symbol(0, '(') { cursor.names_in_parentheses() } else { Ok(Vec::new()) }
}
