//! A schema registry, built from its source in the crate registry, once per machine. That takes some minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache::cached;
use crate::Result;
use crate::harness::command::run;

const VERSION: &str = "0.0.22";

/// The program, built if it does not exist yet.
pub(in crate::harness) fn registry() -> Result<PathBuf> {
    let folder = cached(&format!("rivven-schema-{VERSION}"), build)?;
    Ok(folder.join("bin/rivven-schema"))
}

fn build(folder: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // At low priority: other tests run meanwhile.
    let mut command = Command::new("nice");
    command.args(["-n", "10"]).arg(cargo).args(["install", "rivven-schema", "--version", VERSION, "--locked"]);
    command.args(["--no-default-features", "--features", "server,avro,cli", "--root"]).arg(folder);
    // Outside of the workspace, whose settings are not meant for it.
    run(command.current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target")).env_remove("RUSTFLAGS"))?;
    Ok(fs::remove_dir_all(folder.join("target"))?)
}
