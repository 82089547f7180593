//! The rows of a table in the protocol's binary form, one after the other. The text form would round FLOAT values.

use super::answer::{MOST_COLUMNS, bytes, column_count, end_of_rows};
use super::error::{NOT_UNDERSTOOD, ROWS_SILENCE, WireError};
use super::{LONGEST_ROW, Wire};

/// A value of a row. It borrows from the packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Int(i64),
    UInt(u64),
    Float(f32),
    Double(f64),
    Bytes(&'a [u8]),
    /// Year, month, day, hour, minute, second, microseconds.
    Date(u16, u8, u8, u8, u8, u8, u32),
    /// Whether it is negative, days, hours, minutes, seconds, microseconds.
    Time(bool, u32, u8, u8, u8, u32),
}

/// How the values of a column are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A whole number of so many bytes.
    Int {
        bytes: usize,
        unsigned: bool,
    },
    Float,
    Double,
    Date,
    Time,
    Bytes,
}

impl Form {
    /// The form of a column, from its description.
    fn read(packet: &[u8]) -> Option<Self> {
        const UNSIGNED: u16 = 32;
        let mut rest = packet;
        for _ in 0..6 {
            bytes(&mut rest)?;
        }
        // The length of the rest, the character set and the greatest length stand before the type.
        let &[_, _, _, _, _, _, _, kind, low, high, ..] = rest else { return None };
        let unsigned = u16::from_le_bytes([low, high]) & UNSIGNED != 0;
        let int = |bytes| Self::Int { bytes, unsigned };
        Some(match kind {
            1 => int(1),
            2 | 13 => int(2),
            3 | 9 => int(4),
            8 => int(8),
            4 => Self::Float,
            5 => Self::Double,
            7 | 10 | 12 => Self::Date,
            11 => Self::Time,
            0 | 15 | 16 | 245..=255 => Self::Bytes,
            _ => return None,
        })
    }
}

/// The rows of a statement that is being executed. They must be read to their end; otherwise the connection cannot be used again.
pub(crate) struct BinaryRows<'a> {
    wire: &'a mut Wire,
    statement: [u8; 4],
    forms: Vec<Form>,
}

impl<'a> BinaryRows<'a> {
    /// Runs a SELECT without parameters. Its rows may be as long as those of a table can be. There is no time limit before the first row; the
    /// caller has [`ROWS_SILENCE`].
    pub(crate) async fn select(wire: &'a mut Wire, statement: &str) -> Result<Self, WireError> {
        wire.command(0x16, statement.as_bytes()).await?;
        let (statement, columns) = match wire.answer().await? {
            // Behind the number of the statement come those of its columns and of its parameters.
            &[0, a, b, c, d, low, high, 0, 0, ..] => ([a, b, c, d], u16::from_le_bytes([low, high])),
            _ => return Err(WireError::lost(NOT_UNDERSTOOD)),
        };
        // The columns are described again when the statement runs.
        if u64::from(columns) > MOST_COLUMNS {
            return Err(WireError::lost(NOT_UNDERSTOOD));
        }
        if columns > 0 {
            for _ in 0..columns {
                wire.packets.read().await?;
            }
            wire.end_of_columns().await?;
        }
        wire.is_busy = false;
        // No cursor, and one execution.
        wire.command(0x17, &[&statement[..], &[0, 1, 0, 0, 0]].concat()).await?;
        let columns = column_count(wire.answer().await?)?;
        let mut forms = Vec::new();
        for _ in 0..columns {
            forms.push(Form::read(wire.packets.read().await?).ok_or_else(|| WireError::lost("a column has an unknown type"))?);
        }
        wire.end_of_columns().await?;
        wire.packets.longest_body = LONGEST_ROW;
        Ok(Self { wire, statement, forms })
    }
}

