//! A schema registry, built from its source in the crate registry: some minutes, once a machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::run;
use crate::Result;

const VERSION: &str = "0.0.22";

/// The program, built if it is not there yet.
pub(in crate::harness) fn registry() -> Result<PathBuf> {
    let folder = super::tool(&format!("rivven-schema-{VERSION}"), build)?;
    Ok(folder.join("bin/rivven-schema"))
}

fn build(folder: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Beside the tests that need none of it.
    let mut command = Command::new("nice");
    command.args(["-n", "10"]).arg(cargo).args(["install", "rivven-schema", "--version", VERSION, "--locked"]);
    command.args(["--no-default-features", "--features", "server,avro,cli", "--root"]).arg(folder);
    // Not in the workspace, whose settings are not the program's.
    run(command.current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target")).env_remove("RUSTFLAGS"))?;
    Ok(fs::remove_dir_all(folder.join("target"))?)
}
