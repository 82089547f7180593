//! DDL statements: what MySQL executes, and what appears in the global binlog.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::dialect::{HIDDEN_KEY, is_tail, one_line, partition_columns, read_create_table, text_of};
use super::sql::{Kind, Token, begins, behind_parentheses, plain_tokens, split_commas, table_name};
use crate::{Failure, Result};

/// The statement of a sync point.
pub(super) const SYNC_POINT: &str = "CALL trigger_sync_point_trx()";

/// The character set of a database that names none; MySQL is started with it.
const DEFAULT_CHARSET: &str = "utf8mb4";

const MARK: &str = "/*standin ";

/// A statement for MySQL that carries the user's statement through MySQL's binlog.
pub(super) fn carrying(database: &str, user: &str, mysql: &str) -> String {
    format!("{MARK}{}*/ {mysql}", BASE64_STANDARD.encode(format!("{database}\0{user}")))
}

/// The current database and the user's statement, from a statement in MySQL's binlog; `None` if it carries none.
pub(super) fn carried(statement: &str) -> Option<(String, String)> {
    let encoded = statement.strip_prefix(MARK)?.split_once("*/")?.0;
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    text.split_once('\0').map(|(database, user)| (database.to_owned(), user.to_owned()))
}

/// The class of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Not DDL.
    Other,
    /// DDL that MySQL executes and whose text appears in the global binlog.
    Public,
    /// DDL that MySQL executes, but of which only comments appear in the global binlog.
    CommentOnly,
    /// DDL of PolarDB-X alone that concerns a table.
    OfTable,
    /// DDL of PolarDB-X alone that concerns no table.
    Foreign,
}

/// The class of a statement.
pub(super) fn class_of(tokens: &[Token<'_>]) -> Class {
    let is = |index: usize, words: &[&str]| words.iter().any(|word| tokens.get(index).is_some_and(|token| token.is(word)));
    if is(0, &["GRANT", "REVOKE"]) || begins(tokens, &["SET", "PASSWORD"]) || begins(tokens, &["ANALYZE", "TABLE"]) {
        return Class::CommentOnly;
    }
    if is(0, &["CALL"]) && tokens.iter().any(|token| token.is("trigger_sync_point_trx"))
        || is(0, &["REBALANCE"])
        || begins(tokens, &["MERGE", "TABLEGROUPS"])
    {
        return Class::Foreign;
    }
    if is(0, &["RENAME"]) && is(1, &["TABLE"]) || is(0, &["TRUNCATE"]) {
        return Class::Public;
    }
    if !is(0, &["CREATE", "ALTER", "DROP", "RENAME"]) || is(1, &["TEMPORARY"]) {
        return Class::Other;
    }
    let head: Vec<&Token<'_>> = tokens.iter().take(8).take_while(|token| !token.is("(")).collect();
    let has = |words: &[&str]| head.iter().any(|token| words.iter().any(|word| token.is(word)));
    if is(1, &["SEQUENCE", "TABLEGROUP", "JOINGROUP", "STORAGE", "FILESTORAGE", "MATERIALIZED"]) {
        Class::Foreign
    } else if is(1, &["TABLE", "PARTITION", "SHADOW"]) {
        let own = is(0, &["ALTER"]) && read_alter(tokens).is_some_and(|altered| altered.items.iter().any(|item| is_partition_work(item)));
        if own { Class::OfTable } else { Class::Public }
    } else if has(&["INDEX"]) {
        if has(&["GLOBAL", "CLUSTERED"]) { Class::OfTable } else { Class::Public }
    } else if is(1, &["DATABASE", "SCHEMA"]) {
        Class::Public
    } else {
        Class::CommentOnly
    }
}

/// An ALTER TABLE statement.
#[derive(Clone, Debug)]
pub(super) struct Altered<'t, 'a> {
    pub(super) database: Option<String>,
    pub(super) table: String,
    /// The tokens up to the name of the table.
    pub(super) head: &'t [Token<'a>],
    pub(super) items: Vec<&'t [Token<'a>]>,
}

