//! What a DDL statement of a test does, as far as the rows of the test depend on it.

use runtime::TableId;

use crate::schema::{Cursor, Dialect, Effect};

/// What a server computes for the rows of a table, and a test does not. Told by the words of the statements about the table, so a word that means
/// something else counts as well: the test is then asked to say more than it must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Computed {
    /// Values of columns that an INSERT does not name.
    pub(super) on_insert: bool,
    /// Values of columns that an UPDATE does not set.
    pub(super) on_update: bool,
}

impl Computed {
    /// What this statement adds.
    pub(super) fn by(statement: &str) -> Self {
        let holds = |words: &[&str]| Cursor::new(statement, Dialect::default()).is_ok_and(|cursor| cursor.holds_word(words));
        let on_update = holds(&["GENERATED", "AS", "UPDATE"]);
        Self { on_insert: on_update || holds(&["DEFAULT", "AUTO_INCREMENT", "SERIAL"]), on_update }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { on_insert: self.on_insert || other.on_insert, on_update: self.on_update || other.on_update }
    }
}

/// The tables that an effect names.
pub(super) fn tables(effect: &Effect) -> impl Iterator<Item = &TableId> {
    let (first, second) = match effect {
        Effect::Rename { from, to } => (Some(from), Some(to)),
        Effect::CreateLike { table, like, .. } => (Some(table), Some(like)),
        Effect::Create { table, .. }
        | Effect::CreateUnlisted { table, .. }
        | Effect::Drop { table }
        | Effect::Truncate { table }
        | Effect::Keep { table }
        | Effect::Keys { table, .. }
        | Effect::Repartition { table, .. }
        | Effect::Alter { table, .. }
        | Effect::Exchange { table }
        | Effect::RemoveRows { table } => (Some(table), None),
        Effect::DatabaseCollation { .. } | Effect::DropDatabase { .. } => (None, None),
    };
    first.into_iter().chain(second)
}
