//! The configuration that an import builds, in the order in which it is printed.

use super::toml::{Item, write_comment, write_key, write_plugin};

/// How a comment is marked. The words are part of the output that people search for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Something that works differently from the program that the settings are from.
    Note,
    /// Something that the user must decide or write before the configuration does what the settings did.
    Missing,
}

/// A table of the configuration: its keys, and comments between them.
#[derive(Debug, Default)]
pub(super) struct Section(Vec<Line>);

#[derive(Debug)]
enum Line {
    Comment(Mark, String),
    Key(String, Item),
}

impl Section {
    /// Sets a key, for the first time or again.
    pub(super) fn set(&mut self, key: &str, item: Item) {
        for line in &mut self.0 {
            if let Line::Key(name, value) = line
                && name == key
            {
                *value = item;
                return;
            }
        }
        self.0.push(Line::Key(key.to_owned(), item));
    }

    pub(super) fn get(&self, key: &str) -> Option<&Item> {
        self.0.iter().find_map(|line| match line {
            Line::Key(name, item) if name == key => Some(item),
            _ => None,
        })
    }

    /// A comment above the key that is set next.
    pub(super) fn comment(&mut self, mark: Mark, text: impl Into<String>) {
        let text = text.into();
        if !self.0.iter().any(|line| matches!(line, Line::Comment(_, known) if *known == text)) {
            self.0.push(Line::Comment(mark, text));
        }
    }

    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.comment(Mark::Note, text);
    }

    pub(super) fn missing(&mut self, text: impl Into<String>) {
        self.comment(Mark::Missing, text);
    }

    /// Adds what another section holds.
    pub(super) fn append(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }

    fn render_comments(&self, out: &mut String) {
        for line in &self.0 {
            if let Line::Comment(mark, text) = line {
                render_comment(out, *mark, text);
            }
        }
    }

    fn render(&self, out: &mut String) {
        for line in &self.0 {
            match line {
                Line::Comment(mark, text) => render_comment(out, *mark, text),
                Line::Key(key, item) => write_key(out, key, item),
            }
        }
    }

    fn keys(&self) -> Vec<(String, Item)> {
        let key = |line: &Line| match line {
            Line::Key(key, item) => Some((key.clone(), item.clone())),
            Line::Comment(..) => None,
        };
        self.0.iter().filter_map(key).collect()
    }
}

fn render_comment(out: &mut String, mark: Mark, text: &str) {
    match mark {
        Mark::Note => write_comment(out, "NOTE: ", "  ", text),
        Mark::Missing => write_comment(out, "MISSING: ", "  ", text),
    }
}

/// The transforms, in the only order that a configuration may have them in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Plugin {
    Filter,
    Operations,
    AddColumns,
    Etl,
    Mask,
    Columns,
    Rename,
}

impl Plugin {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Operations => "operations",
            Self::AddColumns => "add_columns",
            Self::Etl => "etl",
            Self::Mask => "mask",
            Self::Columns => "columns",
            Self::Rename => "rename",
        }
    }
}

/// A configuration that is being written.
#[derive(Debug)]
pub(super) struct Draft {
    /// What the file was made from.
    title: String,
    name: String,
    pub(super) source: Section,
    transforms: Vec<(Plugin, Section)>,
    pub(super) sink: Section,
    pub(super) retry: Section,
    pub(super) errors: Section,
    pub(super) letters: Section,
    /// Options without a counterpart, and why they have none.
    left: Vec<(String, String)>,
}

