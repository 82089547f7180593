//! The answers of the server to questions about itself and its tables: a few rows, whose values arrive as text.

use std::sync::Arc;

use super::Wire;
use super::error::{NOT_UNDERSTOOD, WireError};

/// The greatest size of an answer in memory, in bytes. A list of 100,000 tables takes about this much.
pub(super) const MOST_BYTES: usize = 16 << 20;
/// The greatest number of columns. MySQL allows 4,096 in a table.
pub(super) const MOST_COLUMNS: u64 = 4096;
/// What the memory for a value costs besides its bytes.
const CELL_BYTES: usize = size_of::<Option<Vec<u8>>>();

/// A row of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    names: Arc<[String]>,
    cells: Vec<Option<Vec<u8>>>,
}

impl Row {
    /// The value of a column by its index, in the server's own bytes. `None` if the column is missing or NULL.
    pub(crate) fn bytes(&self, index: usize) -> Option<&[u8]> {
        self.cells.get(index)?.as_deref()
    }

    /// Like [`Row::bytes`], as text. Bytes that are not UTF-8 are replaced.
    pub(crate) fn text(&self, index: usize) -> Option<String> {
        self.bytes(index).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// The value of a column by its name, as text. The case of the name does not matter, because it differs between servers.
    pub(crate) fn named(&self, name: &str) -> Option<String> {
        self.text(self.names.iter().position(|known| known.eq_ignore_ascii_case(name))?)
    }
}

/// How many bytes an answer may still take.
struct Budget(usize);

impl Budget {
    fn take(&mut self, bytes: usize) -> Result<(), WireError> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| {
            let mib = MOST_BYTES >> 20;
            WireError::TooLong(format!("the answer to a question about the server takes more than {mib} MiB"))
        })?;
        Ok(())
    }
}

impl Wire {
    /// Runs a statement and collects its rows. A statement without rows gives none.
    pub(crate) async fn rows(&mut self, statement: &str) -> Result<Vec<Row>, WireError> {
        self.command(0x03, statement.as_bytes()).await?;
        let columns = match self.answer().await? {
            [0x00, ..] => {
                self.is_busy = false;
                return Ok(Vec::new());
            }
            packet => column_count(packet)?,
        };
        let mut budget = Budget(MOST_BYTES);
        let mut names = Vec::new();
        for _ in 0..columns {
            let name = column_name(self.packets.read().await?).ok_or_else(|| WireError::lost(NOT_UNDERSTOOD))?;
            budget.take(size_of::<String>() + name.len())?;
            names.push(name);
        }
        self.end_of_columns().await?;
        let names: Arc<[String]> = names.into();
        let mut rows = Vec::new();
        loop {
            let packet = self.packets.read().await?;
            if let Some(ended) = end_of_rows(packet) {
                self.is_busy = false;
                return ended.map(|()| rows);
            }
            budget.take(size_of::<Row>() + names.len() * CELL_BYTES + packet.len())?;
            rows.push(Row { cells: cells(packet, names.len()).ok_or_else(|| WireError::lost(NOT_UNDERSTOOD))?, names: names.clone() });
        }
    }

    /// Runs a statement that returns no rows.
    pub(crate) async fn execute(&mut self, statement: &str) -> Result<(), WireError> {
        self.rows(statement).await.map(|_| ())
    }

    /// Reads the first packet of an answer. Fails if the server has refused the command.
    pub(super) async fn answer(&mut self) -> Result<&[u8], WireError> {
        let body = self.packets.next().await?;
        match self.packets.body(body) {
            packet @ [0xff, ..] => {
                self.is_busy = false;
                Err(WireError::refused(packet))
            }
            packet => Ok(packet),
        }
    }

    /// Reads the packet behind the descriptions of the columns.
    pub(super) async fn end_of_columns(&mut self) -> Result<(), WireError> {
        match self.packets.read().await? {
            packet @ [0xfe, ..] if packet.len() < 9 => Ok(()),
            _ => Err(WireError::lost(NOT_UNDERSTOOD)),
        }
    }
}

/// Reads the number of columns in the first packet of an answer. An answer that wishes for a file of this host is refused here.
pub(super) fn column_count(mut packet: &[u8]) -> Result<u64, WireError> {
    match number(&mut packet) {
        Some(columns @ 1..=MOST_COLUMNS) if packet.is_empty() => Ok(columns),
        _ => Err(WireError::lost(NOT_UNDERSTOOD)),
    }
}

