//! Patterns for the names of tables, as users write them in settings.

use regex::{Regex, RegexBuilder};

use super::schema::TableId;

/// A pattern for tables. It is one of:
///
/// - `database.table`, in which each part is a literal name or a glob: `*` matches any number of characters, and `?` exactly one. A part
///   with dots, spaces, quotes or wildcards of its own stands in backticks, and is always literal;
/// - `re:` and a regular expression, which must match the whole name `database.table`.
#[derive(Clone, Debug)]
pub struct TablePattern {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// A pattern for the database and a pattern for the table, which are matched separately.
    Parts(Part, Part),
    /// A regular expression for the whole name. `exact` is case-sensitive; `folded` is for servers that compare names in lower case.
    Whole { exact: Regex, folded: Regex },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Glob(String),
}

/// Whether names that differ only in case are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameCase {
    /// They are two names.
    #[default]
    Exact,
    /// They are the same name.
    Folded,
}

impl NameCase {
    /// Whether two names are the same.
    pub fn same(self, a: &str, b: &str) -> bool {
        a == b || (self == Self::Folded && a.to_lowercase() == b.to_lowercase())
    }
}

/// A text is not a pattern for tables.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct PatternError {
    /// What is wrong.
    pub why: String,
    /// What to write instead.
    pub help: &'static str,
}

impl TablePattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Ok(Self { text: text.to_owned(), kind: parse(text)? })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern matches the table.
    pub fn matches(&self, table: &TableId, case: NameCase) -> bool {
        match &self.kind {
            Kind::Parts(database, name) => database.matches(&table.database, case) && name.matches(&table.table, case),
            Kind::Whole { exact, folded } => {
                let name = format!("{}.{}", table.database, table.table);
                match case {
                    NameCase::Exact => exact.is_match(&name),
                    NameCase::Folded => folded.is_match(&name),
                }
            }
        }
    }

    /// Whether its first part matches the database; `None` for a regular expression, which has no parts.
    pub fn matches_database(&self, database: &str, case: NameCase) -> Option<bool> {
        match &self.kind {
            Kind::Parts(part, _) => Some(part.matches(database, case)),
            Kind::Whole { .. } => None,
        }
    }

    /// Whether it is `database.*`, for whatever is written for the database.
    pub fn is_for_all_of_its_database(&self) -> bool {
        matches!(&self.kind, Kind::Parts(_, Part::Glob(glob)) if glob == "*")
    }

    /// The database that it names literally.
    pub fn literal_database(&self) -> Option<&str> {
        match &self.kind {
            Kind::Parts(Part::Literal(database), _) => Some(database),
            _ => None,
        }
    }

    /// The table, if the pattern is its full name, without a glob or a regular expression.
    pub fn literal(&self) -> Option<TableId> {
        match &self.kind {
            Kind::Parts(Part::Literal(database), Part::Literal(table)) => Some(TableId::new(database.as_str(), table.as_str())),
            _ => None,
        }
    }
}

impl Part {
    fn matches(&self, name: &str, case: NameCase) -> bool {
        match (self, case) {
            (Part::Literal(literal), case) => case.same(literal, name),
            (Part::Glob(glob), NameCase::Folded) => glob_matches(&lower(glob), &lower(name)),
            (Part::Glob(glob), NameCase::Exact) => glob_matches(&glob.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>()),
        }
    }
}

fn lower(text: &str) -> Vec<char> {
    text.to_lowercase().chars().collect()
}

fn parse(text: &str) -> Result<Kind, PatternError> {
    let wrong = || PatternError {
        why: format!("{text:?} is not the name of a table"),
        help: "write `database.table`; parts with dots, spaces or quotes go in backticks",
    };
    if let Some(expression) = text.strip_prefix("re:") {
        // The expression is anchored at both ends. Otherwise an expression for `a.b` would also match `aa.bb`.
        let compile = |fold_case| RegexBuilder::new(&format!("^(?:{expression})$")).case_insensitive(fold_case).build();
        return compile(false).and_then(|exact| Ok(Kind::Whole { exact, folded: compile(true)? })).map_err(|error| PatternError {
            why: format!("{text:?} is not a regular expression: {error}"),
            help: "correct the expression after `re:`",
        });
    }
    let (database, rest) = parse_part(text).ok_or_else(wrong)?;
    match rest.strip_prefix('.').and_then(parse_part) {
        Some((table, "")) => Ok(Kind::Parts(database, table)),
        _ => Err(wrong()),
    }
}

