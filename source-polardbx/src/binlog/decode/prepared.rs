//! XA transactions whose outcome is not known yet.
//!
//! The binlog holds an XA transaction in two halves: its changes, which end with an XA PREPARE, and later its outcome, XA COMMIT or XA
//! ROLLBACK. The row events of the first half wait in a spool file. So the resume point can move on, however late the outcome comes.
//!
//! MySQL 5.7 lets DROP and TRUNCATE through between the two halves, of tables and of partitions. Its storage engine then removes the
//! prepared rows, too: none of them is in the table after the XA COMMIT. MariaDB lets DROP PARTITION through.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};

use runtime::{Committed, TableId};

use super::expansion::spooled;
use super::output::BatchOutput;
use super::row_keys::RowKeys;
use super::savepoints::Savepoints;
use super::table_maps::TableMaps;
use crate::binlog::error::{StreamError, shorten};
use crate::binlog::event::{RawEvent, Reader, kind};
use crate::binlog::position::FileOffset;
use crate::binlog::profile::ServerProfile;
use crate::binlog::row::RowLayout;
use crate::error::{Result, SourceError};
use crate::facts::{PreparedRows, PreparedXa};
use crate::schema::{Change as SchemaChange, Effect, History, Xid};
use crate::selection::Selection;
use crate::spool::{SpoolReader, SpoolWriter};

/// The prepared XA transactions of a stream.
///
/// Invariant: every listed transaction with rows of selected tables has a durable spool file. The list is committed together with the resume
/// point behind the XA PREPARE or the outcome that changed it.
#[derive(Debug, Default)]
pub struct PreparedTransactions {
    stream: String,
    /// The folder of the spool files; `None` if the task has no folder for files.
    folder: Option<PathBuf>,
    /// An outcome that begins before this may belong to a transaction that was prepared before the stream began. Its rows are in the full
    /// phase, or before the start.
    settled: Option<FileOffset>,
    listed: HashMap<Xid, PreparedXa>,
    /// The keys of the rows of listed transactions, by the beginning of the transaction and the table. They are read from the spool when they
    /// are needed first.
    keys: HashMap<FileOffset, HashMap<TableId, RowKeys>>,
    /// The changes of the list by the open group.
    changes: Vec<Change>,
    /// The spool files that are not needed once the position beside each is committed, in order.
    leftover: VecDeque<(FileOffset, PathBuf)>,
}

#[derive(Debug)]
enum Change {
    Prepared(PreparedXa),
    Ended(PreparedXa),
    /// The rows were delivered or dropped before the outcome is read.
    Settled(PreparedXa),
}

/// The first half of an XA transaction, while it is read.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) xid: Xid,
    /// The row events of selected tables; `None` if there are none yet.
    spool: Option<SpoolWriter>,
    /// The tables of these events.
    tables: BTreeSet<TableId>,
    /// The savepoints, each with the length of the spool.
    savepoints: Savepoints<u64>,
}

/// What an outcome ends.
pub(super) enum Ended {
    /// A transaction without rows of selected tables.
    Nothing,
    /// A transaction that began at `start`, with the rows in this spool. Those of `removed` tables do not exist any more.
    Rows { start: FileOffset, spool: SpoolReader, removed: Vec<TableId> },
}

/// What is needed to decode rows.
#[derive(Clone, Copy)]
pub(super) struct Schemas<'a> {
    pub(super) history: &'a History,
    pub(super) selection: &'a Selection,
    pub(super) profile: &'a ServerProfile,
}

impl PreparedTransactions {
    /// Reads the list of the stream from the checkpoint, and removes files that are not listed. `state_dir` is the folder of the task's
    /// files. `settled` is a position before which outcomes of transactions may come that were prepared before the stream began.
    pub(crate) fn open(stream: &str, state_dir: Option<&Path>, settled: Option<FileOffset>, committed: &Committed) -> Result<Self> {
        let prepared = Self { settled, ..Self::listed_in(stream, state_dir, committed)? };
        prepared.remove_unlisted().map_err(|error| SourceError::answer("remove old spool files", error.to_string()))?;
        prepared.verify_files()?;
        Ok(prepared)
    }

