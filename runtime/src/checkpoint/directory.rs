//! The directory of a local store, and its lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::{Error, Result};

/// Opens a file of the store, which is made if it is missing.
pub(super) fn open(dir: &Path, name: &str) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(dir.join(name))
}

/// Whether a store could be made in `dir`, found out without leaving anything: a file without a name is written where the first of its
/// ancestors stands that is there.
pub(super) fn can_hold(dir: &Path) -> std::io::Result<()> {
    let here = |path: &&Path| path.as_os_str().is_empty() || path.exists();
    let place = dir.ancestors().find(here).filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::tempfile_in(place)?.write_all(&[0; 4096])
}

/// The error of a directory that cannot be used.
pub(super) fn no_directory(doing: &str, dir: &Path, error: std::io::Error) -> Error {
    Error::config(format!("{doing} in {}", dir.display()))
        .because(error)
        .with_help("give the store a directory that this account can write, by `[store.local] path`")
}

/// Takes the lock, which ends with the file that is returned.
pub(super) fn lock(dir: &Path, doing: &str) -> Result<File> {
    let lock = open(dir, "lock").map_err(|error| no_directory(doing, dir, error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::config(format!("{doing} in {}", dir.display()))
            .because("another process has it open")
            .with_code("E_STORE_LOCKED")
            .with_help("stop the other process, or give this task a directory of its own by `[store.local] path`")),
        Err(TryLockError::Error(error)) => Err(no_directory(doing, dir, error)),
    }
}
