//! The commands `import-dts`, `import-debezium` and `import-canal`: they read the settings of another program and print a configuration.
//!
//! Nothing is dropped silently. What is done differently stands in a comment at its key, what has no counterpart is listed at the end, and
//! what the user must decide is marked `MISSING`. Secrets are never printed: the configuration refers to the environment instead.

mod canal;
mod debezium;
mod draft;
mod dts;
mod input;
mod kafka;
mod options;
mod patterns;
mod time;
mod toml;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use runtime::Result;

use crate::args::{ImportArguments, ImportFilesArguments};
use crate::report;
use draft::Draft;
use input::Input;

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
