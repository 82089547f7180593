//! A schema registry, built once per machine from its source in the crate registry. The build takes some minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache::cached;
use crate::Result;
use crate::harness::command::run;

const VERSION: &str = "0.0.22";

/// The path of the program, which is built if it does not exist yet.
pub(in crate::harness) fn registry() -> Result<PathBuf> {
    let folder = cached(&format!("rivven-schema-{VERSION}"), build)?;
    Ok(folder.join("bin/rivven-schema"))
}

fn build(folder: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // The build runs at low priority, because other tests run at the same time.
    let mut command = Command::new("nice");
    command.args(["-n", "10"]).arg(cargo).args(["install", "rivven-schema", "--version", VERSION, "--locked"]);
    command.args(["--no-default-features", "--features", "server,avro,cli", "--root"]).arg(folder);
    // The build runs outside the workspace, whose settings are not meant for it.
    run(command.current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target")).env_remove("RUSTFLAGS"))?;
    Ok(fs::remove_dir_all(folder.join("target"))?)
}