    /// Fails as [`PreparedTransactions::open`] does if a listed transaction cannot be read back. Changes nothing.
    pub(crate) fn verify(stream: &str, state_dir: Option<&Path>, committed: &Committed) -> Result<()> {
        Self::listed_in(stream, state_dir, committed)?.verify_files()
    }

    fn listed_in(stream: &str, state_dir: Option<&Path>, committed: &Committed) -> Result<Self> {
        let folder = state_dir.map(|folder| folder.join("spool").join(stream));
        let mut listed = HashMap::new();
        let key = PreparedXa::key(stream, None);
        for fact in committed.facts::<PreparedXa>() {
            let (found, prepared) = fact?;
            if found.starts_with(&key) {
                listed.insert(prepared.xid.clone(), prepared);
            }
        }
        Ok(Self { stream: stream.to_owned(), folder, listed, ..Self::default() })
    }

    fn verify_files(&self) -> Result<()> {
        for transaction in self.listed.values().filter(|transaction| transaction.spool_bytes.is_some()) {
            self.read(transaction)?;
        }
        Ok(())
    }

    fn remove_unlisted(&self) -> std::io::Result<()> {
        let Some(folder) = self.folder.as_deref().filter(|folder| folder.is_dir()) else { return Ok(()) };
        let with_rows = self.listed.values().filter(|transaction| transaction.spool_bytes.is_some());
        let listed: Vec<PathBuf> = with_rows.map(|transaction| file_of(folder, transaction.at())).collect();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if !listed.contains(&path) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// The spool of a listed transaction, after all of it was verified.
    fn read(&self, transaction: &PreparedXa) -> Result<SpoolReader, StreamError> {
        let lost = |what: String| StreamError::SpoolLost { xid: transaction.xid.to_string(), prepared: transaction.at().to_string(), what };
        let folder = self.folder.as_deref().ok_or_else(|| lost("the task has no folder for files".to_owned()))?;
        let path = file_of(folder, transaction.at());
        let length = transaction.spool_bytes.unwrap_or(0);
        let opened = SpoolReader::verify(&path, length).and_then(|()| SpoolReader::open(&path, length));
        opened.map_err(|error| lost(format!("{}: {error}", path.display())))
    }

    /// Adds a row event of `table`, or its TABLE_MAP, to the first half of a transaction, which begins at `start`.
    pub(super) fn add(&self, branch: &mut Branch, start: FileOffset, table: TableId, event: &RawEvent<'_>) -> Result<(), StreamError> {
        branch.tables.insert(table);
        let spool = match &mut branch.spool {
            Some(spool) => spool,
            None => {
                let folder = self.folder.as_deref().ok_or_else(|| StreamError::Unsupported {
                    what: "an XA transaction with rows of a selected table, in a task without a folder for files,".to_owned(),
                    help: "give the pipeline a state directory, leave the table out of the selection, or use ordinary transactions",
                })?;
                branch.spool.insert(SpoolWriter::new(file_of(folder, start)))
            }
        };
        spool.add(&[&[event.header.kind], event.body]).map_err(unwritten)
    }

    /// Lists the transaction that begins at `start`, whose first half is complete. Its rows are durable when this method returns.
    pub(super) fn prepare(&mut self, branch: Branch, start: FileOffset) -> Result<(), StreamError> {
        let Branch { xid, spool, tables, .. } = branch;
        let spool_bytes = spool.filter(|spool| !spool.is_empty()).map(SpoolWriter::persist).transpose().map_err(unwritten)?;
        self.changes.push(Change::Prepared(PreparedXa::new(xid, start, spool_bytes, tables)));
        Ok(())
    }

    /// Ends a listed transaction by its outcome, whose group begins at `start`.
    pub(super) fn end(&mut self, xid: &Xid, committed: bool, start: FileOffset) -> Result<Ended, StreamError> {
        let Some(transaction) = self.listed.remove(xid) else {
            return match self.settled {
                Some(settled) if start < settled => Ok(Ended::Nothing),
                // Nothing is lost by it, whatever the transaction has changed.
                _ if !committed => Ok(Ended::Nothing),
                _ => Err(StreamError::UnknownXa { xid: xid.to_string() }),
            };
        };
        let ended = self.rows(&transaction, committed)?;
        self.keys.remove(&transaction.at());
        self.changes.push(Change::Ended(transaction));
        Ok(ended)
    }

    /// Takes the rows from a listed transaction whose outcome comes later, because a row event follows one of them. The outcome then finds
    /// none.
    pub(super) fn settle(&mut self, xid: &Xid, committed: bool) -> Result<Ended, StreamError> {
        let Some(transaction) = self.listed.get(xid) else { return Ok(Ended::Nothing) };
        let ended = self.rows(transaction, committed)?;
        let transaction = transaction.clone();
        self.listed.insert(xid.clone(), transaction.without_rows());
        self.keys.remove(&transaction.at());
        self.changes.push(Change::Settled(transaction));
        Ok(ended)
    }

    fn rows(&self, transaction: &PreparedXa, committed: bool) -> Result<Ended, StreamError> {
        match transaction.spool_bytes {
            Some(_) if committed => {
                Ok(Ended::Rows { start: transaction.at(), removed: removed_tables(transaction)?, spool: self.read(transaction)? })
            }
            _ => Ok(Ended::Nothing),
        }
    }

    /// Whether no transaction is listed.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// The first listed transaction that has changed a row of this row event before. With `before`, the row event belongs to a transaction
    /// that was prepared there, so only those that were prepared earlier count.
    ///
    /// The server let the row event wait until the transaction released its locks. So the outcome of the transaction is decided, although MySQL
    /// 5.7 may write it into the binlog later.
    pub(super) fn followed(
        &mut self,
        event: &RawEvent<'_>,
        layout: &RowLayout,
        before: Option<FileOffset>,
        schemas: Schemas<'_>,
    ) -> Result<Option<&PreparedXa>, StreamError> {
        let table = schemas.history.fold(&layout.schema.id);
        let has_rows = |transaction: &&PreparedXa| {
            transaction.spool_bytes.is_some()
                && before.is_none_or(|before| transaction.at() < before)
                && transaction.tables.iter().any(|(other, rows)| *other == table && *rows == PreparedRows::Kept)
        };
        let mut candidates: Vec<&PreparedXa> = self.listed.values().filter(has_rows).collect();
        if candidates.is_empty() {
            return Ok(None);
        }
        candidates.sort_by_key(|transaction| transaction.at());
        let mut event_keys = RowKeys::default();
        event_keys.add(event, layout)?;
        for transaction in candidates {
            let at = transaction.at();
            if !self.keys.contains_key(&at) {
                let keys = self.read_keys(transaction, schemas)?;
                self.keys.insert(at, keys);
            }
            let keys = self.keys.get(&at).and_then(|tables| tables.get(&table));
            if keys.is_some_and(|keys| event_keys.follow(keys)) {
                return Ok(Some(transaction));
            }
        }
        Ok(None)
    }

    fn read_keys(&self, transaction: &PreparedXa, schemas: Schemas<'_>) -> Result<HashMap<TableId, RowKeys>, StreamError> {
        // The schemas of other tables may have changed.
        let changed = transaction.tables.iter().filter(|(_, rows)| *rows != PreparedRows::Kept);
        let mut maps = TableMaps::without(changed.map(|(table, _)| table.clone()).collect());
        let mut spool = self.read(transaction)?;
        let mut keys: HashMap<TableId, RowKeys> = HashMap::new();
        while let Some(event) = spooled(&mut spool)? {
            if event.header.kind == kind::TABLE_MAP {
                maps.add(event.body, schemas.history, schemas.selection, schemas.profile)?;
            } else if let Some(layout) = maps.layout(&event, schemas.profile)? {
                keys.entry(schemas.history.fold(&layout.schema.id)).or_default().add(&event, &layout)?;
            }
        }
        Ok(keys)
    }

    /// A file beside the spool files. It is removed at the next start.
    pub(super) fn file_beside(&self, name: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(name))
    }

