//! Applies DDL statements to the known schemas: those of the selected tables, and those of tables that may be selected after a statement
//! renames them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use runtime::{Collation, TableId, TableSchema};

use super::altered::{alter, change_keys};
use super::create::{Keys, find_column};
pub use super::error::ChangeError;
use super::followed::{FollowedRows, FollowedTable};
use super::objects::{OtherObjects, Others};
use super::{Change, Databases, Effect, ReadError, Unstated, shadow};

/// The selected tables that a schema change touched, with their new schemas; `None` for a table that was dropped.
pub type Touched = Vec<(TableId, Option<Arc<TableSchema>>)>;

/// What the stream wants to know of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// The table is selected: its rows are delivered.
    Selected,
    /// Only its schema is followed, because a statement may give the table a selected name.
    Followed,
    /// Nothing.
    None,
}

/// What a DDL statement has done to the known tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The selected tables that it concerns.
    pub touched: Touched,
    /// How it has changed rows of selected tables without row events, if it has.
    pub without_events: Vec<WithoutEvents>,
}

/// A way in which a statement changes the rows of a selected table without row events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithoutEvents {
    /// The table.
    pub table: TableId,
    /// What the statement does, such as `moves rows into or out of`.
    pub what: String,
    /// Whether the table itself is new to the selection, and takes the place of no other table: all its rows are missing, and no row is too many.
    pub is_new: bool,
}

/// The schemas of the known tables, and the databases, at one position of a stream.
#[derive(Clone, Debug, Default)]
pub struct History {
    tables: HashMap<TableId, Arc<TableSchema>>,
    databases: Databases,
    /// The tables with columns of which the CREATE TABLE does not say whether they are nullable, and those among them that have changed since
    /// they were last taken.
    unstated: HashMap<TableId, Unstated>,
    changed: BTreeSet<TableId>,
    /// What is known of the rows of followed tables; [`FollowedRows::Own`] is left out.
    rows: HashMap<TableId, FollowedRows>,
    /// The followed tables that have changed since they were last taken.
    followed: BTreeSet<TableId>,
    others: Others,
    /// Whether the server compares names in lower case.
    lower_case: bool,
}

/// A table that a statement renames: what it was called before the statement, and what was known of its rows then.
struct Renamed {
    now: TableId,
    before: TableId,
    rows: FollowedRows,
}

/// The work of one statement.
struct Work<'a> {
    seconds: u32,
    interest: &'a dyn Fn(&TableId) -> Interest,
    touched: Touched,
    /// Where a table is in `touched`.
    places: HashMap<TableId, usize>,
    without_events: Vec<WithoutEvents>,
    renamed: Vec<Renamed>,
}

impl Work<'_> {
    /// Adds an entry for a selected table, or replaces the entry that exists. So if a statement has several effects on a table, the last
    /// effect decides.
    fn touch(&mut self, table: TableId, schema: Option<Arc<TableSchema>>) {
        match self.places.get(&table) {
            Some(&place) => self.touched[place].1 = schema,
            None => {
                self.places.insert(table.clone(), self.touched.len());
                self.touched.push((table, schema));
            }
        }
    }

    fn rows_without_events(&mut self, table: &TableId, what: &str) {
        if (self.interest)(table) == Interest::Selected {
            self.without_events.push(WithoutEvents { table: table.clone(), what: what.to_owned(), is_new: false });
        }
    }
}

impl History {
    /// Creates the history at the start of a stream. `schemas` are the schemas of the selected tables at that position. `databases` are the
    /// databases that exist there, each with its default collation if that is known.
    pub fn new(
        schemas: impl IntoIterator<Item = Arc<TableSchema>>,
        databases: impl IntoIterator<Item = (String, impl Into<Option<Collation>>)>,
        lower_case: bool,
    ) -> Self {
        let databases = Databases::new(databases, lower_case);
        let mut history = Self { databases, lower_case, ..Self::default() };
        for schema in schemas {
            history.tables.insert(history.fold(&schema.id), schema);
        }
        history
    }

    /// Restores what was taken from [`History::take_unstated`] before.
    pub(crate) fn restore_unstated(&mut self, all: impl IntoIterator<Item = Unstated>) {
        for unstated in all {
            let table = unstated.table.clone();
            self.correct(&table, &unstated);
            self.unstated.insert(table, unstated);
        }
    }

    /// Restores what was taken from [`History::take_followed`] before.
    pub(crate) fn restore_followed(&mut self, all: impl IntoIterator<Item = FollowedTable>) {
        for FollowedTable { schema, rows } in all {
            let table = self.fold(&schema.id);
            self.set_rows(&table, rows);
            self.tables.insert(table, Arc::new(schema));
        }
    }

