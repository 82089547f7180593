//! The store `local`: one redb database in a locked directory.
//!
//! ```text
//! lock               held exclusively while the store is open; a second process fails at its start
//! checkpoint.redb    the database; a commit returns when it is on the disk
//! checkpoint.redb.1  copies made at the last three starts, the newest first
//! ```

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use super::directory::{can_hold, lock, no_directory, open};
use super::failure::StoreError;
use crate::{
    Checkpoint, CheckpointStore, Committed, Error, Position, Progress, Receipt, Result, SplitId, TableId, TableSchema, async_trait,
};

/// Version of what is stored. Raised when the meaning of a table below changes; older versions stay readable.
const FORMAT: u64 = 1;
const COPIES: u32 = 3;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const SPLITS: TableDefinition<'_, &str, &str> = TableDefinition::new("splits");
const SCHEMAS: TableDefinition<'_, (&str, &str, &str), &str> = TableDefinition::new("schemas");
const STATE: TableDefinition<'_, (&str, &str), &str> = TableDefinition::new("state");

/// What is stored of a split.
#[derive(Serialize, Deserialize)]
struct StoredSplit {
    number: u32,
    position: Position,
    receipt: Receipt,
    done: bool,
}

/// Settings of the store `local`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LocalStoreConfig {
    /// The directory; made if it is missing.
    pub path: PathBuf,
}

/// The checkpoint store in a local directory. One process at a time.
pub struct LocalStore {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    // `None` after a failed operation: redb asks to be opened again then.
    database: Mutex<Option<Database>>,
    _lock: File,
}

impl LocalStore {
    /// Opens the store in `dir`, which is made if it is missing, and raises the epoch. An error of kind `Config` if another process has it.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        let doing = "open the checkpoint store";
        let config = |error| no_directory(doing, &dir, error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(config)?;
        let lock = lock(&dir, doing)?;
        open(&dir, "checkpoint.redb").map_err(config)?;
        let inner = Inner { dir, database: Mutex::new(None), _lock: lock };
        inner.start().map_err(|error| error.into_error(doing, &inner.dir))?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What the store in `dir` holds, read from a copy, so that nothing is changed; `None` if there is no store. An error of kind `Config` if
    /// another process has it open, or if no store can be made there.
    pub fn peek(dir: impl AsRef<Path>) -> Result<Option<Committed>> {
        let (dir, doing) = (dir.as_ref(), "look at the checkpoint store");
        if fs::metadata(dir.join("checkpoint.redb")).map_or(0, |file| file.len()) == 0 {
            return can_hold(dir).map(|()| None).map_err(|error| no_directory(doing, dir, error));
        }
        let _lock = lock(dir, doing)?;
        let read = || {
            let copy = tempfile::NamedTempFile::new()?;
            fs::copy(dir.join("checkpoint.redb"), copy.path())?;
            Inner::read(&Database::create(copy.path())?)
        };
        read().map(Some).map_err(|error: StoreError| error.into_error(doing, dir))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T> {
        let inner = self.inner.clone();
        let done = tokio::task::spawn_blocking(move || work(&inner).map_err(|error| error.into_error(doing, &inner.dir))).await;
        done.unwrap_or_else(|error| Err(Error::fatal(doing).because(error)))
    }
}

#[async_trait]
impl CheckpointStore for LocalStore {
    async fn load(&self) -> Result<Committed> {
        self.blocking("read the checkpoint", |inner| inner.with(Inner::read)).await
    }

    async fn commit(&self, progress: Vec<Progress>) -> Result<()> {
        self.blocking("write the checkpoint", move |inner| inner.with(|database| Inner::write(database, &progress))).await
    }
}

impl Inner {
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut slot = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match slot.take() {
            Some(database) => database,
            None => Database::create(self.dir.join("checkpoint.redb"))?,
        };
        let done = work(&database);
        if done.is_ok() {
            *slot = Some(database);
        }
        done
    }

    fn start(&self) -> Result<(), StoreError> {
        let file = self.dir.join("checkpoint.redb");
        if fs::metadata(&file)?.len() > 0 {
            let copy = |number: u32| self.dir.join(format!("checkpoint.redb.{number}"));
            for number in (1..COPIES).rev() {
                match fs::rename(copy(number), copy(number + 1)) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                    _ => {}
                }
            }
            fs::copy(&file, copy(1))?;
        }
        self.with(|database| {
            let writing = database.begin_write()?;
            {
                let mut meta = writing.open_table(META)?;
                let format = meta.get("format")?.map(|value| value.value());
                match format {
                    None => {
                        meta.insert("format", FORMAT)?;
                        // Never 0, which stands for "no run" in positions.
                        meta.insert("run", fastrand::u64(1..))?;
                    }
                    Some(found) if found > FORMAT => return Err(StoreError::Newer { found, known: FORMAT }),
                    Some(_) => {}
                }
                let epoch = meta.get("epoch")?.map_or(0, |value| value.value());
                meta.insert("epoch", epoch + 1)?;
                writing.open_table(SPLITS)?;
                writing.open_table(SCHEMAS)?;
                writing.open_table(STATE)?;
            }
            writing.commit()?;
            Ok(())
        })?;
        File::open(&self.dir)?.sync_all()?;
        Ok(())
    }

