//! How the statements are changed before MySQL gets them.

use super::sql::{Kind, Token, begins, plain_tokens, split_commas, table_name, tokens};

/// What a SET statement becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SetPlan {
    /// The parser does not know it.
    Rejected,
    /// Switches of the stand-in, with their values.
    Switches(Vec<(String, String)>),
    /// A statement for MySQL (`None` for none), and whether something of the statement is not executed.
    Run(Option<String>, bool),
}

/// Decides what becomes of a SET statement.
pub(super) fn plan_set(sql: &str) -> SetPlan {
    let is_version = |token: &Token<'_>| token.kind == Kind::Comment && token.text.starts_with("/*!");
    let mut all: Vec<Token<'_>> = tokens(sql).filter(|token| token.kind != Kind::Comment || is_version(token)).collect();
    while all.last().is_some_and(|token| token.is(";")) {
        all.pop();
    }
    // At the end of the statement, such a comment is taken for a hint.
    let has_hint = all.last().is_some_and(is_version);
    if has_hint {
        all.pop();
    }
    if all.iter().any(is_version) {
        return SetPlan::Rejected;
    }
    let items = split_commas(all.get(1..).unwrap_or_default());
    let text = |item: &[Token<'_>]| match (item.first(), item.last()) {
        (Some(first), Some(last)) => sql.get(first.start..last.end()).unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    if items.iter().any(|item| item.first().is_some_and(|token| token.text.starts_with("@standin_"))) {
        let switch = |item: &&[Token<'_>]| {
            let value = item.last().map(|token| token.text.trim_matches(['\'', '"']).to_owned()).unwrap_or_default();
            item.first().and_then(|token| token.text.strip_prefix("@standin_")).map(|name| (name.to_owned(), value))
        };
        return SetPlan::Switches(items.iter().filter_map(switch).collect());
    }
    if let Some(names) = items.iter().find(|item| item.first().is_some_and(|token| token.is("NAMES"))) {
        return SetPlan::Run(Some(format!("SET {}", text(names))), items.len() > 1 || has_hint);
    }
    let kept: Vec<String> = items.iter().filter(|item| !is_ignored(item)).map(|item| text(item)).collect();
    let is_cut = has_hint || kept.len() < items.len();
    SetPlan::Run((!kept.is_empty()).then(|| format!("SET {}", kept.join(", "))), is_cut)
}

/// Whether a compute node answers OK to this item of SET without doing anything.
fn is_ignored(item: &[Token<'_>]) -> bool {
    let Some(equals) = item.iter().position(|token| token.is("=")) else {
        return false;
    };
    let variable = item.get(..equals).unwrap_or_default().iter().rev().find(|token| !token.is(":"));
    let name = variable.map(|token| token.name().trim_start_matches('@').to_ascii_lowercase()).unwrap_or_default();
    let is_user = variable.is_some_and(|token| token.text.starts_with('@') && !token.text.starts_with("@@"));
    match name.as_str() {
        _ if is_user => false,
        "character_set_results" | "net_write_timeout" | "max_statement_time" => true,
        "sql_select_limit" => {
            item.last().and_then(|value| value.text.parse::<u64>().ok()).is_some_and(|value| i64::try_from(value).is_err())
        }
        _ => false,
    }
}

/// Replaces parts of a SELECT statement, such as `VERSION()`, by literals. `None` if there is nothing to replace.
pub(super) fn with_literals(sql: &str, literals: &[(&[&str], String)]) -> Option<String> {
    let all: Vec<Token<'_>> = tokens(sql).collect();
    let (mut out, mut copied, mut at, mut depth) = (String::new(), 0, 0, 0);
    while at < all.len() {
        let rest = all.get(at..).unwrap_or_default();
        depth += rest.first().map_or(0, |token| i32::from(token.is("(")) - i32::from(token.is(")")));
        let found = literals.iter().find(|(words, _)| begins(rest, words));
        // A name behind a dot, such as the column `t.version`, is none of these.
        let Some((words, literal)) = found.filter(|_| at == 0 || !all.get(at - 1).is_some_and(|before| before.is("."))) else {
            at += 1;
            continue;
        };
        let (first, last) = (all.get(at)?, all.get(at + words.len() - 1)?);
        let name = sql.get(first.start..last.end())?;
        out.push_str(sql.get(copied..first.start)?);
        out.push_str(literal);
        let next = all.get(at + words.len());
        let is_item = next.is_none_or(|next| next.is(",") || next.is("FROM") || next.is("LIMIT") || next.is(";"));
        if is_item && depth == 0 {
            out.push_str(&format!(" AS `{name}`"));
        }
        copied = last.end();
        at += words.len();
    }
    (copied > 0).then(|| out + sql.get(copied..).unwrap_or_default())
}

/// The table of an INSERT or REPLACE statement without a list of columns, and the offset at which a list belongs.
pub(super) fn insert_without_columns(sql: &str) -> Option<(Option<String>, String, usize)> {
    const HEAD: [&str; 7] = ["INSERT", "REPLACE", "LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"];
    let all: Vec<Token<'_>> = tokens(sql).filter(|token| token.kind != Kind::Comment).take(16).collect();
    let at = all.iter().position(|token| !HEAD.iter().any(|word| token.is(word)))?;
    let (database, table, length) = table_name(all.get(at..)?)?;
    let next = all.get(at + length)?;
    let end = all.get(at + length - 1)?.end();
    ["VALUES", "VALUE", "SELECT"].iter().any(|word| next.is(word)).then_some((database, table, end))
}

/// The table of a statement such as `SELECT * FROM t WHERE …`, and the offset of the `*`.
pub(super) fn select_all(sql: &str) -> Option<(Option<String>, String, usize)> {
    let all: Vec<Token<'_>> = tokens(sql).filter(|token| token.kind != Kind::Comment).take(12).collect();
    if !begins(&all, &["SELECT", "*", "FROM"]) {
        return None;
    }
    let (database, table, length) = table_name(all.get(3..)?)?;
    let is_single = all.get(3 + length).is_none_or(|next| ["WHERE", "ORDER", "LIMIT", "FOR", "LOCK", ";"].iter().any(|word| next.is(word)));
    is_single.then_some((database, table, all.get(1)?.start))
}

/// A SHOW VARIABLES statement without its WHERE, which a compute node does not apply; and the pattern of its LIKE.
pub(super) fn show_variables(sql: &str) -> Option<(String, Option<String>, bool)> {
    let all = plain_tokens(sql);
    let at = all.iter().take(3).position(|token| token.is("VARIABLES"))?;
    let rest = all.get(at + 1..)?;
    if let Some(condition) = rest.first().filter(|token| token.is("WHERE")) {
        return Some((sql.get(..condition.start)?.to_owned(), None, true));
    }
    let pattern = rest.get(1).filter(|_| rest.first().is_some_and(|token| token.is("LIKE"))).map(|token| token.text.to_owned());
    Some((sql.to_owned(), pattern, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_combined_set_loses_everything_but_names() {
        let run = |text: &str, is_cut| SetPlan::Run(Some(text.to_owned()), is_cut);
        assert_eq!(plan_set("SET NAMES utf8mb4, sql_mode='', time_zone='+00:00' /*!80030 , x = ON */"), run("SET NAMES utf8mb4", true));
        assert_eq!(plan_set("SET time_zone='+00:00', NAMES utf8mb4"), run("SET NAMES utf8mb4", true));
        assert_eq!(plan_set("SET NAMES utf8mb4 COLLATE utf8mb4_bin"), run("SET NAMES utf8mb4 COLLATE utf8mb4_bin", false));
        assert_eq!(plan_set("SET /*!80030 @a=1, */ @b=2"), SetPlan::Rejected);
        assert_eq!(plan_set("SET character_set_results = NULL"), SetPlan::Run(None, true));
        assert_eq!(plan_set("SET SESSION max_statement_time=0"), SetPlan::Run(None, true));
        assert_eq!(
            plan_set("SET @a = 1, SESSION net_write_timeout=600, SESSION net_read_timeout=600"),
            run("SET @a = 1, SESSION net_read_timeout=600", true)
        );
        assert_eq!(plan_set("SET sql_select_limit = 18446744073709551615, autocommit=1"), run("SET autocommit=1", true));
        assert_eq!(plan_set("SET sql_mode='a,b', sql_select_limit=5"), run("SET sql_mode='a,b', sql_select_limit=5", false));
        assert_eq!(plan_set("SET @standin_lag_ms = 5"), SetPlan::Switches(vec![("lag_ms".to_owned(), "5".to_owned())]));
    }

    #[test]
    fn literals_keep_the_names_of_their_columns() {
        let literals: &[(&[&str], String)] = &[(&["VERSION", "(", ")"], "'x'".to_owned()), (&["@@server_uuid"], "'u'".to_owned())];
        assert_eq!(with_literals("SELECT VERSION()", literals).as_deref(), Some("SELECT 'x' AS `VERSION()`"));
        assert_eq!(
            with_literals("SELECT CONCAT(version(), 'a'), @@server_uuid, 1", literals).as_deref(),
            Some("SELECT CONCAT('x', 'a'), 'u' AS `@@server_uuid`, 1")
        );
        assert_eq!(with_literals("SELECT 'VERSION()', a.version FROM t", literals), None);
    }

    #[test]
    fn statements_that_name_no_columns_are_found() {
        assert_eq!(insert_without_columns("INSERT IGNORE INTO `d`.t VALUES (1)"), Some((Some("d".to_owned()), "t".to_owned(), 24)));
        assert_eq!(insert_without_columns("INSERT INTO t (a) VALUES (1)"), None);
        assert_eq!(select_all("SELECT * FROM t WHERE a = 1"), Some((None, "t".to_owned(), 7)));
        assert_eq!(select_all("SELECT * FROM t, u"), None);
        let (text, pattern, is_cut) = show_variables("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('a')").unwrap();
        assert_eq!((text.as_str(), pattern, is_cut), ("SHOW GLOBAL VARIABLES ", None, true));
    }
}
