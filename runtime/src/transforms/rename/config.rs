//! The keys of `rename`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Settings of `rename`: `rename = { tables = { "shop.orders" = "sales.orders" } }`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RenameConfig {
    /// Maps source names to target names. Both have the form `database.table`.
    pub tables: BTreeMap<String, String>,
    /// Maps the names of databases, for the tables that are not in `tables`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub databases: BTreeMap<String, String>,
    /// Patterns for the tables that are not in `tables`. A pattern must match the whole source name. The first matching pattern is used.
    pub patterns: Vec<Pattern>,
    /// Patterns for columns. The first matching pattern is used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnPattern>,
    /// Texts that are replaced in all names that `tables` and `databases` do not give, one after the other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replace: Vec<Replacement>,
    /// The capitalization of all names that `tables` and `databases` do not give. It is applied last, to ASCII letters.
    pub case: Case,
    /// Whether several tables may get the same name.
    #[serde(skip_serializing)]
    pub merge: bool,
}

/// A rule that renames all tables whose names match a pattern.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// A regular expression that must match the whole name `database.table`.
    #[serde(rename = "match")]
    pub matches: String,
    /// The target `database.table`, in which `{1}` stands for the first group of the match.
    pub to: String,
}

/// A rule that renames all columns whose names match a pattern.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnPattern {
    /// The tables, as patterns.
    pub tables: Vec<String>,
    /// A regular expression that must match the whole name of the column.
    #[serde(rename = "match")]
    pub matches: String,
    /// The new name, in which `{1}` stands for the first group of the match.
    pub to: String,
}

/// A text that is replaced wherever it is part of a name.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// The text to look for.
    pub find: String,
    /// The text that takes its place.
    pub with: String,
    /// In which names.
    #[serde(rename = "in")]
    pub within: Vec<NamePart>,
}

/// What a name belongs to.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum NamePart {
    /// A database.
    Database,
    /// A table.
    Table,
    /// A column.
    Column,
}

/// Capitalization of target names.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// The names are as in the source.
    #[default]
    Source,
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
    /// DTS's default policy. For Kafka it changes nothing.
    Default,
}

impl Case {
    pub(super) fn is_as_in_source(self) -> bool {
        matches!(self, Self::Source | Self::Default)
    }
}
