//! The directory of a local store, and its lock.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::failure::StoreError;

/// Creates the directory if it is missing. Only this account can access it.
pub(super) fn create(dir: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(StoreError::Directory)
}

/// Opens a file of the store. The file is created if it is missing.
fn open(dir: &Path, name: &str) -> Result<File, StoreError> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(dir.join(name));
    file.map_err(StoreError::Directory)
}

/// Checks that a store can be created in `dir`, by writing an anonymous temporary file in its nearest existing ancestor.
pub(super) fn check_writable(dir: &Path) -> Result<(), StoreError> {
    let exists = |path: &&Path| path.as_os_str().is_empty() || path.exists();
    let existing = dir.ancestors().find(exists).filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::tempfile_in(existing).and_then(|mut file| file.write_all(&[0; 4096])).map_err(StoreError::Directory)
}

/// Takes the lock, which is released when the returned file is dropped.
pub(super) fn lock(dir: &Path) -> Result<File, StoreError> {
    let lock = open(dir, "lock")?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked),
        Err(TryLockError::Error(error)) => Err(StoreError::Directory(error)),
    }
}
