//! The error of the framework: it answers one question first, what does the supervisor do now?

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::escape::{Escaped, escape};
use crate::{Body, Event, Position, SplitId, TableId};

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
    /// One event cannot be carried: a value that the format cannot express. The task stops before it (exit code 4).
    Data,
    /// Continuing would lose or corrupt data: a purged binlog, an unreadable checkpoint, a broken invariant. The task stops (exit code 1).
    Fatal,
}

/// Why an event cannot be carried. What becomes of it is configured for each cause ([`crate::DataErrors`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The destination does not take an event of this size.
    TooLarge,
    /// The format cannot express a value.
    NotEncodable,
    /// The event does not fit the schema of its table, or the one that the destination demands.
    SchemaMismatch,
    /// A transform failed on it.
    Transform,
}

impl Cause {
    /// All causes.
    pub(crate) const ALL: [Self; 4] = [Self::TooLarge, Self::NotEncodable, Self::SchemaMismatch, Self::Transform];

    /// The word used in settings, logs and dead letters.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::TooLarge => "too_large",
            Cause::NotEncodable => "not_encodable",
            Cause::SchemaMismatch => "schema_mismatch",
            Cause::Transform => "transform",
        }
    }
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

/// What happened, where, why and what to do about it. Never holds the value of a cell or a secret.
///
/// Its parts may quote names and messages of others. Everything that this type returns as text or shows is escaped ([`Escaped`]), so it can
/// be printed or logged as it is. The errors in the chain of [`std::error::Error::source`] are as their libraries made them.
///
/// Shown to people as up to four lines:
///
/// ```text
/// error[E_NO_TOPIC]: topic shop does not exist                         the code and the message
///   while: opening the sink, split stream_global, table shop.orders    the context
///   cause: …                                                           the server's or the library's own words
///   help:  create it: kafka-topics.sh --create …                       what to do
/// ```
///
/// A message states what happened ("topic shop does not exist"); it does not name what was being done.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: Cow<'static, str>,
    code: Option<&'static str>,
    operation: Option<Cow<'static, str>>,
    split: Option<SplitId>,
    table: Option<TableId>,
    position: Option<Position>,
    data_cause: Option<Cause>,
    destination: Option<(String, Option<u32>)>,
    help: Option<Cow<'static, str>>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `message` states what happened, without a full stop.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: escape(message),
            code: None,
            operation: None,
            split: None,
            table: None,
            position: None,
            data_cause: None,
            destination: None,
            help: None,
            source: None,
        }))
    }

    /// The task cannot work as it is configured.
    pub fn config(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Config, message)
    }

    /// It may work later.
    pub fn retryable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Retryable, message)
    }

    /// One event cannot be carried.
    pub fn data(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Data, message)
    }

    /// Continuing would lose or corrupt data.
    pub fn fatal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Fatal, message)
    }

    /// The checkpoint, or a part of it, cannot be read: `E_CKPT_CORRUPT`, with what can be done about it.
    pub fn damaged_checkpoint(message: impl Into<Cow<'static, str>>) -> Self {
        Self::fatal(message).with_code("E_CKPT_CORRUPT").with_help(
            "put back a copy of the checkpoint (the store `local` keeps checkpoint.redb.1, .2 and .3), or start the task from scratch in an \
             empty directory and an empty topic",
        )
    }

    /// Adds the cause: the server's or the library's own words.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds what the user can do about it. A text without a word adds nothing: a line `help:` would be promised and empty.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        let help = escape(help);
        if !help.trim().is_empty() {
            self.0.help = Some(help);
        }
        self
    }

    /// Adds a stable name such as `E_BINLOG_PURGED`, for scripts and tests.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.0.code = Some(code);
        self
    }

    /// Adds what was being done ("opening the sink"), unless that is known already. The runtime does so for every call of a plugin.
    #[must_use]
    pub fn while_doing(mut self, operation: impl Into<Cow<'static, str>>) -> Self {
        self.0.operation.get_or_insert_with(|| escape(operation));
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

    /// Adds the table and the location of an event. The sink does so for an event that it cannot encode or deliver.
    #[must_use]
    pub fn of_event(self, event: &Event) -> Self {
        let error = self.at(&event.location());
        match &event.body {
            Body::Row(row) => error.of_table(&row.schema.id),
            _ => error,
        }
    }

    /// Adds why the event cannot be carried, unless that is known already. Without it, an error of a transform counts as
    /// [`Cause::Transform`], and any other as [`Cause::NotEncodable`].
    #[must_use]
    pub fn with_data_cause(mut self, cause: Cause) -> Self {
        self.0.data_cause.get_or_insert(cause);
        self
    }

    /// Adds the topic, queue or file that the event was bound for, and its partition, unless that is known already. A dead letter tells it.
    #[must_use]
    pub fn bound_for(mut self, destination: impl Into<String>, partition: Option<u32>) -> Self {
        self.0.destination.get_or_insert_with(|| (destination.into(), partition));
        self
    }

    /// The same error, treated as `kind`.
    #[must_use]
    pub fn into_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same error with another message, such as the old one behind the name of a file.
    #[must_use]
    pub fn map_message(mut self, map: impl FnOnce(&str) -> String) -> Self {
        self.0.message = escape(map(&self.0.message));
        self
    }

    /// The same error with another message and another help, such as the old ones with other names of keys.
    #[must_use]
    pub fn map_texts(mut self, map: impl Fn(&str) -> String) -> Self {
        self.0.message = escape(map(&self.0.message));
        self.0.help = self.0.help.take().map(|help| escape(map(&help)));
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

    /// Why the event cannot be carried, if that is known.
    pub fn data_cause(&self) -> Option<Cause> {
        self.0.data_cause
    }

    /// The topic, queue or file that the event was bound for, and its partition, if that is known.
    pub fn destination(&self) -> Option<(&str, Option<u32>)> {
        self.0.destination.as_ref().map(|(name, partition)| (name.as_str(), *partition))
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do about it, if that is known.
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// Where it happened: operation, split, table, position, as far as they are known.
    pub fn context(&self) -> Option<String> {
        let Inner { operation, split, table, position, .. } = &*self.0;
        let parts = [
            operation.as_ref().map(ToString::to_string),
            split.as_ref().map(|split| format!("split {}", Escaped(split))),
            table.as_ref().map(|table| format!("table {table}")),
            position.as_ref().map(|position| format!("at {}", Escaped(position))),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// The chain of causes, outermost first.
    pub fn cause(&self) -> Option<String> {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = self.0.source.as_deref().map(|source| source as _);
        let mut texts: Vec<String> = Vec::new();
        while let Some(error) = cause {
            let text = escape(error.to_string()).into_owned();
            // Many libraries repeat the inner error's text in the outer one.
            if !texts.last().is_some_and(|outer| outer.ends_with(&text)) {
                texts.push(text);
            }
            cause = error.source();
        }
        (!texts.is_empty()).then(|| texts.join(": "))
    }
}

/// One line for logs: `message [CODE] (context): cause`.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(code) = self.0.code {
            write!(f, " [{code}]")?;
        }
        if let Some(context) = self.context() {
            write!(f, " ({context})")?;
        }
        if let Some(cause) = self.cause() {
            write!(f, ": {cause}")?;
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
    fn an_error_says_what_where_why_and_what_to_do() {
        let error = Error::fatal("the binlog needed next was purged")
            .with_code("E_BINLOG_PURGED")
            .because("the oldest file is binlog.000417")
            .of_table(&TableId::new("shop", "orders"))
            .while_doing("reading the split")
            .with_help("start again with a full phase");
        assert_eq!((error.message(), error.code()), ("the binlog needed next was purged", Some("E_BINLOG_PURGED")));
        assert_eq!(error.context().as_deref(), Some("reading the split, table shop.orders"));
        assert_eq!(error.cause().as_deref(), Some("the oldest file is binlog.000417"));
        assert_eq!(error.help(), Some("start again with a full phase"));
        assert_eq!(error.kind(), Kind::Fatal);
        let line =
            "the binlog needed next was purged [E_BINLOG_PURGED] (reading the split, table shop.orders): the oldest file is binlog.000417";
        assert_eq!(error.to_string(), line);
    }

    #[test]
    fn no_part_shows_control_characters_of_others() {
        const HOSTILE: &str = "a\x1b]0;x\x07\nok\u{9b}\u{202e}";
        const SHOWN: &str = r"a\u{1b}]0;x\u{7}\nok\u{9b}\u{202e}";
        let error = Error::config(format!("1 {HOSTILE}"))
            .map_message(|message| format!("{message} {HOSTILE}"))
            .because(Error::fatal("2").because(HOSTILE))
            .while_doing(HOSTILE)
            .in_split(&SplitId::from(HOSTILE))
            .of_table(&TableId::new("shop", HOSTILE))
            .at(&Position::from(HOSTILE))
            .with_help(HOSTILE);
        assert_eq!(error.message(), format!("1 {SHOWN} {SHOWN}"));
        assert_eq!(error.help(), Some(SHOWN));
        assert_eq!(error.context().unwrap(), format!("{SHOWN}, split {SHOWN}, table shop.`{SHOWN}`, at {SHOWN}"));
        assert_eq!(error.cause().unwrap(), format!("2: {SHOWN}"));
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains(crate::is_unprintable), "{text:?}");
        }
    }

    #[test]
    fn help_without_a_word_is_no_help() {
        assert_eq!(Error::config("no").with_help("").help(), None);
        assert_eq!(Error::config("no").with_help("try again").with_help(" ").help(), Some("try again"));
    }

    #[test]
    fn the_first_context_wins() {
        let error = Error::data("too long").in_split(&SplitId::from("a")).in_split(&SplitId::from("b"));
        let error = error.while_doing("encoding").while_doing("delivering a batch");
        assert_eq!(error.context().as_deref(), Some("encoding, split a"));
    }
}