/// Reads an ALTER TABLE statement.
pub(super) fn read_alter<'t, 'a>(tokens: &'t [Token<'a>]) -> Option<Altered<'t, 'a>> {
    if !begins(tokens, &["ALTER", "TABLE"]) {
        return None;
    }
    let (database, table, length) = table_name(tokens.get(2..)?)?;
    let (head, rest) = tokens.split_at_checked(2 + length)?;
    let end = rest.iter().position(|token| token.is(";")).unwrap_or(rest.len());
    Some(Altered { database, table, head, items: split_commas(rest.get(..end)?) })
}

/// Whether an item of ALTER TABLE is work on partitions or global indexes, of which MySQL knows nothing.
fn is_partition_work(item: &[Token<'_>]) -> bool {
    const VERBS: [&str; 12] =
        ["ADD", "DROP", "TRUNCATE", "REORGANIZE", "MODIFY", "RENAME", "SPLIT", "MERGE", "MOVE", "EXTRACT", "REMOVE", "CLEANUP"];
    const OBJECTS: [&str; 7] = ["PARTITION", "SUBPARTITION", "PARTITIONS", "PARTITIONING", "TTL", "GLOBAL", "CLUSTERED"];
    let is = |index: usize, words: &[&str]| words.iter().any(|word| item.get(index).is_some_and(|token| token.is(word)));
    is_tail(item)
        || (is(0, &VERBS) && (is(1, &OBJECTS) || (is(1, &["UNIQUE"]) && is(2, &["GLOBAL", "CLUSTERED"]))))
        || (is(0, &["SET"]) && is(1, &["TABLEGROUP"]))
        || is(0, &["SPLIT", "EXTRACT", "CLEANUP"])
        || begins(item, &["PARTITION", "ALIGN"])
}

fn is_foreign_algorithm(item: &[Token<'_>]) -> bool {
    item.first().is_some_and(|token| token.is("ALGORITHM"))
        && item.last().is_some_and(|token| token.text.to_ascii_uppercase().starts_with("OMC"))
}

/// The statement for MySQL of an ALTER TABLE of a table with a hidden key, whose last visible column is `last`. The hidden key stays the
/// last column, and goes when the table gets a primary key.
pub(super) fn alter_hidden(sql: &str, altered: &Altered<'_, '_>, last: &str) -> Result<String> {
    let (mut items, mut last) = (Vec::new(), format!("`{last}`"));
    for item in altered.items.iter().filter(|item| !is_foreign_algorithm(item)) {
        let mut text = text_of(sql, item);
        if begins(item, &["ADD", "PRIMARY"]) {
            items.push(format!("DROP COLUMN `{HIDDEN_KEY}`"));
        } else if let Some(name) = added_column(item) {
            if name.is("(") {
                return Failure::err("ADD COLUMN with a list of columns, for a table with a hidden key");
            }
            if !item.last().is_some_and(|token| token.is("FIRST")) && !item.iter().any(|token| token.is("AFTER")) {
                text = format!("{text} AFTER {last}");
                last = name.text.to_owned();
            }
        }
        items.push(text);
    }
    Ok(format!("{} {}", text_of(sql, altered.head), items.join(", ")))
}

/// The name of the column that an item of ALTER TABLE adds, or the parenthesis in front of several.
fn added_column<'a>(item: &[Token<'a>]) -> Option<Token<'a>> {
    const KEYS: [&str; 10] = ["PRIMARY", "KEY", "INDEX", "UNIQUE", "FULLTEXT", "SPATIAL", "CONSTRAINT", "FOREIGN", "CHECK", "LOCAL"];
    let first = item.first().filter(|token| token.is("ADD")).and_then(|_| item.get(1))?;
    if first.is("COLUMN") {
        return item.get(2).copied();
    }
    (!KEYS.iter().any(|word| first.is(word))).then_some(*first)
}

