//! What a precheck finds.

use std::borrow::Cow;

use super::escape::escape;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// All is well.
    Passed,
    /// The task works, with a limit worth knowing.
    Warning,
    /// The task cannot work.
    Failed,
}

/// The result of one item of the precheck. What its constructors are given may quote names and messages of others, so they escape it
/// ([`crate::Escaped`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the item, such as `binlog_format`; the key for ignoring it.
    pub item: Cow<'static, str>,
    /// How bad it is.
    pub level: Level,
    /// What was found, in one line.
    pub what: String,
    /// What to do about it; empty if nothing.
    pub help: String,
}

impl Finding {
    /// All is well.
    pub fn passed(item: impl Into<Cow<'static, str>>, what: impl Into<String>) -> Self {
        Self::new(item, Level::Passed, what, "")
    }

    /// Works, with a limit.
    pub fn warning(item: impl Into<Cow<'static, str>>, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(item, Level::Warning, what, help)
    }

    /// Cannot work.
    pub fn failed(item: impl Into<Cow<'static, str>>, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(item, Level::Failed, what, help)
    }

    fn new(item: impl Into<Cow<'static, str>>, level: Level, what: impl Into<String>, help: impl Into<String>) -> Self {
        let (what, help): (String, String) = (what.into(), help.into());
        Self { item: escape(item), level, what: escape(what).into_owned(), help: escape(help).into_owned() }
    }

    /// The failure that an error amounts to.
    pub fn from_error(item: impl Into<Cow<'static, str>>, error: &crate::Error) -> Self {
        let code = error.code().map_or(String::new(), |code| format!(" [{code}]"));
        let cause = error.cause().map_or(String::new(), |cause| format!(": {cause}"));
        let what = format!("{}{code}{cause}", error.message());
        Self::failed(item, what, error.help().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_are_escaped() {
        let finding = Finding::warning("x\u{1b}", "table a\nok", "drop \u{202e}");
        assert_eq!((&*finding.item, &*finding.what, &*finding.help), (r"x\u{1b}", r"table a\nok", r"drop \u{202e}"));
    }
}
