//! Logs, as lines of text or of JSON on stderr. Fields hold names and messages of others, so all of them are escaped.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use indicatif::MultiProgress;
use runtime::{Error, Escaped, Result, is_unprintable};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::{FormatFields, MakeWriter};

use crate::args::RunArguments;

/// Sets up the logs of this process, which are written with the bars on `screen` out of the way.
pub(crate) fn start(args: &RunArguments, screen: Option<MultiProgress>) -> Result<()> {
    let filter = EnvFilter::try_new(&args.log).map_err(|error| {
        Error::config("the option --log is not valid").because(error).with_help("give a filter such as info or warn,runtime=debug")
    })?;
    let (writer, ansi) = (LogWriter { screen, json: args.json_logs }, io::stderr().is_terminal());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(ansi);
    // A program that embeds the command may have set up its own logs: then those stay.
    let _ = if args.json_logs {
        builder.json().try_init()
    } else {
        // The library escapes a part of what `EscapedFields` does, in another form.
        builder.with_target(false).with_ansi_sanitization(false).fmt_fields(EscapedFields).try_init()
    };
    Ok(())
}

/// The fields of a line of text, message included. All else in the line is the library's own: time, level and the names of spans.
struct EscapedFields;

impl<'writer> FormatFields<'writer> for EscapedFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> std::fmt::Result {
        let mut text = String::new();
        DefaultFields::new().format_fields(Writer::new(&mut text), fields)?;
        write!(writer, "{}", Escaped(text))
    }
}

/// Writes to stderr.
#[derive(Clone)]
struct LogWriter {
    screen: Option<MultiProgress>,
    json: bool,
}

impl Write for LogWriter {
    /// Writes a whole line, as tracing-subscriber hands it over.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let escaped = self.json.then(|| escaped_json(line));
        let bytes = escaped.as_ref().map_or(line, String::as_bytes);
        match &self.screen {
            Some(screen) => screen.suspend(|| io::stderr().write_all(bytes))?,
            None => io::stderr().write_all(bytes)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The same JSON with the unprintable characters of its texts written as `\u009b`. The library leaves only those raw that JSON allows; a line
/// break is the end of the line.
fn escaped_json(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    for c in String::from_utf8_lossy(line).chars() {
        if c == '\n' || !is_unprintable(c) {
            text.push(c);
        } else {
            // JSON writes a character above U+FFFF as two halves.
            for half in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{half:04x}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const HOSTILE: &str = "a\x1b]0;x\x07\r\nok\u{7f}\u{9b}31m\u{2028}\u{202e}\u{2067}\u{feff}\u{e0041}";

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Logs a hostile text in every way in which a text can be logged.
    fn log_hostile_texts() {
        let error = io::Error::other(HOSTILE);
        let span = tracing::info_span!("span", span_field = %HOSTILE, later = tracing::field::Empty);
        let _entered = span.enter();
        span.record("later", HOSTILE);
        tracing::info!(text = HOSTILE, shown = %HOSTILE, debug = ?HOSTILE, %error, error = &error as &dyn std::error::Error, "message {HOSTILE}");
    }

    #[test]
    fn fields_of_text_are_escaped_and_colours_are_not() {
        for ansi in [false, true] {
            let memory = Memory::default();
            let writer = memory.clone();
            let builder = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(ansi);
            let subscriber = builder.with_ansi_sanitization(false).fmt_fields(EscapedFields).finish();
            tracing::subscriber::with_default(subscriber, log_hostile_texts);
            let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
            let line = text.strip_suffix('\n').unwrap();
            let escaped = r"a\u{1b}]0;x\u{7}\r\nok\u{7f}\u{9b}31m\u{2028}\u{202e}\u{2067}\u{feff}\u{e0041}";
            assert!(line.matches(escaped).count() >= 6, "{line:?}");
            // The colours of the level, the time and the span are the library's: `ESC [ digits m`.
            let without_colours = line.split('\u{1b}').enumerate().map(|(index, part)| match index {
                0 => part,
                _ => part.strip_prefix('[').and_then(|rest| rest.split_once('m')).unwrap_or_else(|| panic!("{line:?}")).1,
            });
            assert!(!without_colours.collect::<String>().contains(is_unprintable), "{line:?}");
            assert_eq!(line.contains('\u{1b}'), ansi);
        }
    }

    #[test]
    fn json_holds_the_texts_and_nothing_unprintable() {
        let memory = Memory::default();
        let writer = memory.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, log_hostile_texts);
        let line = escaped_json(&memory.0.lock().unwrap());
        let line = line.strip_suffix('\n').unwrap();
        assert!(!line.contains(is_unprintable), "{line:?}");
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(json["fields"]["text"], HOSTILE);
        assert_eq!(json["fields"]["message"], format!("message {HOSTILE}"));
    }
}
