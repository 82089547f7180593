//! The status line: phase, table or place, rows, rows a second, lag.

use std::io::Write;
use std::time::Instant;

use runtime::{RunState, Status};

/// Prints one line a second; on a terminal always the same one.
pub(crate) struct StatusLine {
    terminal: bool,
    rows: u64,
    at: Instant,
}

impl StatusLine {
    pub(crate) fn new(terminal: bool) -> Self {
        Self { terminal, rows: 0, at: Instant::now() }
    }

    /// Prints the line of now.
    pub(crate) fn print(&mut self, status: &Status) {
        let rows = total(status);
        let rate = rows.saturating_sub(self.rows) as f64 / self.at.elapsed().as_secs_f64().max(0.001);
        (self.rows, self.at) = (rows, Instant::now());
        let text = line(status, rate);
        let mut out = std::io::stdout().lock();
        // A closed pipe is no reason to stop moving data.
        let _ = if self.terminal { write!(out, "\r\x1b[K{text}") } else { writeln!(out, "{text}") };
        let _ = out.flush();
    }

    /// Prints the last line, and ends it.
    pub(crate) fn last(&mut self, status: &Status) {
        self.print(status);
        if self.terminal {
            crate::report::say(format_args!(""));
        }
    }
}

fn total(status: &Status) -> u64 {
    status.splits.iter().map(|split| split.rows).sum()
}

fn line(status: &Status, rate: f64) -> String {
    let phase = match status.state {
        RunState::Starting => "starting",
        RunState::Snapshot => "full",
        RunState::Streaming => "incremental",
        RunState::Paused => "paused",
        RunState::Retrying => "retrying",
        RunState::Stopped => "stopped",
        RunState::Finished => "finished",
        RunState::Failed => "failed",
        _ => "running",
    };
    let snapshot = status.state == RunState::Snapshot;
    let mut active = status.splits.iter().filter(|split| !split.done && split.opened > 0 && split.snapshot == snapshot);
    let place = active.next_back().map_or(String::new(), |split| match &split.place {
        Some(place) if !snapshot => place.to_string(),
        _ => split.split.to_string(),
    });
    let lag = status.splits.iter().filter(|split| !split.snapshot).map(|split| split.lag_ms).max();
    let mut text = format!("{phase:<11}  {place:<32}  {:>12} rows  {rate:>9.0} rows/s", total(status));
    if let Some(lag) = lag.filter(|_| !snapshot) {
        text.push_str(&format!("  lag {:.1} s", lag as f64 / 1000.0));
    }
    if let Some(error) = &status.error {
        text.push_str(&format!("  {error}"));
    }
    text
}
