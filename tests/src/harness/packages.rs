//! Debian packages that the tests need: Java and Maven, with which the servers are fetched, two libraries for MySQL, and MariaDB itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use super::provision::cache::lock;
use crate::{Failure, Result};

/// The path of MariaDB's server. Debian installs it in a folder that is not in the search path of ordinary accounts.
pub(super) const MARIADBD: &str = "/usr/sbin/mariadbd";

/// A package, and a check whether its content is present.
pub(super) struct Package {
    name: &'static str,
    present: fn() -> bool,
}

const MAVEN: Package = Package { name: "maven", present: || on_path("mvn") };
const JAVA: Package = Package { name: "openjdk-17-jre-headless", present: || on_path("java") };

/// The packages that a Java program of the tests needs, which is compiled when it runs.
pub(super) const JAVA_PACKAGES: [Package; 2] =
    [MAVEN, Package { name: "openjdk-17-jdk-headless", present: || on_path("java") && on_path("javac") }];

/// The packages that Kafka needs.
pub(super) const KAFKA_PACKAGES: [Package; 2] = [MAVEN, JAVA];

/// The packages that every MySQL version needs.
pub(super) const MYSQL_PACKAGES: [Package; 4] = [
    MAVEN,
    JAVA,
    Package { name: "libaio1", present: || has_library("libaio.so.1") },
    Package { name: "libnuma1", present: || has_library("libnuma.so.1") },
];

/// The packages that MariaDB needs, including the server itself.
pub(super) const MARIADB_PACKAGES: [Package; 2] = [
    // This package contains only the server. It does not create a service or an account.
    Package { name: "mariadb-server-core", present: || Path::new(MARIADBD).is_file() },
    // The script that creates an empty database needs a tool of the client package.
    Package { name: "mariadb-client", present: || on_path("my_print_defaults") },
];

/// Installs the packages that are missing. Without root this fails, and the error names the command to run.
pub(super) fn ensure(packages: &[Package]) -> Result<()> {
    static UPDATED: AtomicBool = AtomicBool::new(false);
    if missing(packages).is_empty() {
        return Ok(());
    }
    // If another apt is already running, apt fails instead of waiting, so callers take turns.
    let _lock = lock("apt")?;
    let names = missing(packages);
    if names.is_empty() {
        return Ok(());
    }
    let install = |names: &[&str]| format!("apt-get install -y --no-install-recommends {}", names.join(" "));
    if !nix::unistd::geteuid().is_root() {
        let all = [missing(&MYSQL_PACKAGES), missing(&MARIADB_PACKAGES)].concat();
        let all = if all.len() > names.len() { format!("\nor, for all servers of the tests:\n  {}", install(&all)) } else { String::new() };
        return Failure::err(format!("this server needs Debian packages; as root, run once\n  apt-get update\n  {}{all}", install(&names)));
    }
    eprintln!("installing Debian packages: {}", names.join(" "));
    let update = if UPDATED.load(Ordering::Relaxed) { "" } else { "apt-get update && " };
    let line = format!("{update}{}", install(&names));
    let output = Command::new("sh").args(["-c", &line]).env("DEBIAN_FRONTEND", "noninteractive").output()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        return Failure::err(format!("Debian packages could not be installed ({}) by\n  {line}\n{errors}", output.status));
    }
    UPDATED.store(true, Ordering::Relaxed);
    Ok(())
}

fn missing(packages: &[Package]) -> Vec<&'static str> {
    packages.iter().filter(|package| !(package.present)()).map(|package| package.name).collect()
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn has_library(name: &str) -> bool {
    let mut folders = vec![PathBuf::from("/lib"), PathBuf::from("/usr/lib"), PathBuf::from("/usr/lib64")];
    folders.extend(["/lib", "/usr/lib"].map(|lib| PathBuf::from(lib).join(format!("{}-linux-gnu", std::env::consts::ARCH))));
    folders.iter().any(|folder| folder.join(name).exists())
}
