//! Reads the binlog up to a point of the full phase, so that tables whose structure has changed can be read again behind the change.
//!
//! The events are those that the stream would deliver, in the same order. They belong to the full phase: after a failure the last of them may
//! be delivered again.

use runtime::{Batch, Body, Result, Seq, SplitReader, async_trait};

use crate::binlog::{FileOffset, StreamPosition, StreamReader};
use crate::error::SourceError;

/// What the numbers of two events differ by. A sink may number several records of one event.
const STEP: u128 = 1 << 7;

/// Reads a stream until it has reached a position.
pub(crate) struct CatchUpReader {
    stream: StreamReader,
    until: FileOffset,
    /// Whether the numbers of the binlog's files begin again.
    wraps: bool,
    is_over: bool,
    count: u128,
}

impl CatchUpReader {
    /// `stream` begins at `from`. It is read to the end of the first transaction that does not end before `until`.
    pub(crate) fn new(stream: StreamReader, from: FileOffset, until: FileOffset, wraps: bool) -> Self {
        Self { stream, until, wraps, is_over: !from.is_before(until, wraps), count: 0 }
    }
}

#[async_trait]
impl SplitReader for CatchUpReader {
    async fn next(&mut self) -> Result<Option<Batch>> {
        if self.is_over {
            return Ok(None);
        }
        let Some(mut batch) = self.stream.next().await? else { return Ok(None) };
        // Heartbeats tell that a stream is alive, and this is none. Ids of transactions belong to exact replays only.
        batch.events.retain(|event| !matches!(event.body, Body::Heartbeat));
        for event in &mut batch.events {
            self.count += 1;
            (event.seq, event.txid) = (Seq(self.count * STEP), None);
        }
        if let Some(resume) = &batch.resume {
            let at = StreamPosition::parse(resume.as_str()).map_err(SourceError::from)?.at;
            self.is_over = !at.is_before(self.until, self.wraps);
        }
        Ok(Some(batch))
    }
}
