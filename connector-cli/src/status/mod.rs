//! What people see while a task runs: on a terminal bars and one line that stays in its place, elsewhere plain lines now and then.

mod bars;
mod line;
mod rate;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressDrawTarget};
use runtime::{RunState, Status};

use bars::Bars;
use line::line;
use rate::Rate;

/// How often a plain line is written while nothing else happens: a file or a journal keeps them all.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Shows the status of one task.
pub(crate) struct Screen {
    show: Show,
    rate: Rate,
}

enum Show {
    Nothing,
    Bars(Bars),
    Lines(Lines),
}

/// When the last plain line was written, and its state.
#[derive(Default)]
struct Lines(Option<(Instant, RunState)>);

impl Lines {
    /// Whether a line is due, which is then written: at every change of state, and every now and then. The state in which a task ends is
    /// written once, whoever sees it first.
    fn is_due(&mut self, state: RunState) -> bool {
        let due = self.0.is_none_or(|(at, last)| last != state || (at.elapsed() >= PLAIN_INTERVAL && !state.is_ended()));
        if due {
            self.0 = Some((Instant::now(), state));
        }
        due
    }
}

impl Screen {
    /// For this process's stdout; `quiet` shows nothing.
    pub(crate) fn new(quiet: bool) -> Self {
        let show = if quiet {
            Show::Nothing
        } else if std::io::stdout().is_terminal() {
            Show::Bars(Bars::new(ProgressDrawTarget::stdout()))
        } else {
            Show::Lines(Lines::default())
        };
        Self { show, rate: Rate::default() }
    }

    /// The bars, which must be out of the way while something else is written to the terminal; `None` if none are shown.
    pub(crate) fn bars(&self) -> Option<MultiProgress> {
        match &self.show {
            Show::Bars(bars) => Some(bars.screen()),
            Show::Nothing | Show::Lines(_) => None,
        }
    }

    /// Shows what is now; to be called about once a second.
    pub(crate) fn show(&mut self, status: &Status) {
        let rate = self.rate.of(status.rows);
        match &mut self.show {
            Show::Nothing => {}
            Show::Bars(bars) => bars.show(status, &line(status, rate)),
            Show::Lines(lines) => {
                if lines.is_due(status.state) {
                    crate::report::say(line(status, rate));
                }
            }
        }
    }

    /// Shows the last status and leaves the screen to others.
    pub(crate) fn end(&mut self, status: &Status) {
        self.show(status);
        if let Show::Bars(bars) = &self.show {
            bars.end();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_line_is_written_once() {
        let mut lines = Lines::default();
        let due = [RunState::Streaming, RunState::Streaming, RunState::Stopped, RunState::Stopped].map(|state| lines.is_due(state));
        assert_eq!(due, [true, false, true, false]);
    }

    pub(crate) fn status(state: &str, tables: &[(&str, u64, u64, bool)]) -> Status {
        let tables: Vec<_> = tables
            .iter()
            .map(|(name, rows, estimate, reading)| {
                let id = json!({"database": "shop", "table": name});
                json!({"table": id, "rows": rows, "estimate": estimate, "reading": reading, "done": rows == estimate})
            })
            .collect();
        let split = json!({"split": "stream_global", "snapshot": false, "done": false, "position": "p", "location": "binlog.000007:4711",
            "rows": 12345, "bytes": 1, "lag_ms": 1500, "opened": 1});
        serde_json::from_value(json!({"name": "shop", "state": state, "error": null, "rows": 12345, "bytes": 1, "metrics": {}, "splits": [split], "tables": tables})).unwrap()
    }
}