/// Parses the first part of a name. Returns the part and the text after it; `None` if the part is not valid.
fn parse_part(text: &str) -> Option<(Part, &str)> {
    if let Some(quoted) = text.strip_prefix('`') {
        let mut name = String::new();
        let mut rest = quoted;
        loop {
            let (before, after) = rest.split_once('`')?;
            name.push_str(before);
            match after.strip_prefix('`') {
                Some(more) => {
                    name.push('`');
                    rest = more;
                }
                None => return (!name.is_empty()).then_some((Part::Literal(name), after)),
            }
        }
    }
    let end = text.find('.').unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    let odd = |c: char| c.is_whitespace() || matches!(c, '`' | '"' | '\'');
    if name.is_empty() || name.contains(odd) {
        return None;
    }
    let part = if name.contains(['*', '?']) { Part::Glob(name.to_owned()) } else { Part::Literal(name.to_owned()) };
    Some((part, rest))
}

/// Whether `glob` matches the whole of `text`. After a mismatch, only the last `*` is tried again, with one more character. Earlier `*`
/// never need another try.
fn glob_matches(glob: &[char], text: &[char]) -> bool {
    let (mut at_glob, mut at_text) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(&c) = text.get(at_text) {
        match glob.get(at_glob) {
            Some('*') => {
                retry = Some((at_glob, at_text));
                at_glob += 1;
            }
            Some(&g) if g == '?' || g == c => {
                at_glob += 1;
                at_text += 1;
            }
            _ => match retry {
                Some((star, taken)) => {
                    retry = Some((star, taken + 1));
                    at_glob = star + 1;
                    at_text = taken + 1;
                }
                None => return false,
            },
        }
    }
    glob.get(at_glob..).unwrap_or_default().iter().all(|&g| g == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, database: &str, table: &str, case: NameCase) -> bool {
        TablePattern::parse(pattern).unwrap().matches(&TableId::new(database, table), case)
    }

    #[test]
    fn literals_globs_and_expressions() {
        for (pattern, database, table, expected) in [
            ("shop.orders", "shop", "orders", true),
            ("shop.orders", "shop", "orders2", false),
            ("shop.*", "shop", "orders", true),
            ("shop.*", "shop2", "orders", false),
            ("sh?p.or*s", "shop", "ors", true),
            ("sh?p.or*s", "shhop", "ors", false),
            ("*.*", "shop", "orders", true),
            ("`a.b`.`c ``d`", "a.b", "c `d", true),
            ("`shop`.`*`", "shop", "orders", false),
            ("re:^log_[0-9]+\\.event$", "log_12", "event", true),
            ("re:log_[0-9]+\\.event", "log_12", "event_old", false),
            ("re:a|b\\.c", "a", "c", false),
        ] {
            assert_eq!(matches(pattern, database, table, NameCase::Exact), expected, "{pattern} {database}.{table}");
        }
        for pattern in ["Shop.Or*", "SHOP.ORDERS", "re:SHOP\\.O.*"] {
            assert!(!matches(pattern, "shop", "orders", NameCase::Exact) && matches(pattern, "shop", "orders", NameCase::Folded));
        }
    }

    #[test]
    fn an_invalid_name_is_refused_with_its_text() {
        for text in ["", "shop", "a.b.c", ".t", "a.", "a b.c", "`a.b", "``.c", "re:(", "`a`b.c", "a.'b'"] {
            let error = TablePattern::parse(text).unwrap_err();
            assert!(error.why.contains(&format!("{text:?}")), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn globs_agree_with_regular_expressions(glob in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let expression = format!("^{}$", glob.replace('*', ".*").replace('?', "."));
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(glob_matches(&chars(&glob), &chars(&text)), Regex::new(&expression).unwrap().is_match(&text));
        }

        #[test]
        fn no_text_panics(text in ".{0,20}") {
            let _ = TablePattern::parse(&text);
        }
    }
}
