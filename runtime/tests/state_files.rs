//! Who can read the files of the store `local`, and what in their place is refused.

#![allow(clippy::unwrap_used, reason = "a test from end to end")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use runtime::{CheckpointStore, Error, Kind, LocalStore};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The errors of a start and of a precheck with the state in `dir`.
async fn refused(dir: &Path) -> [Error; 2] {
    let errors = [LocalStore::new(dir).load().await.unwrap_err(), LocalStore::new(dir).peek().await.unwrap_err()];
    for error in &errors {
        assert_eq!((error.kind(), error.code()), (Kind::Config, Some("E_STORE_DIRECTORY")), "{error}");
        assert!(error.help().is_some(), "{error}");
    }
    errors
}

#[tokio::test]
async fn only_this_account_can_read_the_files() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("state");
    for _ in 0..4 {
        LocalStore::new(&dir).load().await.unwrap();
    }
    let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 5, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    assert_eq!(mode(&dir), 0o700);
}

#[tokio::test]
async fn a_directory_to_which_all_may_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
    for error in refused(dir.path()).await {
        assert!(error.message().starts_with("every user"), "{error}");
    }
    // As Kubernetes makes a volume for a group.
    fs::set_permissions(dir.path(), Permissions::from_mode(0o2775)).unwrap();
    LocalStore::new(dir.path()).load().await.unwrap();
    let link = tempfile::tempdir().unwrap();
    symlink(dir.path(), link.path().join("state")).unwrap();
    let seen = LocalStore::new(link.path().join("state")).load().await.unwrap();
    assert_eq!(seen.epoch(), 2, "the same store");
}

#[tokio::test]
async fn links_in_place_of_files_are_refused_and_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, elsewhere) = (scratch.path().join("state"), scratch.path().join("elsewhere"));
    LocalStore::new(&dir).load().await.unwrap();
    fs::rename(dir.join("checkpoint.redb"), &elsewhere).unwrap();
    let before = fs::read(&elsewhere).unwrap();
    for name in ["checkpoint.redb", "lock"] {
        let _ = fs::remove_file(dir.join(name));
        symlink(&elsewhere, dir.join(name)).unwrap();
        for error in refused(&dir).await {
            assert!(error.message().contains(&format!("{name} is a symbolic link")), "{error}");
        }
    }
    assert!(fs::read(&elsewhere).unwrap() == before);
}