/// The statement that MySQL executes for DDL that needs no further knowledge.
pub(super) fn for_mysql(sql: &str) -> Result<String> {
    if let Some(created) = read_create_table(sql)? {
        return created.for_mysql();
    }
    Ok(reduced(sql))
}

/// The statement without the words that only PolarDB-X knows.
fn reduced(sql: &str) -> String {
    let all = plain_tokens(sql);
    if begins(&all, &["CREATE", "DATABASE"]) || begins(&all, &["CREATE", "SCHEMA"]) || begins(&all, &["ALTER", "DATABASE"]) {
        const WORDS: [&str; 4] = ["MODE", "PARTITION_MODE", "DEFAULT_SINGLE", "LOCALITY"];
        let mut kept = Vec::new();
        let mut rest = all.iter().peekable();
        while let Some(token) = rest.next() {
            if WORDS.iter().any(|word| token.is(word)) && rest.next_if(|next| next.is("=")).is_some() {
                rest.next();
            } else {
                kept.push(*token);
            }
        }
        return text_of(sql, &kept);
    }
    if let Some(altered) = read_alter(&all)
        && altered.items.iter().any(|item| is_foreign_algorithm(item))
    {
        let items: Vec<String> = altered.items.iter().filter(|item| !is_foreign_algorithm(item)).map(|item| text_of(sql, item)).collect();
        return format!("{} {}", text_of(sql, altered.head), items.join(", "));
    }
    let is_index = begins(&all, &["CREATE"]) && all.iter().take(4).any(|token| token.is("LOCAL"));
    let is_drop = begins(&all, &["DROP", "TABLE"]);
    if is_index || is_drop {
        let kept: Vec<Token<'_>> = all
            .iter()
            .enumerate()
            .filter(|(index, token)| !(is_drop && token.is("PURGE") || is_index && *index < 4 && token.is("LOCAL")))
            .map(|(_, token)| *token)
            .collect();
        return text_of(sql, &kept);
    }
    sql.trim_end().trim_end_matches(';').to_owned()
}

/// A table as the global binlog knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// The names of the columns, without the hidden key; empty if they are not known.
    pub(super) columns: Vec<String>,
    pub(super) is_hidden: bool,
    /// The names of the partition columns.
    pub(super) partition: Vec<String>,
    /// The names of the columns of the primary key.
    pub(super) key: Vec<String>,
}

/// A DDL statement as it appears in the global binlog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) schema: String,
    /// The database in the event's list of changed ones; `None` for a sync point.
    pub(super) updated: Option<String>,
    pub(super) origin: String,
    /// The statement behind the comment lines; `None` if there are only comments.
    pub(super) mysql: Option<String>,
}

/// All tables, as DDL statements made them.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalog {
    tables: BTreeMap<(String, String), Table>,
    /// The databases with their character sets.
    databases: BTreeMap<String, String>,
}

impl Catalog {
    pub(super) fn table(&self, database: &str, table: &str) -> Option<&Table> {
        self.tables.get(&(database.to_lowercase(), table.to_lowercase()))
    }

