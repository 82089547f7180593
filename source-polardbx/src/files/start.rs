//! What the files are, where reading begins, and which schemas hold there.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use runtime::{Collation, TableId, TableSchema};

use super::config::FilesSettings;
use crate::binlog::{
    Baseline, BinlogCoordinates, ChangedSchema, FileEvents, FileOffset, FileSet, Look, ServerProfile, ShownTables, StreamError, Upstream,
    first_schema_change,
};
use crate::check::{self, demand};
use crate::config::{ConfigError, Start};
use crate::error::Result;
use crate::schema::{Change, Effect};
use crate::server::kind_of;
use crate::start_schema;

/// What is known before the first event is delivered.
pub(super) struct Opening {
    pub(super) files: FileSet,
    pub(super) profile: ServerProfile,
    pub(super) start: BinlogCoordinates,
    /// The schemas of selected tables where reading begins, as far as they are known.
    pub(super) schemas: Vec<Arc<TableSchema>>,
    /// The databases there, with their default collations.
    pub(super) databases: HashMap<String, Option<Collation>>,
}

impl Opening {
    /// Looks at the files, and reads them once: fails if they are not complete, or if the schema of a table is needed that is not known.
    pub(super) async fn find(settings: &FilesSettings) -> Result<Self> {
        let files = FileSet::list(&settings.config.files)?;
        let profile = profile(settings, &files)?;
        let start = match &settings.config.start {
            Some(Start::Position { file, offset }) => position(&files, file, *offset)?,
            _ => BinlogCoordinates { base: files.base().to_owned(), at: files.start() },
        };
        let lower_case = profile.lower_case_names();
        let selection = settings.selection.clone().folded(lower_case);
        let (given, databases) = match &settings.config.start_schema {
            Some(path) => start_schema::read(path, &selection, profile.dialect(), lower_case, &[])?,
            None => Default::default(),
        };
        let mut known = Baseline::new(&selection, lower_case, []);
        given.iter().for_each(|schema| known.give(&schema.id));
        known.look_at_rows(&profile);
        let mut pass = Pass { certain: given.iter().map(|schema| schema.id.clone()).collect(), lower_case, known };
        let end = BinlogCoordinates { base: files.base().to_owned(), at: files.end() };
        let upstream = Upstream::Files(files.clone());
        const DOING: &str = "read the statements in the binlog files";
        let found = first_schema_change(&upstream, &profile, &start, &end, None, &mut pass).await;
        if let Some(ChangedSchema { location, statement, what }) = found.map_err(|error| error.into_source(files.base(), DOING))? {
            let why = format!("the statement at {location} {what}, and the schema before it is not known: {statement}");
            let help = "give the schemas where reading begins with `start_schema`, or begin with an earlier file";
            return Err(ConfigError::new("files", why, help).into());
        }
        let (_, shown) = pass.known.into_parts();
        let shown = shown.map(ShownTables::into_changed).unwrap_or_default();
        let mut schemas = given;
        schemas.extend(shown.into_iter().map(|table| Arc::new(table.into_schema(None))));
        demand(schemas.iter().flat_map(|schema| check::columns(schema)))?;
        let lacks_keyless = profile.is_polardbx() && settings.polardbx(files.base()).lacks_keyless;
        if let Some(table) = schemas.iter().find(|schema| lacks_keyless && schema.primary_key.is_empty()) {
            let why =
                format!("{} has no primary key, and a stream of a group that is split by the record does not have its rows", table.id);
            return Err(
                ConfigError::new("tables", why, "leave the table out, or set `stream_split` if the group is split otherwise").into()
            );
        }
        Ok(Self { files, profile, start, schemas, databases })
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, profile, start, .. } = self;
        let words = if files.len() == 1 { "file" } else { "files" };
        write!(f, "{} {words} of {}, read from {}", files.len(), profile.version(), start.location())
    }
}

/// The properties of the server that wrote the files.
fn profile(settings: &FilesSettings, files: &FileSet) -> Result<ServerProfile> {
    let config = &settings.config;
    let stated = FileEvents::open(files.clone(), FileOffset::new(files.end().file, FileOffset::FIRST))?.format().version.clone();
    let version = config.server_version.clone().unwrap_or_else(|| stated.clone());
    let kind = kind_of(&version, "");
    if config.server_version.is_some() && kind_of(&stated, "").is_mariadb() != kind.is_mariadb() {
        let why = format!("it is {version:?}, and the files were written by {stated:?}");
        return Err(ConfigError::new("server_version", why, "leave it out, or copy the answer to SELECT VERSION() of that server").into());
    }
    demand([kind.support(&version)])?;
    let profile = ServerProfile::new(version.as_str());
    let lower_case = profile.lower_case_names() || config.lower_case_names;
    // MySQL 8.0 and MariaDB 10.10 changed the default.
    let is_default = profile.dialect().version >= if profile.dialect().is_mariadb() { 101_000 } else { 80_000 };
    let explicit = config.explicit_timestamps.unwrap_or(is_default);
    Ok(profile.with_lower_case_names(lower_case).with_explicit_timestamps(explicit))
}

/// The position of `start.position`.
fn position(files: &FileSet, file: &str, offset: u64) -> Result<BinlogCoordinates> {
    let refuse = |why: String| ConfigError::new("start", why, "choose a file of `files`, and an offset at which a transaction begins");
    let found = BinlogCoordinates::new(file, offset).filter(|found| found.base == files.base());
    let found = found.ok_or_else(|| refuse(format!("position.file = {file:?} is not one of `files`")))?;
    match files.listed().size(&found.file_name()) {
        Some(bytes) if offset <= bytes => Ok(found),
        Some(bytes) => Err(refuse(format!("position.offset = {offset} is beyond the {bytes} bytes of {file}")).into()),
        None => Err(refuse(format!("position.file = {file:?} is not one of `files`")).into()),
    }
}