impl BinaryRows<'_> {
    /// The next row; `None` behind the last one, and then the connection is free again.
    pub(crate) async fn next(&mut self) -> Result<Option<BinaryRow<'_>>, WireError> {
        if !self.wire.is_busy {
            return Ok(None);
        }
        let body = self.wire.packets.next_unless_silent(ROWS_SILENCE).await.ok_or_else(WireError::silent)??;
        match end_of_rows(self.wire.packets.body(body)) {
            None => BinaryRow::new(self.wire.packets.body(body), &self.forms).map(Some),
            Some(ended) => {
                self.wire.is_busy = false;
                ended?;
                self.wire.forget(self.statement).await?;
                Ok(None)
            }
        }
    }
}

/// A row whose values are taken one after the other.
#[derive(Debug)]
pub(crate) struct BinaryRow<'a> {
    forms: std::slice::Iter<'a, Form>,
    /// One bit for each column. The first two bits have no meaning.
    nulls: &'a [u8],
    rest: &'a [u8],
    bit: usize,
}

impl<'a> BinaryRow<'a> {
    fn new(packet: &'a [u8], forms: &'a [Form]) -> Result<Self, WireError> {
        let split = packet.strip_prefix(&[0]).and_then(|rest| rest.split_at_checked((forms.len() + 9) / 8));
        let (nulls, rest) = split.ok_or_else(|| WireError::lost(NOT_UNDERSTOOD))?;
        Ok(Self { forms: forms.iter(), nulls, rest, bit: 2 })
    }

    /// The value of the next column. Fails behind the last one, and if the row is damaged.
    pub(crate) fn cell(&mut self) -> Result<Cell<'a>, WireError> {
        self.read().ok_or_else(|| WireError::lost(NOT_UNDERSTOOD))
    }

    fn read(&mut self) -> Option<Cell<'a>> {
        let form = *self.forms.next()?;
        let bit = self.bit;
        self.bit += 1;
        if self.nulls.get(bit / 8)? >> (bit % 8) & 1 == 1 {
            return Some(Cell::Null);
        }
        Some(match form {
            Form::Int { bytes, unsigned } => {
                let (number, rest) = self.rest.split_at_checked(bytes)?;
                self.rest = rest;
                let number = number.iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
                let unused = 64 - 8 * bytes as u32;
                if unsigned { Cell::UInt(number) } else { Cell::Int((number << unused) as i64 >> unused) }
            }
            Form::Float => Cell::Float(f32::from_le_bytes(self.take()?)),
            Form::Double => Cell::Double(f64::from_le_bytes(self.take()?)),
            Form::Bytes => Cell::Bytes(bytes(&mut self.rest)?),
            Form::Date => date(bytes(&mut self.rest)?)?,
            Form::Time => time(bytes(&mut self.rest)?)?,
        })
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }
}

/// A date. What stands behind it and is zero is left out.
fn date(bytes: &[u8]) -> Option<Cell<'static>> {
    let year = |low, high| u16::from_le_bytes([low, high]);
    Some(match *bytes {
        [] => Cell::Date(0, 0, 0, 0, 0, 0, 0),
        [low, high, month, day] => Cell::Date(year(low, high), month, day, 0, 0, 0, 0),
        [low, high, month, day, hour, minute, second] => Cell::Date(year(low, high), month, day, hour, minute, second, 0),
        [low, high, month, day, hour, minute, second, a, b, c, d] => {
            Cell::Date(year(low, high), month, day, hour, minute, second, u32::from_le_bytes([a, b, c, d]))
        }
        _ => return None,
    })
}

