//! The cache folder: `$TEST_SERVERS_CACHE` if set, otherwise `connector-test-servers` in `$XDG_CACHE_HOME` or in `~/.cache`.
//!
//! Each part is made under a temporary name and then renamed, so a part that exists is complete and is never made again. Its name
//! contains the version: a new version is a new part. Each part has a file lock, so parallel callers wait for one another, both in this
//! process and in others.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::{Failure, Result};

/// The path of a part of the cache. If the part does not exist, `make` creates it in an empty folder.
pub(in crate::harness) fn cached(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    if (std::env::consts::OS, std::env::consts::ARCH) != ("linux", "x86_64") {
        return Failure::err("the test servers are built for Linux on x86_64; run the tests there");
    }
    let part = cache_folder()?.join(name);
    if part.exists() {
        return Ok(part);
    }
    let _lock = lock(name)?;
    // Another caller may have made the part while this one waited for the lock.
    if part.exists() {
        return Ok(part);
    }
    eprintln!("making {}", part.display());
    // Only the holder of the lock writes here, so the remains of an interrupted run can be removed.
    let making = cache_folder()?.join("making").join(name);
    let _ = fs::remove_dir_all(&making);
    fs::create_dir_all(&making)?;
    make(&making).map_err(|error| error.context(format!("make {name}")))?;
    let named = || format!("rename {} to {}", making.display(), part.display());
    fs::rename(&making, &part).map_err(|error| Failure::from(error).context(named()))?;
    Ok(part)
}

/// Waits until no other caller, in this process or another, holds the lock with this name. Dropping the file releases the lock.
pub(in crate::harness) fn lock(name: &str) -> Result<File> {
    let folder = cache_folder()?.join("locks");
    fs::create_dir_all(&folder).map_err(|error| Failure::from(error).context(format!("create {}", folder.display())))?;
    let lock = File::create(folder.join(name))?;
    lock.lock()?;
    Ok(lock)
}

fn cache_folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("TEST_SERVERS_CACHE") {
        return Ok(folder.into());
    }
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    let base = base.ok_or_else(|| Failure::new("no folder for the test servers: set TEST_SERVERS_CACHE or HOME"))?;
    Ok(base.join("connector-test-servers"))
}
