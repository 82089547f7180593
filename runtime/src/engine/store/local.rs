//! The store `local`: one redb database in a locked directory.
//!
//! ```text
//! lock                       held exclusively while the store is open; a second process fails at its start
//! checkpoint.redb            the database; a commit returns when it is on the disk
//! checkpoint.redb.1, .2, .3  copies made at the last three starts that could read the database, the newest first
//! checkpoint.redb.new        a copy that is being made
//! ```
//!
//! Only the account that runs the program can read the files.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use redb::backends::FileBackend;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use super::directory::{check_access, check_writable, create, lock, open, open_or_create, replace};
use super::failure::StoreError;
use crate::{
    Checkpoint, CheckpointStore, Commit, Committed, Facts, Position, Progress, Receipt, Result, SplitId, TableId, TableSchema, async_trait,
};

/// Version of the stored format. It is increased when the meaning of a table below changes. Version 1 stored the facts of the task under
/// one of its splits.
const FORMAT: u64 = 2;
/// The number of copies of the database that are kept. A copy is made at each start.
const COPIES: u32 = 3;
/// The size of redb's cache. It can be small, because the database is small or rarely read.
const CACHE_BYTES: usize = 8 << 20;

/// Keys: `format`, `run`, `epoch` and `splits`. The value of `splits` is the greatest number that any split has had.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// The key is the name of the split. The value is a [`StoredSplit`] as JSON.
const SPLITS: TableDefinition<'_, &str, &str> = TableDefinition::new("splits");
/// The key is split, database and table. The value is the schema as JSON; `null` if the table was dropped in the split's events. The
/// schemas of the task itself have [`TASK`] in place of a split.
const SCHEMAS: TableDefinition<'_, (&str, &str, &str), &str> = TableDefinition::new("schemas");
/// The key is the stored name of the fact. The value is its stored text.
const FACTS: TableDefinition<'_, &str, &str> = TableDefinition::new("facts");
/// The key is [`TASK`]. The value is what the sink said of the whole task. Stores of older versions do not have this table.
const EVIDENCE: TableDefinition<'_, &str, &str> = TableDefinition::new("evidence");
/// Stands for the task itself in place of a split's name. No split has an empty name.
const TASK: &str = "";

/// The stored state of a split.
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
    /// The directory of the store. It is created if it is missing.
    pub path: PathBuf,
}

/// The checkpoint store in a local directory. Only one process at a time can open it.
pub struct LocalStore {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    claim: Mutex<Option<Claim>>,
}

/// The lock and the database of a store that this process has open.
struct Claim {
    _lock: File,
    /// `None` after a failed operation, because redb must then be opened again.
    database: Option<Database>,
}

impl LocalStore {
    /// Creates a store in `dir`. Nothing is opened or created before the first `load`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { inner: Arc::new(Inner { dir: dir.into(), claim: Mutex::new(None) }) }
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static) -> Result<T> {
        let inner = self.inner.clone();
        let done = tokio::task::spawn_blocking(move || work(&inner).map_err(|error| error.into_error(&inner.dir))).await;
        // redb panics on some damaged files.
        done.unwrap_or_else(|panic| Err(StoreError::Panicked(panic).into_error(&self.inner.dir)))
    }
}

#[async_trait]
impl CheckpointStore for LocalStore {
    async fn load(&self) -> Result<Committed> {
        self.blocking(Inner::load).await
    }

    async fn commit(&self, commit: Commit) -> Result<()> {
        self.blocking(move |inner| {
            let mut claim = crate::sync::lock(&inner.claim);
            claim.as_mut().ok_or(StoreError::NotLoaded)?.with(&inner.dir, |database| write(database, &commit))
        })
        .await
    }

    async fn peek(&self) -> Result<Option<Committed>> {
        self.blocking(Inner::peek).await
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.inner.dir)
    }
}

