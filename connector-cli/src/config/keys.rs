//! The keys of a configuration file that are the program's own; what stands under a plugin's name is the plugin's.

use std::time::Duration;

use runtime::{Cause, Choice, DataErrors, OnDataError};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tree {
    pub(super) name: String,
    pub(super) source: Choice,
    #[serde(default)]
    pub(super) transform: Vec<Choice>,
    pub(super) sink: Choice,
    #[serde(default)]
    pub(super) dead_letters: Option<Choice>,
    #[serde(default)]
    pub(super) store: Option<Choice>,
    #[serde(default)]
    pub(super) delivery: Delivery,
    #[serde(default)]
    pub(super) retry: RetryKeys,
    #[serde(default)]
    pub(super) errors: Errors,
    #[serde(default)]
    pub(super) check: CheckKeys,
    #[serde(default)]
    pub(super) test: Vec<TestCase>,
}

/// A test of the file's transforms: `[[test]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestCase {
    pub(crate) name: String,
    pub(crate) input: Vec<Input>,
    #[serde(default)]
    pub(crate) expect: Vec<Expected>,
}

/// What happens in the source.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a text of statements, or { table, before, after }")]
pub(crate) enum Input {
    Statements(String),
    Row(GivenRow),
}

/// A row that is inserted, updated or deleted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GivenRow {
    pub(crate) table: String,
    pub(crate) before: Option<Map<String, Value>>,
    pub(crate) after: Option<Map<String, Value>>,
}

/// A row that the sink is given, or that is rejected. A column that is not named is NULL.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    pub(crate) table: String,
    pub(crate) op: Option<ExpectedOp>,
    pub(crate) before: Option<Map<String, Value>>,
    pub(crate) after: Option<Map<String, Value>>,
    /// A part of the error for which a row is rejected.
    pub(crate) error: Option<String>,
}

/// What is done to a row that is expected.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExpectedOp {
    Insert,
    Update,
    Delete,
}

impl ExpectedOp {
    /// The word for it in a row that is found.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Delivery {
    pub(super) batch_max_bytes: usize,
    pub(super) flush_interval_ms: u64,
    pub(super) memory_max_bytes: usize,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { batch_max_bytes: 1 << 20, flush_interval_ms: 1000, memory_max_bytes: 512 << 20 }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RetryKeys {
    pub(super) window_minutes: Option<u64>,
    pub(super) window_seconds: Option<u64>,
}

impl RetryKeys {
    /// The window; an error is the key that is wrong, and why.
    pub(super) fn window(&self) -> Result<Duration, (&'static str, &'static str)> {
        let seconds = match (self.window_minutes, self.window_seconds) {
            (None, None) => 720 * 60,
            (Some(minutes @ 10..=1440), None) => minutes * 60,
            (None, Some(seconds @ 1..=86_400)) => seconds,
            (Some(_), Some(_)) => return Err(("retry.window_seconds", "it cannot stand beside `retry.window_minutes`")),
            (Some(_), None) => {
                return Err(("retry.window_minutes", "it lies between 10 and 1440; shorter windows are written in `retry.window_seconds`"));
            }
            (None, Some(_)) => return Err(("retry.window_seconds", "it lies between 1 and 86400")),
        };
        Ok(Duration::from_secs(seconds))
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Errors {
    pub(super) on_data_error: OnDataError,
    pub(super) causes: Causes,
    pub(super) max_rejected: Option<u64>,
}

/// What becomes of rows by cause, where it differs from `on_data_error`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Causes {
    pub(super) too_large: Option<OnDataError>,
    pub(super) not_encodable: Option<OnDataError>,
    pub(super) schema_mismatch: Option<OnDataError>,
    pub(super) transform: Option<OnDataError>,
}

impl Errors {
    pub(super) fn rules(&self) -> DataErrors {
        let Causes { too_large, not_encodable, schema_mismatch, transform } = self.causes;
        let causes = [
            (Cause::TooLarge, too_large),
            (Cause::NotEncodable, not_encodable),
            (Cause::SchemaMismatch, schema_mismatch),
            (Cause::Transform, transform),
        ];
        let named = causes.into_iter().filter_map(|(cause, action)| Some((cause, action?)));
        let rules = named.fold(DataErrors::new(self.on_data_error), |rules, (cause, action)| rules.with_cause(cause, action));
        match self.max_rejected {
            Some(rows) => rules.with_max_rejected(rows),
            None => rules,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CheckKeys {
    pub(super) ignore: Vec<String>,
}
