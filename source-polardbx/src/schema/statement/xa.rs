//! Statements of XA transactions.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::schema::ReadError;
use crate::schema::cursor::Cursor;

/// A statement of an XA transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XaStatement {
    /// The first half of the transaction begins.
    Start(Xid),
    /// The last change of the transaction was made.
    End,
    /// The transaction, which was prepared before, is committed.
    Commit(Xid),
    /// The transaction, which was prepared before, is rolled back.
    Rollback(Xid),
}

/// The id of an XA transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Xid {
    /// The global part.
    pub global: Vec<u8>,
    /// The part of the branch.
    pub branch: Vec<u8>,
    /// The number of the format.
    pub format: u32,
}

impl fmt::Display for Xid {
    /// Writes the id as servers write it, such as `X'61',X'',1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("X'")?;
        self.global.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("',X'")?;
        self.branch.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "',{}", self.format)
    }
}

/// Reads a statement behind the word XA.
pub(super) fn read_xa(cursor: &mut Cursor<'_>) -> Result<XaStatement, ReadError> {
    if cursor.take_word(&["END"]) {
        return Ok(XaStatement::End);
    }
    if cursor.take_word(&["START", "BEGIN"]) {
        return read_xid(cursor).map(XaStatement::Start);
    }
    if cursor.take_word(&["COMMIT"]) {
        return read_xid(cursor).map(XaStatement::Commit);
    }
    if cursor.take_word(&["ROLLBACK"]) {
        return read_xid(cursor).map(XaStatement::Rollback);
    }
    Err(cursor.error("an unknown statement of an XA transaction"))
}

fn read_xid(cursor: &mut Cursor<'_>) -> Result<Xid, ReadError> {
    let global = part(cursor)?;
    let branch = if cursor.take_symbol(',') { part(cursor)? } else { Vec::new() };
    let format = match cursor.take_symbol(',') {
        true => cursor.take_number().ok_or_else(|| cursor.error("expected the format of an xid"))?,
        false => 1,
    };
    Ok(Xid { global, branch, format })
}

/// A part of an xid: `X'6162'`, or a text.
fn part(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, ReadError> {
    let hexadecimal = cursor.take_word(&["X"]);
    let mark = cursor.mark();
    let Some(text) = cursor.take_text() else { return Err(cursor.error("expected an xid")) };
    if !hexadecimal {
        return Ok(text.into_owned().into_bytes());
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = text.as_bytes().chunks(2).map(|pair| match *pair {
        [high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
        _ => None,
    });
    bytes.collect::<Option<Vec<u8>>>().ok_or_else(|| {
        cursor.reset(mark);
        cursor.error("expected hexadecimal digits")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::lexer::Dialect;

    fn read(text: &str) -> Result<XaStatement, ReadError> {
        read_xa(&mut Cursor::new(text, Dialect::default())?)
    }

    #[test]
    fn statements_as_servers_write_them() {
        let xid = Xid { global: b"one".to_vec(), branch: b"b".to_vec(), format: 7 };
        assert_eq!(xid.to_string(), "X'6f6e65',X'62',7");
        assert_eq!(read("START X'6f6e65',X'62',7"), Ok(XaStatement::Start(xid.clone())));
        assert_eq!(read("COMMIT X'6F6E65',X'62',7 ONE PHASE"), Ok(XaStatement::Commit(xid.clone())));
        assert_eq!(read("ROLLBACK 'one','b',7"), Ok(XaStatement::Rollback(xid)));
        let short = Xid { global: b"a".to_vec(), branch: Vec::new(), format: 1 };
        assert_eq!(read("COMMIT X'61',X'',1"), Ok(XaStatement::Commit(short.clone())));
        assert_eq!(read("COMMIT 'a'"), Ok(XaStatement::Commit(short)));
        assert_eq!(read("END X'61',X'',1"), Ok(XaStatement::End));
        for damaged in ["COMMIT", "COMMIT X'6'", "COMMIT X'zz'", "COMMIT 'a','b',", "COMMIT 'a','b','c'", "FORGET 'a'", ""] {
            assert!(read(damaged).is_err(), "{damaged}");
        }
    }
}
