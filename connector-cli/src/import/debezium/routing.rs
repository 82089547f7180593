//! The topic of a record, and Kafka Connect's transforms, most of which change it.

use regex::Regex;

use super::super::draft::{Draft, Plugin, Section};
use super::super::options::Options;
use super::super::toml::Item;

/// What the transforms leave to be decided.
pub(super) struct Routed {
    /// Whether tombstones reach the topic.
    pub(super) tombstones: bool,
}

/// Names of a table that stand for any table when a rule is tried: two, so that a rule that depends on the name is found out.
const TRIED: [(&str, &str); 2] = [("qzdbx", "qztbx"), ("wkdby", "wktby")];

pub(super) fn import(options: &mut Options, prefix: &str, draft: &mut Draft) -> Routed {
    let mut routed = Routed { tombstones: true };
    let delimiter = options.take("topic.delimiter").unwrap_or_else(|| ".".to_owned());
    let mut topic = format!("{prefix}{delimiter}{{database}}{delimiter}{{table}}");
    let mut is_unwrapped = false;
    for name in options.take("transforms").unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let mut inner = Options::default();
        for (option, text) in options.take_prefix(&format!("transforms.{name}.")) {
            inner.insert(option, text);
        }
        let kind = inner.take("type").unwrap_or_default();
        let predicate = inner.take("predicate").is_some();
        inner.take("negate");
        let kind = kind.rsplit('.').next().unwrap_or_default().to_owned();
        match kind.as_str() {
            "RegexRouter" => route(&mut topic, inner.take("regex"), inner.take("replacement"), name, &mut draft.sink),
            "ByLogicalTableRouter" => {
                let (regex, replacement) = (inner.take("topic.regex"), inner.take("topic.replacement"));
                route(&mut topic, regex, replacement, name, &mut draft.sink);
                inner.take_prefix("key.");
                draft.sink.note(
                    "the router put tables into one topic: a row's key has the names of database and table, so rows of two tables stay apart",
                );
            }
            "ExtractNewRecordState" => {
                is_unwrapped = true;
                routed.tombstones &= inner.take_bool("drop.tombstones") == Some(false)
                    || inner.take("delete.tombstone.handling.mode").is_some_and(|mode| mode.contains("tombstone"));
                inner.take("delete.handling.mode");
                draft.leave(
                    format!("transforms.{name}"),
                    "records keep the row before and after the change; readers take the part that they want",
                );
            }
            kind => {
                if !is_unwrapped || !row(kind, &mut inner, draft) {
                    unknown(kind, name, draft);
                }
            }
        }
        if predicate {
            draft.sink.missing(format!("`transforms.{name}` had a predicate, and its counterpart here applies to every record"));
        }
        for (option, _) in inner.take_prefix("") {
            draft.leave(format!("transforms.{name}.{option}"), "the transform's other options have no counterpart");
        }
    }
    for (option, _) in options.take_prefix("transforms.") {
        draft.leave(format!("transforms.{option}"), "the list `transforms` does not name this transform");
    }
    draft.sink.set("topic", Item::text(topic));
    draft.sink.set("ddl_topic", Item::text(prefix));
    routed
}

/// Transforms of rows, which have counterparts if the rows were taken out of their envelope before. Returns whether it is one.
fn row(kind: &str, inner: &mut Options, draft: &mut Draft) -> bool {
    let list = |text: String| text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect::<Vec<_>>();
    let all = || ("tables", Item::texts(["*.*"]));
    match kind {
        "ReplaceField$Value" => {
            let include = inner.take_any(&["include", "whitelist"]).map(list);
            let exclude = inner.take_any(&["exclude", "blacklist"]).map(list);
            let renames = inner.take("renames").map(list).unwrap_or_default();
            let columns = draft.transform(Plugin::Columns, [all()]);
            match (include, exclude) {
                (Some(include), _) => columns.set("include", Item::texts(include)),
                (None, Some(exclude)) => columns.set("exclude", Item::texts(exclude)),
                (None, None) => {}
            }
            let renames: Vec<_> = renames.iter().filter_map(|rename| rename.split_once(':')).collect();
            if !renames.is_empty() {
                columns.set("rename", Item::map(renames.into_iter().map(|(from, to)| (from, Item::text(to)))));
            }
            true
        }
        "MaskField$Value" => {
            let how = match inner.take("replacement") {
                Some(text) => Item::map([("constant", Item::text(text))]),
                None => Item::text("null"),
            };
            let columns = inner.take("fields").map(list).unwrap_or_default();
            let columns = Item::map(columns.into_iter().map(|column| (column, how.clone())));
            let section = draft.transform(Plugin::Mask, [all(), ("columns", columns)]);
            section.note("without a replacement the connector wrote the empty value of the type; here it is NULL");
            true
        }
        "InsertField$Value" => {
            let (Some(name), Some(value)) = (inner.take("static.field"), inner.take("static.value")) else { return false };
            let value = format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
            let column = Item::map([("name", Item::text(name)), ("type", Item::text("varchar(255)")), ("value", Item::text(value))]);
            draft.transform(Plugin::AddColumns, [all(), ("columns", Item::List(vec![column]))]);
            true
        }
        _ => false,
    }
}

