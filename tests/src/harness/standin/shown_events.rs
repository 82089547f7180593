//! SHOW BINLOG EVENTS.

use std::fs::File;
use std::io::Read;

use super::events::{
    CHECKSUM, DELETE_ROWS, FORMAT, HEADER, MAGIC, QUERY, ROTATE, ROWS_QUERY, START, TABLE_MAP, UPDATE_ROWS, WRITE_ROWS, XID,
};
use super::sql::Token;
use super::store::Store;
use super::wire::{Rows, cell, take_number};
use crate::{Failure, Result};

/// The answer to the statement; `rest` are its tokens after `SHOW BINLOG EVENTS`. A position at which no event begins is an error.
pub(super) fn show(store: &Store, rest: &[Token<'_>]) -> Result<Rows> {
    let behind = |word: &str| rest.iter().position(|token| token.is(word)).and_then(|at| rest.get(at + 1));
    let number = |word: &str| behind(word).map(|token| token.text.parse::<u64>()).transpose();
    let name = behind("IN").map(|token| token.text.trim_matches(['\'', '"'])).unwrap_or_default();
    let (from, limit) = (number("FROM")?.unwrap_or(START), number("LIMIT")?.unwrap_or(u64::MAX));
    let (info, _) = store.file(name).ok_or_else(|| Failure::new(format!("there is no file {name}")))?;
    let mut bytes = Vec::new();
    File::open(store.path(&info.name))?.take(info.size).read_to_end(&mut bytes)?;
    let mut rows = Rows::new(&["Log_name", "Pos", "Event_type", "Server_id", "End_log_pos", "Info"]);
    let mut at = MAGIC.len();
    let mut found = false;
    while let Some(event) = bytes.get(at..).filter(|rest| rest.len() > HEADER) {
        let mut fields = event;
        let [_, kind, server_id, size, end] = [4, 1, 4, 4, 4].map(|width| take_number(&mut fields, width).unwrap_or_default());
        found |= at as u64 == from;
        if found && (rows.rows.len() as u64) < limit {
            let body = event.get(HEADER..size as usize - CHECKSUM).unwrap_or_default();
            let (kind, info_text) = described(kind as u8, body);
            rows.rows.push(vec![cell(&info.name), cell(at), cell(kind), cell(server_id), cell(end), cell(info_text)]);
        }
        at += size as usize;
    }
    if found || at as u64 == from { Ok(rows) } else { Failure::err(format!("no event begins at {from}")) }
}

/// The name of an event's type, and its description. Only what tests read is described.
fn described(kind: u8, body: &[u8]) -> (&'static str, String) {
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    match kind {
        QUERY => ("Query", String::new()),
        ROTATE => ("Rotate", text(body.get(8..))),
        FORMAT => ("Format_desc", text(body.get(2..52)).trim_end_matches('\0').to_owned()),
        XID => ("Xid", "COMMIT".to_owned()),
        TABLE_MAP => ("Table_map", String::new()),
        ROWS_QUERY => ("Rows_query", text(body.get(1..))),
        WRITE_ROWS => ("Write_rows", String::new()),
        UPDATE_ROWS => ("Update_rows", String::new()),
        DELETE_ROWS => ("Delete_rows", String::new()),
        _ => ("Unknown", String::new()),
    }
}