    /// Notes what a DDL statement has done to the rows of prepared transactions. `history` tells how the server compares names.
    pub(super) fn schema_changed(
        &mut self,
        change: &SchemaChange,
        statement: &str,
        history: &History,
        output: &mut BatchOutput,
    ) -> Result<(), StreamError> {
        for transaction in self.listed.values_mut() {
            let mut changed = false;
            for (table, rows) in &mut transaction.tables {
                for effect in &change.effects {
                    let next = match effect_on_rows(effect, table, history) {
                        EffectOnRows::None => continue,
                        EffectOnRows::Removes => PreparedRows::Removed,
                        EffectOnRows::Unknown => PreparedRows::InDoubt(shorten(statement)),
                    };
                    // What is removed stays removed, whatever becomes of another table of the same name.
                    if *rows != PreparedRows::Removed {
                        (*rows, changed) = (next, true);
                    }
                }
            }
            if changed {
                output.set_fact(&PreparedXa::key(&self.stream, Some(transaction.at())), transaction)?;
            }
        }
        Ok(())
    }

    /// Notes in `output` how the group that ends at `end` changes the list. Must be called before the resume point moves to `end`.
    pub(super) fn group_closed(&mut self, end: FileOffset, output: &mut BatchOutput) -> Result<(), StreamError> {
        for change in std::mem::take(&mut self.changes) {
            match change {
                Change::Prepared(transaction) => {
                    output.set_fact(&PreparedXa::key(&self.stream, Some(transaction.at())), &transaction)?;
                    // A server that crashed between the binlog and its storage engine has forgotten the earlier transaction of the same id.
                    if let Some(forgotten) = self.listed.insert(transaction.xid.clone(), transaction) {
                        self.forget(&forgotten, end, output);
                    }
                }
                Change::Ended(transaction) => self.forget(&transaction, end, output),
                Change::Settled(transaction) => {
                    output.set_fact(&PreparedXa::key(&self.stream, Some(transaction.at())), &transaction.without_rows())?;
                    self.leave(&transaction, end);
                }
            }
        }
        Ok(())
    }

