//! The keys of `columns`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Settings of `columns`: `columns = { tables = ["shop.users"], exclude = ["password_hash"], rename = { mail = "email" } }`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ColumnsConfig {
    /// The tables, as patterns.
    pub tables: Vec<String>,
    /// The only columns that are kept; all, if it is empty.
    pub include: Vec<String>,
    /// Columns that are left out.
    pub exclude: Vec<String>,
    /// New names of columns, by their names.
    pub rename: BTreeMap<String, String>,
    /// The columns that come first, in this order, by their new names. The others follow in the order of the table.
    pub order: Vec<String>,
    /// The columns that tell rows apart, by their new names. They replace the keys of the table.
    pub key: Vec<String>,
}
