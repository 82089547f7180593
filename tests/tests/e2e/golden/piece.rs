//! A parsed message: the value of the column under test, and everything around it.

use tests::{Failure, Result};

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Op {
    Snapshot,
    Insert,
    Update,
    Delete,
}

impl Op {
    pub(super) const ALL: [Self; 4] = [Self::Snapshot, Self::Insert, Self::Update, Self::Delete];

    /// Rows up to this number exist before the task starts.
    pub(super) const LAST_OF_SNAPSHOT: u32 = 1_000;

    pub(super) fn name(self) -> &'static str {
        match self {
            Op::Snapshot => "snapshot",
            Op::Insert => "insert",
            Op::Update => "update",
            Op::Delete => "delete",
        }
    }

    /// The operation of a message. Rows of the snapshot differ from inserted ones by their numbers, since a format may use the same name for
    /// both.
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

/// A value as it is written, and the parts of the message that depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) note: String,
}

/// One message of one row.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) table: String,
    pub(super) op: Op,
    pub(super) id: u32,
    /// The message without the values under test, and with `…` for what differs from run to run.
    pub(super) shape: String,
    pub(super) before: Option<Cell>,
    pub(super) after: Option<Cell>,
}
