//! Decodes the records of a topic.

use super::{Decoded, Format, Header, avro, canal};
use crate::harness::Entry;
use crate::{Failure, Result};

impl Format {
    /// Decodes the value of a record.
    pub fn decode(self, value: &[u8]) -> Result<Decoded> {
        match self {
            Format::CanalJson => canal::decode(value),
            Format::DtsAvro => avro::decode(value),
        }
    }
}

/// A record and what was decoded from it.
pub struct Record {
    /// The record itself.
    pub entry: Entry,
    /// The decoded header `dts`.
    pub header: Header,
    /// The decoded value.
    pub decoded: Decoded,
}

/// Decodes the headers and values of records.
pub fn decode(entries: Vec<Entry>, format: Format) -> Result<Vec<Record>> {
    let mut records = Vec::with_capacity(entries.len());
    for entry in entries {
        let location = || format!("partition {} offset {}", entry.partition, entry.offset);
        let header = entry.header.as_deref().ok_or_else(|| Failure::new(format!("{}: no header `dts`", location())))?;
        let header = Header::parse(header).map_err(|error| error.context(location()))?;
        let decode = || if entry.tombstone { Ok(Decoded::Control) } else { format.decode(&entry.value) };
        let decoded = decode().map_err(|error| error.context(location()))?;
        records.push(Record { entry, header, decoded });
    }
    Ok(records)
}
