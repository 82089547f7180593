//! How long the server keeps its binlog. A task that stands still for longer, or whose full phase takes longer, cannot continue.

use runtime::Finding;

use super::Server;
use super::binlog::with;
use crate::binlog::{BinlogCoordinates, Tso};
use crate::error::Result;
use crate::session::Session;
use crate::splits::StreamName;
use crate::wire::Row;

const ITEM: &str = "binlog_retention";
const MS_PER_DAY: f64 = 86_400_000.0;
const POLARDBX_HELP: &str =
    "keep binlogs for longer in the settings of the instance; to start all the same: check.ignore = [\"binlog_retention\"]";

/// How many days the binlog must be kept: for a stream that follows a full phase, long enough for the full phase.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needed {
    Stream,
    StreamAfterFullPhase,
}

impl Needed {
    fn days(self) -> f64 {
        match self {
            Self::Stream => 1.0,
            Self::StreamAfterFullPhase => 7.0,
        }
    }

    fn least(self) -> &'static str {
        match self {
            Self::Stream => "a day",
            Self::StreamAfterFullPhase => "7 days, or as long as the full phase takes,",
        }
    }
}

/// The finding about the time for which the server keeps its binlog, or one of several streams.
pub(crate) async fn retention(session: &mut Session, server: &Server, stream: &StreamName, needed: Needed) -> Result<Finding> {
    if !server.is_polardbx() {
        return Ok(configured(server, needed));
    }
    // The variables are those of a data node, whose binlog is another one. So the files themselves are looked at.
    let statement = format!("SHOW FULL BINARY LOGS{}", with(stream));
    let rows = match session.rows_of(|| format!("list the binlog files ({statement})"), &statement).await {
        // Versions before 5.4.18 do not know the statement.
        Err(error) if error.code() == Some(1064) => Vec::new(),
        rows => rows?,
    };
    let file = |row: &Row| Some((row.named("Log_name")?, Tso::parse(row.named("Last_tso")?.as_bytes())?.ms()));
    Ok(observed(&rows.iter().filter_map(file).collect::<Vec<_>>(), needed))
}

/// The days for which the server keeps its binlog by its variables; 0 if it purges nothing by itself.
fn kept_days(server: &Server) -> f64 {
    // The value may have a fraction, because MariaDB allows fractions of days.
    let number = |name| server.variable(name).parse::<f64>().unwrap_or_default();
    number("expire_logs_days").max(number("binlog_expire_logs_seconds") / 86_400.0)
}

/// The hours for which the server keeps a binlog file once it is full. `None` if it purges nothing by itself, or does not tell.
pub(crate) fn kept_hours(server: &Server) -> Option<f64> {
    let days = if server.is_polardbx() { 0.0 } else { kept_days(server) };
    (days > 0.0).then_some(days * 24.0)
}

/// Judges by the server's variables.
fn configured(server: &Server, needed: Needed) -> Finding {
    let days = kept_days(server);
    if days <= 0.0 {
        return Finding::passed(ITEM, "binlogs are kept until someone purges them");
    }
    if days >= needed.days() {
        return Finding::passed(ITEM, format!("binlogs are kept for {} days", text(days)));
    }
    let wanted = needed.days();
    let help = match server.variable("binlog_expire_logs_seconds") {
        "" => format!("SET GLOBAL expire_logs_days = {wanted}"),
        _ => format!("SET GLOBAL binlog_expire_logs_seconds = {}", wanted * 86_400.0),
    };
    Finding::failed(ITEM, too_short("are kept for", days, needed), format!("{help}; to start all the same: check.ignore = [\"{ITEM}\"]"))
}

/// Judges by the files that are there: their names, each with the time of its last commit, oldest first.
fn observed(files: &[(String, i64)], needed: Needed) -> Finding {
    let (Some((oldest, first)), Some((_, last))) = (files.first(), files.last()) else {
        return Finding::warning(ITEM, "the server does not say how old its binlog files are", POLARDBX_HELP);
    };
    let days = (last - first) as f64 / MS_PER_DAY;
    if days >= needed.days() {
        return Finding::passed(ITEM, format!("the binlog files go back {} days", text(days)));
    }
    let is_first = BinlogCoordinates::new(oldest, 4).is_some_and(|coordinates| coordinates.at.file == 1);
    if is_first {
        Finding::warning(
            ITEM,
            format!(
                "how long the instance keeps its binlog cannot be seen yet: its first file is still there, and is {} days old",
                text(days)
            ),
            format!("look whether the settings of the instance keep binlogs for {} at least", needed.least()),
        )
    } else {
        Finding::failed(ITEM, too_short("go back", days, needed), POLARDBX_HELP)
    }
}

fn too_short(kept: &str, days: f64, needed: Needed) -> String {
    let why = match needed {
        Needed::Stream => "the stream needs them for a day at least",
        Needed::StreamAfterFullPhase => "the stream needs them for as long as the full phase takes, 7 days at least",
    };
    format!("binlogs {kept} {} days; {why}", text(days))
}

fn text(days: f64) -> String {
    format!("{days:.1}").trim_end_matches(".0").to_owned()
}

#[cfg(test)]
mod tests {
    use runtime::Level;

    use super::super::kind::kind_of;
    use super::*;

    fn configured_on(version: &str, variables: &[(&str, &str)], needed: Needed) -> Finding {
        let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        configured(&Server { kind: kind_of(version, ""), version: version.to_owned(), variables }, needed)
    }

    #[test]
    fn days_may_have_fractions() {
        let what = |variables: &[(&str, &str)], needed| configured_on("10.11.2-MariaDB", variables, needed);
        let kept = what(&[("expire_logs_days", "0.000000"), ("binlog_expire_logs_seconds", "0")], Needed::StreamAfterFullPhase);
        assert_eq!(kept.level, Level::Passed);
        let half = [("expire_logs_days", "0.500000"), ("binlog_expire_logs_seconds", "43200")];
        let short = what(&half, Needed::Stream);
        assert!(short.level == Level::Failed && short.what.contains("0.5 days") && short.help.contains("86400;"), "{short:?}");
        assert!(what(&half, Needed::StreamAfterFullPhase).help.contains("604800"));
        let two = [("expire_logs_days", "2")];
        assert_eq!(what(&two, Needed::Stream).level, Level::Passed);
        assert!(configured_on("5.7.22", &two, Needed::StreamAfterFullPhase).help.contains("expire_logs_days = 7"));
    }

    #[test]
    fn of_polardbx_the_files_are_looked_at() {
        let files = |first: &str, days: i64| [(first.to_owned(), 1_000), ("binlog.000900".to_owned(), 1_000 + days * 86_400_000)];
        assert_eq!(observed(&files("binlog.000700", 8), Needed::StreamAfterFullPhase).level, Level::Passed);
        let short = observed(&files("binlog.000700", 3), Needed::StreamAfterFullPhase);
        assert!(short.level == Level::Failed && short.what.contains("go back 3 days"), "{short:?}");
        assert_eq!(observed(&files("binlog.000700", 3), Needed::Stream).level, Level::Passed);
        // A young instance shows less than it will keep.
        let young = observed(&files("binlog.000001", 0), Needed::Stream);
        assert!(young.level == Level::Warning && young.what.contains("cannot be seen yet") && young.help.contains("a day"), "{young:?}");
        assert_eq!(observed(&[], Needed::Stream).level, Level::Warning);
    }
}
