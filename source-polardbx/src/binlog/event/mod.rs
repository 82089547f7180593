//! Reads one event of the binlog. This file reads the header and verifies length and checksum. `fields` reads numbers and slices, `file`,
//! `query` and `commit_mark` read the bodies of events without rows, and `payload` decompresses a transaction.
//!
//! The body of an event is used only after its length and its checksum were verified. Every read is checked against the end of the body.

mod commit_mark;
mod fields;
mod file;
mod payload;
mod query;

use super::error::StreamError;
pub(crate) use commit_mark::CommitMark;
pub use commit_mark::Tso;
pub(crate) use fields::Reader;
pub(crate) use file::{Gtid, MariaDbGroup, read_format, read_incident, read_rotate};
pub(crate) use payload::Payload;
pub(crate) use query::{Query, SessionVariables, read_query};

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
    /// The event of a GTID with a tag. Its format differs from the format of `GTID`.
    pub(crate) const GTID_TAGGED: u8 = 42;
    // Only MariaDB writes the types below.
    pub(crate) const ANNOTATE_ROWS: u8 = 160;
    pub(crate) const CHECKPOINT: u8 = 161;
    pub(crate) const MARIADB_GTID: u8 = 162;
    pub(crate) const GTID_LIST: u8 = 163;
    pub(crate) const START_ENCRYPTION: u8 = 164;
    pub(crate) const FIRST_COMPRESSED: u8 = 165;
    pub(crate) const LAST_COMPRESSED: u8 = 171;
}

/// Flag of an event that is not in the binlog file, because the server made it only for this connection.
pub(crate) const ARTIFICIAL: u16 = 0x20;

/// Flag of the events of a relay log, into which a replica writes what it gets from its source.
pub(crate) const RELAY_LOG: u16 = 0x40;

/// Flag of an event that a reader may skip if it does not know the event's type.
pub(crate) const IGNORABLE: u16 = 0x80;

/// Flag in the first event of a file: the file is still being written. The server sets this flag after it computed the checksum.
const IN_USE: u16 = 0x1;

/// Length of an event's header in bytes.
pub(crate) const HEADER: usize = 19;

/// Length of an event's checksum in bytes.
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
    /// Whether the event is in the binlog file and so advances the offset. The server made all other events only for this connection. An
    /// event in the file that ends at a multiple of 4 GiB says that it ends at 0, so the offset tells artificial events apart only where no
    /// flag does: at the head of a stream.
    pub(crate) fn is_real(&self) -> bool {
        let head = matches!(self.kind, kind::FORMAT_DESCRIPTION | kind::ROTATE | kind::GTID_LIST | kind::START_ENCRYPTION);
        let made_for_us = self.flags & ARTIFICIAL != 0 || (head && self.log_pos == 0);
        !made_for_us && !matches!(self.kind, kind::HEARTBEAT | kind::HEARTBEAT_V2)
    }
}

/// An event whose length and checksum were verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawEvent<'a> {
    pub(crate) header: Header,
    /// The bytes between header and checksum.
    pub(crate) body: &'a [u8],
    /// CRC32 of the event. It is computed even if the server sends no checksum.
    pub(crate) crc: u32,
}

/// An event that is kept until later.
#[derive(Clone, Debug)]
pub(crate) struct KeptEvent {
    header: Header,
    body: Vec<u8>,
    crc: u32,
}

impl KeptEvent {
    pub(crate) fn new(event: &RawEvent<'_>) -> Self {
        Self { header: event.header, body: event.body.to_vec(), crc: event.crc }
    }

    pub(crate) fn event(&self) -> RawEvent<'_> {
        RawEvent { header: self.header, body: &self.body, crc: self.crc }
    }
}

/// Whether events carry a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksums {
    /// No FORMAT_DESCRIPTION was read yet. Only a ROTATE may come before it, with or without a checksum.
    Unknown,
    Off,
    Crc32,
}

/// Reads a header.
fn read_header(reader: &mut Reader<'_>) -> Result<Header, StreamError> {
    Ok(Header {
        timestamp: reader.u32()?,
        kind: reader.u8()?,
        server_id: reader.u32()?,
        size: reader.u32()?,
        log_pos: reader.u32()?,
        flags: reader.u16()?,
    })
}

/// Verifies the length and the checksum of an event and splits it into header and body.
pub(crate) fn open_event(bytes: &[u8], checksums: Checksums) -> Result<RawEvent<'_>, StreamError> {
    let mut reader = Reader::new(bytes);
    let header = read_header(&mut reader)?;
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
            return Err(StreamError::corrupt(format!("an event of type {} before the FORMAT_DESCRIPTION", header.kind)));
        }
    };
    if !carries {
        return Ok(RawEvent { header, body, crc: crc_of(bytes, 0, format) });
    }
    let (body, stated) = split_checksum(body).ok_or_else(|| StreamError::corrupt("an event too short for its checksum"))?;
    let crc = crc_of(bytes, CHECKSUM, format);
    // A FORMAT_DESCRIPTION always has a checksum field. If its body ends with 0, checksums are off and the field is not verified.
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

/// CRC32 over all but the last `tail` bytes. If `format` is true, the event is a FORMAT_DESCRIPTION and its in-use flag counts as 0,
/// because the server computes the checksum before it sets the flag.
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