    fn read(database: &Database) -> Result<Committed, StoreError> {
        let reading = database.begin_read()?;
        let mut committed = Committed::default();
        let meta = reading.open_table(META)?;
        committed.run = meta.get("run")?.map_or(0, |value| value.value());
        committed.epoch = meta.get("epoch")?.map_or(0, |value| value.value()) as u32;
        for entry in reading.open_table(SPLITS)?.iter()? {
            let (key, value) = entry?;
            let split = SplitId::from(key.value());
            let stored: StoredSplit = decode(value.value(), || format!("split {split}"))?;
            committed.numbers.insert(split.clone(), stored.number);
            committed.splits.insert(split, Checkpoint { position: stored.position, receipt: stored.receipt, done: stored.done });
        }
        for entry in reading.open_table(SCHEMAS)?.iter()? {
            let (key, value) = entry?;
            let (split, database, table) = key.value();
            let table = TableId::new(database, table);
            let schema: TableSchema = decode(value.value(), || format!("structure of {table}"))?;
            committed.schemas.insert((SplitId::from(split), table), Arc::new(schema));
        }
        for entry in reading.open_table(STATE)?.iter()? {
            let (key, value) = entry?;
            let (split, name) = key.value();
            committed.state.insert((SplitId::from(split), name.to_owned()), value.value().to_owned());
        }
        Ok(committed)
    }

    fn write(database: &Database, progress: &[Progress]) -> Result<(), StoreError> {
        let writing = database.begin_write()?;
        {
            let mut splits = writing.open_table(SPLITS)?;
            let mut schemas = writing.open_table(SCHEMAS)?;
            let mut state = writing.open_table(STATE)?;
            let mut meta = writing.open_table(META)?;
            for step in progress {
                let split = step.split.as_str();
                let known =
                    splits.get(split)?.map(|value| decode::<StoredSplit>(value.value(), || format!("split {split}"))).transpose()?;
                let number = match known {
                    Some(known) => known.number,
                    None => {
                        let next = meta.get("splits")?.map_or(0, |value| value.value()) + 1;
                        meta.insert("splits", next)?;
                        next as u32
                    }
                };
                let Checkpoint { position, receipt, done } = step.checkpoint.clone();
                splits.insert(split, encode(&StoredSplit { number, position, receipt, done })?.as_str())?;
                for (table, schema) in &step.schemas {
                    let key = (split, &*table.database, &*table.table);
                    match schema {
                        Some(schema) => schemas.insert(key, encode(&**schema)?.as_str())?,
                        None => schemas.remove(key)?,
                    };
                }
                for (name, value) in &step.state {
                    match value {
                        Some(value) => state.insert((split, name.as_str()), value.as_str())?,
                        None => state.remove((split, name.as_str()))?,
                    };
                }
            }
        }
        // redb's default durability is `Immediate`: the file is synced before this returns.
        writing.commit()?;
        Ok(())
    }
}

fn decode<T: for<'de> Deserialize<'de>>(text: &str, what: impl FnOnce() -> String) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::Corrupt { what: what(), source })
}