    /// Applies a statement. Returns what appears of it in the global binlog.
    pub(super) fn apply(&mut self, schema: &str, sql: &str) -> Result<Vec<Shown>> {
        let all = plain_tokens(sql);
        let key =
            |database: Option<String>, table: &str| (database.unwrap_or_else(|| schema.to_owned()).to_lowercase(), table.to_lowercase());
        let origin = one_line(sql);
        let shown = |schema: &str, mysql: Option<String>| {
            vec![Shown { schema: schema.to_lowercase(), updated: Some(schema.to_lowercase()), origin: origin.clone(), mysql }]
        };
        match class_of(&all) {
            Class::Other => return Ok(Vec::new()),
            Class::Foreign if begins(&all, &["CALL"]) => {
                return Ok(vec![Shown { schema: "polardbx".to_owned(), updated: None, origin: SYNC_POINT.to_owned(), mysql: None }]);
            }
            Class::CommentOnly => {
                let is_account = ["GRANT", "REVOKE", "SET"].iter().any(|word| begins(&all, &[word]))
                    || all.get(1).is_some_and(|token| token.is("USER") || token.is("ROLE"));
                let updated = Some(if is_account { "*".to_owned() } else { schema.to_lowercase() });
                return Ok(vec![Shown { schema: schema.to_lowercase(), updated, origin, mysql: None }]);
            }
            Class::Foreign => return Ok(shown(schema, None)),
            Class::OfTable => {
                let mut owner = schema.to_owned();
                if let Some(altered) = read_alter(&all) {
                    let key = key(altered.database, &altered.table);
                    if let Some(table) = self.tables.get_mut(&key) {
                        for item in altered.items.iter().filter(|item| is_tail(item)) {
                            table.partition = partition_columns(&text_of(sql, item), &table.columns);
                        }
                    }
                    owner = key.0;
                }
                return Ok(shown(&owner, None));
            }
            Class::Public => {}
        }
        if let Some(created) = read_create_table(sql)? {
            let key = key(created.database.clone(), &created.table);
            if created.if_not_exists && self.tables.contains_key(&key) {
                return Ok(Vec::new());
            }
            let charset = self.databases.get(&key.0).map_or(DEFAULT_CHARSET, String::as_str);
            let text = lower_name(&created.for_binlog(charset));
            let partition = partition_columns(&created.remembered.tail, &created.columns);
            let owner = key.0.clone();
            self.tables.insert(key, Table { columns: created.columns, is_hidden: created.is_hidden, partition, key: created.key });
            let mut shown = shown(&owner, Some(text));
            for shown in shown.iter_mut().filter(|_| !sql.to_ascii_lowercase().contains("tablegroup")) {
                // The compute node puts the table into a group that it makes itself, and says so in its mark.
                shown.origin.push_str(" WITH TABLEGROUP = tgi1 IMPLICIT");
            }
            return Ok(shown);
        }
        if let Some(altered) = read_alter(&all) {
            let from = key(altered.database.clone(), &altered.table);
            let owner = from.0.clone();
            let mut text = reduced(sql);
            if let Some(mut table) = self.tables.remove(&from) {
                if table.is_hidden && altered.items.iter().any(|item| begins(item, &["ADD", "PRIMARY"])) {
                    let items: Vec<String> = altered.items.iter().map(|item| text_of(sql, item)).collect();
                    text = format!("{} , {}", text_of(sql, altered.head), items.join(", "));
                    table.is_hidden = false;
                }
                let mut to = from;
                for item in &altered.items {
                    if let Some(renamed) = renamed_table(item) {
                        to = key(renamed.0, &renamed.1);
                    } else {
                        change_columns(&mut table, item)?;
                    }
                }
                self.tables.insert(to, table);
            }
            return Ok(shown(&owner, Some(text)));
        }
        self.apply_by_name(&all, sql, schema, &origin)
    }

