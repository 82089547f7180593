//! A small writer of TOML. The text is for people: one key a line, long lists over several lines, comments in between.

use std::fmt::Write;

use runtime::{Escaped, is_unprintable};

/// Lines are broken where they would be longer.
const WIDTH: usize = 120;

/// A value of a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// A text, to be read back exactly. A `${` in it is no reference.
    Text(String),
    /// A text that refers to the environment: `${env:NAME}`.
    Reference(String),
    Int(i64),
    Bool(bool),
    List(Vec<Item>),
    Map(Vec<(String, Item)>),
}

impl Item {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A reference to a variable of the environment.
    pub(super) fn env(name: &str) -> Self {
        Self::Reference(format!("${{env:{name}}}"))
    }

    pub(super) fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    pub(super) fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Item)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, item)| (key.into(), item)).collect())
    }
}

/// Writes `key = value`, with a list over several lines if it is long. The key is written as it is, so it may be a dotted one of ours.
pub(super) fn write_key(out: &mut String, key: &str, item: &Item) {
    let line = format!("{key} = {}", inline(item));
    match item {
        Item::List(items) if line.chars().count() > WIDTH => {
            let _ = writeln!(out, "{key} = [");
            for item in items {
                let _ = writeln!(out, "    {},", inline(item));
            }
            out.push_str("]\n");
        }
        _ => {
            out.push_str(&line);
            out.push('\n');
        }
    }
}

/// Writes a plugin with its settings below `outer`: on one line if that is short, else as a table of its own.
pub(super) fn write_plugin(out: &mut String, outer: &str, plugin: &str, settings: &[(String, Item)]) {
    let line = format!("{plugin} = {}", inline(&Item::Map(settings.to_vec())));
    if line.chars().count() <= WIDTH {
        out.push_str(&line);
        out.push('\n');
        return;
    }
    let _ = writeln!(out, "[{outer}.{plugin}]");
    let is_long = |key: &str, item: &Item| matches!(item, Item::Map(_)) && key.len() + inline(item).chars().count() + 3 > WIDTH;
    for (key, item) in settings.iter().filter(|(key, item)| !is_long(key, item)) {
        write_key(out, &bare_or_quoted(key), item);
    }
    for (key, item) in settings {
        if let (true, Item::Map(entries)) = (is_long(key, item), item) {
            let _ = writeln!(out, "\n[{outer}.{plugin}.{}]", bare_or_quoted(key));
            for (key, item) in entries {
                write_key(out, &bare_or_quoted(key), item);
            }
        }
    }
}

/// Writes a comment, broken into lines at blanks. Unprintable characters are written out.
pub(super) fn write_comment(out: &mut String, first: &str, more: &str, text: &str) {
    let mut line = format!("# {first}");
    let mut is_empty = true;
    for word in Escaped(text).to_string().split(' ') {
        if !is_empty && line.chars().count() + word.chars().count() + 1 > WIDTH {
            let _ = writeln!(out, "{}", line.trim_end());
            line = format!("# {more}");
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    let _ = writeln!(out, "{}", line.trim_end());
}

fn inline(item: &Item) -> String {
    match item {
        Item::Text(text) => quoted(&text.replace("${", "$${")),
        Item::Reference(text) => quoted(text),
        Item::Int(number) => number.to_string(),
        Item::Bool(value) => value.to_string(),
        Item::List(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Item::Map(entries) if entries.is_empty() => "{}".to_owned(),
        Item::Map(entries) => {
            let entries: Vec<_> = entries.iter().map(|(key, item)| format!("{} = {}", bare_or_quoted(key), inline(item))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

fn bare_or_quoted(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(is_bare) { key.to_owned() } else { quoted(key) }
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unprintable(c) => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items() -> impl Strategy<Value = Item> {
        let leaf = prop_oneof![any::<String>().prop_map(Item::Text), any::<i64>().prop_map(Item::Int), any::<bool>().prop_map(Item::Bool),];
        leaf.prop_recursive(3, 20, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Item::List),
                prop::collection::btree_map(any::<String>(), inner, 0..5).prop_map(|map| Item::Map(map.into_iter().collect())),
            ]
        })
    }

    fn same(item: &Item, value: &::toml::Value) -> bool {
        match (item, value) {
            (Item::Text(a), ::toml::Value::String(b)) => a.replace("${", "$${") == *b,
            (Item::Int(a), ::toml::Value::Integer(b)) => a == b,
            (Item::Bool(a), ::toml::Value::Boolean(b)) => a == b,
            (Item::List(a), ::toml::Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
            (Item::Map(a), ::toml::Value::Table(b)) => {
                a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(items in prop::collection::btree_map(any::<String>(), items(), 0..4), comment: String) {
            let settings: Vec<_> = items.into_iter().collect();
            let mut out = String::new();
            write_comment(&mut out, "", "", &comment);
            out.push_str("[[transform]]\n");
            write_plugin(&mut out, "transform", "etl", &settings);
            prop_assert!(!out.chars().any(|c| c != '\n' && is_unprintable(c)));
            let read: ::toml::Table = ::toml::from_str(&out).unwrap();
            prop_assert!(same(&Item::Map(settings), &read["transform"][0]["etl"]), "{out}");
        }
    }

    #[test]
    fn long_settings_become_tables() {
        let names: Vec<_> = (0..40).map(|n| format!("shop.t{n}")).collect();
        let renamed = Item::map(names.iter().map(|name| (name.clone(), Item::text("a.b"))));
        let mut out = "[[transform]]\n".to_owned();
        write_plugin(&mut out, "transform", "rename", &[("tables".to_owned(), renamed), ("case".to_owned(), Item::text("lower"))]);
        assert!(out.starts_with("[[transform]]\n[transform.rename]\ncase = \"lower\"\n\n[transform.rename.tables]\n\"shop.t0\""), "{out}");
    }
}
