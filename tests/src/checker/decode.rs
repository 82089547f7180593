//! Decodes the records of a topic.

use std::collections::BTreeSet;

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

/// Decodes the headers and values of records, which are those of one topic and ordered by offset within each partition. Records of the full
/// phase that come late are left out, as readers do: their partition already holds a record of the run that is exact.
pub fn decode(entries: Vec<Entry>, format: Format) -> Result<Vec<Record>> {
    let mut records = Vec::with_capacity(entries.len());
    let mut streamed = BTreeSet::new();
    for entry in entries {
        let location = || format!("partition {} offset {}", entry.partition, entry.offset);
        let header = entry.header.as_deref().ok_or_else(|| Failure::new(format!("{}: no header `dts`", location())))?;
        let header = Header::parse(header).map_err(|error| error.context(location()))?;
        match (header.snapshot() && header.inexact(), header.inexact()) {
            (true, _) if streamed.contains(&(entry.partition, header.run)) => continue,
            (_, true) => {}
            (_, false) => {
                streamed.insert((entry.partition, header.run));
            }
        }
        let decode = || if entry.tombstone { Ok(Decoded::Control) } else { format.decode(&entry.value) };
        let decoded = decode().map_err(|error| error.context(location()))?;
        records.push(Record { entry, header, decoded });
    }
    Ok(records)
}
