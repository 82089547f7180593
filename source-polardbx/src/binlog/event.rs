//! One event of the binlog: header, length, checksum, and the bodies that steer a stream.
//!
//! Nothing of an event is used before its length and its checksum are right. Every read is checked against the end of the body.

use super::error::StreamError;

/// Types of events.
pub(crate) mod kind {
    pub(crate) const QUERY: u8 = 2;
    pub(crate) const STOP: u8 = 3;
    pub(crate) const ROTATE: u8 = 4;
    pub(crate) const INTVAR: u8 = 5;
    pub(crate) const APPEND_BLOCK: u8 = 9;
    pub(crate) const DELETE_FILE: u8 = 11;
    pub(crate) const RAND: u8 = 13;
    pub(crate) const USER_VAR: u8 = 14;
    pub(crate) const FORMAT_DESCRIPTION: u8 = 15;
    pub(crate) const XID: u8 = 16;
    pub(crate) const BEGIN_LOAD_QUERY: u8 = 17;
    pub(crate) const EXECUTE_LOAD_QUERY: u8 = 18;
    pub(crate) const TABLE_MAP: u8 = 19;
    pub(crate) const WRITE_ROWS_V1: u8 = 23;
    pub(crate) const UPDATE_ROWS_V1: u8 = 24;
    pub(crate) const DELETE_ROWS_V1: u8 = 25;
    pub(crate) const INCIDENT: u8 = 26;
    pub(crate) const HEARTBEAT: u8 = 27;
    pub(crate) const IGNORABLE: u8 = 28;
    pub(crate) const ROWS_QUERY: u8 = 29;
    pub(crate) const WRITE_ROWS: u8 = 30;
    pub(crate) const UPDATE_ROWS: u8 = 31;
    pub(crate) const DELETE_ROWS: u8 = 32;
    pub(crate) const GTID: u8 = 33;
    pub(crate) const ANONYMOUS_GTID: u8 = 34;
    pub(crate) const PREVIOUS_GTIDS: u8 = 35;
    pub(crate) const TRANSACTION_CONTEXT: u8 = 36;
    pub(crate) const VIEW_CHANGE: u8 = 37;
    pub(crate) const XA_PREPARE: u8 = 38;
    pub(crate) const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub(crate) const TRANSACTION_PAYLOAD: u8 = 40;
    pub(crate) const HEARTBEAT_V2: u8 = 41;
}

/// Flag of events that the server made for this connection only.
const ARTIFICIAL: u16 = 0x20;
/// Flag of events that a reader who does not know them may skip.
pub(crate) const IGNORABLE: u16 = 0x80;
/// Flag of a file that is being written; set in its first event after the checksum was made.
const IN_USE: u16 = 0x1;

/// Length of the header.
pub(crate) const HEADER: usize = 19;
/// Length of the checksum.
const CHECKSUM: usize = 4;

/// The header of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) timestamp: u32,
    pub(crate) kind: u8,
    pub(crate) server_id: u32,
    pub(crate) size: u32,
    pub(crate) log_pos: u32,
    pub(crate) flags: u16,
}

impl Header {
    /// Whether the event is in the file, so that it moves the offset; others were made for this connection.
    pub(crate) fn is_real(&self) -> bool {
        self.log_pos != 0 && self.flags & ARTIFICIAL == 0 && !matches!(self.kind, kind::HEARTBEAT | kind::HEARTBEAT_V2)
    }
}

/// An event whose length and checksum are right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawEvent<'a> {
    pub(crate) header: Header,
    /// What is between the header and the checksum.
    pub(crate) body: &'a [u8],
    /// CRC32 over the event, also where the server does not send one.
    pub(crate) crc: u32,
}

/// Whether events carry a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksums {
    /// No FORMAT_DESCRIPTION was seen yet: only a ROTATE may come, with or without one.
    Unknown,
    Off,
    Crc32,
}

/// Checks length and checksum.
pub(crate) fn open_event(bytes: &[u8], checksums: Checksums) -> Result<RawEvent<'_>, StreamError> {
    let mut reader = Reader::new(bytes);
    let header = Header {
        timestamp: reader.u32()?,
        kind: reader.u8()?,
        server_id: reader.u32()?,
        size: reader.u32()?,
        log_pos: reader.u32()?,
        flags: reader.u16()?,
    };
    let body = reader.rest();
    if header.size as usize != bytes.len() {
        return Err(StreamError::corrupt(format!("an event of type {} says {} bytes and has {}", header.kind, header.size, bytes.len())));
    }
    let format = header.kind == kind::FORMAT_DESCRIPTION;
    let carries = match checksums {
        _ if format => true,
        Checksums::Crc32 => true,
        Checksums::Off => false,
        Checksums::Unknown if header.kind == kind::ROTATE => {
            body.len() >= CHECKSUM && split_checksum(body).is_some_and(|(_, stated)| stated == crc_of(bytes, CHECKSUM, format))
        }
        Checksums::Unknown => {
            return Err(StreamError::corrupt(format!("an event of type {} before the description of the format", header.kind)));
        }
    };
    if !carries {
        return Ok(RawEvent { header, body, crc: crc_of(bytes, 0, format) });
    }
    let (body, stated) = split_checksum(body).ok_or_else(|| StreamError::corrupt("an event too short for its checksum"))?;
    let crc = crc_of(bytes, CHECKSUM, format);
    // The description of the format always has the field, even where checksums are off.
    let described_off = format && body.last() == Some(&0);
    if crc != stated && !described_off {
        return Err(StreamError::corrupt(format!(
            "the checksum of an event of type {} is {stated:08x}, its bytes give {crc:08x}",
            header.kind
        )));
    }
    Ok(RawEvent { header, body, crc })
}

