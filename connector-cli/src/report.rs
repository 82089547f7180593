//! All that is printed, apart from bars and logs. Texts may quote names and messages of others, so each line is escaped.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use runtime::{Error, Escaped, Finding, Kind};

/// Why a line could not be printed.
static LOST: OnceLock<String> = OnceLock::new();
/// Whether the reader of what is printed has gone away.
static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Prints a line to stdout.
pub(crate) fn say(line: impl Display) {
    write_line(&Escaped(line));
}

/// Prints a JSON text without line breaks to stdout, which is still JSON: what cannot be shown is escaped as JSON does it.
pub(crate) fn say_json(json: &str) {
    write_line(&printable_json(json));
}

fn write_line(line: &impl Display) {
    let mut out = std::io::stdout().lock();
    // A reader that has gone away has seen enough. Any other failure means that the result of the command is not where it should be.
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => IS_CLOSED.store(true, Ordering::Relaxed),
        Err(error) => _ = LOST.get_or_init(|| error.to_string()),
    }
}

/// Whether nobody reads what is printed, or it could not be printed.
pub(crate) fn is_over() -> bool {
    IS_CLOSED.load(Ordering::Relaxed) || LOST.get().is_some()
}

/// The exit code of a command whose result is what it prints: that of a failure if a part of it could not be printed.
pub(crate) fn ended(code: ExitCode) -> ExitCode {
    ended_with(code, LOST.get().map(String::as_str))
}

fn ended_with(code: ExitCode, lost: Option<&str>) -> ExitCode {
    match lost {
        Some(why) => {
            let error = Error::fatal("the output could not be written").because(why.to_owned());
            fail(&error.with_help("free space, or write elsewhere"))
        }
        None => code,
    }
}

/// A JSON text in which the characters that act on a terminal are escaped as JSON does it.
pub(crate) fn printable_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        // Spaces between the parts of a text may be line breaks.
        if runtime::is_unprintable(c) && !matches!(c, '\n' | '\r' | '\t') {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// A part of a line, and how it looks on a terminal with colours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) look: Look,
    pub(crate) text: String,
}

/// How a part of a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Plain,
    Faint,
    Title,
    Name,
    Warning,
    Failure,
}

/// Prints a line to stdout, in colour if that is a terminal, unless NO_COLOR is set.
pub(crate) fn say_in_colour(line: &[Span]) {
    let mut shown = String::new();
    for Span { look, text } in line {
        let style = console::Style::new().for_stdout();
        let style = match look {
            Look::Plain => style,
            Look::Faint => style.dim(),
            Look::Title => style.bold(),
            Look::Name => style.cyan(),
            Look::Warning => style.yellow(),
            Look::Failure => style.red(),
        };
        // Invariant: the only control characters that reach a terminal are those of the style.
        shown.push_str(&style.apply_to(Escaped(text)).to_string());
    }
    write_line(&shown.trim_end_matches(' '));
}

/// Prints a warning to stderr, beside a result on stdout.
pub(crate) fn warn(finding: &Finding) {
    let help = if finding.help.is_empty() { String::new() } else { format!("  help:  {}\n", Escaped(&finding.help)) };
    let _ = std::io::stderr().write_all(format!("warning: {}\n{help}", Escaped(&finding.what)).as_bytes());
}

/// Prints an error and returns the exit code of its kind.
pub(crate) fn fail(error: &Error) -> ExitCode {
    let lines: String = lines(error).iter().map(|line| format!("{}\n", Escaped(line))).collect();
    let _ = std::io::stderr().write_all(lines.as_bytes());
    ExitCode::from(code(error.kind()))
}

/// What happened, and below it where, why and what to do.
pub(crate) fn lines(error: &Error) -> Vec<String> {
    let code = error.code().map_or(String::new(), |code| format!("[{code}]"));
    let what = format!("error{code}: {}", error.message());
    let more = [("while: ", error.context()), ("cause: ", error.cause()), ("help:  ", error.help().map(str::to_owned))];
    let more = more.into_iter().filter_map(|(name, line)| Some(format!("  {name}{}", line?)));
    [what].into_iter().chain(more).collect()
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
        let expected = [
            "error[E_NO_TOPIC]: topic shop does not exist",
            "  while: opening the sink",
            "  cause: UNKNOWN_TOPIC_OR_PARTITION",
            "  help:  create it",
        ];
        assert_eq!(lines(&error), expected);
        assert_eq!(lines(&Error::fatal("it broke")), ["error: it broke"]);
    }

    #[test]
    fn a_command_whose_output_is_lost_fails_whatever_it_found() {
        for code in [ExitCode::SUCCESS, ExitCode::from(2), ExitCode::from(4)] {
            assert_eq!(ended_with(code, None), code);
            assert_eq!(ended_with(code, Some("No space left on device")), ExitCode::from(1));
        }
    }

    #[test]
    fn escaped_json_is_the_same_json() {
        let text = "a\u{9b}\u{200d}\u{e0041}\u{1b}\n";
        let json = printable_json(&serde_json::json!({ text: text }).to_string());
        assert!(!json.contains(runtime::is_unprintable), "{json}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), serde_json::json!({ text: text }));
    }

    #[test]
    fn the_words_of_a_server_add_no_line() {
        let error = Error::fatal("it broke").because("no\nok  all is well\x1b[2J");
        assert_eq!(lines(&error), ["error: it broke", r"  cause: no\nok  all is well\u{1b}[2J"]);
    }
}