fn time(bytes: &[u8]) -> Option<Cell<'static>> {
    let days = |a, b, c, d| u32::from_le_bytes([a, b, c, d]);
    Some(match *bytes {
        [] => Cell::Time(false, 0, 0, 0, 0, 0),
        [negative, a, b, c, d, hour, minute, second] => Cell::Time(negative != 0, days(a, b, c, d), hour, minute, second, 0),
        [negative, a, b, c, d, hour, minute, second, e, f, g, h] => {
            Cell::Time(negative != 0, days(a, b, c, d), hour, minute, second, u32::from_le_bytes([e, f, g, h]))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::super::packet::Socket;
    use super::*;

    fn description(kind: u8, flags: u16) -> Vec<u8> {
        let [low, high] = flags.to_le_bytes();
        [&b"\x03def\x01d\x01t\x01t\x01c\x01c\x0c\x2d\0\xff\0\0\0"[..], &[kind, low, high, 0, 0, 0]].concat()
    }

    #[test]
    fn forms_of_columns() {
        assert_eq!(Form::read(&description(8, 32)), Some(Form::Int { bytes: 8, unsigned: true }));
        assert_eq!(Form::read(&description(9, 1)), Some(Form::Int { bytes: 4, unsigned: false }));
        assert_eq!(Form::read(&description(246, 0)), Some(Form::Bytes));
        assert_eq!(Form::read(&description(99, 0)), None);
        let whole = description(3, 0);
        for length in 0..whole.len() - 4 {
            assert_eq!(Form::read(&whole[..length]), None, "{length}");
        }
    }

    #[test]
    fn a_row_is_read_value_by_value() {
        let int = |bytes, unsigned| Form::Int { bytes, unsigned };
        let forms = [int(1, false), int(1, true), Form::Bytes, Form::Float, Form::Date, Form::Time, int(4, false)];
        // The third column is NULL.
        let packet = [
            &[0, 0b1_0000, 0, 0xff, 0xff][..],
            &1.5f32.to_le_bytes(),
            &[7, 0xe7, 7, 11, 14, 22, 13, 20],
            &[12, 1, 34, 0, 0, 0, 22, 59, 59, 1, 0, 0, 0],
            &(-2i32).to_le_bytes(),
        ]
        .concat();
        let mut row = BinaryRow::new(&packet, &forms).unwrap();
        let expected = [
            Cell::Int(-1),
            Cell::UInt(255),
            Cell::Null,
            Cell::Float(1.5),
            Cell::Date(2023, 11, 14, 22, 13, 20, 0),
            Cell::Time(true, 34, 22, 59, 59, 1),
            Cell::Int(-2),
        ];
        for cell in expected {
            assert_eq!(row.cell().unwrap(), cell);
        }
        assert!(row.cell().is_err(), "there are no more columns");
        for length in 0..packet.len() {
            let cut = BinaryRow::new(&packet[..length], &forms);
            assert!(cut.is_err() || cut.is_ok_and(|mut row| (0..forms.len()).any(|_| row.cell().is_err())), "{length}");
        }
    }

    /// Time passes at once where everybody waits.
    #[tokio::test(start_paused = true)]
    async fn a_server_may_not_be_silent_between_rows() {
        let column = description(3, 0);
        let end = [0xfe, 0, 0, 2, 0];
        let prepared = [&[0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &column, &end];
        let executed = [&[1][..], &column, &end, &[0, 0, 42, 0, 0, 0]];
        let packets = |bodies: &[&[u8]]| -> Vec<u8> {
            let packet = |(number, body): (usize, &&[u8])| [&[body.len() as u8, 0, 0, 1 + number as u8], *body].concat();
            bodies.iter().enumerate().flat_map(packet).collect()
        };
        let mut wire = Wire::recorded([packets(&prepared), packets(&executed)].concat(), false);
        let mut rows = BinaryRows::select(&mut wire, "SELECT 1").await.unwrap();
        let mut row = rows.next().await.unwrap().unwrap();
        assert_eq!(row.cell().unwrap(), Cell::Int(42));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        rows.wire.packets.socket = Socket::Plain(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        let asked = tokio::time::Instant::now();
        let error = rows.next().await.unwrap_err();
        assert!(error.to_string().contains("has sent nothing of the rows for 600 s"), "{error}");
        assert_eq!(asked.elapsed().as_secs(), 600);
    }
}
