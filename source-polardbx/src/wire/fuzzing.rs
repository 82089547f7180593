//! Reads what a server might send, without a server. For fuzzing.

use std::sync::Arc;

use runtime::{CellBlock, TableSchema};

use super::login::PlainPassword;
use super::packet::Socket;
use super::{Address, BinaryRows, Wire, WireError, greeting, log_in};
use crate::snapshot::cells::push;

/// How a password may be sent over a connection that is not encrypted.
#[derive(Clone, Debug)]
pub enum Key {
    /// Not at all.
    None,
    /// Encrypted with this public key, in PEM form.
    Of(Arc<str>),
    /// Encrypted with whatever public key the server sends.
    Any,
}

/// Logs in at a server that sends these bytes. Returns whether it has worked, and what was written to the server.
pub async fn login(sent: Vec<u8>, password: &str, key: Key, is_encrypted: bool) -> (Result<(), WireError>, Vec<u8>) {
    let plain_password = match key {
        Key::None => PlainPassword::Never,
        Key::Of(key) => PlainPassword::ForKey(key),
        Key::Any => PlainPassword::ForAnyKey,
    };
    let address = Address { host: String::new(), port: 0, user: "dts".to_owned(), password: password.into(), plain_password };
    let mut wire = Wire::recorded(sent, is_encrypted);
    let packets = &mut wire.packets;
    let logged_in = async {
        let greeting = greeting(packets).await?;
        log_in(packets, greeting, &address, is_encrypted).await
    };
    (logged_in.await, written(wire))
}

fn written(wire: Wire) -> Vec<u8> {
    match wire.packets.socket {
        Socket::Recorded { written, .. } => written,
        Socket::Plain(_) | Socket::Encrypted(_) | Socket::Broken => Vec::new(),
    }
}

/// Asks a question of a server that sends these bytes. Returns the number of rows in each of its answers.
pub async fn answers(sent: Vec<u8>) -> Result<Vec<usize>, WireError> {
    let mut wire = Wire::recorded(sent, false);
    let mut found = Vec::new();
    for _ in 0..2 {
        let rows = wire.rows("SELECT 1").await?;
        for row in &rows {
            let _ = (row.text(0), row.bytes(1), row.named("a"));
        }
        found.push(rows.len());
    }
    Ok(found)
}

/// Reads the rows of a table from a server that sends these bytes. Returns the number of rows whose cells fit the table's columns, and the
/// number of other rows.
pub async fn rows(sent: Vec<u8>, schema: &TableSchema) -> Result<(usize, usize), WireError> {
    let mut wire = Wire::recorded(sent, false);
    let mut rows = BinaryRows::select(&mut wire, "SELECT 1").await?;
    let (mut whole, mut other) = (0, 0);
    let mut block = CellBlock::default();
    while let Some(mut row) = rows.next().await? {
        let mut writer = block.row(schema.columns.len());
        let mut fits = true;
        for column in &schema.columns {
            fits &= push(&mut writer, row.cell()?, column).is_some();
        }
        match fits {
            true => {
                writer.finish();
                whole += 1;
            }
            false => other += 1,
        }
    }
    Ok((whole, other))
}

/// Reads the events of a dump from a server that sends these bytes. Returns their number, and what ends them.
pub async fn events(sent: Vec<u8>) -> (usize, WireError) {
    let mut wire = Wire::recorded(sent, false);
    if let Err(error) = wire.dump(1, "binlog.000001", 4).await {
        return (0, error);
    }
    let mut count = 0;
    loop {
        if let Err(error) = wire.event().await {
            return (count, error);
        }
        count += 1;
    }
}
