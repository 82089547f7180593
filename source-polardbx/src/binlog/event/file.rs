//! Reads the events that describe the file and its transactions: FORMAT_DESCRIPTION, ROTATE, GTID and INCIDENT.

use std::fmt;

use super::fields::{Reader, short};
use super::{Checksums, HEADER, kind};
use crate::binlog::error::StreamError;
use crate::schema::Xid;

/// What a FORMAT_DESCRIPTION event says of the file that it begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileFormat<'a> {
    /// Whether the events of the file have checksums.
    pub(crate) checksums: Checksums,
    /// The version of the server that wrote the file.
    pub(crate) server: &'a str,
}

/// Reads a FORMAT_DESCRIPTION event.
pub(crate) fn read_format(body: &[u8]) -> Result<FileFormat<'_>, StreamError> {
    let mut reader = Reader::new(body);
    let version = reader.u16()?;
    let server = reader.take(50)?.split(|&byte| byte == 0).next().unwrap_or_default();
    let server = std::str::from_utf8(server).unwrap_or_default();
    reader.take(4)?;
    let header = reader.u8()?;
    if version != 4 || usize::from(header) != HEADER {
        return Err(StreamError::Unsupported {
            what: format!("binlog version {version} with headers of {header} bytes"),
            help: "use MySQL 5.7 or later",
        });
    }
    let (&algorithm, lengths) = reader.rest().split_last().ok_or_else(short)?;
    let length_of = |kind: u8| lengths.get(usize::from(kind) - 1).copied().unwrap_or(0);
    // The post-headers of row events are read with these fixed lengths. A length of 0 means that the server does not write such events.
    for (kind, expected) in [(kind::TABLE_MAP, 8), (kind::WRITE_ROWS_V1, 8), (kind::WRITE_ROWS, 10)] {
        let found = length_of(kind);
        if found != expected && found != 0 {
            return Err(StreamError::Unsupported {
                what: format!("a post-header of {found} bytes in events of type {kind}"),
                help: "use MySQL 5.7 or later",
            });
        }
    }
    let checksums = match algorithm {
        0 => Checksums::Off,
        1 => Checksums::Crc32,
        other => {
            return Err(StreamError::Unsupported {
                what: format!("checksum algorithm {other}"),
                help: "set binlog_checksum=CRC32 on the server",
            });
        }
    };
    Ok(FileFormat { checksums, server })
}

/// Reads a ROTATE event. Returns the offset and the name of the file in which the binlog continues.
pub(crate) fn read_rotate(body: &[u8]) -> Result<(u64, &str), StreamError> {
    let mut reader = Reader::new(body);
    let offset = reader.u64()?;
    let name = std::str::from_utf8(reader.rest()).map_err(|_| StreamError::corrupt("the name of a binlog file is not UTF-8"))?;
    Ok((offset, name))
}

/// The id of a transaction in binary form; its text is made only for transactions that are emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gtid {
    MySql { uuid: u128, number: u64 },
    MariaDb { domain: u32, server: u32, number: u64 },
}

impl Gtid {
    /// Reads the GTID from the body of MySQL's GTID event.
    pub(crate) fn read(body: &[u8]) -> Result<Self, StreamError> {
        let mut reader = Reader::new(body);
        reader.u8()?;
        Ok(Self::MySql { uuid: u128::from_be_bytes(reader.array()?), number: reader.u64()? })
    }
}

/// MariaDB's GTID event, which begins every group of events.
#[derive(Clone, Debug)]
pub(crate) struct MariaDbGroup {
    pub(crate) gtid: Gtid,
    /// Whether a single statement follows instead of a transaction.
    pub(crate) standalone: bool,
    /// The id of the XA transaction if the group is its first half, which ends with its XA PREPARE.
    pub(crate) prepared_xa: Option<Xid>,
    /// Whether the group holds an ALTER TABLE that has only begun or was rolled back. With `binlog_alter_two_phase` the text of a statement
    /// is logged when it begins and again when it commits or is rolled back.
    pub(crate) uncommitted_alter: bool,
}

impl MariaDbGroup {
    /// Reads the body of a GTID event that the server with the id `server` wrote.
    pub(crate) fn read(body: &[u8], server: u32) -> Result<Self, StreamError> {
        const STANDALONE: u8 = 1;
        const GROUP_COMMIT_ID: u8 = 2;
        const PREPARED_XA: u8 = 64;
        const COMPLETED_XA: u8 = 128;
        const START_ALTER: u8 = 2;
        const ROLLBACK_ALTER: u8 = 8;
        let mut reader = Reader::new(body);
        let number = reader.u64()?;
        let domain = reader.u32()?;
        let flags = reader.u8()?;
        if flags & GROUP_COMMIT_ID != 0 {
            reader.u64()?;
        }
        let mut xid = None;
        if flags & (PREPARED_XA | COMPLETED_XA) != 0 {
            let format = reader.u32()?;
            let (global, branch) = (reader.u8()?, reader.u8()?);
            xid = Some(Xid { global: reader.take(global.into())?.to_vec(), branch: reader.take(branch.into())?.to_vec(), format });
        }
        let extra = if reader.is_empty() { 0 } else { reader.u8()? };
        Ok(Self {
            gtid: Gtid::MariaDb { domain, server, number },
            standalone: flags & STANDALONE != 0,
            prepared_xa: xid.filter(|_| flags & PREPARED_XA != 0),
            uncommitted_alter: extra & (START_ALTER | ROLLBACK_ALTER) != 0,
        })
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MySql { uuid, number } => {
                let hex = format!("{uuid:032x}");
                let part = |range| hex.get(range).unwrap_or("");
                write!(f, "{}-{}-{}-{}-{}:{number}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
            }
            Self::MariaDb { domain, server, number } => write!(f, "{domain}-{server}-{number}"),
        }
    }
}

/// The message and number of an INCIDENT event.
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
