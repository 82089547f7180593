//! How failures are told to people: what failed, why, what to do; and the exit code.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use runtime::{Error, Kind};

/// Prints a line to stdout. A reader that has gone away is no failure of ours.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints an error and returns the exit code of its kind.
pub(crate) fn fail(error: &Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{}", text(error));
    ExitCode::from(code(error.kind()))
}

/// What happened, and below it where, why and what to do.
pub(crate) fn text(error: &Error) -> String {
    let code = error.code().map_or(String::new(), |code| format!("[{code}]"));
    let mut text = format!("error{code}: {}", error.message());
    let lines = [("while: ", error.context()), ("cause: ", error.cause()), ("help:  ", error.help().map(str::to_owned))];
    for (name, line) in lines {
        if let Some(line) = line {
            text.push_str(&format!("\n  {name}{line}"));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_shown_message_first() {
        let error = Error::config("topic shop does not exist")
            .with_code("E_NO_TOPIC")
            .while_doing("opening the sink")
            .because("UNKNOWN_TOPIC_OR_PARTITION")
            .with_help("create it");
        let expected = "error[E_NO_TOPIC]: topic shop does not exist\n  while: opening the sink\n  cause: UNKNOWN_TOPIC_OR_PARTITION\n  help:  create it";
        assert_eq!(text(&error), expected);
        assert_eq!(text(&Error::fatal("it broke")), "error: it broke");
    }
}
