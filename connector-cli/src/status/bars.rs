//! Bars on a terminal: one for each table that is being read, one for all of them, and the status line below. Names of tables and the line
//! are escaped.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use runtime::{Escaped, RunState, Status, TableId, TableStatus};

const BAR: &str = "{prefix:<20!} {wide_bar} {human_pos:>11} of {about:<11} {rate:>13} {left:>8}";
/// Before so much time has passed a speed is chance, and what it says of the rest is a promise that breaks.
const FIRST_SPEED: Duration = Duration::from_secs(3);
const LINE: &str = "{wide_msg}";

/// The bars of one task.
pub(crate) struct Bars {
    screen: MultiProgress,
    style: ProgressStyle,
    tables: BTreeMap<TableId, ProgressBar>,
    total: Option<ProgressBar>,
    line: ProgressBar,
}

impl Bars {
    /// Bars drawn to `target`.
    pub(crate) fn new(target: ProgressDrawTarget) -> Self {
        let screen = MultiProgress::with_draw_target(target);
        let line = screen.add(ProgressBar::no_length().with_style(plain_or(ProgressStyle::with_template(LINE))));
        let style = plain_or(ProgressStyle::with_template(BAR))
            .progress_chars("=> ")
            .with_key("about", |state: &ProgressState, out: &mut dyn Write| {
                let _ = write!(out, "~{}", indicatif::HumanCount(state.len().unwrap_or(0)));
            })
            .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
                if state.elapsed() >= FIRST_SPEED {
                    let _ = write!(out, "{} rows/s", indicatif::HumanCount(state.per_sec() as u64));
                }
            })
            .with_key("left", |state: &ProgressState, out: &mut dyn Write| {
                // Without any speed the library's estimate is 0.
                if state.elapsed() >= FIRST_SPEED && state.per_sec() >= 1.0 {
                    let _ = write!(out, "{:#} left", indicatif::HumanDuration(state.eta()));
                }
            });
        Self { screen, style, tables: BTreeMap::new(), total: None, line }
    }

    /// What else writes to the terminal does so through this.
    pub(crate) fn screen(&self) -> MultiProgress {
        self.screen.clone()
    }

    /// Shows what is now.
    pub(crate) fn show(&mut self, status: &Status, line: &str) {
        if status.state == RunState::Snapshot && !status.tables.is_empty() {
            self.show_tables(&status.tables);
        } else if status.state != RunState::Retrying {
            self.clear();
        }
        // One line stays one line, whatever a server said.
        self.line.set_message(Escaped(line).to_string());
        self.line.tick();
    }

    fn show_tables(&mut self, tables: &[TableStatus]) {
        let read: u64 = tables.iter().map(|table| table.rows).sum();
        let length: u64 = tables.iter().map(length_of).sum();
        let (screen, style, line) = (&self.screen, &self.style, &self.line);
        let bar = |name: String, rows: u64| {
            let bar = ProgressBar::new(0).with_style(style.clone()).with_prefix(Escaped(name).to_string()).with_position(rows);
            // Rows of earlier processes are no speed of this one.
            bar.reset_eta();
            bar
        };
        let total = self.total.get_or_insert_with(|| screen.insert_before(line, bar("all tables".into(), read)));
        set(total, read, length);
        for table in tables {
            if table.reading {
                let bar = self
                    .tables
                    .entry(table.table.clone())
                    .or_insert_with(|| screen.insert_before(total, bar(table.table.to_string(), table.rows)));
                set(bar, table.rows, length_of(table));
            } else if let Some(bar) = self.tables.remove(&table.table) {
                bar.finish_and_clear();
                screen.remove(&bar);
            }
        }
    }

    fn clear(&mut self) {
        for bar in std::mem::take(&mut self.tables).into_values().chain(self.total.take()) {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
    }

    /// Leaves the last line on the terminal.
    pub(crate) fn end(&self) {
        self.line.abandon();
    }
}

/// A template of ours that does not parse is a mistake that the tests find; a user would get the library's own style.
fn plain_or<E>(style: Result<ProgressStyle, E>) -> ProgressStyle {
    style.unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn set(bar: &ProgressBar, rows: u64, length: u64) {
    bar.set_length(length.max(rows));
    bar.set_position(rows);
}

/// Rows that a table seems to have: what was counted once it is done, and never less than was read.
fn length_of(table: &TableStatus) -> u64 {
    if table.done { table.rows } else { table.estimate.max(table.rows) }
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

    use super::super::tests::status;
    use super::*;

    fn show(steps: &[(Status, &str)]) -> String {
        let terminal = InMemoryTerm::new(10, 120);
        let mut bars = Bars::new(ProgressDrawTarget::term_like_with_hz(Box::new(terminal.clone()), 255));
        for (status, line) in steps {
            std::thread::sleep(std::time::Duration::from_millis(60));
            bars.show(status, line);
        }
        bars.end();
        terminal.contents()
    }

    #[test]
    fn the_templates_parse() {
        ProgressStyle::with_template(BAR).unwrap();
        ProgressStyle::with_template(LINE).unwrap();
    }

    #[test]
    fn a_bar_for_each_table_that_is_read_and_one_for_all() {
        let seen = show(&[(status("snapshot", &[("a", 10, 10, false), ("b", 1_500, 2_000, true), ("c", 0, 990, false)]), "full")]);
        let lines: Vec<&str> = seen.lines().collect();
        assert_eq!(lines.len(), 3, "{seen}");
        assert!(lines[0].starts_with("shop.b ") && lines[0].contains("1,500 of ~2,000"), "{seen}");
        assert!(lines[1].starts_with("all tables") && lines[1].contains("1,510 of ~3,000"), "{seen}");
        assert_eq!(lines[2].trim_end(), "full");
        assert!(!seen.contains("rows/s") && !seen.contains("left"), "nothing is known of the speed yet: {seen}");
    }

    #[test]
    fn names_of_tables_neither_move_the_cursor_nor_begin_a_line() {
        let names = ["a\x1b[2J\x1b[3A\nb", "c\u{9b}31m\r", "d\u{202e}"];
        let seen = show(&[(status("snapshot", &names.map(|name| (name, 1, 2, true))), "full  no\n\x1b[2Jok")]);
        let starts = [r"shop.`a\u{1b}[2J\u{1", r"shop.`c\u{9b}31m\r`", r"shop.`d\u{202e}`", "all tables", r"full  no\n\u{1b}[2Jok"];
        let lines: Vec<&str> = seen.lines().collect();
        assert_eq!(lines.len(), starts.len(), "{seen:?}");
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.starts_with(start) && !line.contains(runtime::is_unprintable), "{seen:?}");
        }
    }

    #[test]
    fn behind_the_full_phase_only_the_line_is_left() {
        let full = status("snapshot", &[("b", 1_500, 2_000, true)]);
        let seen = show(&[(full, "full"), (status("streaming", &[("b", 2_000, 2_000, false)]), "incremental  binlog.000007:4711")]);
        assert_eq!(seen.trim_end(), "incremental  binlog.000007:4711");
    }
}
