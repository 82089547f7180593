//! Reads records with Alibaba's own classes; see [`crate::harness::alibaba`].

use super::{Change, Decoded, Format, Image, Op, Record, Table};
use crate::harness::alibaba;
use crate::{Failure, Result};

/// Replaces what the checker has decoded from each record with what Alibaba's classes decode from it.
pub(super) async fn decode(records: &mut [Record], format: Format) -> Result<()> {
    let mut records: Vec<&mut Record> = records.iter_mut().filter(|record| !record.entry.tombstone).collect();
    let values: Vec<Vec<u8>> = records.iter().map(|record| record.entry.value.clone()).collect();
    let read = move || alibaba::read(format.name(), &values.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let output = tokio::task::spawn_blocking(read).await??;
    let mut rest = Rest(&output);
    for record in &mut records {
        let location = format!("partition {} offset {}", record.entry.partition, record.entry.offset);
        record.decoded = rest.record(format).map_err(|error| error.context(location))?;
    }
    if rest.0.is_empty() { Ok(()) } else { Failure::err(format!("{} bytes after the last record", rest.0.len())) }
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take(&mut self, length: usize) -> Result<&[u8]> {
        let (head, tail) = self.0.split_at_checked(length).ok_or_else(|| Failure::new("the output of the Java program is cut"))?;
        self.0 = tail;
        Ok(head)
    }

    /// A count; `None` stands for NULL or for an image that is missing.
    fn count(&mut self) -> Result<Option<usize>> {
        let count = i32::from_be_bytes(self.take(4)?.try_into()?);
        Ok(usize::try_from(count).ok())
    }

    fn text(&mut self) -> Result<Option<String>> {
        let Some(length) = self.count()? else { return Ok(None) };
        Ok(Some(String::from_utf8(self.take(length)?.to_vec())?))
    }

    fn image(&mut self) -> Result<Option<Image>> {
        let Some(columns) = self.count()? else { return Ok(None) };
        let column = |_| Ok((self.text()?.unwrap_or_default(), self.text()?));
        (0..columns).map(column).collect::<Result<Image>>().map(Some)
    }

    fn record(&mut self, format: Format) -> Result<Decoded> {
        let mut changes = Vec::new();
        for _ in 0..self.count()?.unwrap_or_default() {
            let operation = self.text()?.unwrap_or_default();
            let [database, name] = [self.text()?, self.text()?].map(Option::unwrap_or_default);
            let key = (0..self.count()?.unwrap_or_default()).map(|_| Ok(self.text()?.unwrap_or_default())).collect::<Result<_>>()?;
            let (mut before, mut after) = (self.image()?, self.image()?);
            let op = match operation.as_str() {
                "INIT" => Op::Read,
                "INSERT" => Op::Insert,
                "UPDATE" => Op::Update,
                "DELETE" => Op::Delete,
                "BEGIN" | "COMMIT" | "HEARTBEAT" | "CHECKPOINT" => return Ok(Decoded::Control),
                _ => {
                    let sql = after.as_mut().and_then(|image| image.remove("ddl")).flatten();
                    return Ok(Decoded::Schema {
                        database,
                        sql: sql.ok_or_else(|| Failure::new(format!("{operation} without a statement")))?,
                    });
                }
            };
            if format == Format::CanalJson {
                // Canal's message has the row once: an update has besides it the columns that it changed, and a deleted row comes as the
                // row after the change.
                match op {
                    Op::Update => {
                        before = before.map(|changed| {
                            after.iter().flatten().map(|(name, value)| (name.clone(), value.clone())).chain(changed).collect()
                        })
                    }
                    Op::Delete => (before, after) = (after, None),
                    Op::Read | Op::Insert => {}
                }
            }
            if (before.is_some(), after.is_some()) != (matches!(op, Op::Update | Op::Delete), op != Op::Delete) {
                return Failure::err(format!(
                    "{database}.{name}: {operation} with {} before and {} after",
                    before.is_some(),
                    after.is_some()
                ));
            }
            changes.push(Change { table: Table::new(database, name), op, key, before, after });
        }
        Ok(Decoded::Rows(changes))
    }
}
