//! Reads CHARACTER SET and COLLATE where they are options of a table or a database, and CONVERT TO CHARACTER SET.

use runtime::Collation;

use super::{CollationScope, NamedCollation, in_charset, is_without_charset};
use crate::schema::ReadError;
use crate::schema::cursor::Cursor;

/// The first version of MySQL in which CHARACTER SET does not replace a COLLATE before it. 8.0.15 does replace it, 9.7 does not; where in
/// between this has changed is not known. A TABLE_MAP of MySQL 8 shows it.
const KEEPS_COLLATE: u32 = 80_100;

/// The options of one statement, in their order.
#[derive(Debug, Default)]
pub(in crate::schema) struct CollationOptions(Vec<CollationOption>);

#[derive(Debug)]
enum CollationOption {
    /// `CHARACTER SET`; `None` for DEFAULT.
    Charset(Option<String>),
    /// `COLLATE`; `None` for DEFAULT.
    Collate(Option<String>),
    /// A conversion of the table, which MySQL treats like the other two.
    Converted { to: Collation, has_collate: bool },
}

impl CollationOptions {
    /// Takes `CHARACTER SET = …` or `COLLATE = …`. Returns whether one of them was there.
    pub(in crate::schema) fn take(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, ReadError> {
        let option = if let Some(charset) = take_charset(cursor)? {
            CollationOption::Charset(charset)
        } else if let Some(collation) = take_collate(cursor)? {
            CollationOption::Collate(collation)
        } else {
            return Ok(false);
        };
        cursor.keep()?;
        self.0.push(option);
        Ok(true)
    }

    pub(in crate::schema) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes a CONVERT TO of the statement. In MariaDB, a statement may convert to one character set and set another default.
    pub(in crate::schema) fn converted(&mut self, conversion: &Conversion, scope: &CollationScope<'_>) {
        if !scope.dialect.is_mariadb() {
            self.0.push(CollationOption::Converted { to: conversion.to.clone(), has_collate: conversion.has_collate });
        }
    }

    /// The collation that the options name; `None` without options. `above` is that of the database of a table, or that of the server for a
    /// database. Fails if the options mean this one, and it is not known.
    pub(in crate::schema) fn resolve(
        &self,
        scope: &CollationScope<'_>,
        above: Option<&Collation>,
    ) -> Result<Option<NamedCollation>, ReadError> {
        if scope.dialect.is_mariadb() { self.of_mariadb(scope, above) } else { self.of_mysql(scope, above) }
    }

    /// In MySQL, each option replaces the one before.
    fn of_mysql(&self, scope: &CollationScope<'_>, above: Option<&Collation>) -> Result<Option<NamedCollation>, ReadError> {
        let (mut named, mut has_collate) = (None, false);
        for option in &self.0 {
            named = Some(match option {
                CollationOption::Charset(_) if has_collate && scope.dialect.version >= KEEPS_COLLATE => continue,
                CollationOption::Charset(Some(charset)) => scope.session.default_of(charset, scope.dialect),
                CollationOption::Collate(Some(name)) => Collation::new(name),
                CollationOption::Charset(None) | CollationOption::Collate(None) => above.cloned().ok_or_else(unknown)?,
                CollationOption::Converted { to, .. } => to.clone(),
            });
            has_collate |= matches!(option, CollationOption::Collate(_) | CollationOption::Converted { has_collate: true, .. });
        }
        Ok(named.map(NamedCollation::Full))
    }

    /// In MariaDB, the order does not matter.
    fn of_mariadb(&self, scope: &CollationScope<'_>, above: Option<&Collation>) -> Result<Option<NamedCollation>, ReadError> {
        let (mut charset, mut collate) = (None, None);
        for option in &self.0 {
            match option {
                CollationOption::Charset(name) => charset = Some(name),
                CollationOption::Collate(name) => collate = Some(name),
                CollationOption::Converted { .. } => {}
            }
        }
        let collate = collate.map(Option::as_deref);
        let Some(charset) = charset else {
            return Ok(collate.map(|name| NamedCollation::without_charset(name, &scope.session, scope.dialect)));
        };
        let charset = match (charset, collate.flatten()) {
            (Some(charset), _) => charset.as_str(),
            // The character set does not matter.
            (None, Some(name)) if !is_without_charset(name) => "",
            (None, _) => above.ok_or_else(unknown)?.charset(),
        };
        Ok(Some(NamedCollation::Full(match collate.flatten() {
            Some(name) => in_charset(name, charset),
            None => scope.session.default_of(charset, scope.dialect),
        })))
    }
}

/// `CONVERT TO CHARACTER SET … [COLLATE …]`.
#[derive(Debug)]
pub(in crate::schema) struct Conversion {
    pub(in crate::schema) to: Collation,
    has_collate: bool,
}

impl Conversion {
    /// Reads the part behind CONVERT TO. `database` is that of the table.
    pub(in crate::schema) fn read(cursor: &mut Cursor<'_>, scope: &CollationScope<'_>, database: &str) -> Result<Self, ReadError> {
        let Some(charset) = take_charset(cursor)? else { return Err(cursor.error("CONVERT TO without a character set")) };
        let collate = take_collate(cursor)?.flatten();
        let has_collate = collate.is_some();
        let default = match &charset {
            Some(charset) => Some(scope.session.default_of(charset, scope.dialect)),
            // In MariaDB, DEFAULT is the character set of the table's database.
            None if scope.dialect.is_mariadb() => {
                let database = (scope.collations)(database);
                database.map(|collation| scope.session.default_of(collation.charset(), scope.dialect))
            }
            // In MySQL, it is the collation of the session's database. Without one it is that of the server.
            None if scope.database.is_empty() => scope.server(),
            None => (scope.collations)(scope.database),
        };
        let to = match (collate, default) {
            (Some(name), Some(default)) => in_charset(&name, default.charset()),
            (Some(name), None) if !is_without_charset(&name) => Collation::new(name),
            (None, Some(default)) => default,
            (_, None) => return Err(unknown()),
        };
        Ok(Self { to, has_collate })
    }

    /// This conversion, behind another one of the same statement. In MariaDB, a collation holds if only one of them names one.
    pub(in crate::schema) fn behind(self, other: Option<Self>, scope: &CollationScope<'_>) -> Self {
        match other {
            Some(other) if scope.dialect.is_mariadb() && other.has_collate && !self.has_collate => other,
            _ => self,
        }
    }
}

/// Takes `CHARACTER SET = name`; the name is `None` for DEFAULT.
fn take_charset(cursor: &mut Cursor<'_>) -> Result<Option<Option<String>>, ReadError> {
    let mark = cursor.mark();
    cursor.take_word(&["DEFAULT"]);
    if cursor.take_word(&["CHARSET"]) || cursor.take_words(&["CHARACTER", "SET"]) || cursor.take_words(&["CHAR", "SET"]) {
        cursor.take_symbol('=');
        return cursor.charset_or_default("a character set").map(Some);
    }
    cursor.reset(mark);
    Ok(None)
}

/// Takes `COLLATE = name`; the name is `None` for DEFAULT.
fn take_collate(cursor: &mut Cursor<'_>) -> Result<Option<Option<String>>, ReadError> {
    let mark = cursor.mark();
    cursor.take_word(&["DEFAULT"]);
    if cursor.take_word(&["COLLATE"]) {
        cursor.take_symbol('=');
        return cursor.charset_or_default("a collation").map(Some);
    }
    cursor.reset(mark);
    Ok(None)
}

fn unknown() -> ReadError {
    ReadError::new("neither the statement nor the database says the character set")
}
