//! The status as one line: phase, rows, rows a second, lag, tables or location. Figures come first: a narrow terminal cuts the end.

use runtime::{RunState, Status};

/// The line of `status`, with the speed in rows a second.
pub(crate) fn line(status: &Status, rate: f64) -> String {
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
    let rows = status.rows;
    let mut text = format!("{phase:<11} {rows:>11} rows {rate:>8.0} rows/s");
    let lag = status.splits.iter().filter(|split| !split.snapshot).map(|split| split.lag_ms).max();
    if let Some(lag) = lag.filter(|_| status.state == RunState::Streaming) {
        text.push_str(&format!("  lag {}", duration(lag)));
    }
    if let Some(margin) = margin(status).filter(|_| status.state == RunState::Streaming) {
        text.push_str(&format!("  {margin}"));
    }
    if status.rejected > 0 {
        text.push_str(&format!("  {} rejected", status.rejected));
    }
    if let Some(last) = status.notices.last() {
        let more = match status.notices.len() - 1 {
            0 => String::new(),
            1 => " and another table".to_owned(),
            more => format!(" and {more} other tables"),
        };
        text.push_str(&format!("  see the warning about {}{more}", last.table));
    }
    let location = location(status, snapshot);
    if !location.is_empty() {
        text.push_str("  ");
        text.push_str(&location);
    }
    if let Some(error) = &status.error {
        text.push_str(&format!("  {error}"));
    }
    text
}

/// How long the source keeps what the task reads next, if it says so. A source with several streams says it of each, and the shortest counts.
fn margin(status: &Status) -> Option<String> {
    let least = |name: &str| status.metrics.iter().filter(|(metric, _)| metric.starts_with(name)).map(|(_, value)| *value).min();
    let hours = duration(u64::try_from(least("retention_hours")?).unwrap_or(0) * 3_600_000);
    let files = least("retention_files").map(|files| format!(", {files} file{}", if files == 1 { "" } else { "s" }));
    Some(format!("purge in {hours}{}", files.unwrap_or_default()))
}

/// A duration in the two largest units that it has.
fn duration(ms: u64) -> String {
    let (minutes, hours, days) = (ms / 60_000, ms / 3_600_000, ms / 86_400_000);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        (0, 0, _) => format!("{minutes} min {} s", ms / 1000 % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

fn location(status: &Status, snapshot: bool) -> String {
    if snapshot && !status.tables.is_empty() {
        let done = status.tables.iter().filter(|table| table.done).count();
        return format!("{done} of {} tables", status.tables.len());
    }
    let mut active = status.splits.iter().filter(|split| !split.done && split.opened > 0 && split.snapshot == snapshot);
    active.next_back().map_or(String::new(), |split| match &split.location {
        Some(location) if !snapshot => location.to_string(),
        _ => split.split.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::status;
    use super::*;

    #[test]
    fn a_line_says_where_and_how_fast() {
        let text = line(&status("streaming", &[]), 41.6);
        assert_eq!(text, "incremental       12345 rows       42 rows/s  lag 1.5 s  binlog.000007:4711");
        let text = line(&status("snapshot", &[("orders", 5, 10, true), ("users", 7, 7, false)]), 0.0);
        assert!(text.ends_with(" rows/s  1 of 2 tables") && !text.contains("lag"), "{text}");
    }

    #[test]
    fn the_shortest_margin_is_shown() {
        let with = |metrics: &[(&str, i64)]| {
            let mut status = status("streaming", &[]);
            status.metrics = metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
            margin(&status)
        };
        assert_eq!(with(&[("rows", 1)]), None);
        assert_eq!(with(&[("retention_files", 1)]), None, "nothing is purged by itself");
        assert_eq!(with(&[("retention_files", 1), ("retention_hours", 2)]).as_deref(), Some("purge in 2 h 0 min, 1 file"));
        let several = [("retention_hours_g_stream_0", 50), ("retention_hours_g_stream_1", 26), ("retention_files_g_stream_0", 7)];
        assert_eq!(with(&several).as_deref(), Some("purge in 1 d 2 h, 7 files"));
        let mut status = status("streaming", &[]);
        status.metrics = [("retention_hours".to_owned(), 0), ("retention_files".to_owned(), 0)].into();
        assert_eq!(
            line(&status, 41.6),
            "incremental       12345 rows       42 rows/s  lag 1.5 s  purge in 0.0 s, 0 files  binlog.000007:4711"
        );
    }

    #[test]
    fn rejected_rows_are_counted() {
        let mut status = status("streaming", &[]);
        status.rejected = 17;
        assert!(line(&status, 0.0).contains("lag 1.5 s  17 rejected  binlog"), "{}", line(&status, 0.0));
    }

    #[test]
    fn tables_with_warnings_are_named() {
        let mut status = status("streaming", &[]);
        let notices = |tables: &[&str]| -> Vec<runtime::Notice> {
            let notice = |table: &&str| serde_json::json!({"table": {"database": "shop", "table": table}, "what": "x", "at_ms": 1});
            serde_json::from_value(tables.iter().map(notice).collect()).unwrap()
        };
        for (tables, expected) in [
            (&["a"] as &[&str], "lag 1.5 s  see the warning about shop.a  binlog.000007:4711"),
            (&["a", "b"], "  see the warning about shop.b and another table  "),
            (&["a", "b", "c"], "  see the warning about shop.c and 2 other tables  "),
        ] {
            status.notices = notices(tables);
            let text = line(&status, 0.0);
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_long_lag_is_shown_in_long_units() {
        let (second, hour) = (1000, 3_600_000);
        for (ms, text) in [
            (0, "0.0 s"),
            (59_999, "59.9 s"),
            (60_000, "1 min 0 s"),
            (hour - second, "59 min 59 s"),
            (26 * hour - 1, "1 d 1 h"),
            (23 * hour + 60_000, "23 h 1 min"),
            (76 * hour, "3 d 4 h"),
            (1_900_000_000_000, "21990 d 17 h"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }
}
