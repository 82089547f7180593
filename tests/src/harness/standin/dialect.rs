//! PolarDB-X's dialect of table definitions: what MySQL gets of a CREATE TABLE statement, and what SHOW CREATE TABLE prints.
//!
//! What MySQL does not understand is remembered in the comment of the table, so that it stays with the table when the table is renamed.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::sql::{Kind, Token, behind_parentheses, plain_tokens, split_commas, table_name, tokens};
use crate::{Failure, Result};

/// The key column of a table without a primary key. SHOW CREATE TABLE does not print it.
pub(super) const HIDDEN_KEY: &str = "_drds_implicit_id_";

/// The definition of the hidden key column. It is always the last column of its table.
pub(super) const HIDDEN_COLUMN: &str = "`_drds_implicit_id_` bigint NOT NULL AUTO_INCREMENT PRIMARY KEY";

const MARKER: &str = "standin:";

/// What is remembered of a table, because MySQL does not know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// The clauses behind the table options, such as `PARTITION BY KEY(id) PARTITIONS 4`.
    pub(super) tail: String,
    /// The names of the global indexes.
    pub(super) global: Vec<String>,
}

impl Remembered {
    /// The comment of a table: the user's comment, and what is remembered.
    pub(super) fn comment(&self, user: &str) -> Result<String> {
        if *self == Self::default() {
            return Ok(user.to_owned());
        }
        let comment = format!("{user}{MARKER}{}", BASE64_STANDARD.encode(serde_json::to_vec(self)?));
        if comment.len() > 2000 {
            return Failure::err("the partition clause and the table's comment are too long to be remembered");
        }
        Ok(comment)
    }

    /// The user's part of the comment of a table, and what is remembered.
    pub(super) fn of_comment(comment: &str) -> (&str, Self) {
        let Some((user, encoded)) = comment.split_once(MARKER) else {
            return (comment, Self::default());
        };
        let found = BASE64_STANDARD.decode(encoded).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        found.map_or((comment, Self::default()), |remembered| (user, remembered))
    }
}

/// A CREATE TABLE statement with a list of columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Created {
    pub(super) database: Option<String>,
    pub(super) table: String,
    pub(super) if_not_exists: bool,
    /// The names of the columns, without the hidden key.
    pub(super) columns: Vec<String>,
    /// Whether the table gets a hidden key column.
    pub(super) is_hidden: bool,
    /// The columns of the primary key.
    pub(super) key: Vec<String>,
    pub(super) remembered: Remembered,
    head: String,
    items: Vec<String>,
    /// The items in the binlog, where a generated column is an ordinary one.
    shown: Vec<String>,
    options: String,
    comment: Option<String>,
}

impl Created {
    /// The statement for MySQL.
    pub(super) fn for_mysql(&self) -> Result<String> {
        let mut items = self.items.clone();
        if self.is_hidden {
            items.push(HIDDEN_COLUMN.to_owned());
        }
        let comment = self.remembered.comment(self.comment.as_deref().unwrap_or_default())?;
        let comment = if comment.is_empty() { String::new() } else { format!(" COMMENT='{}'", comment.replace('\'', "''")) };
        Ok(format!("{} ( {} ){}{comment}", self.head, items.join(", "), self.options))
    }

    /// The statement in the binlog, which is MySQL's as well but shows nothing of the hidden key.
    /// `charset` is the database's, which the statement names if the user's did not name one.
    pub(super) fn for_binlog(&self, charset: &str) -> String {
        let has_charset =
            plain_tokens(&self.options).iter().any(|token| ["CHARSET", "CHARACTER", "COLLATE"].iter().any(|word| token.is(word)));
        let charset = if has_charset { String::new() } else { default_charset(charset) };
        let comment = self.comment.as_ref().map(|text| format!(" COMMENT='{}'", text.replace('\'', "''"))).unwrap_or_default();
        format!("{} ( {} ){}{comment}{charset}", self.head, self.shown.join(", "), self.options)
    }
}

/// The table options that name a character set.
fn default_charset(charset: &str) -> String {
    let collation = match charset {
        "utf8mb4" | "utf8" => format!(" DEFAULT COLLATE = {charset}_general_ci"),
        _ => String::new(),
    };
    format!(" DEFAULT CHARACTER SET = {charset}{collation}")
}