    fn forget(&mut self, transaction: &PreparedXa, end: FileOffset, output: &mut BatchOutput) {
        output.remove_fact::<PreparedXa>(&PreparedXa::key(&self.stream, Some(transaction.at())));
        self.leave(transaction, end);
    }

    /// Notes that the file of a transaction is not needed once `end` is committed.
    fn leave(&mut self, transaction: &PreparedXa, end: FileOffset) {
        self.keys.remove(&transaction.at());
        if let (Some(folder), Some(_)) = (&self.folder, transaction.spool_bytes) {
            self.leftover.push_back((end, file_of(folder, transaction.at())));
        }
    }

    /// Whether there are files that may be removed once a later position is committed.
    pub(crate) fn has_leftover(&self) -> bool {
        !self.leftover.is_empty()
    }

    /// Removes the files that are not needed any more, now that everything before `committed` is committed.
    pub(crate) fn remove_leftover(&mut self, committed: FileOffset) {
        while let Some((_, path)) = self.leftover.pop_front_if(|(end, _)| *end <= committed) {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "a spool file that is not needed any more cannot be removed");
            }
        }
    }
}

impl Branch {
    pub(super) fn new(xid: Xid) -> Self {
        Self { xid, spool: None, tables: BTreeSet::new(), savepoints: Savepoints::default() }
    }

    /// Sets a savepoint.
    pub(super) fn savepoint(&mut self, name: String) {
        self.savepoints.set(name, self.spool.as_ref().map_or(0, SpoolWriter::len));
    }