fn split_checksum(body: &[u8]) -> Option<(&[u8], u32)> {
    let (body, stated) = body.split_last_chunk::<CHECKSUM>()?;
    Some((body, u32::from_le_bytes(*stated)))
}

/// CRC32 over all but the last `tail` bytes.
fn crc_of(bytes: &[u8], tail: usize, format: bool) -> u32 {
    let covered = bytes.get(..bytes.len().saturating_sub(tail)).unwrap_or(&[]);
    if !format {
        return crc32fast::hash(covered);
    }
    let mut copy = covered.to_vec();
    if let Some(flags) = copy.get_mut(HEADER - 2) {
        *flags &= !(IN_USE as u8);
    }
    crc32fast::hash(&copy)
}

/// Reads numbers and slices from the front of some bytes; an error if they end too early.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

macro_rules! read_number {
    ($name:ident, $type:ty, $bytes:literal) => {
        #[inline]
        pub(crate) fn $name(&mut self) -> Result<$type, StreamError> {
            let (head, rest) = self.rest.split_first_chunk::<$bytes>().ok_or_else(short)?;
            self.rest = rest;
            let mut full = [0; size_of::<$type>()];
            full[..$bytes].copy_from_slice(head);
            Ok(<$type>::from_le_bytes(full))
        }
    };
}

#[cold]
fn short() -> StreamError {
    StreamError::corrupt("an event ends in the middle of a field")
}

impl<'a> Reader<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    read_number!(u8, u8, 1);
    read_number!(u16, u16, 2);
    read_number!(u24, u32, 3);
    read_number!(u32, u32, 4);
    read_number!(u48, u64, 6);
    read_number!(u64, u64, 8);

    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], StreamError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or_else(short)?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], StreamError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(short)?;
        self.rest = rest;
        Ok(*head)
    }

    /// A number in MySQL's length-encoded form.
    pub(crate) fn length_encoded(&mut self) -> Result<usize, StreamError> {
        let number = match self.u8()? {
            0xfc => u64::from(self.u16()?),
            0xfd => u64::from(self.u24()?),
            0xfe => self.u64()?,
            0xfb | 0xff => return Err(StreamError::corrupt("a length that is no number")),
            small => u64::from(small),
        };
        usize::try_from(number).map_err(|_| short())
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// What the description of the format says of the file.
pub(crate) fn read_format(body: &[u8]) -> Result<Checksums, StreamError> {
    let mut reader = Reader::new(body);
    let version = reader.u16()?;
    reader.take(50 + 4)?;
    let header = reader.u8()?;
    if version != 4 || usize::from(header) != HEADER {
        return Err(StreamError::Unsupported {
            what: format!("binlog version {version} with headers of {header} bytes"),
            remedy: "use MySQL 5.7 or later",
        });
    }
    let (&algorithm, lengths) = reader.rest().split_last().ok_or_else(short)?;
    let length_of = |kind: u8| lengths.get(usize::from(kind) - 1).copied().unwrap_or(0);
    // Rows are read with these fixed lengths; a server that writes none of them has no row events.
    for (kind, expected) in [(kind::TABLE_MAP, 8), (kind::WRITE_ROWS_V1, 8), (kind::WRITE_ROWS, 10)] {
        let found = length_of(kind);
        if found != expected && found != 0 {
            return Err(StreamError::Unsupported {
                what: format!("a post-header of {found} bytes in events of type {kind}"),
                remedy: "use MySQL 5.7 or later",
            });
        }
    }
    match algorithm {
        0 => Ok(Checksums::Off),
        1 => Ok(Checksums::Crc32),
        other => {
            Err(StreamError::Unsupported { what: format!("checksum algorithm {other}"), remedy: "set binlog_checksum=CRC32 on the server" })
        }
    }
}

/// The next file and offset that a ROTATE names.
pub(crate) fn read_rotate(body: &[u8]) -> Result<(u64, &str), StreamError> {
    let mut reader = Reader::new(body);
    let offset = reader.u64()?;
    let name = std::str::from_utf8(reader.rest()).map_err(|_| StreamError::corrupt("the name of a binlog file is not UTF-8"))?;
    Ok((offset, name))
}

/// The GTID as text, `uuid:number`.
pub(crate) fn read_gtid(body: &[u8]) -> Result<String, StreamError> {
    let mut reader = Reader::new(body);
    reader.u8()?;
    let uuid = u128::from_be_bytes(reader.array()?);
    let number = reader.u64()?;
    let hex = format!("{uuid:032x}");
    let part = |range| hex.get(range).unwrap_or("");
    Ok(format!("{}-{}-{}-{}-{}:{number}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)))
}

/// A statement as the binlog holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    pub(crate) thread_id: u32,
    pub(crate) status: &'a [u8],
    pub(crate) database: &'a [u8],
    pub(crate) text: &'a [u8],
}

/// Reads a QUERY; of EXECUTE_LOAD_QUERY too, whose post-header is longer.
pub(crate) fn read_query(body: &[u8], load: bool) -> Result<Query<'_>, StreamError> {
    let mut reader = Reader::new(body);
    let thread_id = reader.u32()?;
    let _seconds = reader.u32()?;
    let database_length = reader.u8()?;
    let _error = reader.u16()?;
    let status_length = reader.u16()?;
    if load {
        reader.take(13)?;
    }
    let status = reader.take(status_length.into())?;
    let database = reader.take(database_length.into())?;
    reader.u8()?;
    Ok(Query { thread_id, status, database, text: reader.rest() })
}

/// What a session's status variables say about a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StatementFacts {
    pub(crate) flags2: Option<u32>,
    pub(crate) sql_mode: Option<u64>,
    /// Collation numbers of client, connection and server.
    pub(crate) charset: Option<[u16; 3]>,
    pub(crate) time_zone: Option<String>,
    pub(crate) explicit_timestamps: Option<bool>,
}

