//! Plays a server that answers: rows as text, rows of a table in the binary form, and the packets of a dump.
//!
//! The client may read or refuse them. It may not panic, and of an answer that keeps to the protocol it must read every row.

use std::sync::Arc;

use fastrand::Rng;
use runtime::{Column, ColumnKind, TableId, TableSchema};
use source_polardbx::fuzzing::{answers, events, rows};

use super::peer::{Conversation, at_once, prefixed};
use crate::{Failure, Result};

const END: [u8; 5] = [0xfe, 0, 0, 2, 0];

pub(super) fn round(random: &mut Rng) -> Result<()> {
    match random.u8(..8) {
        0..=2 => text(random),
        3..=6 => binary(random),
        _ => dump(random),
    }
}

/// A value, a name or anything else of random length. Long ones are rare.
fn piece(random: &mut Rng) -> Vec<u8> {
    let most = if random.u8(..200) == 0 { 70_000 } else { 20 };
    let length = random.usize(..most);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

/// The description of a column.
fn description(random: &mut Rng, kind: u8, flags: u16) -> Vec<u8> {
    let mut packet = prefixed(b"def");
    for _ in 0..5 {
        packet.extend(prefixed(&piece(random)));
    }
    let [low, high] = flags.to_le_bytes();
    packet.extend_from_slice(&[0x0c, 0x2d, 0, 0xff, 0, 0, 0, kind, low, high, 0, 0, 0]);
    packet
}

fn text(random: &mut Rng) -> Result<()> {
    let mut sent = Conversation::default();
    let mut expected = Vec::new();
    for _ in 0..2 {
        sent.begin(1);
        if random.u8(..6) == 0 {
            sent.send([0, 0, 0, 2, 0, 0, 0]);
            expected.push(0);
            continue;
        }
        let most = if random.u8(..100) == 0 { 250 } else { 6 };
        let columns = random.usize(1..most);
        sent.send([columns as u8]);
        for _ in 0..columns {
            let packet = description(random, 0xfd, 0);
            sent.send(packet);
        }
        sent.send(END);
        let count = random.usize(..5);
        for _ in 0..count {
            let mut row = Vec::new();
            for _ in 0..columns {
                match random.u8(..5) {
                    0 => row.push(0xfb),
                    _ => row.extend(prefixed(&piece(random))),
                }
            }
            // The first value of a long row may look like the end.
            sent.send(row);
        }
        sent.send(END);
        expected.push(count);
    }
    let is_changed = random.u8(..8) > 0;
    if is_changed {
        sent.mutate(random);
    }
    match at_once(answers(sent.bytes()))? {
        Ok(found) if !is_changed && found != expected => Failure::err(format!("{found:?} rows were read of {expected:?}")),
        Err(error) if !is_changed => Failure::err(format!("an answer that keeps to the protocol is refused: {error}")),
        _ => Ok(()),
    }
}

/// A column, the number of its type in the protocol, and whether it is unsigned.
fn column(random: &mut Rng, index: usize) -> (Column, u8) {
    let (kind, number) = match random.u8(..14) {
        0 => (ColumnKind::Int { bytes: 1 }, 1),
        1 => (ColumnKind::Int { bytes: 2 }, 2),
        2 => (ColumnKind::Int { bytes: 4 }, 3),
        3 => (ColumnKind::Int { bytes: 8 }, 8),
        4 => (ColumnKind::Float, 4),
        5 => (ColumnKind::Double, 5),
        6 => (ColumnKind::Decimal { precision: 10, scale: 2 }, 246),
        7 => (ColumnKind::Date, 10),
        8 => (ColumnKind::DateTime { fsp: 6 }, 12),
        9 => (ColumnKind::Timestamp { fsp: 0 }, 7),
        10 => (ColumnKind::Time { fsp: 3 }, 11),
        11 => (ColumnKind::Year, 13),
        12 => (ColumnKind::Bit { bits: 9 }, 16),
        _ => (ColumnKind::Varchar { length: 20 }, 253),
    };
    let mut column = Column::new(format!("c{index}"), kind, "any");
    column.unsigned = matches!(number, 1 | 2 | 3 | 8) && random.bool();
    (column, number)
}

/// A value of the column in the binary form.
fn value(random: &mut Rng, kind: &ColumnKind) -> Vec<u8> {
    let bytes = |random: &mut Rng, length: usize| std::iter::repeat_with(|| random.u8(..)).take(length).collect::<Vec<u8>>();
    match kind {
        ColumnKind::Int { bytes: length } => bytes(random, (*length).into()),
        ColumnKind::Float => 1.5f32.to_le_bytes().to_vec(),
        ColumnKind::Double => (-2.25f64).to_le_bytes().to_vec(),
        ColumnKind::Decimal { .. } => prefixed(b"-12345678.90"),
        ColumnKind::Date => vec![4, 0xe7, 7, 2, 28],
        ColumnKind::DateTime { .. } => vec![11, 0xe7, 7, 2, 28, 23, 59, 59, 1, 2, 3, 0],
        ColumnKind::Timestamp { .. } => vec![7, 0xe7, 7, 2, 28, 23, 59, 59],
        ColumnKind::Time { .. } => vec![12, 1, 3, 0, 0, 0, 22, 59, 59, 1, 2, 3, 0],
        ColumnKind::Year => 2_024u16.to_le_bytes().to_vec(),
        ColumnKind::Bit { .. } => vec![2, 1, 0xff],
        _ => prefixed(&piece(random)),
    }
}

fn binary(random: &mut Rng) -> Result<()> {
    let columns: Vec<(Column, u8)> = (0..random.usize(1..9)).map(|index| column(random, index)).collect();
    let mut sent = Conversation::default();
    let descriptions: Vec<Vec<u8>> =
        columns.iter().map(|(column, number)| description(random, *number, if column.unsigned { 32 } else { 0 })).collect();
    sent.begin(1);
    sent.send([0, 7, 0, 0, 0, columns.len() as u8, 0, 0, 0, 0, 0, 0]);
    descriptions.iter().for_each(|packet| sent.send(packet.clone()));
    sent.send(END);
    sent.begin(1);
    sent.send([columns.len() as u8]);
    descriptions.iter().for_each(|packet| sent.send(packet.clone()));
    sent.send(END);
    let count = random.usize(..6);
    for _ in 0..count {
        let mut row = vec![0; 1 + (columns.len() + 9) / 8];
        for (index, (column, _)) in columns.iter().enumerate() {
            match random.u8(..5) {
                0 => row[1 + (index + 2) / 8] |= 1 << ((index + 2) % 8),
                _ => row.extend(value(random, &column.kind)),
            }
        }
        sent.send(row);
    }
    sent.send(END);
    let schema = TableSchema::new(TableId::new("d", "t"), columns.into_iter().map(|(column, _)| column).collect());
    let is_changed = random.u8(..8) > 0;
    if is_changed {
        sent.mutate(random);
    }
    match at_once(rows(sent.bytes(), &Arc::new(schema)))? {
        Ok(found) if !is_changed && found != (count, 0) => Failure::err(format!("{found:?} rows were read of {count}")),
        Err(error) if !is_changed => Failure::err(format!("rows that keep to the protocol are refused: {error}")),
        _ => Ok(()),
    }
}

fn dump(random: &mut Rng) -> Result<()> {
    let mut sent = Conversation::default();
    sent.begin(1);
    let count = random.usize(..6);
    for _ in 0..count {
        let length = random.usize(..200);
        let mut event = vec![0; 1 + length];
        event.iter_mut().skip(1).for_each(|byte| *byte = random.u8(..));
        if let Some(size) = event.get_mut(10..14) {
            size.copy_from_slice(&(length as u32).to_le_bytes());
        }
        sent.send(event);
    }
    let is_changed = random.u8(..8) > 0;
    if is_changed {
        sent.mutate(random);
    }
    // It ends with an error in any case: then nothing more comes.
    let (found, error) = at_once(events(sent.bytes()))?;
    if is_changed || found == count { Ok(()) } else { Failure::err(format!("{found} of {count} events were read: {error}")) }
}