impl Draft {
    /// A draft for a task. `title` says what it is made from; `name` becomes a valid name of a task.
    pub(super) fn new(title: impl Into<String>, name: &str) -> Self {
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).take(64).collect();
        let name = if name.chars().all(|c| c == '.') { "task".to_owned() } else { name };
        Self {
            title: title.into(),
            name,
            source: Section::default(),
            transforms: Vec::new(),
            sink: Section::default(),
            retry: Section::default(),
            errors: Section::default(),
            letters: Section::default(),
            left: Vec::new(),
        }
    }

    /// A new block of a transform, behind those of the same name.
    pub(super) fn transform<const N: usize>(&mut self, plugin: Plugin, settings: [(&str, Item); N]) -> &mut Section {
        let lines = settings.into_iter().map(|(key, item)| Line::Key(key.to_owned(), item)).collect();
        let at = self.transforms.partition_point(|(other, _)| *other <= plugin);
        self.transforms.insert(at, (plugin, Section(lines)));
        // The block was put there just now; the fallback keeps a mistake here from ending the program.
        match self.transforms.get_mut(at) {
            Some((_, section)) => section,
            None => &mut self.sink,
        }
    }

    /// The one block of a transform, which is made if there is none.
    pub(super) fn only(&mut self, plugin: Plugin) -> &mut Section {
        if !self.transforms.iter().any(|(other, _)| *other == plugin) {
            return self.transform(plugin, []);
        }
        match self.transforms.iter_mut().find(|(other, _)| *other == plugin) {
            Some((_, section)) => section,
            None => &mut self.sink,
        }
    }

    /// Says that an option has no counterpart.
    pub(super) fn leave(&mut self, option: impl Into<String>, why: impl Into<String>) {
        self.left.push((option.into(), why.into()));
    }

    /// The text of the configuration file.
    pub(super) fn render(&self) -> String {
        let mut out = String::new();
        write_comment(&mut out, "", "", &self.title);
        write_comment(
            &mut out,
            "",
            "",
            "Read the comments, set the variables of the environment, then run `connector-cli check` with this file.",
        );
        out.push('\n');
        write_key(&mut out, "name", &Item::text(self.name.as_str()));
        out.push_str("\n[source.polardbx]\n");
        self.source.render(&mut out);
        for (plugin, section) in &self.transforms {
            out.push_str("\n[[transform]]\n");
            section.render_comments(&mut out);
            write_plugin(&mut out, "transform", plugin.name(), &section.keys());
        }
        out.push_str("\n[sink.kafka]\n");
        self.sink.render(&mut out);
        for (name, section) in [("retry", &self.retry), ("errors", &self.errors), ("dead_letters.kafka", &self.letters)] {
            if !section.0.is_empty() {
                out.push_str(&format!("\n[{name}]\n"));
                section.render(&mut out);
            }
        }
        self.render_left(&mut out);
        out
    }

    /// The options without a counterpart, those with one reason together.
    fn render_left(&self, out: &mut String) {
        let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
        for (option, why) in &self.left {
            let option = format!("`{option}`");
            match reasons.iter_mut().find(|(known, _)| known == why) {
                Some((_, options)) if options.contains(&option) => {}
                Some((_, options)) => options.push(option),
                None => reasons.push((why, vec![option])),
            }
        }
        if !reasons.is_empty() {
            out.push_str("\n# NOT TAKEN OVER:\n");
        }
        for (why, options) in reasons {
            write_comment(out, "- ", "  ", &format!("{}: {why}", options.join(", ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transforms_stand_in_the_fixed_order() {
        let mut draft = Draft::new("test", "a b");
        for plugin in [Plugin::Rename, Plugin::Filter, Plugin::Columns, Plugin::Filter] {
            draft.transform(plugin, [("tables", Item::texts(["a.b"]))]);
        }
        let order: Vec<_> = draft.transforms.iter().map(|(plugin, _)| *plugin).collect();
        assert_eq!(order, [Plugin::Filter, Plugin::Filter, Plugin::Columns, Plugin::Rename]);
        assert!(draft.render().contains("name = \"a_b\"\n"));
    }

    #[test]
    fn options_with_one_reason_stand_together() {
        let mut draft = Draft::new("test", "..");
        for (option, why) in [("a", "no"), ("b", "yes"), ("c", "no"), ("a", "no")] {
            draft.leave(option, why);
        }
        let text = draft.render();
        assert!(text.contains("name = \"task\"\n") && text.ends_with("\n# NOT TAKEN OVER:\n# - `a`, `c`: no\n# - `b`: yes\n"), "{text}");
    }
}
