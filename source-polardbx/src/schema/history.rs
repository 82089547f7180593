//! Applies DDL statements to the known schemas of the selected tables.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use runtime::{TableId, TableSchema};

use super::altered::{alter, change_key};
use super::create::find_column;
pub use super::error::ChangeError;
use super::{Change, Databases, Effect, Unstated};

/// The selected tables that a schema change touched, with their new schemas; `None` for a table that was dropped.
pub type Touched = Vec<(TableId, Option<Arc<TableSchema>>)>;

/// The schemas of the selected tables, and the databases, at one position of a stream.
#[derive(Clone, Debug, Default)]
pub struct History {
    tables: HashMap<TableId, Arc<TableSchema>>,
    databases: Databases,
    /// The tables with columns of which the CREATE TABLE does not say whether they are nullable, and those among them that have changed since
    /// they were last taken.
    unstated: HashMap<TableId, Unstated>,
    changed: BTreeSet<TableId>,
    /// Whether the server compares names in lower case.
    lower_case: bool,
}

impl History {
    /// Creates the history at the start of a stream. `schemas` are the schemas of the selected tables at that position. `databases` are the
    /// databases that exist there, each with its default character set if that is known.
    pub fn new(
        schemas: impl IntoIterator<Item = Arc<TableSchema>>,
        databases: impl IntoIterator<Item = (String, impl Into<Option<String>>)>,
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

    /// Replaces the schema of a table by one that was not read from a statement.
    pub(crate) fn set(&mut self, schema: Arc<TableSchema>) {
        let table = self.fold(&schema.id);
        self.set_unstated(&table, None);
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
        if self.lower_case { TableId::new(table.database.to_lowercase(), table.table.to_lowercase()) } else { table.clone() }
    }

    /// The schema of a table; `None` if it is not known.
    pub fn table(&self, table: &TableId) -> Option<&Arc<TableSchema>> {
        self.tables.get(&self.fold(table))
    }

    /// Whether the server compares names in lower case.
    pub fn is_lower_case(&self) -> bool {
        self.lower_case
    }

    /// The default character set of a database; `None` if the database or its character set is not known.
    pub fn charset(&self, database: &str) -> Option<String> {
        self.databases.charset(database)
    }

    /// The databases that exist at this position.
    pub(crate) fn databases(&self) -> &Databases {
        &self.databases
    }

    /// Applies all effects of a DDL statement, or none of them if there is an error. `seconds` is the time when the statement was executed,
    /// in seconds since the epoch. `server_charset` is the character set of databases that are created without a character set.
    pub fn apply(
        &mut self,
        change: &Change,
        seconds: u32,
        server_charset: Option<&str>,
        selected: &dyn Fn(&TableId) -> bool,
    ) -> Result<Touched, ChangeError> {
        let mut next = self.clone();
        let mut touched = Touched::new();
        for effect in &change.effects {
            next.apply_effect(effect, seconds, server_charset, selected, &mut touched)?;
        }
        // A statement may give a selected table another name for a moment. Behind the statement, only selected tables are followed.
        touched.retain(|(table, schema)| {
            let is_kept = selected(table) || (schema.is_none() && self.tables.contains_key(table));
            if !is_kept {
                next.tables.remove(table);
            }
            is_kept
        });
        *self = next;
        Ok(touched)
    }

    fn apply_effect(
        &mut self,
        effect: &Effect,
        seconds: u32,
        server_charset: Option<&str>,
        selected: &dyn Fn(&TableId) -> bool,
        touched: &mut Touched,
    ) -> Result<(), ChangeError> {
        match effect {
            Effect::Create { table, definition } => {
                let table = self.fold(table);
                if !selected(&table) {
                    return Ok(());
                }
                let create = definition.as_ref().map_err(|error| ChangeError::Unread { table: table.clone(), error: error.clone() })?;
                match self.tables.get(&table).filter(|_| create.if_not_exists).cloned() {
                    Some(known) => touch(touched, table, Some(known)),
                    None => {
                        let unstated = Some(&create.unstated).filter(|columns| !columns.is_empty());
                        self.set_unstated(&table, unstated.map(|columns| Unstated::new(table.clone(), columns.clone())));
                        self.make(create.schema.clone(), table, seconds, touched);
                    }
                }
            }
            Effect::CreateLike { table, like, if_not_exists } => {
                let table = self.fold(table);
                if !selected(&table) {
                    return Ok(());
                }
                if let Some(known) = self.tables.get(&table).filter(|_| *if_not_exists).cloned() {
                    touch(touched, table, Some(known));
                    return Ok(());
                }
                let Some(schema) = self.table(like).map(|schema| TableSchema::clone(schema)) else {
                    return Err(ChangeError::LikeUnknown { table, like: self.fold(like) });
                };
                self.set_unstated(&table, self.unstated.get(&self.fold(like)).and_then(|unstated| unstated.like(&table)));
                self.make(schema, table, seconds, touched);
            }
            Effect::CreateUnlisted { table, error } => {
                let table = self.fold(table);
                if selected(&table) {
                    return Err(ChangeError::Unread { table, error: error.clone() });
                }
            }
            Effect::Drop { table } => {
                let table = self.fold(table);
                self.set_unstated(&table, None);
                // A DROP TABLE IF EXISTS of a selected table is delivered even if the table never existed.
                if self.tables.remove(&table).is_some() || selected(&table) {
                    touch(touched, table, None);
                }
            }
            Effect::Truncate { table } | Effect::Keep { table } => {
                if let Some((table, schema)) = self.selected(table, selected)? {
                    touch(touched, table, Some(schema));
                }
            }
            Effect::Rename { from, to } => self.rename(from, to, seconds, selected, touched)?,
            Effect::Keys { table, changes } => {
                if let Some((table, schema)) = self.selected(table, selected)? {
                    let mut changed = TableSchema::clone(&schema);
                    changes
                        .iter()
                        .try_for_each(|change| change_key(&mut changed, change))
                        .map_err(|error| ChangeError::Unread { table: table.clone(), error })?;
                    self.replace(table, &schema, changed, touched);
                }
            }
            Effect::Repartition { table, names } => {
                if let Some((table, schema)) = self.selected(table, selected)? {
                    let mut changed = TableSchema::clone(&schema);
                    changed.partition_columns.clear();
                    for column in names.iter().filter_map(|name| find_column(&schema.columns, name)) {
                        if !changed.partition_columns.contains(&column) {
                            changed.partition_columns.push(column);
                        }
                    }
                    self.replace(table, &schema, changed, touched);
                }
            }
            Effect::Alter { table, alter: changes } => {
                if let Some((table, schema)) = self.selected(table, selected)? {
                    let open = self.unstated.get(&table).map(|unstated| unstated.open().to_vec()).unwrap_or_default();
                    let altered = alter(&schema, &open, changes).map_err(|error| ChangeError::Unread { table: table.clone(), error })?;
                    let unstated = (!altered.unstated.is_empty()).then(|| Unstated::new(table.clone(), altered.unstated));
                    self.set_unstated(&table, unstated);
                    self.replace(table, &schema, altered.schema, touched);
                }
            }
            Effect::Exchange { table } => {
                let table = self.fold(table);
                if selected(&table) {
                    return Err(ChangeError::Exchanged { table });
                }
            }
            Effect::DatabaseCharset { database, charset, if_not_exists } => {
                let name = self.databases.fold(database);
                let exists = || self.databases.exists(database) || self.tables.keys().any(|table| *table.database == *name);
                if !(*if_not_exists && exists()) {
                    self.databases.set(database, charset.clone().or_else(|| server_charset.map(str::to_owned)));
                }
            }
            Effect::DropDatabase { database } => {
                let name = self.databases.fold(database);
                let mut gone: Vec<TableId> = self.tables.keys().filter(|table| *table.database == *name).cloned().collect();
                gone.sort();
                for table in gone {
                    self.tables.remove(&table);
                    self.set_unstated(&table, None);
                    touched.push((table, None));
                }
                self.databases.forget(database);
            }
        }
        Ok(())
    }

    /// The table with its schema; `None` if the table is not selected. Fails if the table is selected but its schema is not known.
    fn selected(&self, table: &TableId, selected: &dyn Fn(&TableId) -> bool) -> Result<Option<(TableId, Arc<TableSchema>)>, ChangeError> {
        let table = self.fold(table);
        if !selected(&table) {
            return Ok(None);
        }
        match self.tables.get(&table).cloned() {
            Some(schema) => Ok(Some((table, schema))),
            None => Err(ChangeError::Unknown { table }),
        }
    }

    /// Adds a table that a DDL statement creates. The version of its schema is the time of the statement, or one more than the known
    /// version if that is greater. So a table that was dropped and created again has a greater version than before, even if the dropped
    /// table was forgotten in a restart.
    fn make(&mut self, schema: TableSchema, table: TableId, seconds: u32, touched: &mut Touched) {
        let mut schema = schema;
        let last = self.tables.get(&table).map_or(0, |known| known.version);
        schema.version = seconds.max(last.saturating_add(1));
        schema.id = table.clone();
        let schema = Arc::new(schema);
        self.tables.insert(table.clone(), schema.clone());
        touch(touched, table, Some(schema));
    }

    /// Gives a table another name. A table that leaves the selection keeps its schema, because it may come back.
    fn rename(
        &mut self,
        from: &TableId,
        to: &TableId,
        seconds: u32,
        selected: &dyn Fn(&TableId) -> bool,
        touched: &mut Touched,
    ) -> Result<(), ChangeError> {
        let (from, to) = (self.fold(from), self.fold(to));
        let Some(schema) = self.tables.remove(&from) else {
            // A table whose schema is not known has rows that were never delivered.
            return if selected(&to) { Err(ChangeError::Renamed { from, to }) } else { Ok(()) };
        };
        let mut renamed = TableSchema::clone(&schema);
        // A table that had this name before may have had a greater version, but none that is greater than the time.
        renamed.version = seconds.max(schema.version.saturating_add(1));
        renamed.id = to.clone();
        let unstated = self.unstated.get(&from).and_then(|unstated| unstated.like(&to));
        self.set_unstated(&from, None);
        self.set_unstated(&to, unstated);
        touch(touched, from, None);
        let renamed = Arc::new(renamed);
        self.tables.insert(to.clone(), renamed.clone());
        touch(touched, to, Some(renamed));
        Ok(())
    }

    /// Replaces the schema of a table that has changed.
    fn replace(&mut self, table: TableId, old: &Arc<TableSchema>, mut changed: TableSchema, touched: &mut Touched) {
        let schema = if changed == **old {
            old.clone()
        } else {
            changed.version = old.version.saturating_add(1);
            Arc::new(changed)
        };
        self.tables.insert(table.clone(), schema.clone());
        touch(touched, table, Some(schema));
    }
}

/// Adds an entry for a table, or replaces the entry that exists. So if a statement has several effects on a table, the last effect decides.
fn touch(touched: &mut Touched, table: TableId, schema: Option<Arc<TableSchema>>) {
    match touched.iter_mut().find(|(other, _)| *other == table) {
        Some((_, last)) => *last = schema,
        None => touched.push((table, schema)),
    }
}
