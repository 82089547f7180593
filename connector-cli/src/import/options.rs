//! The options of a file that is imported. Each is taken once; what is left at the end was not understood, and is said.

use std::collections::BTreeMap;

use super::draft::{Draft, Section};
use super::toml::Item;

/// Names of options and their texts.
#[derive(Debug, Default)]
pub(super) struct Options(BTreeMap<String, String>, Spelled);

/// Names as the file spells them, where they are not the ones that options are taken by.
type Spelled = BTreeMap<String, String>;

impl Options {
    /// Adds an option; one of the same name is replaced.
    pub(super) fn insert(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.0.insert(name.into(), text.into());
    }

    /// Adds an option that the file spells in another way than it is taken by.
    pub(super) fn insert_spelled(&mut self, name: &str, spelled: &str, text: impl Into<String>) {
        self.0.insert(name.to_owned(), text.into());
        self.1.insert(name.to_owned(), spelled.to_owned());
    }

    /// Takes an option. `None` if there is none, or if its text is blank.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Takes all options of these names, which mean the same. The first that has a text counts.
    pub(super) fn take_any(&mut self, names: &[&str]) -> Option<String> {
        names.iter().fold(None, |found, name| {
            let text = self.take(name);
            found.or(text)
        })
    }

    /// Takes a switch: `None` unless it is `true` or `false` in some form.
    pub(super) fn take_bool(&mut self, name: &str) -> Option<bool> {
        self.take(name).and_then(|text| parse_bool(&text))
    }

    /// Takes a whole number.
    pub(super) fn take_int(&mut self, name: &str) -> Option<i64> {
        self.take(name).and_then(|text| text.parse().ok())
    }

    /// Takes all options whose names begin with `prefix`, and returns the rest of each name and the text.
    pub(super) fn take_prefix(&mut self, prefix: &str) -> Vec<(String, String)> {
        let names: Vec<_> = self.0.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        let rest = |name: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
        names.iter().filter_map(|name| Some((rest(name), self.0.remove(name)?))).collect()
    }

    /// Takes a password, whose text nobody may see. Returns whether there was one.
    pub(super) fn take_secret(&mut self, name: &str) -> bool {
        self.take(name).is_some()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Lists what is left in the draft, with the reason that `reasons` gives for a name or, ending in `*`, the beginning of a name. Blank
    /// options and those with the reason "" are left out: they asked for nothing.
    pub(super) fn leave_rest(self, draft: &mut Draft, reasons: &[(&str, &str)]) {
        for (name, text) in self.0 {
            let matches = |pattern: &str| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == pattern,
            };
            let reason = reasons.iter().find(|(pattern, _)| matches(pattern)).map(|(_, why)| *why);
            let why = reason.unwrap_or("this program does not know the option; see docs/config/reference.md for what there is");
            if !why.is_empty() && !text.trim().is_empty() {
                let spelled = self.1.get(&name).cloned().unwrap_or(name);
                draft.leave(spelled, why);
            }
        }
    }
}

/// A switch as people write it.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "1" | "on" => Some(true),
        "false" | "no" | "n" | "0" | "off" => Some(false),
        _ => None,
    }
}

/// A text of the file as a value. A placeholder such as `${file:…}` is resolved by the other program, which may know things that this one
/// does not: instead of it the variable `env` is referred to. `${env:NAME}` means the same here.
pub(super) fn item(section: &mut Section, option: &str, text: &str, env: &str) -> Item {
    if let Some(name) = text.strip_prefix("${env:").and_then(|rest| rest.strip_suffix('}'))
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    {
        return Item::env(name);
    }
    if text.contains("${") {
        section.note(format!("`{option}` has a placeholder; write its value, or set {env} in the environment"));
        return Item::env(env);
    }
    Item::text(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_once() {
        let mut options = Options::default();
        for (name, text) in [("a", " 1 "), ("b.x", "2"), ("b.y", ""), ("c", " "), ("d", "no")] {
            options.insert(name, text);
        }
        assert_eq!([options.take("a"), options.take("a"), options.take("c")], [Some("1".into()), None, None]);
        assert_eq!(options.take_prefix("b."), [("x".into(), "2".into()), ("y".into(), "".into())]);
        assert_eq!(options.take_bool("d"), Some(false));
    }

    #[test]
    fn placeholders_are_not_taken_for_values() {
        let mut section = Section::default();
        assert_eq!(item(&mut section, "host", "${env:MY_HOST}", "DB_HOST"), Item::env("MY_HOST"));
        assert_eq!(item(&mut section, "host", "${file:/x:host}", "DB_HOST"), Item::env("DB_HOST"));
        assert_eq!(item(&mut section, "host", "db", "DB_HOST"), Item::text("db"));
    }
}