fn unknown(kind: &str, name: &str, draft: &mut Draft) {
    let text = match kind {
        "Filter" => format!(
            "`transforms.{name}` keeps or drops records by a script or predicate: write the condition as SQL in a `filter` transform, or the \
             operations in an `operations` transform"
        ),
        _ => format!("`transforms.{name}` has no counterpart that could be written for it; see docs/shaping.md for what there is"),
    };
    draft.source.missing(text);
}

/// Applies a rule of a router to the template of the topic. The rule is tried on the topics of two tables whose names occur in no rule: if both
/// results are the same template, it is right for every table.
fn route(topic: &mut String, regex: Option<String>, replacement: Option<String>, name: &str, sink: &mut Section) {
    let refused = |sink: &mut Section, why: &str| {
        sink.missing(format!(
            "`transforms.{name}` {why}: write the topic or template that it came to, or rename the tables, or make a task for each topic"
        ));
    };
    let (Some(regex), Some(replacement)) = (regex, replacement) else { return refused(sink, "has no expression or replacement") };
    let Ok(regex) = Regex::new(&format!("^(?:{regex})$")) else { return refused(sink, "has an expression that only Java understands") };
    let replacement = rust_replacement(&replacement);
    let tried = TRIED.map(|(database, table)| {
        let from = topic.replace("{database}", database).replace("{table}", table);
        let to = regex.is_match(&from).then(|| regex.replace(&from, replacement.as_str()).into_owned());
        to.map(|to| to.replace(database, "{database}").replace(table, "{table}"))
    });
    match tried {
        [Some(first), Some(second)] if first == second => *topic = first,
        [None, None] => refused(sink, "applies to some tables only"),
        _ => refused(sink, "treats tables differently"),
    }
}

/// A replacement in Java's form as one of the library: `$1x` is group 1 and an `x` in Java.
fn rust_replacement(replacement: &str) -> String {
    let mut out = String::new();
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('$') => out.push_str("$$"),
                Some(c) => out.push(c),
                None => {}
            },
            '$' => {
                let mut group = String::new();
                while let Some(digit) = chars.next_if(|c| c.is_ascii_digit() && group.is_empty()) {
                    group.push(digit);
                }
                if chars.next_if_eq(&'{').is_some() {
                    group.extend(chars.by_ref().take_while(|c| *c != '}'));
                }
                out.push_str(&format!("${{{group}}}"));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(regex: &str, replacement: &str) -> String {
        let mut topic = "pre.fix.{database}.{table}".to_owned();
        route(&mut topic, Some(regex.to_owned()), Some(replacement.to_owned()), "x", &mut Section::default());
        topic
    }

    #[test]
    fn rules_for_all_tables_change_the_template() {
        assert_eq!(routed(r"pre\.fix\.([^.]+)\.([^.]+)", "$1_$2x"), "{database}_{table}x");
        assert_eq!(routed(r"(.*)\.(.*)\.(.*)", "$3"), "{table}");
        assert_eq!(routed(".*", "everything"), "everything");
        assert_eq!(routed("(.*)", "cdc.${1}"), "cdc.pre.fix.{database}.{table}");
    }

    #[test]
    fn rules_for_some_tables_change_nothing() {
        for (regex, replacement) in [(r"(.*)customers_shard(.*)", "$1all$2"), (r"(?!x).*", "y"), ("(.*)q(.*)", "$1"), ("(", "")] {
            assert_eq!(routed(regex, replacement), "pre.fix.{database}.{table}", "{regex}");
        }
    }
}
