//! Reads a topic back and compares it with the source.
//!
//! Every record is decoded independently of the product: its `dts` header by the rules of the delivery design, its value by a general JSON
//! or Avro library. The records are folded by key into tables, and each row and column is compared with the result of a SELECT, rendered by
//! a model of the format that shares no code with the product.

pub mod avro;
mod canal;
mod change;
mod decode;
mod fold;
mod format;
mod header;
mod order;
mod render;
mod source;

use std::fmt;

pub use change::{Change, Decoded, Image, Op, Table};
pub use decode::{Record, decode};
pub use format::Format;
pub use header::Header;

use crate::harness::{Database, Entry, Kafka, TopicReader};
use crate::{Failure, Result};

/// What is expected of a topic, besides the final state of its rows.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Format of the values.
    pub format: Format,
    /// How many snapshot chunks may appear more than once because a kill interrupted them: kills × parallel readers. 0 without kills.
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
    /// Rows in the source now, each of them equal in the topic.
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

/// The same for records that were read already.
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
    let first: Vec<&str> = wrong.iter().take(20).map(String::as_str).collect();
    let more = if wrong.len() > first.len() { format!("\n… and {} more", wrong.len() - first.len()) } else { String::new() };
    Failure::err(format!("the topic is wrong in {} places ({} records read):\n{}{more}", wrong.len(), report.records, first.join("\n")))
}
