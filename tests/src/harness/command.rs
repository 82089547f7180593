//! Runs commands and waits for their end.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use crate::{Failure, Result};

/// Runs a program, waits for its end and returns its standard output. If the program fails, the error shows the last lines of its output.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| Failure::from(error).context(format!("run {name}")))?;
    let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if output.status.success() {
        return Ok(out);
    }
    Failure::err(format!("{name} ended with {}:\n{}", output.status, last_lines(&format!("{out}{error}"), 30)))
}

/// Copies a folder recursively.
pub(super) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let [from, to]: [&OsStr; 2] = [from.as_ref(), to.as_ref()];
    run(Command::new("cp").args(["-r", "--reflink=auto"]).args([from, to])).map(drop)
}

/// The last `count` lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n")
}
