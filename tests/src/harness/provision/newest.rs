//! The newest MySQL in Debian's unstable branch, for tests that are skipped where it is unavailable.
//!
//! Its packages are unpacked outside the system's folders, with a separate apt state. The server runs with the C library from these
//! packages.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::command::run;
use crate::{Failure, Result};

/// Fetches and unpacks the packages into `folder`; the server is in `usr/`.
pub(super) fn unpack(folder: &Path) -> Result<()> {
    let apt = folder.join("apt");
    fs::create_dir_all(apt.join("lists/partial"))?;
    fs::create_dir_all(apt.join("cache/archives/partial"))?;
    fs::write(apt.join("status"), "")?;
    fs::write(apt.join("sources.list"), format!("deb [signed-by={KEYS}] {} sid main\n", repository()?))?;
    let options = [
        format!("Dir::Etc::sourcelist={}", apt.join("sources.list").display()),
        "Dir::Etc::sourceparts=-".to_owned(),
        format!("Dir::State::lists={}", apt.join("lists").display()),
        format!("Dir::Cache={}", apt.join("cache").display()),
        format!("Dir::State::status={}", apt.join("status").display()),
        "APT::Sandbox::User=root".to_owned(),
    ];
    let call = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(options.iter().flat_map(|option| ["-o", option])).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        run(&mut command)
    };
    call(&["update"])?;
    // The packages are only downloaded, since the packages of the system must not change.
    call(&["install", "--no-install-recommends", "--download-only", "-y", "mysql-server-core"])?;
    for package in fs::read_dir(apt.join("cache/archives"))? {
        let package = package?.path();
        if package.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg").arg("-x").arg(&package).arg(folder))?;
        }
    }
    Ok(fs::remove_dir_all(apt)?)
}

const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The Debian repository that this machine uses.
fn repository() -> Result<String> {
    let targets = run(Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)"]))?;
    let found = targets.lines().map(|line| line.trim().trim_end_matches('/')).find(|line| line.ends_with("/debian"));
    found.map(str::to_owned).ok_or_else(|| Failure::new("apt knows no Debian repository; run apt-get update"))
}
