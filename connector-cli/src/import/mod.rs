//! The commands `import-dts`, `import-debezium` and `import-canal`: they read the settings of another program and print a configuration.
//!
//! Nothing is dropped silently. What is done differently stands in a comment at its key, what has no counterpart is listed at the end, and
//! what the user must decide is marked `MISSING`. Secrets are never printed: the configuration refers to the environment instead.

mod canal;
mod debezium;
mod draft;
mod dts;
mod kafka;
mod options;
mod patterns;
mod time;
mod toml;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::process::ExitCode;

use runtime::{Error, Result};

use crate::args::{ImportArguments, ImportFilesArguments};
use crate::report;
use draft::Draft;

/// A file whose settings are read, and what it says.
struct Input {
    /// The file's name, for errors and comments.
    name: String,
    text: String,
}

impl Input {
    fn load(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let unread = |why: Box<dyn std::error::Error + Send + Sync>| {
            Error::config(format!("{name} cannot be read"))
                .because(why)
                .with_help("name a file that exists and can be read: an ordinary file in UTF-8 of at most 1 MiB")
        };
        let text = runtime::read_small_file(path).map_err(|error| unread(error.into()))?;
        // The text is not shown, not even in part, because it may hold a secret.
        let text = String::from_utf8(text).map_err(|_| unread("it is not valid UTF-8".into()))?;
        Ok(Self { name, text })
    }

    /// The file as JSON. The error names line and column, and nothing of the text.
    fn json(&self) -> Result<serde_json::Value> {
        json(&self.name, &self.text)
    }
}

/// Reads JSON. `place` says where it stands, such as a file or a key of a file.
fn json(place: &str, text: &str) -> Result<serde_json::Value> {
    serde_json::from_str(text).map_err(|error| {
        Error::config(format!("{place}: line {}, column {} is not valid JSON", error.line(), error.column()))
            .because(match error.classify() {
                serde_json::error::Category::Eof => "the text ends too early",
                _ => "JSON does not allow this character or value here",
            })
            .with_help("correct the file at that place, or export it again")
    })
}

/// Prints the configuration for a DTS task.
pub(crate) fn from_dts(args: &ImportArguments) -> ExitCode {
    print(Input::load(&args.file).and_then(|input| dts::import(&input)))
}

/// Prints the configuration for a Debezium connector.
pub(crate) fn from_debezium(args: &ImportArguments) -> ExitCode {
    print(Input::load(&args.file).and_then(|input| debezium::import(&input)))
}

/// Prints the configuration for a Canal instance.
pub(crate) fn from_canal(args: &ImportFilesArguments) -> ExitCode {
    let inputs = args.files.iter().map(|file| Input::load(file)).collect::<Result<Vec<_>>>();
    print(inputs.and_then(|inputs| canal::import(&inputs)))
}

fn print(draft: Result<Draft>) -> ExitCode {
    match draft {
        Ok(draft) => {
            for line in draft.render().lines() {
                report::say(line);
            }
            ExitCode::SUCCESS
        }
        Err(error) => report::fail(&error),
    }
}