impl Inner {
    fn load(&self) -> Result<Committed, StoreError> {
        let mut claim = crate::sync::lock(&self.claim);
        if let Some(claim) = claim.as_mut() {
            return claim.with(&self.dir, read);
        }
        create(&self.dir)?;
        check_access(&self.dir)?;
        let mut new = Claim { _lock: lock(&self.dir)?, database: None };
        let mut found = None;
        if self.is_there()? {
            let (copy, file) = self.copy()?;
            // Invariant: only a readable database becomes a copy. A start that fails must not push out the good ones.
            found = Some(read(&database(file)?)?);
            self.keep(copy)?;
        }
        let epoch = new.with(&self.dir, start)?;
        File::open(&self.dir)?.sync_all()?;
        let committed = match found {
            // The start has changed nothing else since the copy was read, and there may be many schemas.
            Some(committed) => committed.in_epoch(epoch),
            None => new.with(&self.dir, read)?,
        };
        *claim = Some(new);
        Ok(committed)
    }

    /// Whether there is a database. An error if there is none, or an empty file, beside copies of one.
    fn is_there(&self) -> Result<bool, StoreError> {
        let size = |name: &str| fs::symlink_metadata(self.dir.join(name)).map_or(0, |file| file.len());
        match size("checkpoint.redb") {
            0 if (1..=COPIES).any(|number| size(&format!("checkpoint.redb.{number}")) > 0) => Err(StoreError::Missing),
            size => Ok(size > 0),
        }
    }

    /// Copies the database as it is before this start changes it. The copy is removed if it is not kept.
    fn copy(&self) -> Result<(tempfile::TempPath, File), StoreError> {
        // The same name at every start, so that a process that is killed here leaves at most one such file.
        const NAME: &str = "checkpoint.redb.new";
        let mut file = replace(&self.dir, NAME)?;
        let copy = tempfile::TempPath::try_from_path(self.dir.join(NAME))?;
        io::copy(&mut open(&self.dir, "checkpoint.redb")?, &mut file)?;
        Ok((copy, file))
    }