    /// Drops the row events since the savepoint `name`.
    pub(super) fn return_to(&mut self, name: &str) -> Result<(), StreamError> {
        let Some(spool) = &mut self.spool else { return Ok(()) };
        match self.savepoints.return_to(name)? {
            0 => self.spool = None,
            length => spool.truncate(length).map_err(unwritten)?,
        }
        Ok(())
    }

    /// The row events, for a transaction that is committed with its first half; `None` if there are none.
    pub(super) fn into_reader(self) -> Result<Option<SpoolReader>, StreamError> {
        self.spool.filter(|spool| !spool.is_empty()).map(SpoolWriter::into_reader).transpose().map_err(unwritten)
    }
}

/// What a statement does to the rows of a prepared transaction.
enum EffectOnRows {
    None,
    Removes,
    /// The server should have made it wait for the outcome, or it concerns some of the rows.
    Unknown,
}

/// What an effect of a DDL statement does to the rows of a prepared transaction in `table`.
fn effect_on_rows(effect: &Effect, table: &TableId, history: &History) -> EffectOnRows {
    use EffectOnRows::{None, Removes, Unknown};
    let is = |other: &TableId| history.fold(other) == *table;
    match effect {
        // The table does not exist, or the statement does nothing.
        Effect::Create { definition: Ok(create), .. } if create.if_not_exists => None,
        Effect::CreateLike { if_not_exists: true, .. } | Effect::DatabaseCollation { .. } => None,
        // If the table exists, it is replaced.
        Effect::Create { table, .. } | Effect::CreateLike { table, .. } | Effect::Drop { table } | Effect::Truncate { table }
            if is(table) =>
        {
            Removes
        }
        Effect::DropDatabase { database } if history.databases().fold(database) == *table.database => Removes,
        Effect::Keep { table }
        | Effect::Keys { table, .. }
        | Effect::Repartition { table, .. }
        | Effect::Alter { table, .. }
        | Effect::Exchange { table }
        | Effect::RemoveRows { table }
        | Effect::CreateUnlisted { table, .. }
            if is(table) =>
        {
            Unknown
        }
        Effect::Rename { from, to } if is(from) || is(to) => Unknown,
        _ => None,
    }
}

/// The tables that were dropped or emptied after the transaction was prepared. Fails if it is not known which of its rows still exist.
fn removed_tables(transaction: &PreparedXa) -> Result<Vec<TableId>, StreamError> {
    let mut removed = Vec::new();
    for (table, rows) in &transaction.tables {
        match rows {
            PreparedRows::Kept => {}
            PreparedRows::Removed => {
                let xid = transaction.xid.to_string();
                tracing::info!(xid, %table, "rows of an XA transaction were removed with their table before its commit");
                removed.push(table.clone());
            }
            PreparedRows::InDoubt(statement) => {
                let (xid, prepared) = (transaction.xid.to_string(), transaction.at().to_string());
                return Err(StreamError::PreparedInDoubt { xid, prepared, table: table.clone(), statement: statement.clone() });
            }
        }
    }
    Ok(removed)
}

/// Reads the body of an XA_PREPARE event: the id of the transaction, and whether the event commits it.
pub(super) fn read_xa_prepare(body: &[u8]) -> Result<(Xid, bool), StreamError> {
    let mut reader = Reader::new(body);
    let (one_phase, format) = (reader.u8()? != 0, reader.u32()?);
    let (global, branch) = (reader.u32()? as usize, reader.u32()? as usize);
    let xid = Xid { global: reader.take(global)?.to_vec(), branch: reader.take(branch)?.to_vec(), format };
    Ok((xid, one_phase))
}

/// The spool file of the transaction that begins at `start`.
fn file_of(folder: &Path, start: FileOffset) -> PathBuf {
    folder.join(format!("xa-{:06}-{}.rows", start.file, start.offset))
}

fn unwritten(error: std::io::Error) -> StreamError {
    StreamError::SpoolUnwritten { message: error.to_string() }
}
