//! How failures are told to people: what failed, why, what to do; and the exit code.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use runtime::{Error, Kind};

/// Prints a line to stdout. A reader that has gone away is no failure of ours.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints an error in three lines and returns the exit code of its kind.
pub(crate) fn fail(error: &Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{}", text(error));
    ExitCode::from(code(error.kind()))
}

pub(crate) fn text(error: &Error) -> String {
    let mut text = format!("error: {}", error.headline());
    if let Some(reason) = error.reason() {
        text.push_str(&format!("\n  {reason}"));
    }
    if let Some(help) = error.help() {
        text.push_str(&format!("\n  to go on: {help}"));
    }
    text
}

fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Config => 2,
        Kind::Retryable => 3,
        Kind::Data => 4,
        // Also for kinds that a newer runtime may add: the safe answer to an unknown error is that the task cannot go on.
        _ => 1,
    }
}
