//! The name under which rows of the snapshot are sent.

use serde::{Deserialize, Serialize};

/// What a row that the snapshot read is called in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SnapshotType {
    /// Like an inserted row: readers that only know row changes take it.
    #[serde(rename = "INSERT")]
    Insert,
    /// Told apart from an inserted row.
    #[serde(rename = "INIT")]
    Init,
}