/// The columns of the partition clauses in `tail`.
pub(super) fn partition_columns(tail: &str, columns: &[String]) -> Vec<String> {
    let tokens = plain_tokens(tail);
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let is_clause = ["PARTITION", "SUBPARTITION", "DBPARTITION", "TBPARTITION"].iter().any(|word| token.is(word));
        if !is_clause || !tokens.get(index + 1).is_some_and(|by| by.is("BY")) {
            continue;
        }
        let open = (index..tokens.len()).find(|at| tokens.get(*at).is_some_and(|token| token.is("("))).unwrap_or(tokens.len());
        for name in tokens.get(open..behind_parentheses(&tokens, open)).unwrap_or_default() {
            let known = columns.iter().find(|column| column.eq_ignore_ascii_case(&name.name()));
            if let Some(column) = known.filter(|column| !found.contains(*column)) {
                found.push(column.clone());
            }
        }
    }
    found
}

/// The text of tokens, on one line.
pub(super) fn text_of(sql: &str, tokens: &[Token<'_>]) -> String {
    let mut out = String::new();
    let mut end = tokens.first().map_or(0, |token| token.start);
    for token in tokens {
        if sql.get(end..token.start).is_some_and(|gap| !gap.is_empty()) {
            out.push(' ');
        }
        out.push_str(token.text);
        end = token.end();
    }
    out
}

/// The whole statement on one line, without comments but with its hints.
pub(super) fn one_line(sql: &str) -> String {
    let kept = |token: &Token<'_>| token.kind != Kind::Comment || token.text.starts_with("/*+") || token.text.starts_with("/*!");
    let mut kept: Vec<Token<'_>> = tokens(sql).filter(kept).collect();
    while kept.last().is_some_and(|token| token.is(";")) {
        kept.pop();
    }
    text_of(sql, &kept)
}

/// Whether a clause that MySQL does not understand begins at the front of the tokens.
pub(super) fn is_tail(tokens: &[Token<'_>]) -> bool {
    let words = ["DBPARTITION", "TBPARTITION", "BROADCAST", "SINGLE", "LOCALITY", "TABLEGROUP", "TTL"];
    let is = |index: usize, word: &str| tokens.get(index).is_some_and(|token| token.is(word));
    words.iter().any(|word| is(0, word)) || (is(0, "PARTITION") && is(1, "BY")) || (is(0, "LOCAL") && is(1, "PARTITION"))
}

/// Reads a CREATE TABLE statement; `None` if the statement is another one, or has no list of columns.
pub(super) fn read_create_table(sql: &str) -> Result<Option<Created>> {
    let all = plain_tokens(sql);
    let is = |index: usize, word: &str| all.get(index).is_some_and(|token: &Token<'_>| token.is(word));
    let mut at = 1;
    while ["PARTITION", "SHADOW"].iter().any(|word| is(at, word)) {
        at += 1;
    }
    if !is(0, "CREATE") || !is(at, "TABLE") {
        return Ok(None);
    }
    at += 1;
    let mut created = Created { if_not_exists: is(at, "IF"), ..Created::default() };
    at += if created.if_not_exists { 3 } else { 0 };
    let Some((database, table, length)) = table_name(all.get(at..).unwrap_or_default()) else {
        return Ok(None);
    };
    let name = text_of(sql, all.get(at..at + length).unwrap_or_default());
    (created.database, created.table) = (database, table);
    created.head = format!("CREATE TABLE {}{name}", if created.if_not_exists { "IF NOT EXISTS " } else { "" });
    at += length;
    if !is(at, "(") || is(at + 1, "LIKE") || is(at + 1, "SELECT") {
        return Ok(None);
    }
    let close = behind_parentheses(&all, at);
    let (mut has_key, mut has_counter) = (false, false);
    for item in split_commas(all.get(at + 1..close - 1).unwrap_or_default()) {
        let has = |word: &str| item.iter().any(|token| token.is(word));
        if is_key(item) {
            if has("PRIMARY") {
                let open = item.iter().position(|token| token.is("(")).unwrap_or(item.len());
                let names = split_commas(item.get(open + 1..item.len().saturating_sub(1)).unwrap_or_default());
                created.key = names.iter().filter_map(|name| name.first().map(Token::name)).collect();
                has_key = true;
            }
            let index = plain_index(sql, item, &mut created.remembered);
            created.shown.push(index.clone());
            created.items.push(index);
        } else {
            let name = item.first().map(Token::name).unwrap_or_default();
            if has("PRIMARY") || (item.len() > 2 && item.last().is_some_and(|token| token.is("KEY")) && !has("UNIQUE")) {
                created.key = vec![name.clone()];
                has_key = true;
            }
            has_counter |= has("AUTO_INCREMENT");
            created.columns.push(name);
            created.shown.push(without_words(sql, item, true));
            created.items.push(without_words(sql, item, false));
        }
    }
    created.is_hidden = !has_key;
    let rest = all.get(close..).unwrap_or_default();
    let end = rest.iter().position(|token| token.is(";")).unwrap_or(rest.len());
    let rest = rest.get(..end).unwrap_or_default();
    if rest.iter().any(|token| token.is("SELECT")) {
        return Ok(None);
    }
    if created.is_hidden && has_counter {
        return Failure::err("a table without a primary key cannot have a second AUTO_INCREMENT column besides the hidden key in MySQL");
    }
    let tail = (0..rest.len()).find(|index| is_tail(rest.get(*index..).unwrap_or_default())).unwrap_or(rest.len());
    let (options, tail) = rest.split_at(tail);
    created.remembered.tail = text_of(sql, tail);
    let mut kept = Vec::new();
    let mut options = options.iter().peekable();
    while let Some(option) = options.next() {
        if option.is("COMMENT") {
            options.next_if(|token| token.is("="));
            created.comment = options.next().map(|token| unquoted(token.text));
        } else {
            kept.push(*option);
        }
    }
    created.options = if kept.is_empty() { String::new() } else { format!(" {}", text_of(sql, &kept)) };
    Ok(Some(created))
}

/// The text of a string literal.
fn unquoted(literal: &str) -> String {
    let inner = literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default();
    inner.replace("''", "'").replace("\\'", "'").replace("\\\\", "\\")
}

/// Whether an item of a list of columns is a key.
fn is_key(item: &[Token<'_>]) -> bool {
    const WORDS: [&str; 12] =
        ["PRIMARY", "KEY", "INDEX", "UNIQUE", "FULLTEXT", "SPATIAL", "CONSTRAINT", "FOREIGN", "CHECK", "GLOBAL", "LOCAL", "CLUSTERED"];
    item.first().is_some_and(|first| WORDS.iter().any(|word| first.is(word)))
}

/// An index as MySQL knows it: a global one becomes an ordinary one, and its name is remembered.
fn plain_index(sql: &str, item: &[Token<'_>], remembered: &mut Remembered) -> String {
    let is_global = item.iter().any(|token| token.is("GLOBAL") || token.is("CLUSTERED"));
    let mut kept: Vec<Token<'_>> = item.to_vec();
    if is_global {
        let open = kept.iter().position(|token| token.is("(")).unwrap_or(kept.len());
        remembered.global.extend(kept.get(open.saturating_sub(1)).map(Token::name));
        kept.truncate(behind_parentheses(&kept, open));
    }
    kept.retain(|token| !["GLOBAL", "LOCAL", "CLUSTERED"].iter().any(|word| token.is(word)));
    text_of(sql, &kept)
}

/// A column without what MySQL does not know: the kind of its counter, as in `AUTO_INCREMENT BY GROUP`, and `LOGICAL`. With `is_plain`, a
/// generated column becomes an ordinary one.
fn without_words(sql: &str, item: &[Token<'_>], is_plain: bool) -> String {
    let mut kept: Vec<Token<'_>> = item.to_vec();
    if let Some(at) = kept.windows(2).position(|pair| pair[0].is("AUTO_INCREMENT") && pair[1].is("BY")) {
        kept.drain(at + 1..(at + 3).min(kept.len()));
    }
    if let Some(at) = kept.windows(2).position(|pair| pair[0].is("AS") && pair[1].is("(")) {
        kept.retain(|token| !token.is("LOGICAL"));
        if is_plain {
            let end = behind_parentheses(&kept, at + 1);
            let end = end + usize::from(kept.get(end).is_some_and(|token| token.is("VIRTUAL") || token.is("STORED")));
            let from = if at >= 2 && kept[at - 2].is("GENERATED") { at - 2 } else { at };
            kept.drain(from..end);
        }
    }
    text_of(sql, &kept)
}

/// What SHOW CREATE TABLE of PolarDB-X prints, from what MySQL prints.
pub(super) fn print_table(mysql: &str) -> String {
    let (body, options) = mysql.rsplit_once("\n)").unwrap_or((mysql, ""));
    let (options, comment) = print_options(options);
    let (user, remembered) = Remembered::of_comment(&comment);
    let mut lines = body.lines();
    let mut out = lines.next().unwrap_or_default().to_owned();
    let mut items = Vec::new();
    for line in lines {
        let item = line.trim_start().trim_end_matches(',');
        if item.starts_with("`_drds_implicit_id_`") || item == "PRIMARY KEY (`_drds_implicit_id_`)" {
            continue;
        }
        items.push(format!("\t{}", print_item(item, &remembered)));
    }
    out.push('\n');
    out.push_str(&items.join(",\n"));
    out.push_str("\n)");
    out.push_str(&options);
    if !user.is_empty() {
        out.push_str(&format!(" COMMENT '{}'", user.replace('\'', "''")));
    }
    if !remembered.tail.is_empty() {
        out.push('\n');
        out.push_str(&print_tail(&remembered.tail));
    }
    out
}

fn print_item(item: &str, remembered: &Remembered) -> String {
    let is_partitioned = remembered.tail.to_ascii_uppercase().contains("PARTITION");
    for (prefix, local, global) in [("KEY ", "LOCAL KEY ", "GLOBAL INDEX "), ("UNIQUE KEY ", "UNIQUE LOCAL KEY ", "UNIQUE GLOBAL INDEX ")] {
        let Some(rest) = item.strip_prefix(prefix) else {
            continue;
        };
        let is_global = tokens(rest).next().is_some_and(|name| remembered.global.contains(&name.name()));
        return match (is_global, is_partitioned) {
            (true, _) => format!("{global}{rest}"),
            (false, true) => format!("{local}{rest}"),
            (false, false) => item.to_owned(),
        };
    }
    // `decimal(12,2)` is printed with a blank.
    let all: Vec<Token<'_>> = tokens(item).collect();
    for window in all.windows(6) {
        if window[1].is("decimal") && window[2].is("(") && window[4].is(",") {
            let comma = window[4].end();
            return format!("{} {}", item.get(..comma).unwrap_or_default(), item.get(comma..).unwrap_or_default());
        }
    }
    item.to_owned()
}

/// The table options with blanks around `=`, and the table's comment.
fn print_options(options: &str) -> (String, String) {
    let all = plain_tokens(options);
    let (mut out, mut comment, mut has_collation) = (String::new(), String::new(), false);
    let mut at = 0;
    while let Some(token) = all.get(at) {
        if token.is("COMMENT") && all.get(at + 1).is_some_and(|next| next.is("=")) {
            comment = all.get(at + 2).map(|text| unquoted(text.text)).unwrap_or_default();
            at += 3;
            continue;
        }
        if token.is("COLLATE") {
            out.push_str(" DEFAULT");
            has_collation = true;
        }
        out.push(' ');
        out.push_str(token.text);
        at += 1;
    }
    if !has_collation && out.ends_with("CHARSET = utf8mb4") {
        out.push_str(" DEFAULT COLLATE = utf8mb4_general_ci");
    }
    (out, comment)
}

/// The clauses behind the options, each on a line of its own.
fn print_tail(tail: &str) -> String {
    let mut out = String::new();
    let all: Vec<Token<'_>> = tokens(tail).collect();
    let mut end = 0;
    for token in &all {
        let begins_line = token.start > 0 && ["PARTITIONS", "SUBPARTITION", "TABLEGROUP"].iter().any(|word| token.is(word));
        if begins_line {
            out.push('\n');
        } else if tail.get(end..token.start).is_some_and(|gap| !gap.is_empty()) {
            out.push(' ');
        }
        out.push_str(token.text);
        end = token.end();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: &str = "CREATE TABLE shop.orders (\n  id bigint NOT NULL AUTO_INCREMENT BY GROUP,\n  amount decimal(12, 2), note varchar(64) \
        DEFAULT 'a,)', PRIMARY KEY (id),\n GLOBAL INDEX g (note) COVERING (amount) PARTITION BY KEY(note) PARTITIONS 3, LOCAL KEY k (amount)\n) \
        ENGINE = InnoDB COMMENT = 'it''s' PARTITION BY KEY(`id`)\nPARTITIONS 4";

    #[test]
    fn mysql_gets_only_what_it_knows() {
        let created = read_create_table(ORDERS).unwrap().unwrap();
        assert_eq!(created.columns, ["id", "amount", "note"]);
        assert!(!created.is_hidden);
        assert_eq!(
            created.for_binlog("gbk"),
            "CREATE TABLE shop.orders ( id bigint NOT NULL AUTO_INCREMENT, amount decimal(12, 2), note varchar(64) DEFAULT 'a,)', \
             PRIMARY KEY (id), INDEX g (note), KEY k (amount) ) ENGINE = InnoDB COMMENT='it''s' DEFAULT CHARACTER SET = gbk"
        );
        assert!(created.for_mysql().unwrap().contains("COMMENT='it''sstandin:"));
        assert_eq!(partition_columns(&created.remembered.tail, &created.columns), ["id"]);
        let hidden = read_create_table("CREATE TABLE t (a int) SINGLE").unwrap().unwrap();
        assert!(hidden.for_mysql().unwrap().starts_with("CREATE TABLE t ( a int, `_drds_implicit_id_` bigint"), "{hidden:?}");
        assert_eq!(
            hidden.for_binlog("utf8mb4"),
            "CREATE TABLE t ( a int ) DEFAULT CHARACTER SET = utf8mb4 DEFAULT COLLATE = utf8mb4_general_ci"
        );
        let generated = "CREATE TABLE t (a int PRIMARY KEY, b int GENERATED ALWAYS AS (a + (1)) STORED NOT NULL, c int AS (a) LOGICAL)";
        let generated = read_create_table(generated).unwrap().unwrap();
        assert_eq!(
            generated.for_binlog("big5"),
            "CREATE TABLE t ( a int PRIMARY KEY, b int NOT NULL, c int ) DEFAULT CHARACTER SET = big5"
        );
        assert!(generated.for_mysql().unwrap().ends_with("AS (a + (1)) STORED NOT NULL, c int AS (a) )"));
        assert!(read_create_table("CREATE TABLE t LIKE u").unwrap().is_none());
        assert!(read_create_table("CREATE TABLE t (a int, b int AUTO_INCREMENT, KEY (b))").is_err());
    }

    #[test]
    fn a_table_is_printed_in_the_dialect() {
        let remembered = read_create_table(ORDERS).unwrap().unwrap().remembered;
        let mysql = format!(
            "CREATE TABLE `orders` (\n  `id` bigint(20) NOT NULL AUTO_INCREMENT,\n  `amount` decimal(12,2) DEFAULT NULL,\n  PRIMARY KEY (`id`),\n  \
             KEY `g` (`amount`),\n  UNIQUE KEY `k` (`amount`)\n) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COMMENT='{}'",
            remembered.comment("").unwrap()
        );
        assert_eq!(
            print_table(&mysql),
            "CREATE TABLE `orders` (\n\t`id` bigint(20) NOT NULL AUTO_INCREMENT,\n\t`amount` decimal(12, 2) DEFAULT NULL,\n\tPRIMARY KEY (`id`),\n\t\
             GLOBAL INDEX `g` (`amount`),\n\tUNIQUE LOCAL KEY `k` (`amount`)\n) ENGINE = InnoDB AUTO_INCREMENT = 3 DEFAULT CHARSET = utf8mb4 \
             DEFAULT COLLATE = utf8mb4_general_ci\nPARTITION BY KEY(`id`)\nPARTITIONS 4"
        );
        let hidden = "CREATE TABLE `t` (\n  `a` int(11) DEFAULT NULL,\n  `_drds_implicit_id_` bigint(20) NOT NULL AUTO_INCREMENT,\n  \
            PRIMARY KEY (`_drds_implicit_id_`)\n) ENGINE=InnoDB DEFAULT CHARSET=gbk";
        assert_eq!(print_table(hidden), "CREATE TABLE `t` (\n\t`a` int(11) DEFAULT NULL\n) ENGINE = InnoDB DEFAULT CHARSET = gbk");
    }
}