/// Whether a packet ends the rows of an answer: `None` if it is a row, else whether the rows are complete.
pub(super) fn end_of_rows(packet: &[u8]) -> Option<Result<(), WireError>> {
    match packet {
        [0xff, ..] => Some(Err(WireError::refused(packet))),
        [0xfe, ..] if packet.len() < 9 => Some(Ok(())),
        _ => None,
    }
}

/// The name of a column from its description.
fn column_name(packet: &[u8]) -> Option<String> {
    let mut rest = packet;
    // The catalog, the database, and the table with its alias and its own name stand before it.
    for _ in 0..4 {
        bytes(&mut rest)?;
    }
    bytes(&mut rest).map(|name| String::from_utf8_lossy(name).into_owned())
}

/// Reads the values of a row; `None` if there are not as many as columns.
fn cells(mut packet: &[u8], columns: usize) -> Option<Vec<Option<Vec<u8>>>> {
    let mut cells = Vec::with_capacity(columns);
    for _ in 0..columns {
        cells.push(match packet.split_first()? {
            (0xfb, rest) => {
                packet = rest;
                None
            }
            _ => Some(bytes(&mut packet)?.to_vec()),
        });
    }
    packet.is_empty().then_some(cells)
}

/// Takes bytes behind their length.
pub(super) fn bytes<'a>(packet: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(packet)?).ok()?;
    let (bytes, rest) = packet.split_at_checked(length)?;
    *packet = rest;
    Some(bytes)
}

/// Takes a number of one to nine bytes.
fn number(packet: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = packet.split_first()?;
    let length = match first {
        0..=0xfa => 0,
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        0xfb | 0xff => return None,
    };
    let (bytes, rest) = rest.split_at_checked(length)?;
    *packet = rest;
    Some(if length == 0 { first.into() } else { bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_lengths() {
        for (packet, expected, left) in [
            (&[0][..], Some(0), 0),
            (&[0xfa, 9], Some(0xfa), 1),
            (&[0xfc, 1, 2], Some(0x201), 0),
            (&[0xfd, 1, 2, 3], Some(0x30201), 0),
            (&[0xfe, 1, 0, 0, 0, 0, 0, 0, 2, 7], Some(0x200_0000_0000_0001), 1),
            (&[0xfc, 1], None, 2),
            (&[0xfb], None, 1),
            (&[0xff], None, 1),
            (&[], None, 0),
        ] {
            let mut rest = packet;
            assert_eq!(number(&mut rest), expected, "{packet:?}");
            assert!(expected.is_none() || rest.len() == left, "{packet:?}");
        }
    }

    #[test]
    fn no_count_of_columns_is_believed() {
        assert_eq!(column_count(&[3]).unwrap(), 3);
        assert_eq!(column_count(&[0xfc, 0, 16]).unwrap(), 4096);
        for packet in [
            &[0xfc, 1, 16][..],
            &[0xfe, 255, 255, 255, 255, 255, 255, 255, 255],
            &[0xfe, 0, 0, 0, 0, 0, 1, 0, 0],
            &[],
            &[0xfb, b'x'],
            &[1, 1],
        ] {
            assert!(matches!(column_count(packet), Err(WireError::Lost(_))), "{packet:?}");
        }
    }

    #[test]
    fn rows_of_texts() {
        let long = [&[0xfc, 44, 1][..], &[b'x'; 300]].concat();
        let row = cells(&[b"\x03abc\xfb\x00", &long[..]].concat(), 4).unwrap();
        assert_eq!(row, [Some(b"abc".to_vec()), None, Some(Vec::new()), Some(vec![b'x'; 300])]);
        for broken in [&b"\x03ab"[..], b"\xfc\x01", b"\xfd\0\0", b"", b"\x01a\x01b"] {
            assert_eq!(cells(broken, 1), None, "{broken:?}");
        }
    }

    #[test]
    fn a_column_is_found_by_its_name() {
        let row = Row { names: Arc::new(["File".to_owned(), "Position".to_owned()]), cells: vec![Some(b"a.1".to_vec()), None] };
        assert_eq!((row.named("file").as_deref(), row.named("Position"), row.named("x")), (Some("a.1"), None, None));
        assert_eq!(column_name(b"\x03def\x01d\x01t\x01t\x02id\x02id\x0c"), Some("id".to_owned()));
        assert_eq!(column_name(b"\x03def\x01d\x01t"), None);
    }
}
