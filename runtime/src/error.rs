//! The error of the framework: it answers one question first, what does the supervisor do now?

use std::borrow::Cow;
use std::fmt;

use crate::{Position, SplitId, TableId};

/// A result of the framework.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the supervisor does after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The task can never work like this: an unknown key, a missing grant, an unsupported column. It does not start (exit code 2).
    Config,
    /// It may work later: a lost connection, a moved leader, a busy store. The lanes are dropped and opened again after a pause,
    /// until the retry window ends (exit code 3).
    Retryable,
    /// One event cannot be carried: a value the format has no place for. Treated as the task's data-error policy says (exit code 4).
    Data,
    /// Going on would lose or corrupt data: a purged binlog, an unreadable checkpoint, a broken invariant. The task stops (exit code 1).
    Fatal,
}

impl Kind {
    /// The word used in logs and status.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Config => "config",
            Kind::Retryable => "retryable",
            Kind::Data => "data",
            Kind::Fatal => "fatal",
        }
    }
}

/// What failed, where, why and what to do about it. Never holds the value of a cell or a secret.
///
/// Shown to people as three lines: [`Error::headline`], [`Error::reason`], [`Error::help`].
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    doing: Cow<'static, str>,
    code: Option<&'static str>,
    split: Option<SplitId>,
    table: Option<TableId>,
    position: Option<Position>,
    help: Option<Cow<'static, str>>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` met while `doing` (a lower-case phrase such as "decode row event").
    pub fn new(kind: Kind, doing: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, doing: doing.into(), code: None, split: None, table: None, position: None, help: None, source: None }))
    }

    /// The task cannot work as it is configured.
    pub fn config(doing: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Config, doing)
    }

    /// It may work later.
    pub fn retryable(doing: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Retryable, doing)
    }

    /// One event cannot be carried.
    pub fn data(doing: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Data, doing)
    }

    /// Going on would lose or corrupt data.
    pub fn fatal(doing: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Fatal, doing)
    }

    /// Adds why: the server's or the library's own words.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Adds a stable name such as `E_BINLOG_PURGED`, for scripts and tests.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.0.code = Some(code);
        self
    }

    /// Adds the split, unless one is known already.
    #[must_use]
    pub fn in_split(mut self, split: &SplitId) -> Self {
        self.0.split.get_or_insert_with(|| split.clone());
        self
    }

    /// Adds the table, unless one is known already.
    #[must_use]
    pub fn of_table(mut self, table: &TableId) -> Self {
        self.0.table.get_or_insert_with(|| table.clone());
        self
    }

    /// Adds the position, unless one is known already.
    #[must_use]
    pub fn at(mut self, position: &Position) -> Self {
        self.0.position.get_or_insert_with(|| position.clone());
        self
    }

    /// The same error, treated as `kind`.
    #[must_use]
    pub fn into_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// What the supervisor does now.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The stable name, if it has one.
    pub fn code(&self) -> Option<&'static str> {
        self.0.code
    }

    /// What to do about it, if we know.
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// The first line for people: where and what.
    pub fn headline(&self) -> String {
        let mut line = String::new();
        if let Some(table) = &self.0.table {
            line.push_str(&format!("table {table}: "));
        } else if let Some(split) = &self.0.split {
            line.push_str(&format!("{split}: "));
        }
        line.push_str(&self.0.doing);
        if let Some(position) = &self.0.position {
            line.push_str(&format!(" at {position}"));
        }
        if let Some(code) = self.0.code {
            line.push_str(&format!(" [{code}]"));
        }
        line
    }

    /// The second line for people: the chain of causes, outermost first.
    pub fn reason(&self) -> Option<String> {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = self.0.source.as_deref().map(|source| source as _);
        let mut texts: Vec<String> = Vec::new();
        while let Some(error) = cause {
            let text = error.to_string();
            // Many libraries repeat the inner error's text in the outer one.
            if !texts.last().is_some_and(|outer| outer.ends_with(&text)) {
                texts.push(text);
            }
            cause = error.source();
        }
        (!texts.is_empty()).then(|| texts.join(": "))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        if let Some(reason) = self.reason() {
            write!(f, ": {reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_lines_say_where_why_and_what_to_do() {
        let error = Error::fatal("the binlog needed next was purged")
            .with_code("E_BINLOG_PURGED")
            .because("oldest file is binlog.000417")
            .of_table(&TableId::new("shop", "orders"))
            .with_help("start again with a full phase");
        assert_eq!(error.headline(), "table shop.orders: the binlog needed next was purged [E_BINLOG_PURGED]");
        assert_eq!(error.reason().as_deref(), Some("oldest file is binlog.000417"));
        assert_eq!(error.help(), Some("start again with a full phase"));
        assert_eq!(error.kind(), Kind::Fatal);
    }

    #[test]
    fn the_first_place_named_wins() {
        let error = Error::data("encode").in_split(&SplitId::from("a")).in_split(&SplitId::from("b"));
        assert_eq!(error.headline(), "a: encode");
    }
}
