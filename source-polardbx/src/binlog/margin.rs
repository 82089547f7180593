//! Watches how far the position of a stream is from being purged.

use std::collections::HashMap;
use std::time::Duration;

use runtime::{Context, Gauge};
use tokio::task::JoinHandle;

use super::position::StreamPosition;
use super::reader::now_ms;
use super::walk::read_head;
use crate::error::Result;
use crate::server::{Server, binlog_files, kept_hours};
use crate::session::Endpoint;
use crate::splits::StreamName;

/// How often the server is asked.
const INTERVAL: Duration = Duration::from_secs(60);
/// Below this number of hours there is a warning, at most one in this time.
const WARN_HOURS: f64 = 6.0;
const WARN_ROUNDS: u32 = 60;

const MS_PER_HOUR: f64 = 3_600_000.0;

/// A task that watches until it is dropped.
#[derive(Debug)]
pub(crate) struct MarginWatch(JoinHandle<()>);

/// How far a position is from being purged.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Margin {
    /// The files that the server purges before that of the position.
    files: usize,
    /// The hours until the file of the position is purged; `None` if the server purges nothing by itself, or does not tell.
    hours: Option<f64>,
}

struct Watch {
    endpoint: Endpoint,
    stream: StreamName,
    start: StreamPosition,
    context: Context,
    /// When files were begun, in seconds since the epoch, by their numbers.
    begun: HashMap<u32, u32>,
}

impl MarginWatch {
    /// Watches the committed position of a lane that reads `stream` from `start`.
    pub(crate) fn start(endpoint: Endpoint, stream: StreamName, start: StreamPosition, context: Context) -> Self {
        let watch = Watch { endpoint, stream, start, context, begun: HashMap::new() };
        Self(tokio::spawn(watch.run()))
    }
}

impl Drop for MarginWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Watch {
    async fn run(mut self) {
        let mut rounds_to_warning = 0u32;
        loop {
            match self.look().await {
                Ok(Some(Margin { files, hours })) => {
                    self.gauge("retention_files", "Files of the source's log that are purged before the one from which the task continues")
                        .set(i64::try_from(files).unwrap_or(i64::MAX));
                    if let Some(hours) = hours {
                        self.gauge("retention_hours", "Hours until the source purges the part of its log from which the task continues")
                            .set(hours.floor() as i64);
                    }
                    rounds_to_warning = rounds_to_warning.saturating_sub(1);
                    if let Some(hours) = hours.filter(|hours| *hours < WARN_HOURS && rounds_to_warning == 0) {
                        rounds_to_warning = WARN_ROUNDS;
                        tracing::warn!(
                            stream = self.stream.as_str(),
                            files,
                            "the server may purge the binlog from which this task continues in {hours:.1} hours: let it catch up, or keep binlogs longer"
                        );
                    }
                }
                Ok(None) => {}
                // The stream itself says what is wrong with the connection.
                Err(error) => tracing::debug!(%error, "the margin of the binlog is not known"),
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// The gauge of this stream. One of several streams has a gauge of its own.
    fn gauge(&self, name: &str, help: &str) -> Gauge {
        let metrics = self.context.metrics();
        if self.stream.is_global() { metrics.gauge(name, help) } else { metrics.gauge(&format!("{name}_{}", self.stream), help) }
    }

    /// Asks the server. `None` if it does not list the file of the position.
    async fn look(&mut self) -> Result<Option<Margin>> {
        let committed = self.context.committed_position();
        let position = committed.map_or_else(|| Ok(self.start.clone()), |position| StreamPosition::parse(position.as_str()))?;
        let mut session = self.endpoint.connect().await?;
        let server = Server::identify(&mut session).await;
        let files = binlog_files(&mut session, &self.stream).await;
        session.close().await;
        let (server, files) = (server?, files?);
        let Some((base, numbers)) = files.numbers() else { return Ok(None) };
        let Some(place) = numbers.iter().position(|number| *number == position.at.file).filter(|_| base == position.base) else {
            return Ok(None);
        };
        let kept = kept_hours(&server);
        if kept.is_none() && !server.is_polardbx() {
            return Ok(Some(Margin { files: place, hours: None }));
        }
        let base = base.to_owned();
        let mut begun = Vec::new();
        for number in [numbers.first(), numbers.get(place), numbers.get(place + 1)] {
            begun.push(match number {
                Some(&number) => Some(self.begun(&base, number).await?),
                None => None,
            });
        }
        Ok(Some(Margin { files: place, hours: hours(kept, &begun, now_ms()) }))
    }

    async fn begun(&mut self, base: &str, number: u32) -> Result<u32> {
        if let Some(begun) = self.begun.get(&number) {
            return Ok(*begun);
        }
        let head = read_head(&self.endpoint, base, number).await.map_err(|error| error.into_source(base, "read the age of the binlog"))?;
        self.begun.insert(number, head.begun);
        Ok(head.begun)
    }
}

/// The hours until the file of a position is purged. `begun` are when the oldest file, that of the position and the one behind it were begun.
/// A file is kept for as long as the server says since the last transaction in it. PolarDB-X does not say how long; there, the older files
/// tell how much time has passed until a file was purged.
fn hours(kept: Option<f64>, begun: &[Option<u32>], now_ms: i64) -> Option<f64> {
    let ms = |place: usize| begun.get(place).copied().flatten().map(|second| i64::from(second) * 1000);
    let hours = |from: i64, to: i64| (to - from) as f64 / MS_PER_HOUR;
    match kept {
        Some(kept) => Some((kept - ms(2).map_or(0.0, |ended| hours(ended, now_ms))).max(0.0)),
        None => Some(hours(ms(0)?, ms(1)?).max(0.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_since_its_end() {
        const HOUR: u32 = 3600;
        let now_ms = i64::from(100 * HOUR) * 1000;
        let begun = |of: [u32; 3]| of.map(|hour| (hour > 0).then_some(hour * HOUR));
        // The newest file is not purged before it is full.
        assert_eq!(hours(Some(24.0), &begun([10, 90, 0]), now_ms), Some(24.0));
        assert_eq!(hours(Some(24.0), &begun([10, 80, 90]), now_ms), Some(14.0));
        assert_eq!(hours(Some(24.0), &begun([10, 20, 30]), now_ms), Some(0.0), "it is overdue");
        assert_eq!(hours(None, &begun([10, 80, 90]), now_ms), Some(70.0));
        assert_eq!(hours(None, &begun([10, 0, 0]), now_ms), None);
    }
}
