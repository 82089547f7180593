//! Reads a topic back and says whether it tells the truth about the source.
//!
//! Every record is decoded twice over: its `dts` header by the rules of the delivery design, its value by a general JSON or Avro library.
//! The records are folded by key into tables, and each row and column is compared with what the source answers to a SELECT, rendered by a
//! model of the format that shares no code with the product.

pub mod avro;
mod canal;
mod change;
mod fold;
mod header;
mod order;
mod render;
mod source;

use std::fmt;

pub use change::{Change, Decoded, Image, Op, Table};
pub use header::Header;

use crate::harness::{Database, Entry, Kafka, TopicReader};
use crate::{Failure, Result};

/// How values are written in the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `format.canal_json`.
    CanalJson,
    /// `format.dts_avro`.
    DtsAvro,
}

impl Format {
    /// Its key under `format` in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Format::CanalJson => "canal_json",
            Format::DtsAvro => "dts_avro",
        }
    }

    /// What a record's value says.
    pub fn decode(self, value: &[u8]) -> Result<Decoded> {
        match self {
            Format::CanalJson => canal::decode(value),
            Format::DtsAvro => avro::decode(value),
        }
    }
}

/// A record with all that was read from it.
pub struct Record {
    /// Where it lies.
    pub entry: Entry,
    /// Its header.
    pub header: Header,
    /// What it says.
    pub decoded: Decoded,
}

/// What is expected of a topic beyond the right end.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Format of the values.
    pub format: Format,
    /// Snapshot chunks that may appear more than once, because a kill cut them: kills × parallel readers. 0 without kills.
    pub cut_chunks: usize,
}

/// What a topic holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records in all.
    pub records: usize,
    /// Rows of the full phase.
    pub snapshot_rows: usize,
    /// Changes of the incremental phase.
    pub stream_rows: usize,
    /// Schema changes.
    pub schema_changes: usize,
    /// Rows that the source has now, every one equal in the topic.
    pub rows: usize,
    /// Columns compared.
    pub cells: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, snapshot_rows, stream_rows, schema_changes, rows, cells } = self;
        write!(f, "{records} records ({snapshot_rows} snapshot rows, {stream_rows} changes, {schema_changes} schema changes) fold into ")?;
        write!(f, "{rows} rows, equal to the source in all {cells} values")
    }
}

/// Reads a whole topic and compares it with the tables it was made from. The source must be at rest and the topic complete.
pub async fn verify(mysql: &Database, tables: &[Table], kafka: &Kafka, topic: &str, expected: Expected) -> Result<Report> {
    let entries = TopicReader::open(kafka, topic).await?.read().await?;
    verify_entries(mysql, tables, entries, expected).await
}

/// The same for records that were read before.
pub async fn verify_entries(mysql: &Database, tables: &[Table], entries: Vec<Entry>, expected: Expected) -> Result<Report> {
    let records = decode(entries, expected.format)?;
    let mut wrong = order::check(&records, expected.cut_chunks);
    wrong.extend(order::check_histories(&records));
    let folded = fold::fold(&records)?;
    let mut report = Report { records: records.len(), ..Report::default() };
    for record in &records {
        match &record.decoded {
            Decoded::Rows(rows) if record.header.snapshot() => report.snapshot_rows += rows.len(),
            Decoded::Rows(rows) => report.stream_rows += rows.len(),
            Decoded::Schema { .. } => report.schema_changes += 1,
            Decoded::Control => {}
        }
    }
    for table in tables {
        let source = source::read(mysql, table, expected.format).await?;
        report.rows += source.rows.len();
        report.cells += source.rows.len() * source.columns;
        wrong.extend(fold::differences(table, &source.rows, folded.get(table)));
    }
    if wrong.is_empty() {
        return Ok(report);
    }
    let shown: Vec<&str> = wrong.iter().take(20).map(String::as_str).collect();
    let more = if wrong.len() > shown.len() { format!("\n… and {} more", wrong.len() - shown.len()) } else { String::new() };
    Failure::err(format!("the topic is wrong in {} places ({} records read):\n{}{more}", wrong.len(), report.records, shown.join("\n")))
}

/// Decodes headers and values.
pub fn decode(entries: Vec<Entry>, format: Format) -> Result<Vec<Record>> {
    let mut records = Vec::with_capacity(entries.len());
    for entry in entries {
        let place = || format!("partition {} offset {}", entry.partition, entry.offset);
        let header = entry.header.as_deref().ok_or_else(|| Failure::new(format!("{}: no header `dts`", place())))?;
        let header = Header::parse(header).map_err(|error| error.while_(place()))?;
        let decoded = format.decode(&entry.value).map_err(|error| error.while_(place()))?;
        records.push(Record { entry, header, decoded });
    }
    Ok(records)
}