impl StatementFacts {
    /// Reads status variables up to the first unknown one: they come in the order of their codes, and new ones are added at the end.
    pub(crate) fn read(status: &[u8]) -> Result<Self, StreamError> {
        let mut facts = Self::default();
        let mut reader = Reader::new(status);
        while !reader.is_empty() {
            match reader.u8()? {
                0 => facts.flags2 = Some(reader.u32()?),
                1 => facts.sql_mode = Some(reader.u64()?),
                2 => {
                    let length = reader.u8()?;
                    reader.take(usize::from(length) + 1)?;
                }
                3 => _ = reader.u32()?,
                4 => facts.charset = Some([reader.u16()?, reader.u16()?, reader.u16()?]),
                5 => {
                    let length = reader.u8()?;
                    facts.time_zone = Some(String::from_utf8_lossy(reader.take(length.into())?).into_owned());
                }
                6 => skip_text(&mut reader)?,
                7 | 8 => _ = reader.u16()?,
                9 => _ = reader.u64()?,
                10 => _ = reader.u32()?,
                11 => {
                    skip_text(&mut reader)?;
                    skip_text(&mut reader)?;
                }
                12 => {
                    let count = reader.u8()?;
                    // 254 says that there were too many to list.
                    for _ in 0..if count == 254 { 0 } else { count } {
                        while reader.u8()? != 0 {}
                    }
                }
                13 => _ = reader.u24()?,
                16 => facts.explicit_timestamps = Some(reader.u8()? != 0),
                17 => _ = reader.u64()?,
                18 => _ = reader.u16()?,
                19 | 20 => _ = reader.u8()?,
                _ => break,
            }
        }
        Ok(facts)
    }

    /// The facts under the names that DTS gives them.
    pub(crate) fn named(&self) -> Vec<(&'static str, String)> {
        let mut named = Vec::new();
        if let Some(flags) = self.flags2 {
            named.push(("Q_FLAGS2_CODE", flags.to_string()));
        }
        if let Some(mode) = self.sql_mode {
            named.push(("Q_SQL_MODE_CODE", mode.to_string()));
        }
        if let Some([client, connection, server]) = self.charset {
            named.push(("Q_CHARSET_CODE", format!("{client},{connection},{server}")));
        }
        if let Some(zone) = &self.time_zone {
            named.push(("Q_TIME_ZONE_CODE", zone.clone()));
        }
        named
    }
}

fn skip_text(reader: &mut Reader<'_>) -> Result<(), StreamError> {
    let length = reader.u8()?;
    reader.take(length.into()).map(drop)
}

/// What an INCIDENT says.
pub(crate) fn read_incident(body: &[u8]) -> String {
    let mut reader = Reader::new(body);
    let read = (|| {
        let number = reader.u16()?;
        let length = reader.u8()?;
        let message = String::from_utf8_lossy(reader.take(length.into())?).into_owned();
        Ok::<_, StreamError>(format!("{message} (incident {number})"))
    })();
    read.unwrap_or_else(|_| "no message".to_owned())
}
