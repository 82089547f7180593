//! Reads CREATE, DROP and RENAME of tables, indexes and databases, and the options of ALTER DATABASE.

use runtime::{Collation, SchemaChangeKind};

use super::{Alter, Change, Effect, KeyChange, Statement, change, created_or_dropped};
use crate::schema::ReadError;
use crate::schema::collation::{CollationOptions, CollationScope};
use crate::schema::create::{CreateBody, CreateHead, KeyDefinition, StatementContext, read_body, read_key_parts, take_unique_words};
use crate::schema::cursor::Cursor;

pub(super) fn read_create(cursor: &mut Cursor<'_>, context: &StatementContext<'_>) -> Result<Statement, ReadError> {
    if let Some(head) = CreateHead::take(cursor) {
        let table = cursor.table(context.database)?;
        let body = cursor.mark();
        if head.temporary {
            return Ok(if has_select(cursor) { Statement::Rows(vec![table]) } else { Statement::Unrelated });
        }
        let read = read_body(cursor, context, table.clone(), head.if_not_exists);
        if matches!(read, Ok(CreateBody::Unlisted(_))) {
            cursor.reset(body);
            if has_select(cursor) {
                return Ok(Statement::Rows(vec![table]));
            }
        }
        let effect = match read {
            Ok(CreateBody::Columns(create)) => Effect::Create { table, definition: Ok(create) },
            Ok(CreateBody::Like(like)) => Effect::CreateLike { table, like, if_not_exists: head.if_not_exists },
            Ok(CreateBody::Unlisted(error)) => Effect::CreateUnlisted { table, error },
            Err(error) => Effect::Create { table, definition: Err(error) },
        };
        return Ok(change(SchemaChangeKind::CreateTable, vec![effect]));
    }
    cursor.advance();
    let replaced = cursor.take_words(&["OR", "REPLACE"]);
    if cursor.take_word(&["DATABASE", "SCHEMA"]) {
        let if_not_exists = cursor.take_if_not_exists();
        let (database, options) = read_database_options(cursor, context)?;
        let scope = context.collation_scope();
        let server = scope.server();
        let collation = match options {
            Some(options) => collation_of(&options, &scope, server.as_ref()),
            None => server,
        };
        let made = Effect::DatabaseCollation { database: database.clone(), collation, if_not_exists };
        let gone = replaced.then_some(Effect::DropDatabase { database });
        return Ok(change(SchemaChangeKind::Database, gone.into_iter().chain([made]).collect()));
    }
    let mark = cursor.mark();
    let unique = take_unique_words(cursor);
    let named = unique || {
        while cursor.take_word(&["ONLINE", "OFFLINE", "FULLTEXT", "SPATIAL", "GLOBAL", "LOCAL", "CLUSTERED", "COLUMNAR"]) {}
        cursor.take_word(&["INDEX"])
    };
    if !named {
        cursor.reset(mark);
        return created_or_dropped(cursor, context, true);
    }
    cursor.take_if_not_exists();
    let name = cursor.name("an index")?;
    if cursor.take_word(&["USING", "TYPE"]) {
        cursor.advance();
    }
    if !cursor.take_word(&["ON"]) {
        return Err(cursor.error("expected ON"));
    }
    let table = cursor.table(context.database)?;
    let effect = match read_key_parts(cursor) {
        Ok(parts) => Effect::Keys { table, changes: vec![KeyChange::Add(KeyDefinition { name: Some(name), unique, parts })] },
        Err(error) if unique => return Err(error),
        // Nothing depends on an index whose form cannot be read.
        Err(_) => Effect::Keep { table },
    };
    Ok(change(SchemaChangeKind::CreateIndex, vec![effect]))
}

/// Whether a CREATE TABLE takes rows from a SELECT. In a row-based binlog a server writes the columns instead of the SELECT. So this is the text
/// of a session with another format, and the functions that it calls may change any table.
fn has_select(cursor: &Cursor<'_>) -> bool {
    cursor.holds_word(&["SELECT", "VALUES"])
}