    /// Returns the followed tables that have changed; `None` for one that is not followed any more.
    pub(crate) fn take_followed(&mut self) -> Vec<(TableId, Option<FollowedTable>)> {
        let of = |table: &TableId| {
            let schema = TableSchema::clone(self.tables.get(table)?);
            Some(FollowedTable { schema, rows: self.rows_of(table) })
        };
        let taken = self.followed.iter().map(|table| (table.clone(), of(table))).collect();
        self.followed.clear();
        taken
    }

    /// Restores what was taken from [`History::take_others`] before.
    pub(crate) fn restore_others(&mut self, others: OtherObjects) {
        self.others.restore(others, |name| fold(name, self.lower_case));
    }

    /// Returns the views and sequences if they have changed.
    pub(crate) fn take_others(&mut self) -> Option<OtherObjects> {
        self.others.take()
    }

    /// Notes that views or sequences were created, or dropped.
    pub(crate) fn note_others(&mut self, names: &[TableId], exist: bool, interest: &dyn Fn(&TableId) -> Interest) {
        for name in names {
            let name = self.fold(name);
            match exist {
                true if interest(&name) != Interest::None => self.others.insert(name),
                true => {}
                false => self.others.remove(&name),
            }
        }
    }

    /// Whether a view or a sequence has this name, which is folded.
    fn is_other(&self, name: &TableId) -> bool {
        self.others.contains(name) && !self.tables.contains_key(name)
    }

    /// Notes that the schema of a followed table is not known any more.
    pub(crate) fn lose(&mut self, table: &TableId) {
        let table = self.fold(table);
        self.forget(&table);
    }

    /// Notes that a table has got rows.
    pub(crate) fn saw_rows(&mut self, table: &TableId) {
        if self.rows_of(table) == FollowedRows::None {
            self.set_rows(table, FollowedRows::Own);
            self.followed.insert(table.clone());
        }
    }

    fn rows_of(&self, table: &TableId) -> FollowedRows {
        self.rows.get(table).copied().unwrap_or_default()
    }

    fn set_rows(&mut self, table: &TableId, rows: FollowedRows) {
        match rows {
            FollowedRows::Own => _ = self.rows.remove(table),
            rows => _ = self.rows.insert(table.clone(), rows),
        }
    }

    /// Replaces the schema of a table by one that was not read from a statement.
    pub(crate) fn set(&mut self, schema: Arc<TableSchema>) {
        let table = self.fold(&schema.id);
        self.set_unstated(&table, None);
        self.others.remove(&table);
        self.tables.insert(table, schema);
    }

    /// Whether there is a column of which nobody has said yet whether it is nullable.
    pub(crate) fn has_unstated(&self) -> bool {
        self.unstated.values().any(Unstated::is_open)
    }

    /// Notes what the first TABLE_MAP of a table shows of such columns. The schema gets a new version if it said something else.
    pub(crate) fn settle(&mut self, table: &TableId, is_nullable: impl Fn(usize) -> bool) {
        let table = self.fold(table);
        let Some(mut unstated) = self.unstated.remove(&table) else { return };
        if unstated.is_open() {
            unstated.settle(is_nullable);
            self.changed.insert(table.clone());
            if !self.correct(&table, &unstated) {
                return;
            }
        }
        self.unstated.insert(table, unstated);
    }

    /// Returns the tables whose columns have changed, with what is known; `None` if nothing needs to be remembered any more.
    pub(crate) fn take_unstated(&mut self) -> Vec<(TableId, Option<Unstated>)> {
        std::mem::take(&mut self.changed).into_iter().map(|table| (table.clone(), self.unstated.get(&table).cloned())).collect()
    }

    /// Replaces the schema of a table by what is known. Returns whether it said something else.
    fn correct(&mut self, table: &TableId, unstated: &Unstated) -> bool {
        let Some(corrected) = self.tables.get(table).and_then(|schema| unstated.corrected(schema)) else { return false };
        self.tables.insert(table.clone(), Arc::new(corrected));
        true
    }

    /// Sets or removes the columns of a table that was created or dropped.
    fn set_unstated(&mut self, table: &TableId, unstated: Option<Unstated>) {
        let known = match unstated {
            Some(unstated) => {
                self.unstated.insert(table.clone(), unstated);
                true
            }
            None => self.unstated.remove(table).is_some(),
        };
        if known {
            self.changed.insert(table.clone());
        }
    }

    /// The name in the form in which the server compares it: in lower case, or unchanged.
    pub fn fold(&self, table: &TableId) -> TableId {
        fold(table, self.lower_case)
    }

