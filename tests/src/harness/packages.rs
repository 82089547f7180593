//! Debian packages that the servers need: a Java runtime, Maven to fetch the servers, two libraries of MySQL, MariaDB itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::flavor::MARIADBD;
use crate::{Failure, Result};

/// A package and how to see that it is not needed.
struct Package {
    name: &'static str,
    present: fn() -> bool,
}

const PACKAGES: [Package; 6] = [
    Package { name: "maven", present: || on_path("mvn") },
    Package { name: "openjdk-17-jre-headless", present: || on_path("java") },
    Package { name: "libaio1", present: || has_library("libaio.so.1") },
    Package { name: "libnuma1", present: || has_library("libnuma.so.1") },
    // The server without a service and without an account of its own.
    Package { name: "mariadb-server-core", present: || Path::new(MARIADBD).is_file() },
    // Its script that makes an empty server needs a tool of the client.
    Package { name: "mariadb-client", present: || on_path("my_print_defaults") },
];

/// Installs what is missing. Who is not root gets the line to run. Call it under the cache's lock: apt takes no second caller.
pub(super) fn ensure() -> Result<()> {
    let missing: Vec<&str> = PACKAGES.iter().filter(|package| !(package.present)()).map(|package| package.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let line = format!("apt-get update && apt-get install -y --no-install-recommends {}", missing.join(" "));
    if !nix::unistd::geteuid().is_root() {
        return Failure::err(format!("the test servers need Debian packages that are not installed; run this once as root:\n  {line}"));
    }
    eprintln!("installing Debian packages: {}", missing.join(" "));
    let output = Command::new("sh").args(["-c", &line]).env("DEBIAN_FRONTEND", "noninteractive").output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Failure::err(format!("Debian packages could not be installed ({}) by\n  {line}\n{said}", output.status))
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn has_library(name: &str) -> bool {
    let mut folders = vec![PathBuf::from("/lib"), PathBuf::from("/usr/lib"), PathBuf::from("/usr/lib64")];
    folders.extend(["/lib", "/usr/lib"].map(|lib| PathBuf::from(lib).join(format!("{}-linux-gnu", std::env::consts::ARCH))));
    folders.iter().any(|folder| folder.join(name).exists())
}
