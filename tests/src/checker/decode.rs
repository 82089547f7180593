//! Records of a topic, decoded.

use super::{Decoded, Format, Header, avro, canal};
use crate::harness::Entry;
use crate::{Failure, Result};

impl Format {
    /// The content of a record's value.
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
    /// Its header.
    pub header: Header,
    /// Its content.
    pub decoded: Decoded,
}

/// Decodes headers and values.
pub fn decode(entries: Vec<Entry>, format: Format) -> Result<Vec<Record>> {
    let mut records = Vec::with_capacity(entries.len());
    for entry in entries {
        let location = || format!("partition {} offset {}", entry.partition, entry.offset);
        let header = entry.header.as_deref().ok_or_else(|| Failure::new(format!("{}: no header `dts`", location())))?;
        let header = Header::parse(header).map_err(|error| error.context(location()))?;
        let decoded = format.decode(&entry.value).map_err(|error| error.context(location()))?;
        records.push(Record { entry, header, decoded });
    }
    Ok(records)
}
