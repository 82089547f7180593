//! Reads the binlog up to a point of the full phase, so that tables whose schema has changed can be read again behind the change.
//!
//! The events are those that the stream would deliver, in the same order. They belong to the full phase: after a failure the last of them may
//! be delivered again.

use runtime::{Batch, Body, Result, Seq, SplitReader, async_trait};

use crate::binlog::{FileOffset, StreamPosition, StreamReader};
use crate::error::SourceError;

/// What the numbers of two events differ by. A sink may number several records of one event.
const STEP: u128 = 1 << 7;

/// Where a catch-up ends.
pub(crate) struct CatchUpEnd {
    pub(crate) at: FileOffset,
    /// The number of a timestamp that a commit must have reached, too; `None` where the server writes no timestamps.
    pub(crate) timestamp: Option<i64>,
    /// Whether the numbers of the binlog's files begin again.
    pub(crate) wraps: bool,
}

impl CatchUpEnd {
    fn is_reached(&self, position: &StreamPosition) -> bool {
        let is_late = |number| position.tso.is_some_and(|tso| tso.reaches(number));
        !position.at.is_before(self.at, self.wraps) && self.timestamp.is_none_or(is_late)
    }
}

/// Reads a stream until it has reached its end.
pub(crate) struct CatchUpReader {
    stream: StreamReader,
    end: CatchUpEnd,
    is_over: bool,
    count: u128,
}

impl CatchUpReader {
    /// `stream` begins at `from`. It is read to the first position between two transactions at which `end` is reached.
    pub(crate) fn new(stream: StreamReader, from: &StreamPosition, end: CatchUpEnd) -> Self {
        Self { is_over: end.is_reached(from), stream, end, count: 0 }
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
            self.is_over = self.end.is_reached(&StreamPosition::parse(resume.as_str()).map_err(SourceError::from)?);
        }
        Ok(Some(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_a_position_and_a_timestamp() {
        let end = CatchUpEnd { at: FileOffset::new(2, 100), timestamp: None, wraps: true };
        let position = |file: &str, offset| StreamPosition::start("s", file, offset).unwrap();
        for (file, offset, is_reached) in
            [("b.000002", 99, false), ("b.000002", 100, true), ("b.000003", 4, true), ("b.999999", 900, false), ("b.000001", 900, false)]
        {
            assert_eq!(end.is_reached(&position(file, offset)), is_reached, "{file}:{offset}");
        }
        let end = CatchUpEnd { timestamp: Some(5), ..end };
        assert!(!end.is_reached(&position("b.000003", 4)), "no commit is known");
        let at = |number: u64| {
            let text = format!("v1;id=s;base=b;at=000003:4;tso={number:019}{:035}", 0);
            end.is_reached(&StreamPosition::parse(&text).unwrap())
        };
        assert_eq!((at(4), at(6)), (false, true));
    }
}
