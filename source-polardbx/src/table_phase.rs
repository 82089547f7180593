//! How far a task is with the rows of a table that are merged into the stream.

use std::collections::VecDeque;

use runtime::{Fact, TableId};
use serde::{Deserialize, Serialize};

use crate::error::{Result, SourceError};
use crate::snapshot::range::KeyRange;

/// How far the rows of a table are read and delivered. There is one such fact for each table whose rows are not all delivered; its key is the
/// name of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TablePhase {
    pub(crate) table: TableId,
    /// The ranges of keys whose rows are not delivered.
    open: Vec<String>,
    /// How many chunks were delivered.
    chunks: u64,
    /// How many rows the chunks had.
    rows: u64,
    /// A condition in SQL: only rows that meet it are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    condition: Option<String>,
}

impl Fact for TablePhase {
    const NAME: &'static str = "table_phase";
    const VERSION: u32 = 1;
}

impl TablePhase {
    /// A table of which nothing is read.
    pub(crate) fn planned(table: TableId) -> Self {
        Self { table, open: vec![KeyRange::default().position().to_string()], chunks: 0, rows: 0, condition: None }
    }

    /// Only the rows that meet a condition in SQL are read.
    #[must_use]
    pub(crate) fn of_rows(self, condition: Option<String>) -> Self {
        Self { condition, ..self }
    }

    /// The condition that rows meet which are read.
    pub(crate) fn condition(&self) -> Option<&str> {
        self.condition.as_deref()
    }

    /// Whether all rows are delivered.
    pub(crate) fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// How many rows were read.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether nothing is delivered yet.
    pub(crate) fn is_planned(&self) -> bool {
        self.chunks == 0
    }

    /// The table after the rows of `range` were delivered, but for those of `rest`. `rows` are those that the SELECT returned.
    #[must_use]
    pub(crate) fn delivered(&self, range: &KeyRange, rest: Option<&KeyRange>, rows: u64) -> Self {
        let range = range.position().to_string();
        let rest = rest.map(|rest| rest.position().to_string());
        let mut open = Vec::with_capacity(self.open.len());
        for part in &self.open {
            if *part == range { open.extend(rest.clone()) } else { open.push(part.clone()) }
        }
        Self { open, chunks: self.chunks + 1, rows: self.rows + rows, table: self.table.clone(), condition: self.condition.clone() }
    }

    /// Cuts `range` into parts.
    pub(crate) fn cut(&mut self, range: &KeyRange, parts: &[KeyRange]) {
        let range = range.position().to_string();
        if let Some(place) = self.open.iter().position(|part| *part == range) {
            self.open.splice(place..=place, parts.iter().map(|part| part.position().to_string()));
        }
    }

    /// The ranges of keys whose rows are not delivered.
    pub(crate) fn ranges(&self) -> Result<VecDeque<KeyRange>> {
        let parse = |text: &String| KeyRange::parse(text);
        self.open
            .iter()
            .map(parse)
            .collect::<Option<_>>()
            .ok_or_else(|| SourceError::Checkpoint { what: format!("it has an unreadable range of keys of table {}", self.table) })
    }
}
