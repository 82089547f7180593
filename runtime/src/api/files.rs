//! Files that a configuration names, such as certificates, keys and passwords, and files that hold the state of a task.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

/// The greatest size of a file that [`read_small_file`] reads, in bytes.
pub const SMALL_FILE_BYTES: u64 = 1 << 20;

/// Reads a small file that a configuration names; see [`read_file`]. Fails if it is larger than [`SMALL_FILE_BYTES`].
pub fn read_small_file(path: &Path) -> Result<Vec<u8>> {
    read_file(path, SMALL_FILE_BYTES)
}

/// Reads a file that a configuration names. Fails if it is not an ordinary file, such as a pipe or a device, from which one could read forever,
/// or if it is larger than `most` bytes. Links are followed.
pub fn read_file(path: &Path, most: u64) -> Result<Vec<u8>> {
    let not_ordinary = || Error::new(ErrorKind::InvalidInput, "it is not an ordinary file");
    // Opening a pipe would wait for somebody to write into it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(not_ordinary());
    }
    // Some files of the system wait for news, although they say that they are ordinary.
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(not_ordinary());
    }
    let mut content = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("it is larger than {} KiB", most >> 10)));
    }
    Ok(content)
}

/// The path of a file, as errors show it. The content of a file that was given instead of its path, such as a private key, is not shown.
pub fn shown_path(path: &Path) -> String {
    let shown = path.display().to_string();
    if shown.contains(['\n', '\r']) || shown.starts_with("-----") {
        "the text that stands there instead of a path".to_owned()
    } else {
        shown
    }
}

/// Options to open a file of a task's state, to which the caller adds how. If the file is created, only this account can access it. If a
/// symbolic link is in its place, opening it fails.
pub fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    options
}

/// Creates a directory for files of a task's state, with all that are missing above it. Only this account can access them.
pub fn create_private_directory(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_path_is_not_shown() {
        assert_eq!(shown_path(Path::new("/a b")), "/a b");
        for content in ["-----BEGIN PRIVATE KEY-----", "key\nMIIE"] {
            assert!(shown_path(Path::new(content)).contains("instead of a path"), "{content}");
        }
    }

    #[test]
    fn only_small_ordinary_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, vec![7; 1 << 20]).unwrap();
        assert_eq!(read_small_file(&path).unwrap().len(), 1 << 20);
        std::fs::write(&path, vec![7; (1 << 20) + 1]).unwrap();
        assert_eq!(read_small_file(&path).unwrap_err().kind(), ErrorKind::FileTooLarge);
        for other in [Path::new("/dev/zero"), folder.path()] {
            assert_eq!(read_small_file(other).unwrap_err().kind(), ErrorKind::InvalidInput, "{}", other.display());
        }
        assert_eq!(read_small_file(&folder.path().join("y")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
