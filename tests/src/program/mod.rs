//! The program under test as a child process. Its configuration file, checkpoint and log are in a scratch folder.

mod access;
mod settings;
mod task;

use std::path::PathBuf;
use std::process::Command;

pub use access::{Access, Mechanism};
pub use settings::Settings;
pub use task::Task;

use crate::Result;

/// How to call the command line: an executable, and arguments that precede those of the caller.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    first: Vec<String>,
}

impl Program {
    /// The program at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), first: Vec::new() }
    }

    /// This executable itself, with an argument that makes it act as the command line (see [`as_command_line`]).
    pub fn myself() -> Result<Self> {
        Ok(Self { path: std::env::current_exe()?, first: vec![AS_COMMAND_LINE.to_owned()] })
    }

    /// The same program, started through the command `starter`. The program and its arguments become the last arguments of `starter`.
    #[must_use]
    pub fn within(self, starter: &[&str]) -> Self {
        let mut words: Vec<String> = starter.iter().map(|&word| word.to_owned()).collect();
        words.push(self.path.display().to_string());
        words.extend(self.first);
        Self { path: words.remove(0).into(), first: words }
    }

    /// The command that runs the program with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.first).args(arguments);
        command
    }
}

const AS_COMMAND_LINE: &str = "as-command-line";

/// The arguments of the command line, if [`Program::myself`] started this executable as the program; `None` otherwise.
pub fn as_command_line() -> Option<Vec<std::ffi::OsString>> {
    let mut arguments: Vec<_> = std::env::args_os().collect();
    let found = arguments.get(1).is_some_and(|argument| argument == AS_COMMAND_LINE);
    found.then(|| {
        arguments.remove(1);
        arguments
    })
}
