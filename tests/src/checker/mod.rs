//! Reads a topic back and compares it with the source.
//!
//! Records are decoded without code of the product. The header `dts` is parsed as the design of the delivery describes it, and the value is
//! read with a general JSON or Avro library. The records are folded by key into tables. Each row and column is then compared with the
//! result of a SELECT. A model of the format renders that result; the model shares no code with the product.

mod alibaba;
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
use render::Reader;

use crate::harness::{Database, Entry, Kafka, TopicReader};
use crate::{Failure, Result};

/// What a topic is expected to hold, besides the final state of its rows.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The format of the values.
    pub format: Format,
    /// The highest number of snapshot chunks that may be in the topic more than once. Each kill can interrupt one chunk per parallel
    /// reader, so this is kills × parallel readers; without kills it is 0.
    pub cut_chunks: usize,
    /// The highest number of stream records that may be repeated, because a request of a killed process reached the log late. The program
    /// finds these records and states their number. Without kills it is 0.
    pub late: usize,
    /// Whether the rows of the full phase are merged into the stream, which makes them as exact as the stream.
    pub in_band: bool,
}

/// The numbers of records, rows and values in a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// All records.
    pub records: usize,
    /// Records of rows of the full phase.
    pub snapshot_rows: usize,
    /// Records of changes of the incremental phase.
    pub stream_rows: usize,
    /// Records of schema changes.
    pub schema_changes: usize,
    /// Rows that the source has now; each of them equals the row in the topic.
    pub rows: usize,
    /// Columns that were compared.
    pub cells: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, snapshot_rows, stream_rows, schema_changes, rows, cells } = self;
        write!(f, "{records} records ({snapshot_rows} snapshot rows, {stream_rows} changes, {schema_changes} schema changes) fold into ")?;
        write!(f, "{rows} rows, equal to the source in all {cells} values")
    }
}

fn is_schema_change(record: &Record) -> bool {
    matches!(record.decoded, Decoded::Schema { .. })
}

/// Reads a whole topic and compares it with its source tables. The source must not change meanwhile, and the topic must be complete.
pub async fn verify(mysql: &Database, tables: &[Table], kafka: &Kafka, topic: &str, expected: Expected) -> Result<Report> {
    let entries = TopicReader::open(kafka, topic).await?.read().await?;
    verify_entries(mysql, tables, entries, expected).await
}

/// Like [`verify`], for records that were read already.
pub async fn verify_entries(mysql: &Database, tables: &[Table], entries: Vec<Entry>, expected: Expected) -> Result<Report> {
    compare(mysql, tables, decode(entries, expected.format)?, expected, Reader::Checker).await
}

/// Like [`verify_entries`], but the values are decoded with Alibaba's own classes.
pub async fn verify_with_alibaba(mysql: &Database, tables: &[Table], entries: Vec<Entry>, expected: Expected) -> Result<Report> {
    let records = decode_with_alibaba(entries, expected.format).await?;
    compare(mysql, tables, records, expected, Reader::Alibaba).await
}

/// Like [`decode()`], but the values are decoded with Alibaba's own classes. For DTS Avro, the text of a column's value begins with the name of
/// the value's type in the SDK.
pub async fn decode_with_alibaba(entries: Vec<Entry>, format: Format) -> Result<Vec<Record>> {
    let mut records = decode(entries, format)?;
    alibaba::decode(&mut records, format).await?;
    Ok(records)
}

async fn compare(mysql: &Database, tables: &[Table], records: Vec<Record>, expected: Expected, reader: Reader) -> Result<Report> {
    let records = &order::without_repeats(records, expected.late);
    let mut wrong = order::check(records, expected.cut_chunks, expected.in_band);
    wrong.extend(order::check_transactions(records));
    wrong.extend(order::check_histories(records));
    let folded = fold::fold(records)?;
    let by_readers = if records.iter().any(|record| record.entry.partition != 0) && !records.iter().any(is_schema_change) {
        fold::fold_by_readers(records)?
    } else {
        Vec::new()
    };
    let mut report = Report { records: records.len(), ..Report::default() };
    for record in records {
        match &record.decoded {
            Decoded::Rows(rows) if record.header.snapshot() => report.snapshot_rows += rows.len(),
            Decoded::Rows(rows) => report.stream_rows += rows.len(),
            Decoded::Schema { .. } => report.schema_changes += 1,
            Decoded::Control => {}
        }
    }
    for table in tables {
        let source = source::read(mysql, table, expected.format, reader).await?;
        report.rows += source.rows.len();
        report.cells += source.rows.len() * source.columns;
        wrong.extend(fold::differences(table, &source.rows, folded.get(table)));
        let of_readers = by_readers.iter().flat_map(|tables| fold::differences(table, &source.rows, tables.get(table)));
        wrong.extend(of_readers.map(|problem| format!("for readers of single partitions: {problem}")));
    }
    if wrong.is_empty() {
        return Ok(report);
    }
    let first: Vec<&str> = wrong.iter().take(20).map(String::as_str).collect();
    let more = if wrong.len() > first.len() { format!("\n… and {} more", wrong.len() - first.len()) } else { String::new() };
    Failure::err(format!("the topic is wrong in {} places ({} records read):\n{}{more}", wrong.len(), report.records, first.join("\n")))
}