    /// Makes a copy the newest of those that are kept.
    fn keep(&self, copy: tempfile::TempPath) -> Result<(), StoreError> {
        let kept = |number: u32| self.dir.join(format!("checkpoint.redb.{number}"));
        for number in (1..COPIES).rev() {
            match fs::rename(kept(number), kept(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        copy.persist(kept(1)).map_err(|error| error.error)?;
        Ok(())
    }

    /// Reads a temporary copy of the database, so that the original is not changed, not even by a repair.
    fn peek(&self) -> Result<Option<Committed>, StoreError> {
        if let Some(claim) = crate::sync::lock(&self.claim).as_mut() {
            return claim.with(&self.dir, read).map(Some);
        }
        check_access(&self.dir)?;
        if !self.is_there()? {
            return check_writable(&self.dir).map(|()| None);
        }
        let _lock = lock(&self.dir)?;
        let mut copy = tempfile::tempfile()?;
        io::copy(&mut open(&self.dir, "checkpoint.redb")?, &mut copy)?;
        read(&database(copy)?).map(Some)
    }
}

impl Claim {
    fn with<T>(&mut self, dir: &Path, work: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => database(open_or_create(dir, "checkpoint.redb")?)?,
        };
        let done = work(&database);
        if done.is_ok() {
            self.database = Some(database);
        }
        done
    }
}

fn database(file: File) -> Result<Database, StoreError> {
    Ok(Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(FileBackend::new(file)?)?)
}

/// Increases the epoch, and returns it. A new database also gets its run.
fn start(database: &Database) -> Result<u32, StoreError> {
    let writing = database.begin_write()?;
    let epoch = {
        let mut meta = writing.open_table(META)?;
        let format = meta.get("format")?.map(|value| value.value());
        match format {
            None => {
                meta.insert("format", FORMAT)?;
                // The run is never 0, because 0 stands for "no run" in positions.
                meta.insert("run", fastrand::u64(1..))?;
            }
            Some(FORMAT) => {}
            Some(found) => return Err(StoreError::Format { found, known: FORMAT }),
        }
        let epoch = 1 + meta.get("epoch")?.map_or(0, |value| value.value());
        meta.insert("epoch", epoch)?;
        writing.open_table(SPLITS)?;
        writing.open_table(SCHEMAS)?;
        writing.open_table(FACTS)?;
        writing.open_table(EVIDENCE)?;
        epoch as u32
    };
    writing.commit()?;
    Ok(epoch)
}

fn read(database: &Database) -> Result<Committed, StoreError> {
    let reading = database.begin_read()?;
    let meta = reading.open_table(META)?;
    let number = |name: &str| Ok::<_, StoreError>(meta.get(name)?.map_or(0, |value| value.value()));
    match number("format")? {
        FORMAT => {}
        found => return Err(StoreError::Format { found, known: FORMAT }),
    }
    let mut committed = Committed::new(number("run")?, number("epoch")? as u32, number("splits")? as u32);
    let mut all = Commit { facts: read_facts(&reading)?, evidence: read_evidence(&reading)?, ..Commit::default() };
    for entry in reading.open_table(SPLITS)?.iter()? {
        let (key, value) = entry?;
        let split = SplitId::from(key.value());
        let StoredSplit { number, position, receipt, done } = decode(value.value(), || format!("split {split}"))?;
        let checkpoint = Checkpoint { position, receipt, done };
        all.splits.push(Progress { split, number, checkpoint, schemas: Vec::new() });
    }
    for entry in reading.open_table(SCHEMAS)?.iter()? {
        let (key, value) = entry?;
        let (split, database, table) = key.value();
        let table = TableId::new(database, table);
        let schema: Option<TableSchema> = decode(value.value(), || format!("the schema of table {table}"))?;
        let change = (table, schema.map(Arc::new));
        if split == TASK {
            all.schemas.push(change);
        } else if let Some(progress) = all.splits.iter_mut().find(|progress| progress.split.as_str() == split) {
            progress.schemas.push(change);
        }
    }
    committed.apply(&all);
    Ok(committed)
}

fn read_facts(reading: &ReadTransaction) -> Result<Facts, StoreError> {
    let mut facts = Vec::new();
    for entry in reading.open_table(FACTS)?.iter()? {
        let (name, text) = entry?;
        facts.push((name.value().to_owned(), Some(text.value().to_owned())));
    }
    Ok(Facts::from_stored(facts))
}

fn read_evidence(reading: &ReadTransaction) -> Result<Option<Receipt>, StoreError> {
    match reading.open_table(EVIDENCE) {
        Ok(evidence) => Ok(evidence.get(TASK)?.map(|text| Receipt::new(text.value()))),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn write(database: &Database, commit: &Commit) -> Result<(), StoreError> {
    let writing = database.begin_write()?;
    if !commit.facts.is_empty() {
        let mut facts = writing.open_table(FACTS)?;
        for (name, text) in commit.facts.stored() {
            match text {
                Some(text) => facts.insert(name, text)?,
                None => facts.remove(name)?,
            };
        }
    }
    if let Some(evidence) = &commit.evidence {
        writing.open_table(EVIDENCE)?.insert(TASK, evidence.as_str())?;
    }
    if !commit.splits.is_empty() {
        let mut splits = writing.open_table(SPLITS)?;
        for Progress { split, number, checkpoint, .. } in &commit.splits {
            let Checkpoint { position, receipt, done } = checkpoint.clone();
            let stored = encode(&StoredSplit { number: *number, position, receipt, done })?;
            if splits.insert(split.as_str(), stored.as_str())?.is_none() {
                let mut meta = writing.open_table(META)?;
                let last = meta.get("splits")?.map_or(0, |value| value.value());
                meta.insert("splits", last.max(u64::from(*number)))?;
            }
        }
    }
    let of_splits = commit.splits.iter().flat_map(|progress| progress.schemas.iter().map(|change| (progress.split.as_str(), change)));
    let mut changes = commit.schemas.iter().map(|change| (TASK, change)).chain(of_splits).peekable();
    if changes.peek().is_some() {
        let mut schemas = writing.open_table(SCHEMAS)?;
        for (split, (table, schema)) in changes {
            let key = (split, &*table.database, &*table.table);
            match schema {
                None if split == TASK => schemas.remove(key)?,
                schema => schemas.insert(key, encode(&schema.as_deref())?.as_str())?,
            };
        }
    }
    if !commit.forget.is_empty() {
        let mut splits = writing.open_table(SPLITS)?;
        let mut schemas = writing.open_table(SCHEMAS)?;
        for split in &commit.forget {
            let split = split.as_str();
            splits.remove(split)?;
            while let Some(key) = first_of(&schemas, split)? {
                schemas.remove((split, key.0.as_str(), key.1.as_str()))?;
            }
        }
    }
    // redb's default durability is `Immediate`: the file is synced before this returns.
    writing.commit()?;
    Ok(())
}

/// The database and table of the first schema that is stored under a split; `None` if there is none.
fn first_of(
    schemas: &impl ReadableTable<(&'static str, &'static str, &'static str), &'static str>,
    split: &str,
) -> Result<Option<(String, String)>, StoreError> {
    let Some(first) = schemas.range((split, "", "")..)?.next() else { return Ok(None) };
    let (key, _) = first?;
    let (of, database, table) = key.value();
    Ok((of == split).then(|| (database.to_owned(), table.to_owned())))
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
    use crate::{Column, ColumnKind, Fact, Kind};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Server(String);

    impl Fact for Server {
        const NAME: &'static str = "server";
        const VERSION: u32 = 1;
    }

    fn progress(split: &str, number: u32, position: &str) -> Progress {
        let checkpoint = Checkpoint { position: Position::from(position), receipt: Receipt::new("r"), done: false };
        Progress { split: SplitId::from(split), number, checkpoint, schemas: Vec::new() }
    }

    fn begin() -> Commit {
        Commit { splits: vec![progress("s", 1, "1")], ..Commit::default() }
    }

    #[tokio::test]
    async fn what_was_committed_is_loaded_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let schema = |table: &str| {
            Arc::new(TableSchema::new(TableId::new("shop", table), vec![Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint(20)")]))
        };
        let named = |schema: Arc<TableSchema>| (schema.id.clone(), Some(schema));
        let mut expected = {
            let store = LocalStore::new(dir.path());
            let mut expected = store.load().await.unwrap();
            assert!(expected.is_new() && expected.run() > 0 && expected.epoch() == 1);
            let mut facts = Facts::new();
            facts.set(&Server("db".into())).unwrap();
            facts.set_at("1", &Server("gone".into())).unwrap();
            let schemas = vec![named(schema("orders")), named(schema("items"))];
            let splits = vec![progress("chunk", 1, "k"), progress("stream", 2, "a:1")];
            let begin = Commit { facts, schemas, splits, evidence: Some(Receipt::new("of all")), ..Commit::default() };
            let mut next = Commit { forget: vec!["chunk".into()], splits: vec![progress("stream", 2, "a:2")], ..Commit::default() };
            next.facts.remove_at::<Server>("1");
            next.splits[0].schemas = vec![named(schema("new")), (TableId::new("shop", "orders"), None)];
            for commit in [begin, next] {
                expected.apply(&commit);
                store.commit(commit).await.unwrap();
            }
            assert_eq!(store.load().await.unwrap(), expected, "a second load raises no epoch");
            expected
        };
        let loaded = LocalStore::new(dir.path()).load().await.unwrap();
        assert_eq!((loaded.epoch(), loaded.run(), loaded.next_number()), (2, expected.run(), 3));
        let tables: Vec<_> = loaded.split_schemas(&"stream".into()).iter().map(|schema| schema.id.table.to_string()).collect();
        assert_eq!(tables, ["items", "new"]);
        assert_eq!(loaded.fact::<Server>().unwrap(), Some(Server("db".into())));
        assert!(dir.path().join("checkpoint.redb.1").exists());
        // Apart from the epoch, all is as it was applied in memory.
        let mut second = Committed::new(loaded.run(), 1, 2);
        std::mem::swap(&mut second, &mut expected);
        assert_eq!(loaded.splits().collect::<Vec<_>>(), second.splits().collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_forgotten_split_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalStore::new(dir.path());
        store.load().await.unwrap();
        let mut commit = Commit { splits: vec![progress("a", 1, "1"), progress("b", 2, "1")], ..Commit::default() };
        for progress in &mut commit.splits {
            progress.schemas = vec![(TableId::new("shop", "x"), None), (TableId::new("shop", "y"), None)];
        }
        store.commit(commit).await.unwrap();
        store.commit(Commit { forget: vec!["a".into()], ..Commit::default() }).await.unwrap();
        let left = |name: &str| {
            let mut claim = crate::sync::lock(&store.inner.claim);
            claim.as_mut().unwrap().with(dir.path(), |database| first_of(&database.begin_read()?.open_table(SCHEMAS)?, name)).unwrap()
        };
        assert_eq!((left("a"), left("b")), (None, Some(("shop".into(), "x".into()))));
    }

    #[tokio::test]
    async fn a_second_process_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = LocalStore::new(dir.path());
        first.load().await.unwrap();
        let second = LocalStore::new(dir.path());
        for error in [second.load().await.unwrap_err(), second.peek().await.unwrap_err()] {
            assert_eq!((error.kind(), error.code()), (Kind::Config, Some("E_STORE_LOCKED")));
        }
        assert!(first.peek().await.unwrap().is_some(), "the process that has it open may look");
    }

    #[tokio::test]
    async fn peek_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let peek = || async { LocalStore::new(dir.path()).peek().await };
        assert!(peek().await.unwrap().is_none());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        {
            let store = LocalStore::new(dir.path());
            store.load().await.unwrap();
            store.commit(begin()).await.unwrap();
        }
        let before = fs::read(dir.path().join("checkpoint.redb")).unwrap();
        let seen = peek().await.unwrap().unwrap();
        assert_eq!((seen.epoch(), seen.split(&"s".into()).unwrap().checkpoint.position.as_str()), (1, "1"));
        assert_eq!(fs::read(dir.path().join("checkpoint.redb")).unwrap(), before);
        fs::write(dir.path().join("checkpoint.redb"), b"no database").unwrap();
        assert!(peek().await.is_err());
    }

    #[tokio::test]
    async fn a_directory_that_cannot_hold_a_store_is_reported_before_the_start() {
        let dir = tempfile::tempdir().unwrap();
        assert!(LocalStore::new(dir.path().join("a/b")).peek().await.unwrap().is_none());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is created");
        fs::write(dir.path().join("file"), b"").unwrap();
        for path in ["file", "file/b"] {
            let store = LocalStore::new(dir.path().join(path));
            for error in [store.peek().await.unwrap_err(), store.load().await.unwrap_err()] {
                assert_eq!((error.kind(), error.code()), (Kind::Config, Some("E_STORE_DIRECTORY")), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn garbage_is_an_error_and_never_an_empty_store() {
        let dir = tempfile::tempdir().unwrap();
        {
            let store = LocalStore::new(dir.path());
            store.load().await.unwrap();
            store.commit(begin()).await.unwrap();
        }
        // A second start keeps a copy.
        LocalStore::new(dir.path()).load().await.unwrap();
        let file = dir.path().join("checkpoint.redb");
        let good = fs::read(&file).unwrap();
        let mut flipped = good.clone();
        flipped.iter_mut().skip(64).step_by(97).for_each(|byte| *byte ^= 0x10);
        for damaged in [vec![0x5a; good.len()], b"short".to_vec(), Vec::new(), flipped] {
            fs::write(&file, &damaged).unwrap();
            for error in [LocalStore::new(dir.path()).load().await.unwrap_err(), LocalStore::new(dir.path()).peek().await.unwrap_err()] {
                assert_eq!((error.kind(), error.code()), (Kind::Fatal, Some("E_CKPT_CORRUPT")), "{error}");
                assert!(error.help().unwrap().contains("checkpoint.redb.1"), "{error}");
            }
        }
        assert!(!dir.path().join("checkpoint.redb.2").exists(), "a start that fails keeps no copy");
        fs::copy(dir.path().join("checkpoint.redb.1"), &file).unwrap();
        assert!(!LocalStore::new(dir.path()).load().await.unwrap().is_new(), "the copy can be put back");
    }

    #[tokio::test]
    async fn failing_starts_keep_the_good_copies() {
        let dir = tempfile::tempdir().unwrap();
        let start = async || LocalStore::new(dir.path()).load().await;
        {
            let store = LocalStore::new(dir.path());
            store.load().await.unwrap();
            store.commit(begin()).await.unwrap();
        }
        for _ in 0..COPIES {
            start().await.unwrap();
        }
        let names = ["checkpoint.redb.1", "checkpoint.redb.2", "checkpoint.redb.3"];
        let copies = || names.map(|name| fs::read(dir.path().join(name)).unwrap());
        let (good, file) = (copies(), dir.path().join("checkpoint.redb"));
        fs::write(&file, vec![0x5a; good[0].len()]).unwrap();
        for _ in 0..3 {
            assert_eq!(start().await.unwrap_err().code(), Some("E_CKPT_CORRUPT"));
            assert!(copies() == good, "a copy was replaced");
        }
        fs::remove_file(&file).unwrap();
        for _ in 0..3 {
            let error = start().await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Fatal, Some("E_CKPT_CORRUPT")));
            assert!(copies() == good && !file.exists(), "a missing database was replaced");
        }
        for name in names {
            fs::copy(dir.path().join(name), &file).unwrap();
            assert_eq!(start().await.unwrap().split(&"s".into()).unwrap().checkpoint.position.as_str(), "1", "{name}");
            fs::write(dir.path().join("checkpoint.redb.1"), &good[0]).unwrap();
            fs::write(dir.path().join("checkpoint.redb.2"), &good[1]).unwrap();
            fs::write(dir.path().join("checkpoint.redb.3"), &good[2]).unwrap();
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5, "no temporary file is left");
    }

    /// A store as another version of the program left it.
    fn store_of_format(dir: &Path, format: u64) {
        let database = Database::create(dir.join("checkpoint.redb")).unwrap();
        let writing = database.begin_write().unwrap();
        for (name, value) in [("format", format), ("run", 7), ("epoch", 1), ("splits", 1)] {
            writing.open_table(META).unwrap().insert(name, value).unwrap();
        }
        let split = r#"{"number":1,"position":"v1;binlog.000001:4","receipt":"","done":false}"#;
        writing.open_table(SPLITS).unwrap().insert("stream_global", split).unwrap();
        // Version 1 kept facts under the name of a split.
        const STATE: TableDefinition<'_, (&str, &str), &str> = TableDefinition::new("state");
        writing.open_table(STATE).unwrap().insert(("stream_global", "identity"), "x").unwrap();
        writing.commit().unwrap();
    }

    #[tokio::test]
    async fn other_formats_are_refused_by_name() {
        for (format, code) in [(1, "E_CKPT_OLDER"), (FORMAT + 1, "E_CKPT_NEWER")] {
            let dir = tempfile::tempdir().unwrap();
            store_of_format(dir.path(), format);
            let before = fs::read(dir.path().join("checkpoint.redb")).unwrap();
            for error in [LocalStore::new(dir.path()).peek().await.unwrap_err(), LocalStore::new(dir.path()).load().await.unwrap_err()] {
                assert_eq!((error.kind(), error.code()), (Kind::Fatal, Some(code)));
                let help = error.help().unwrap();
                assert!(help.contains("from scratch") && !help.contains("finish"), "{help}");
            }
            assert!(!dir.path().join("checkpoint.redb.1").exists());
            assert!(fs::read(dir.path().join("checkpoint.redb")).unwrap() == before, "a store that is refused is left as it was");
        }
    }
}