/// Reads the part after `ALTER DATABASE`. The statement makes no event.
pub(super) fn read_alter_database(cursor: &mut Cursor<'_>, context: &StatementContext<'_>) -> Result<Change, ReadError> {
    let (database, options) = read_database_options(cursor, context)?;
    let own = (context.collations)(&database);
    let effect = options.map(|options| {
        let collation = collation_of(&options, &context.collation_scope(), own.as_ref());
        Effect::DatabaseCollation { database, collation, if_not_exists: false }
    });
    Ok(Change { kind: None, effects: Vec::from_iter(effect) })
}

/// Reads `[name] [DEFAULT] CHARACTER SET …` of CREATE and ALTER DATABASE. Returns the database, and the options if there are any.
fn read_database_options(cursor: &mut Cursor<'_>, context: &StatementContext<'_>) -> Result<(String, Option<CollationOptions>), ReadError> {
    let optional = cursor.is_word(0, &["DEFAULT", "CHARACTER", "CHARSET", "COLLATE", "UPGRADE"]) && !cursor.at_end();
    let database = if optional || cursor.at_end() { context.database.to_owned() } else { cursor.name("a database")? };
    let mut options = CollationOptions::default();
    while !cursor.at_end() {
        if !options.take(cursor)? {
            cursor.advance();
        }
    }
    Ok((database, Some(options).filter(|options| !options.is_empty())))
}

/// The collation that options give to a database which has the collation `own`; `None` if it is not known.
fn collation_of(options: &CollationOptions, scope: &CollationScope<'_>, own: Option<&Collation>) -> Option<Collation> {
    options.resolve(scope, scope.server().as_ref()).ok()??.within(own).ok()
}

pub(super) fn read_drop(cursor: &mut Cursor<'_>, context: &StatementContext<'_>) -> Result<Statement, ReadError> {
    if cursor.is_word(0, &["TEMPORARY"]) {
        return Ok(Statement::Unrelated);
    }
    if cursor.take_word(&["TABLE", "TABLES"]) {
        cursor.take_if_exists();
        let mut effects = Vec::new();
        loop {
            effects.push(Effect::Drop { table: cursor.table(context.database)? });
            if !cursor.take_symbol(',') {
                break;
            }
        }
        return Ok(change(SchemaChangeKind::DropTable, effects));
    }
    if cursor.take_word(&["DATABASE", "SCHEMA"]) {
        cursor.take_if_exists();
        let database = cursor.name("a database")?;
        return Ok(change(SchemaChangeKind::Database, vec![Effect::DropDatabase { database }]));
    }
    let mark = cursor.mark();
    while cursor.take_word(&["ONLINE", "OFFLINE"]) {}
    if cursor.take_word(&["INDEX"]) {
        cursor.take_if_exists();
        let name = cursor.name("an index")?;
        if !cursor.take_word(&["ON"]) {
            return Err(cursor.error("expected ON"));
        }
        let table = cursor.table(context.database)?;
        let effect = if name.eq_ignore_ascii_case("PRIMARY") {
            Effect::Alter { table, alter: Box::new(Alter { drops_primary_key: true, ..Alter::default() }) }
        } else {
            Effect::Keys { table, changes: vec![KeyChange::Drop(name)] }
        };
        return Ok(change(SchemaChangeKind::DropIndex, vec![effect]));
    }
    cursor.reset(mark);
    created_or_dropped(cursor, context, false)
}

pub(super) fn read_rename(cursor: &mut Cursor<'_>, context: &StatementContext<'_>) -> Result<Statement, ReadError> {
    let mut effects = Vec::new();
    cursor.take_if_exists();
    loop {
        let from = cursor.table(context.database)?;
        cursor.take_wait();
        if !cursor.take_word(&["TO"]) {
            return Err(cursor.error("expected TO"));
        }
        effects.push(Effect::Rename { from, to: cursor.table(context.database)? });
        if !cursor.take_symbol(',') {
            return Ok(change(SchemaChangeKind::RenameTable, effects));
        }
    }
}

/// Takes `[ONLINE] [IGNORE] TABLE [IF EXISTS]`; returns whether the word TABLE was there.
pub(super) fn take_alter_table(cursor: &mut Cursor<'_>) -> bool {
    while cursor.take_word(&["IGNORE", "ONLINE", "OFFLINE"]) {}
    let found = cursor.take_word(&["TABLE"]);
    if found {
        cursor.take_if_exists();
    }
    found
}
