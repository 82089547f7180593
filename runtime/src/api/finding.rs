//! What a precheck finds.

use std::borrow::Cow;

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

/// The result of one item of the precheck.
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
        Self { item: item.into(), level: Level::Passed, what: what.into(), help: String::new() }
    }

    /// Works, with a limit.
    pub fn warning(item: impl Into<Cow<'static, str>>, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { item: item.into(), level: Level::Warning, what: what.into(), help: help.into() }
    }

    /// Cannot work.
    pub fn failed(item: impl Into<Cow<'static, str>>, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { item: item.into(), level: Level::Failed, what: what.into(), help: help.into() }
    }

    /// The failure that an error amounts to.
    pub fn from_error(item: impl Into<Cow<'static, str>>, error: &crate::Error) -> Self {
        let code = error.code().map_or(String::new(), |code| format!(" [{code}]"));
        let cause = error.cause().map_or(String::new(), |cause| format!(": {cause}"));
        let what = format!("{}{code}{cause}", error.message());
        Self::failed(item, what, error.help().unwrap_or_default())
    }
}
