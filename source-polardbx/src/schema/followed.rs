//! What is stored of the tables that are not selected, and may be later.

use runtime::TableSchema;
use serde::{Deserialize, Serialize};

/// A table that is not selected, as it is stored in the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowedTable {
    pub(crate) schema: TableSchema,
    pub(crate) rows: FollowedRows,
}

/// What is known of the rows of a followed table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FollowedRows {
    /// It has had none since it was created or emptied.
    None,
    /// It may have some. They came while it had the name that it has.
    #[default]
    Own,
    /// It may have some that came while it had another name.
    OfAnotherName,
}

impl FollowedTable {
    /// A table that may have rows.
    pub(crate) fn new(schema: TableSchema) -> Self {
        Self { schema, rows: FollowedRows::Own }
    }
}