    /// Applies the statements that name tables or databases without describing them.
    fn apply_by_name(&mut self, all: &[Token<'_>], sql: &str, schema: &str, origin: &str) -> Result<Vec<Shown>> {
        let key =
            |database: Option<String>, table: &str| (database.unwrap_or_else(|| schema.to_owned()).to_lowercase(), table.to_lowercase());
        let shown = |schema: &str, origin: &str, mysql: &str| Shown {
            schema: schema.to_lowercase(),
            updated: Some(schema.to_lowercase()),
            origin: origin.to_owned(),
            mysql: Some(mysql.to_owned()),
        };
        let has_if = |index: usize| all.get(index).is_some_and(|token| token.is("IF"));
        let names = |from: usize| split_commas(all.get(from..).unwrap_or_default());
        let mut found = Vec::new();
        if begins(all, &["CREATE", "DATABASE"]) || begins(all, &["CREATE", "SCHEMA"]) {
            let at = if has_if(2) { 5 } else { 2 };
            let name = all.get(at).map(Token::name).unwrap_or_default().to_lowercase();
            if !self.databases.contains_key(&name) || !has_if(2) {
                self.databases.insert(name.clone(), charset_of(all).unwrap_or_else(|| DEFAULT_CHARSET.to_owned()));
                found.push(shown(&name, origin, &reduced(sql)));
            }
        } else if begins(all, &["ALTER", "DATABASE"]) || begins(all, &["ALTER", "SCHEMA"]) {
            let name = all.get(2).map(Token::name).unwrap_or_default().to_lowercase();
            self.databases.extend(charset_of(all).map(|charset| (name.clone(), charset)));
            found.push(shown(&name, origin, &reduced(sql)));
        } else if begins(all, &["DROP", "DATABASE"]) || begins(all, &["DROP", "SCHEMA"]) {
            let at = if has_if(2) { 4 } else { 2 };
            let name = all.get(at).map(Token::name).unwrap_or_default().to_lowercase();
            self.tables.retain(|(database, _), _| *database != name);
            if self.databases.remove(&name).is_some() || !has_if(2) {
                found.push(shown(&name, origin, &reduced(sql)));
            }
        } else if begins(all, &["DROP", "TABLE"]) || begins(all, &["DROP", "TABLES"]) {
            let at = if has_if(2) { 4 } else { 2 };
            for item in names(at) {
                let Some((database, table, length)) = table_name(item) else { continue };
                let key = key(database, &table);
                if self.tables.remove(&key).is_some() || !has_if(2) {
                    let name = text_of(sql, item.get(..length).unwrap_or_default());
                    let text = format!("DROP TABLE {}{name}", if has_if(2) { "IF EXISTS " } else { "" });
                    found.push(shown(&key.0, &text, &text));
                }
            }
        } else if begins(all, &["RENAME", "TABLE"]) {
            for item in names(2) {
                let Some((database, table, length)) = table_name(item) else { continue };
                let Some((to_database, to_table, _)) = item.get(length + 1..).and_then(table_name) else { continue };
                let from = key(database, &table);
                let owner = from.0.clone();
                if let Some(renamed) = self.tables.remove(&from) {
                    self.tables.insert(key(to_database, &to_table), renamed);
                }
                let text = format!("RENAME TABLE {}", text_of(sql, item));
                found.push(shown(&owner, &text, &text));
            }
        } else if begins(all, &["CREATE", "TABLE"]) {
            // CREATE TABLE … LIKE, and forms whose columns are not known.
            let at = if has_if(2) { 5 } else { 2 };
            if let Some((database, table, length)) = all.get(at..).and_then(table_name) {
                let to = key(database, &table);
                if has_if(2) && self.tables.contains_key(&to) {
                    return Ok(found);
                }
                let from =
                    all.get(at + length..).unwrap_or_default().iter().position(|token| token.is("LIKE")).map(|like| at + length + like + 1);
                let from = from.and_then(|from| all.get(from..)).and_then(table_name).map(|(database, table, _)| key(database, &table));
                let like = from.and_then(|from| self.tables.get(&from).cloned()).unwrap_or_default();
                found.push(shown(&to.0, origin, &reduced(sql)));
                self.tables.insert(to, like);
            }
        } else {
            let named =
                all.iter().position(|token| token.is("ON")).map_or(if begins(all, &["TRUNCATE", "TABLE"]) { 2 } else { 1 }, |on| on + 1);
            let owner = all.get(named..).and_then(table_name).and_then(|(database, ..)| database).unwrap_or_else(|| schema.to_owned());
            found.push(shown(&owner, origin, &reduced(sql)));
        }
        Ok(found)
    }
}

/// The character set that CREATE DATABASE or ALTER DATABASE names, or that of the collation that it names.
fn charset_of(all: &[Token<'_>]) -> Option<String> {
    let at = all.iter().position(|token| ["CHARSET", "CHARACTER", "COLLATE"].iter().any(|word| token.is(word)))?;
    let value = all.get(at + 1..)?.iter().find(|token| !token.is("SET") && !token.is("="))?;
    value.name().trim_matches(['\'', '"']).split('_').next().map(str::to_lowercase)
}

/// The new name of the table, if the item of ALTER TABLE renames it.
fn renamed_table(item: &[Token<'_>]) -> Option<(Option<String>, String)> {
    let rest = item.split_first().filter(|(first, _)| first.is("RENAME"))?.1;
    if rest.first().is_some_and(|token| ["INDEX", "KEY", "COLUMN"].iter().any(|word| token.is(word))) {
        return None;
    }
    let rest = if rest.first().is_some_and(|token| token.is("TO") || token.is("AS")) { rest.get(1..)? } else { rest };
    table_name(rest).map(|(database, table, _)| (database, table))
}

/// Applies an item of ALTER TABLE to the names of the columns.
fn change_columns(table: &mut Table, item: &[Token<'_>]) -> Result<()> {
    let word = |index: usize, word: &str| item.get(index).is_some_and(|token| token.is(word));
    let place = |columns: &[String], at: usize| -> usize {
        if item.last().is_some_and(|token| token.is("FIRST")) {
            return 0;
        }
        let after = item.iter().rposition(|token| token.is("AFTER")).and_then(|index| item.get(index + 1));
        let found = after.and_then(|name| columns.iter().position(|column| column.eq_ignore_ascii_case(&name.name())));
        found.map_or(at, |index| index + 1)
    };
    let skip = 1 + usize::from(word(1, "COLUMN"));
    let name = item.get(skip).map(Token::name).unwrap_or_default();
    let index = table.columns.iter().position(|column| column.eq_ignore_ascii_case(&name));
    if let Some(added) = added_column(item) {
        if added.is("(") {
            let inner = item.get(skip + 1..behind_parentheses(item, skip) - 1).unwrap_or_default();
            table.columns.extend(split_commas(inner).iter().filter_map(|column| column.first()).map(Token::name));
        } else {
            let at = place(&table.columns, table.columns.len());
            table.columns.insert(at, added.name());
        }
    } else if word(0, "DROP") && !word(1, "INDEX") && !word(1, "KEY") && !word(1, "PRIMARY") && !word(1, "FOREIGN") {
        table.columns.retain(|column| !column.eq_ignore_ascii_case(&name));
    } else if (word(0, "CHANGE") || word(0, "MODIFY")) && !table.columns.is_empty() {
        let index = index.ok_or_else(|| Failure::new(format!("ALTER TABLE names the column {name}, which is not known")))?;
        let old = table.columns.remove(index);
        let new = if word(0, "CHANGE") { item.get(skip + 1).map(Token::name).unwrap_or_default() } else { old.clone() };
        for partition in table.partition.iter_mut().filter(|partition| **partition == old) {
            partition.clone_from(&new);
        }
        let at = place(&table.columns, index);
        table.columns.insert(at, new);
    }
    Ok(())
}

/// The name of a new table in lower case and in backticks, if it has capitals.
fn lower_name(create: &str) -> String {
    let all = plain_tokens(create);
    let at = if all.get(2).is_some_and(|token| token.is("IF")) { 5 } else { 2 };
    let Some((_, table, length)) = all.get(at..).and_then(table_name) else {
        return create.to_owned();
    };
    match all.get(at + length - 1) {
        Some(last) if table.chars().any(char::is_uppercase) && last.kind != Kind::Text => {
            format!("{}`{}`{}", &create[..last.start], table.to_lowercase(), &create[last.end()..])
        }
        _ => create.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(catalog: &mut Catalog, sql: &str) -> Vec<Option<String>> {
        catalog.apply("d", sql).unwrap().into_iter().map(|shown| shown.mysql).collect()
    }

    #[test]
    fn ddl_appears_as_the_real_server_writes_it() {
        let mut catalog = Catalog::default();
        let some = |text: &str| vec![Some(text.to_owned())];
        assert_eq!(texts(&mut catalog, "CREATE DATABASE d CHARSET gbk MODE='auto'"), some("CREATE DATABASE d CHARSET gbk"));
        assert_eq!(
            texts(&mut catalog, "CREATE TABLE T (a int) PARTITION BY KEY(a) PARTITIONS 2"),
            some("CREATE TABLE `t` ( a int ) DEFAULT CHARACTER SET = gbk")
        );
        assert_eq!(texts(&mut catalog, "CREATE TABLE IF NOT EXISTS t (a int)"), []);
        assert_eq!(texts(&mut catalog, "ALTER DATABASE d CHARSET latin1"), some("ALTER DATABASE d CHARSET latin1"));
        assert_eq!(
            texts(&mut catalog, "CREATE TABLE u (a int PRIMARY KEY)"),
            some("CREATE TABLE u ( a int PRIMARY KEY ) DEFAULT CHARACTER SET = latin1")
        );
        assert_eq!(
            texts(&mut catalog, "ALTER TABLE t ADD COLUMN c int FIRST, ALGORITHM=OMC"),
            some("ALTER TABLE t ADD COLUMN c int FIRST")
        );
        let table = Table { columns: vec!["c".into(), "a".into()], is_hidden: true, partition: vec!["a".into()], key: Vec::new() };
        assert_eq!(catalog.table("D", "T"), Some(&table));
        assert_eq!(texts(&mut catalog, "ALTER TABLE t ADD PRIMARY KEY (a)"), some("ALTER TABLE t , ADD PRIMARY KEY (a)"));
        assert_eq!(texts(&mut catalog, "ALTER TABLE t CHANGE a b bigint AFTER c, DROP c, PARTITION BY KEY(b)"), [None]);
        assert_eq!(texts(&mut catalog, "ALTER TABLE t CHANGE a b bigint, DROP c"), some("ALTER TABLE t CHANGE a b bigint, DROP c"));
        let table = Table { columns: vec!["b".into()], is_hidden: false, partition: vec!["b".into()], key: Vec::new() };
        assert_eq!(catalog.table("d", "t").map(|table| &table.columns), Some(&table.columns));
        assert_eq!(texts(&mut catalog, "CREATE GLOBAL INDEX g ON t (b)"), [None]);
        assert_eq!(texts(&mut catalog, "ALTER TABLE t SPLIT PARTITION p1"), [None]);
        assert_eq!(
            texts(&mut catalog, "RENAME TABLE t TO u, x TO y"),
            [Some("RENAME TABLE t TO u".into()), Some("RENAME TABLE x TO y".into())]
        );
        assert_eq!(texts(&mut catalog, "DROP TABLE IF EXISTS u, nothing PURGE"), some("DROP TABLE IF EXISTS u"));
        assert_eq!(catalog.apply("d", "GRANT ALL ON *.* TO x").unwrap()[0].updated.as_deref(), Some("*"));
        assert_eq!(catalog.apply("d", "CALL polardbx.trigger_sync_point_trx()").unwrap()[0].updated, None);
        assert_eq!(catalog.apply("d", "INSERT INTO t VALUES (1)").unwrap(), []);
    }

    #[test]
    fn a_statement_is_carried_through_the_binlog() {
        let text = carrying("d", "ALTER TABLE t /* é */ SINGLE", "ALTER TABLE t COMMENT=''");
        assert_eq!(carried(&text), Some(("d".to_owned(), "ALTER TABLE t /* é */ SINGLE".to_owned())));
        let sql = "ALTER TABLE t ADD x int, ADD `y` int, ADD PRIMARY KEY (x)";
        let all = plain_tokens(sql);
        assert_eq!(
            alter_hidden(sql, &read_alter(&all).unwrap(), "c").unwrap(),
            "ALTER TABLE t ADD x int AFTER `c`, ADD `y` int AFTER x, DROP COLUMN `_drds_implicit_id_`, ADD PRIMARY KEY (x)"
        );
    }
}