fn encode(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::Corrupt { what: "a new value".into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, ColumnKind, Kind};

    fn step(split: &str, position: &str) -> Progress {
        Progress {
            split: SplitId::from(split),
            checkpoint: Checkpoint { position: Position::from(position), receipt: Receipt::new("r"), done: false },
            schemas: Vec::new(),
            state: Vec::new(),
        }
    }

    #[tokio::test]
    async fn what_was_committed_is_loaded_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let table = TableId::new("shop", "orders");
        let schema = Arc::new(TableSchema::new(table.clone(), vec![Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint(20)")]));
        let mut expected = Committed::default();
        {
            let store = LocalStore::open(dir.path()).unwrap();
            let first = store.load().await.unwrap();
            expected.run = first.run;
            assert!(first.run > 0 && first.epoch == 1);
            let mut start = step("stream", "a:1");
            start.schemas.push((table.clone(), Some(schema)));
            start.state = vec![("id".into(), Some("x".into())), ("gone".into(), Some("y".into()))];
            let mut next = step("stream", "a:2");
            next.state = vec![("gone".into(), None)];
            for progress in [vec![step("chunk", "k"), start], vec![next]] {
                progress.iter().for_each(|step| expected.apply(step));
                store.commit(progress).await.unwrap();
            }
        }
        let store = LocalStore::open(dir.path()).unwrap();
        expected.epoch = 2;
        assert_eq!(store.load().await.unwrap(), expected);
        assert!(dir.path().join("checkpoint.redb.1").exists());
    }

    #[tokio::test]
    async fn a_second_process_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _first = LocalStore::open(dir.path()).unwrap();
        let error = LocalStore::open(dir.path()).err().unwrap();
        assert_eq!((error.kind(), error.code()), (Kind::Config, Some("E_STORE_LOCKED")));
    }

    #[tokio::test]
    async fn a_look_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(LocalStore::peek(dir.path()).unwrap().is_none());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        {
            let store = LocalStore::open(dir.path()).unwrap();
            store.commit(vec![step("s", "1")]).await.unwrap();
            assert_eq!(LocalStore::peek(dir.path()).unwrap_err().code(), Some("E_STORE_LOCKED"));
        }
        let before = fs::read(dir.path().join("checkpoint.redb")).unwrap();
        let seen = LocalStore::peek(dir.path()).unwrap().unwrap();
        assert_eq!((seen.epoch, seen.splits[&SplitId::from("s")].position.as_str()), (1, "1"));
        assert_eq!(fs::read(dir.path().join("checkpoint.redb")).unwrap(), before);
        fs::write(dir.path().join("checkpoint.redb"), b"no database").unwrap();
        assert!(LocalStore::peek(dir.path()).is_err());
    }

    #[test]
    fn a_place_that_can_hold_no_store_is_told_before_the_start() {
        let dir = tempfile::tempdir().unwrap();
        assert!(LocalStore::peek(dir.path().join("a/b")).unwrap().is_none());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is made");
        fs::write(dir.path().join("file"), b"").unwrap();
        for place in ["file", "file/b"] {
            let error = LocalStore::peek(dir.path().join(place)).unwrap_err();
            assert_eq!(error.kind(), crate::Kind::Config, "{error}");
        }
    }

    #[tokio::test]
    async fn garbage_is_an_error_and_never_an_empty_store() {
        let dir = tempfile::tempdir().unwrap();
        {
            let store = LocalStore::open(dir.path()).unwrap();
            store.commit(vec![step("s", "1")]).await.unwrap();
        }
        let file = dir.path().join("checkpoint.redb");
        let len = fs::metadata(&file).unwrap().len() as usize;
        fs::write(&file, vec![0x5a; len]).unwrap();
        assert!(LocalStore::open(dir.path()).is_err());
    }

    #[tokio::test]
    async fn a_newer_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        {
            let store = LocalStore::open(dir.path()).unwrap();
            store
                .inner
                .with(|database| {
                    let writing = database.begin_write()?;
                    writing.open_table(META)?.insert("format", FORMAT + 1)?;
                    writing.commit()?;
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(LocalStore::open(dir.path()).err().unwrap().code(), Some("E_CKPT_NEWER"));
    }
}