/// Takes the statements one after the other, and finds the first one that needs a schema which is not known.
///
/// Without a server nobody tells which tables exist at the beginning. So CREATE TABLE IF NOT EXISTS makes a schema known only if the table
/// certainly did not exist, or was known before.
struct Pass<'a> {
    /// The tables of which it is known whether they exist.
    certain: HashSet<TableId>,
    lower_case: bool,
    known: Baseline<'a>,
}

impl Pass<'_> {
    fn fold(&self, table: &TableId) -> TableId {
        if self.lower_case { TableId::new(table.database.to_lowercase(), table.table.to_lowercase()) } else { table.clone() }
    }

    /// Whether the table is selected, and it is not known if it exists.
    fn is_doubtful(&self, table: &TableId) -> bool {
        self.known.selects(table) && !self.is_certain(&self.fold(table))
    }

    fn is_certain(&self, table: &TableId) -> bool {
        self.certain.contains(&TableId::new(table.database.clone(), "")) || self.certain.contains(table)
    }
}

impl Look for Pass<'_> {
    fn effect(&mut self, text: &str, change: &Change, effect: &Effect) -> Option<String> {
        match effect {
            Effect::Create { table, definition: Ok(create) } if create.if_not_exists && self.is_doubtful(table) => {
                return Some(format!("creates {table} if it does not exist"));
            }
            Effect::CreateLike { table, if_not_exists: true, .. } if self.is_doubtful(table) => {
                return Some(format!("creates {table} if it does not exist"));
            }
            // All tables of a new database are known.
            Effect::DatabaseCollation { database, if_not_exists, .. } => {
                if change.kind.is_some() && !if_not_exists {
                    self.certain.insert(self.fold(&TableId::new(database.as_str(), "")));
                }
                // The default character sets at the beginning are known from `start_schema` or not at all.
                return None;
            }
            Effect::DropDatabase { database } => _ = self.certain.insert(self.fold(&TableId::new(database.as_str(), ""))),
            Effect::Create { table, .. } | Effect::CreateLike { table, .. } | Effect::Drop { table } => {
                _ = self.certain.insert(self.fold(table));
            }
            _ => {}
        }
        self.known.effect(text, change, effect)
    }

    fn unreadable(&mut self, tables: &[TableId]) -> Option<TableId> {
        self.known.unreadable(tables)
    }

    fn others(&mut self, names: &[TableId], exist: bool) {
        self.known.others(names, exist);
    }

    fn wants_rows(&self) -> bool {
        self.known.wants_rows()
    }

    fn rows(&mut self, event: &crate::binlog::RawEvent<'_>, at: FileOffset) -> std::result::Result<(), StreamError> {
        self.known.rows(event, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{StatementContext, read_statement};
    use crate::selection::Selection;

    /// What the first statement does that needs a schema which is not known. The schema of `d.given` is known.
    fn first(statements: &[&str]) -> Option<String> {
        let selection = Selection::new(&["d.*".to_owned()], &[]).unwrap();
        let mut known = Baseline::new(&selection, false, []);
        let given = TableId::new("d", "given");
        known.give(&given);
        let mut pass = Pass { certain: [given].into(), lower_case: false, known };
        statements.iter().find_map(|sql| pass.statement(sql, &read_statement(sql, &StatementContext::new("d", &|_| None))))
    }

    #[test]
    fn a_table_is_known_from_its_creation() {
        for statements in [
            &["CREATE TABLE t (a INT)", "ALTER TABLE t ADD b INT", "RENAME TABLE t TO u", "ALTER TABLE u DROP a"][..],
            &["CREATE DATABASE d", "CREATE TABLE IF NOT EXISTS t (a INT)", "ALTER TABLE t ADD b INT"],
            &["DROP TABLE IF EXISTS t", "CREATE TABLE IF NOT EXISTS t (a INT)"],
            &["CREATE TABLE t (a INT)", "CREATE TABLE IF NOT EXISTS t (b INT)", "CREATE TABLE n LIKE t"],
            &["ALTER TABLE given ADD b INT", "CREATE TABLE IF NOT EXISTS given (a INT)", "ALTER DATABASE d CHARACTER SET latin1"],
            &["DROP TABLE gone", "TRUNCATE TABLE t", "ALTER TABLE other.t ADD a INT", "CREATE TABLE IF NOT EXISTS other.t (a INT)"],
        ] {
            assert_eq!(first(statements), None, "{statements:?}");
        }
        for (statements, said) in [
            (&["ALTER TABLE t ADD b INT"][..], "changes columns or the primary key of d.t"),
            (&["CREATE TABLE IF NOT EXISTS t (a INT)"], "creates d.t if it does not exist"),
            (&["CREATE DATABASE IF NOT EXISTS d", "CREATE TABLE IF NOT EXISTS t (a INT)"], "creates d.t if it does not exist"),
            (&["CREATE TABLE IF NOT EXISTS t LIKE given"], "creates d.t if it does not exist"),
            (&["CREATE TABLE t LIKE unknown"], "creates d.t like d.unknown"),
            (&["RENAME TABLE t TO u"], "renames d.t to d.u"),
            (&["ALTER TABLE t GIZMO"], "cannot be read, and names d.t"),
        ] {
            assert_eq!(
                first(statements).as_deref().map(|found| found.starts_with(said)),
                Some(true),
                "{statements:?}: {:?}",
                first(statements)
            );
        }
    }
}