    /// The schema of a table; `None` if it is not known.
    pub fn table(&self, table: &TableId) -> Option<&Arc<TableSchema>> {
        self.tables.get(&self.fold(table))
    }

    /// All known tables, in no order.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<TableSchema>> {
        self.tables.values()
    }

    /// Whether the server compares names in lower case.
    pub fn is_lower_case(&self) -> bool {
        self.lower_case
    }

    /// The default collation of a database; `None` if the database or its collation is not known.
    pub fn collation(&self, database: &str) -> Option<Collation> {
        self.databases.collation(database)
    }

    /// The databases that exist at this position.
    pub(crate) fn databases(&self) -> &Databases {
        &self.databases
    }

    /// Applies all effects of a DDL statement, up to the first that is an error. `seconds` is the time when the statement
    /// was executed, in seconds since the epoch.
    pub fn apply(&mut self, change: &Change, seconds: u32, interest: &dyn Fn(&TableId) -> Interest) -> Result<Applied, ChangeError> {
        let (touched, places, without_events, renamed) = (Touched::new(), HashMap::new(), Vec::new(), Vec::new());
        let mut work = Work { seconds, interest, touched, places, without_events, renamed };
        for effect in &change.effects {
            self.apply_effect(effect, &mut work)?;
        }
        self.judge_renamed(&mut work);
        Ok(Applied { touched: work.touched, without_events: work.without_events })
    }

    fn apply_effect(&mut self, effect: &Effect, work: &mut Work<'_>) -> Result<(), ChangeError> {
        match effect {
            Effect::Create { table, definition } => {
                let table = self.fold(table);
                let create = match ((work.interest)(&table), definition) {
                    (Interest::None, _) => return Ok(()),
                    (_, Ok(create)) => create,
                    (Interest::Selected, Err(error)) => return Err(ChangeError::Unread { table, error: error.clone() }),
                    (Interest::Followed, Err(_)) => {
                        self.forget(&table);
                        return Ok(());
                    }
                };
                if create.if_not_exists && self.is_other(&table) {
                    return Ok(());
                }
                match self.tables.get(&table).filter(|_| create.if_not_exists).cloned() {
                    Some(known) => self.touch(table, Some(known), work),
                    None => {
                        let unstated = Some(&create.unstated).filter(|columns| !columns.is_empty());
                        self.set_unstated(&table, unstated.map(|columns| Unstated::new(table.clone(), columns.clone())));
                        self.make(create.schema.clone(), table, work);
                    }
                }
            }
            Effect::CreateLike { table, like, if_not_exists } => {
                let table = self.fold(table);
                let interest = (work.interest)(&table);
                if interest == Interest::None {
                    return Ok(());
                }
                if let Some(known) = self.tables.get(&table).filter(|_| *if_not_exists).cloned() {
                    self.touch(table, Some(known), work);
                    return Ok(());
                }
                // MariaDB copies sequences in this way.
                if self.is_other(&self.fold(like)) {
                    self.note_others(&[table], true, work.interest);
                    return Ok(());
                }
                let Some(schema) = self.table(like).map(|schema| TableSchema::clone(schema)) else {
                    if interest == Interest::Selected {
                        return Err(ChangeError::LikeUnknown { table, like: self.fold(like) });
                    }
                    self.forget(&table);
                    return Ok(());
                };
                self.set_unstated(&table, self.unstated.get(&self.fold(like)).and_then(|unstated| unstated.like(&table)));
                self.make(schema, table, work);
            }
            Effect::CreateUnlisted { table, error } => {
                let table = self.fold(table);
                match (work.interest)(&table) {
                    Interest::Selected => return Err(ChangeError::Unread { table, error: error.clone() }),
                    Interest::Followed => self.forget(&table),
                    Interest::None => {}
                }
            }
            Effect::Drop { table } => {
                let table = self.fold(table);
                self.set_unstated(&table, None);
                self.rows.remove(&table);
                // MariaDB drops sequences in this way.
                if self.is_other(&table) {
                    self.others.remove(&table);
                    return Ok(());
                }
                // A DROP TABLE IF EXISTS of a selected table is delivered even if the table never existed.
                if self.tables.remove(&table).is_some() || (work.interest)(&table) == Interest::Selected {
                    self.touch(table, None, work);
                }
            }
            Effect::Truncate { table } => {
                let table = self.fold(table);
                if (work.interest)(&table) == Interest::Followed && self.tables.contains_key(&table) {
                    self.set_rows(&table, FollowedRows::None);
                }
                if let Some(schema) = self.known(&table, work)? {
                    self.touch(table, Some(schema), work);
                }
            }
            Effect::Keep { table } => {
                let table = self.fold(table);
                if let Some(schema) = self.known(&table, work)? {
                    self.touch(table, Some(schema), work);
                }
            }
            Effect::Rename { from, to } => self.rename(from, to, work)?,
            Effect::Keys { table, changes } => self.change(table, work, |schema, _| {
                let mut changed = TableSchema::clone(schema);
                change_keys(&mut changed, changes.iter())?;
                Keys::sort(&mut changed);
                Ok((changed, None))
            })?,
            Effect::Repartition { table, names } => self.change(table, work, |schema, _| {
                let mut changed = TableSchema::clone(schema);
                changed.partition_columns.clear();
                for column in names.iter().filter_map(|name| find_column(&schema.columns, name)) {
                    if !changed.partition_columns.contains(&column) {
                        changed.partition_columns.push(column);
                    }
                }
                Ok((changed, None))
            })?,
            Effect::Alter { table, alter: changes } => self.change(table, work, |schema, unstated| {
                let altered = alter(schema, unstated, changes)?;
                Ok((altered.schema, Some(altered.unstated)))
            })?,
            Effect::Exchange { table } => {
                let table = self.fold(table);
                work.rows_without_events(&table, "moves rows into or out of");
                if (work.interest)(&table) == Interest::Followed && self.tables.contains_key(&table) {
                    self.set_rows(&table, FollowedRows::OfAnotherName);
                }
                if let Some(schema) = self.known(&table, work)? {
                    self.touch(table, Some(schema), work);
                }
            }
            Effect::RemoveRows { table } => {
                let table = self.fold(table);
                work.rows_without_events(&table, "removes rows of");
                if let Some(schema) = self.known(&table, work)? {
                    self.touch(table, Some(schema), work);
                }
            }
            Effect::DatabaseCollation { database, collation, if_not_exists } => {
                let name = self.databases.fold(database);
                let exists = || self.databases.exists(database) || self.tables.keys().any(|table| *table.database == *name);
                if !(*if_not_exists && exists()) {
                    self.databases.set(database, collation.clone());
                }
            }
            Effect::DropDatabase { database } => {
                let name = self.databases.fold(database);
                let mut gone: Vec<TableId> = self.tables.keys().filter(|table| *table.database == *name).cloned().collect();
                gone.sort();
                for table in gone {
                    self.forget(&table);
                    self.touch(table, None, work);
                }
                self.others.remove_of(&name);
                self.databases.forget(database);
            }
        }
        Ok(())
    }

    /// The schema of a table, if the table is known. Fails if the table is selected but its schema is not known. A view or a sequence has none.
    fn known(&self, table: &TableId, work: &Work<'_>) -> Result<Option<Arc<TableSchema>>, ChangeError> {
        if self.is_other(table) {
            return Ok(None);
        }
        match (self.tables.get(table), (work.interest)(table)) {
            (_, Interest::None) => Ok(None),
            (None, Interest::Selected) => Err(ChangeError::Unknown { table: table.clone() }),
            (known, _) => Ok(known.cloned()),
        }
    }

    /// Replaces the schema of a table by another one, which `change` makes of the schema and of the columns that are nullable only by an
    /// assumption. It also returns the new columns of this kind; `None` if they stay.
    ///
    /// A followed table whose change cannot be read is not known any more.
    fn change(
        &mut self,
        table: &TableId,
        work: &mut Work<'_>,
        change: impl FnOnce(&TableSchema, &[usize]) -> Result<(TableSchema, Option<Vec<usize>>), ReadError>,
    ) -> Result<(), ChangeError> {
        let table = self.fold(table);
        let Some(old) = self.known(&table, work)? else { return Ok(()) };
        let open = self.unstated.get(&table).map(|unstated| unstated.open().to_vec()).unwrap_or_default();
        let (mut changed, unstated) = match change(&old, &open) {
            Ok(changed) => changed,
            Err(error) if (work.interest)(&table) == Interest::Selected => return Err(ChangeError::Unread { table, error }),
            Err(_) => {
                self.forget(&table);
                self.touch(table, None, work);
                return Ok(());
            }
        };
        if let Some(unstated) = unstated {
            self.set_unstated(&table, (!unstated.is_empty()).then(|| Unstated::new(table.clone(), unstated)));
        }
        let schema = if changed == *old {
            old
        } else {
            changed.version = old.version.saturating_add(1);
            Arc::new(changed)
        };
        self.tables.insert(table.clone(), schema.clone());
        self.touch(table, Some(schema), work);
        Ok(())
    }

    /// Removes all that is known of a table, and what is stored of it as a followed table.
    fn forget(&mut self, table: &TableId) {
        if self.tables.remove(table).is_some() {
            self.followed.insert(table.clone());
        }
        self.rows.remove(table);
        self.set_unstated(table, None);
        self.others.remove(table);
    }

    /// Notes that a statement concerns a table.
    fn touch(&mut self, table: TableId, schema: Option<Arc<TableSchema>>, work: &mut Work<'_>) {
        match (work.interest)(&table) {
            Interest::Selected => work.touch(table, schema),
            Interest::Followed => {
                self.followed.insert(table);
            }
            Interest::None => {}
        }
    }

    /// Adds a table that a DDL statement creates. The version of its schema is the time of the statement, or one more than the known
    /// version if that is greater. So a table that was dropped and created again has a greater version than before, even if the dropped
    /// table was forgotten in a restart.
    fn make(&mut self, schema: TableSchema, table: TableId, work: &mut Work<'_>) {
        let mut schema = schema;
        let last = self.tables.get(&table).map_or(0, |known| known.version);
        schema.version = work.seconds.max(last.saturating_add(1));
        schema.id = table.clone();
        let schema = Arc::new(schema);
        self.others.remove(&table);
        self.tables.insert(table.clone(), schema.clone());
        if (work.interest)(&table) == Interest::Followed {
            self.set_rows(&table, FollowedRows::None);
        }
        self.touch(table, Some(schema), work);
    }

    /// Gives a table another name.
    fn rename(&mut self, from: &TableId, to: &TableId, work: &mut Work<'_>) -> Result<(), ChangeError> {
        let (from, to) = (self.fold(from), self.fold(to));
        if self.is_other(&from) {
            self.others.remove(&from);
            self.note_others(&[to], true, work.interest);
            return Ok(());
        }
        let Some(schema) = self.tables.remove(&from) else {
            let error = ChangeError::Renamed { from, to: to.clone() };
            return if (work.interest)(&to) == Interest::Selected { Err(error) } else { Ok(()) };
        };
        let mut renamed = TableSchema::clone(&schema);
        // A table that had this name before may have had a greater version, but none that is greater than the time.
        renamed.version = work.seconds.max(schema.version.saturating_add(1));
        renamed.id = to.clone();
        let unstated = self.unstated.get(&from).and_then(|unstated| unstated.like(&to));
        self.set_unstated(&from, None);
        self.set_unstated(&to, unstated);
        let rows = self.rows.remove(&from).unwrap_or_default();
        self.set_rows(&to, rows);
        match work.renamed.iter_mut().find(|renamed| renamed.now == from) {
            Some(renamed) => renamed.now = to.clone(),
            None => work.renamed.push(Renamed { now: to.clone(), before: from.clone(), rows }),
        }
        self.touch(from, None, work);
        let renamed = Arc::new(renamed);
        self.others.remove(&to);
        self.tables.insert(to.clone(), renamed.clone());
        self.touch(to, Some(renamed), work);
        Ok(())
    }

    /// Looks where a statement has left the tables that it has renamed. In between, they may have had any names.
    ///
    /// A table that is selected now and was not before brings rows that were never delivered, unless it has none, or is the copy of the table
    /// whose place it takes. A table that once had another name is no such copy: it may be the table that a copy has replaced.
    fn judge_renamed(&mut self, work: &mut Work<'_>) {
        let names_before: BTreeSet<TableId> = work.renamed.iter().map(|renamed| renamed.before.clone()).collect();
        for Renamed { now, before, rows } in std::mem::take(&mut work.renamed) {
            match (work.interest)(&now) {
                Interest::None => self.forget(&now),
                Interest::Followed if before == now || rows == FollowedRows::None => {}
                Interest::Followed => self.set_rows(&now, FollowedRows::OfAnotherName),
                Interest::Selected => {
                    self.rows.remove(&now);
                    let is_copy =
                        before.database == now.database && rows == FollowedRows::Own && shadow::is_copy(&before.table, &now.table);
                    if (work.interest)(&before) != Interest::Selected && rows != FollowedRows::None && !is_copy {
                        let what = format!("renames {before}, of which not all changes were delivered, to");
                        // Readers have the rows of a table whose place it takes.
                        let is_new = !names_before.contains(&now);
                        work.without_events.push(WithoutEvents { table: now, what, is_new });
                    }
                }
            }
        }
    }
}

fn fold(table: &TableId, lower_case: bool) -> TableId {
    if lower_case { TableId::new(table.database.to_lowercase(), table.table.to_lowercase()) } else { table.clone() }
}
