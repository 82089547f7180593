//! A parsed message, separated into the value of the column under test and everything around the value.

use tests::{Failure, Result};

/// The operation of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Op {
    Snapshot,
    Insert,
    Update,
    Delete,
}

impl Op {
    pub(super) const ALL: [Self; 4] = [Self::Snapshot, Self::Insert, Self::Update, Self::Delete];

    /// The largest key of the rows that exist before the task starts.
    pub(super) const LAST_OF_SNAPSHOT: u32 = 1_000;

    pub(super) fn name(self) -> &'static str {
        match self {
            Op::Snapshot => "snapshot",
            Op::Insert => "insert",
            Op::Update => "update",
            Op::Delete => "delete",
        }
    }

    /// The operation of a message with this type and key. Rows of the snapshot are recognised by their keys, since a format may use the
    /// same type for them and for inserted rows.
    pub(super) fn of(name: &str, id: u32) -> Result<Self> {
        match name {
            "INIT" | "INSERT" if id <= Self::LAST_OF_SNAPSHOT => Ok(Op::Snapshot),
            "INSERT" => Ok(Op::Insert),
            "UPDATE" => Ok(Op::Update),
            "DELETE" => Ok(Op::Delete),
            other => Failure::err(format!("row {id} in a message called {other}")),
        }
    }
}

/// A value as it is written in a message, and the other parts of the message that depend on the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) note: String,
}

/// A message, which holds one row.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) table: String,
    pub(super) op: Op,
    pub(super) id: u32,
    /// The message without the values under test; `…` replaces everything that differs from run to run.
    pub(super) shape: String,
    pub(super) before: Option<Cell>,
    pub(super) after: Option<Cell>,
}
