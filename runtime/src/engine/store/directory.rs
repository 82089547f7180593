//! The directory of a local store, its files, and its lock.
//!
//! Whoever can put files into the directory can make this program read and write others in place of its own. So only this account and root
//! may own the directory and the files, links in place of the files are not followed, and not everybody may write to the directory.
//!
//! Its group may. Volumes of Kubernetes are writable for the group `fsGroup`, and where each user has a group of his own, new directories are
//! writable for that. So members of the group are trusted not to remove the files. The path to the directory may have links, because whoever
//! configures the store has chosen it; if it is a link itself, that must belong to this account or root.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::geteuid;

use super::failure::StoreError;
use crate::{create_private_directory, private_file};

/// Creates the directory if it is missing. Only this account can access it.
pub(super) fn create(dir: &Path) -> Result<(), StoreError> {
    create_private_directory(dir).map_err(StoreError::Directory)
}

/// Checks that nobody else may put files into the directory. A directory that is missing passes.
pub(super) fn check_access(dir: &Path) -> Result<(), StoreError> {
    match fs::symlink_metadata(dir).and_then(|link| Ok([link, fs::metadata(dir)?])) {
        Ok(found) => found.iter().try_for_each(|found| access(dir, found, trusted())),
        // What cannot be looked at cannot be used either, and the next step says why.
        Err(_) => Ok(()),
    }
}

fn access(dir: &Path, found: &Metadata, trusted: [u32; 2]) -> Result<(), StoreError> {
    let shown = dir.display();
    if !trusted.contains(&found.uid()) {
        return Err(StoreError::Unsafe {
            what: format!("the directory {shown} belongs to the user with the id {}, and this program runs as {}", found.uid(), trusted[0]),
            help: format!("run the program as the user that owns {shown}, or name a directory in it: it is created for this user alone"),
        });
    }
    const OTHERS_WRITE: u32 = 0o002;
    if found.is_dir() && found.permissions().mode() & OTHERS_WRITE != 0 {
        return Err(StoreError::Unsafe {
            what: format!("every user of this machine may write to the directory {shown}"),
            help: format!("run: chmod o-w {shown}; or name a directory in it: it is created for this user alone"),
        });
    }
    Ok(())
}

/// Those who may own the directory and its files: this account and root.
fn trusted() -> [u32; 2] {
    [geteuid().as_raw(), 0]
}

/// Opens a file of the store for reading and writing.
pub(super) fn open(dir: &Path, name: &str) -> Result<File, StoreError> {
    opened(dir, name, private_file().read(true).write(true), trusted())
}

/// Opens a file of the store for reading and writing, and creates it if it is missing.
pub(super) fn open_or_create(dir: &Path, name: &str) -> Result<File, StoreError> {
    opened(dir, name, private_file().read(true).write(true).create(true).truncate(false), trusted())
}

/// Creates a file of the store. One that is there is replaced.
pub(super) fn replace(dir: &Path, name: &str) -> Result<File, StoreError> {
    match fs::remove_file(dir.join(name)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    opened(dir, name, private_file().read(true).write(true).create_new(true), trusted())
}

fn opened(dir: &Path, name: &str, options: &OpenOptions, trusted: [u32; 2]) -> Result<File, StoreError> {
    let path = dir.join(name);
    let refuse = |why: &str| StoreError::Unsafe {
        what: format!("{} {why}", path.display()),
        help: "make sure who has put it there; then put back a copy of the file, or start the task from scratch in another directory"
            .into(),
    };
    let file = options.open(&path).map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ELOOP) => refuse("is a symbolic link, which is not followed"),
        _ => StoreError::Io(error),
    })?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(refuse("is not an ordinary file"));
    }
    if !trusted.contains(&found.uid()) {
        return Err(refuse(&format!("belongs to the user with the id {}, and this program runs as {}", found.uid(), trusted[0])));
    }
    Ok(file)
}

/// Checks that a store can be created in `dir`, by writing an anonymous temporary file in its nearest existing ancestor.
pub(super) fn check_writable(dir: &Path) -> Result<(), StoreError> {
    let exists = |path: &&Path| path.as_os_str().is_empty() || path.exists();
    let existing = dir.ancestors().find(exists).filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::tempfile_in(existing).and_then(|mut file| file.write_all(&[0; 4096])).map_err(StoreError::Directory)
}

/// Takes the lock, which is released when the returned file is dropped.
pub(super) fn lock(dir: &Path) -> Result<File, StoreError> {
    let lock = open_or_create(dir, "lock").map_err(|error| match error {
        StoreError::Io(error) => StoreError::Directory(error),
        other => other,
    })?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked),
        Err(TryLockError::Error(error)) => Err(StoreError::Directory(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Accounts that are neither root's nor this one.
    fn strangers() -> [u32; 2] {
        [geteuid().as_raw() + 1, geteuid().as_raw() + 2]
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn message<T>(result: Result<T, StoreError>) -> String {
        match result {
            Err(StoreError::Unsafe { what, help }) => {
                assert!(!help.is_empty());
                what
            }
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was taken"),
        }
    }

    #[test]
    fn only_this_account_can_read_what_is_created() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("a/b");
        create(&dir).unwrap();
        assert_eq!([mode(&scratch.path().join("a")), mode(&dir)], [0o700; 2]);
        open_or_create(&dir, "x").unwrap();
        replace(&dir, "y").unwrap();
        assert_eq!(["x", "y"].map(|name| mode(&dir.join(name))), [0o600; 2]);
    }

    #[test]
    fn a_directory_to_which_all_may_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (mode, is_taken) in
            [(0o700, true), (0o755, true), (0o2770, true), (0o2775, true), (0o757, false), (0o777, false), (0o1777, false)]
        {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            let found = check_access(dir.path());
            assert_eq!(found.is_ok(), is_taken, "{mode:o}");
            if !is_taken {
                assert!(message(found).starts_with("every user"));
            }
        }
        assert!(check_access(&dir.path().join("missing")).is_ok());
    }

    #[test]
    fn what_belongs_to_others_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let found = fs::metadata(dir.path()).unwrap();
        assert!(access(dir.path(), &found, trusted()).is_ok());
        assert!(message(access(dir.path(), &found, strangers())).contains("belongs to the user"));
        fs::write(dir.path().join("x"), "").unwrap();
        let opened = |trusted| opened(dir.path(), "x", private_file().read(true), trusted);
        assert!(opened(trusted()).is_ok());
        assert!(message(opened(strangers())).contains("belongs to the user"));
    }

    #[test]
    fn a_link_leads_to_the_directory_and_no_link_to_a_file_is_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, link) = (scratch.path().join("dir"), scratch.path().join("link"));
        create(&dir).unwrap();
        symlink(&dir, &link).unwrap();
        assert!(check_access(&link).is_ok());
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(message(check_access(&link)).starts_with("every user"), "what the link leads to counts");
        let victim = scratch.path().join("victim");
        fs::write(&victim, "kept").unwrap();
        symlink(&victim, dir.join("x")).unwrap();
        symlink(scratch.path().join("missing"), dir.join("y")).unwrap();
        for name in ["x", "y"] {
            for opened in [open(&dir, name), open_or_create(&dir, name)] {
                assert!(message(opened).contains("symbolic link"));
            }
            replace(&dir, name).unwrap();
            assert!(fs::symlink_metadata(dir.join(name)).unwrap().is_file());
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "kept");
        assert!(!scratch.path().join("missing").exists());
        fs::create_dir(dir.join("z")).unwrap();
        assert!(message(opened(&dir, "z", private_file().read(true), trusted())).contains("not an ordinary file"));
    }
}
