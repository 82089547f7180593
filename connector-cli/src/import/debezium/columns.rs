//! Columns that Debezium leaves out, shortens or masks, and key columns that it is given.

use super::super::draft::{Draft, Plugin};
use super::super::options::Options;
use super::super::patterns;
use super::super::toml::Item;

/// Names of columns by the pattern of their tables, in the order of the list.
type Grouped = Vec<(String, Vec<String>)>;

pub(super) fn import(options: &mut Options, draft: &mut Draft) {
    masks(options, draft);
    for (option, old, key) in
        [("column.include.list", "column.whitelist", "include"), ("column.exclude.list", "column.blacklist", "exclude")]
    {
        let Some(list) = options.take_any(&[option, old]) else { continue };
        for (tables, columns) in grouped(draft, option, &list) {
            draft.transform(Plugin::Columns, [("tables", Item::texts([tables])), (key, Item::texts(columns))]);
        }
        if key == "include" {
            draft.source.note("tables that `column.include.list` does not name keep all their columns here; in Debezium they had none");
        }
    }
    keys(options, draft);
}

fn grouped(draft: &mut Draft, option: &str, list: &str) -> Grouped {
    let mut grouped = Grouped::new();
    for expression in patterns::split(list, &[',']) {
        let Some((tables, column)) = patterns::column(&expression) else {
            draft.source.missing(format!(
                "an entry of `{option}` is an expression for more than one column name, which `columns` and `mask` do not take: name the columns"
            ));
            continue;
        };
        match grouped.iter_mut().find(|(known, _)| *known == tables) {
            Some((_, columns)) => columns.push(column),
            None => grouped.push((tables, vec![column])),
        }
    }
    grouped
}

/// Masks by the names of options that hold their arguments: the salt of a hash is one of them, so such a name is never printed.
fn masks(options: &mut Options, draft: &mut Draft) {
    for (rest, list) in options.take_prefix("column.mask.hash.") {
        let option = "column.mask.hash.<algorithm>.with.salt.<salt>";
        if !rest.contains(".with.salt.") {
            draft.leave(option, "the name of the option has no salt");
            continue;
        }
        mask(
            draft,
            option,
            &list,
            &Item::map([("hash", Item::map([("salt", Item::env("HASH_SALT"))]))]),
            Some("hashes are HMAC-SHA-256 with the salt from HASH_SALT, so they differ from the connector's"),
        );
    }
    for (rest, list) in options.take_prefix("column.mask.with.") {
        let option = format!("column.mask.with.{rest}");
        match rest.strip_suffix(".chars").and_then(|count| count.parse::<usize>().ok()).filter(|count| *count <= 1000) {
            Some(count) => mask(draft, &option, &list, &Item::map([("constant", Item::text("*".repeat(count)))]), None),
            None => {
                draft.source.missing(format!("`{option}` has no usable length, so its columns are not masked: write a `mask` transform"))
            }
        }
    }
    for (rest, list) in options.take_prefix("column.truncate.to.") {
        let option = format!("column.truncate.to.{rest}");
        match rest.strip_suffix(".chars").and_then(|count| count.parse::<i64>().ok()).filter(|count| *count >= 0) {
            Some(count) => mask(draft, &option, &list, &Item::map([("truncate", Item::Int(count))]), None),
            None => draft.source.missing(format!("`{option}` has no usable length, so its columns are not shortened")),
        }
    }
}

fn mask(draft: &mut Draft, option: &str, list: &str, how: &Item, note: Option<&str>) {
    for (tables, columns) in grouped(draft, option, list) {
        let columns = Item::map(columns.into_iter().map(|column| (column, how.clone())));
        let section = draft.transform(Plugin::Mask, [("tables", Item::texts([tables])), ("columns", columns)]);
        if let Some(note) = note {
            section.note(note);
        }
    }
}

/// `tables:column,column;…`.
fn keys(options: &mut Options, draft: &mut Draft) {
    let Some(list) = options.take("message.key.columns") else { return };
    for entry in patterns::split(&list, &[';']) {
        let Some((expression, columns)) = entry.rsplit_once(':') else {
            draft.source.missing("an entry of `message.key.columns` is not table:column,column; write a `columns` transform with `key`");
            continue;
        };
        let table = patterns::table(expression);
        if let Some(problem) = table.problem {
            draft.source.missing(format!("a table of `message.key.columns` cannot be used as it is, so rewrite it: {problem}"));
        }
        let columns = columns.split(',').map(str::trim).filter(|column| !column.is_empty());
        draft.transform(Plugin::Columns, [("tables", Item::texts([table.pattern])), ("key", Item::texts(columns))]);
    }
}
