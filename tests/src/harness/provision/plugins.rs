//! MariaDB's plugins, which Debian ships in a package with services and accounts that tests do not want.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::command::run;
use crate::{Failure, Result};

/// Fetches Debian's package `mariadb-server`, and unpacks it into `folder` without installing it.
pub(super) fn unpack(folder: &Path) -> Result<()> {
    let download = || run(Command::new("apt-get").args(["download", "mariadb-server"]).current_dir(folder));
    if download().is_err() {
        // The lists of packages may be missing or older than the repository.
        run(Command::new("apt-get").arg("update"))?;
        download()?;
    }
    let package = fs::read_dir(folder)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let package = package.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let package = package.ok_or_else(|| Failure::new("apt-get has downloaded no package"))?;
    run(Command::new("dpkg").arg("-x").arg(&package).arg(folder))?;
    Ok(fs::remove_file(package)?)
}
