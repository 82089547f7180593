//! The names of splits. Only this module prints and parses them.

use std::fmt;

use runtime::{SplitId, TableId};

use crate::error::SourceError;

/// The name of the stream, for a server that has only one stream.
pub(crate) const GLOBAL_STREAM: &str = "global";

const SCHEMA: &str = "schema";
const STREAM: &str = "stream_";
const CHUNK: &str = "/chunk-";

/// The parsed name of a split, which says what the split reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SplitName {
    /// `schema`: the CREATE TABLE of every table.
    Schema,
    /// `shop.orders/chunk-17`: rows of one table.
    Chunk { table: TableId, number: u32 },
    /// `stream_global`: the events of a binlog.
    Stream { name: String },
}

impl SplitName {
    /// The split of the stream, for a server that has only one stream.
    pub(crate) fn global_stream() -> Self {
        Self::Stream { name: GLOBAL_STREAM.to_owned() }
    }

    /// The split's id.
    pub(crate) fn id(&self) -> SplitId {
        self.to_string().into()
    }

    /// Parses the id of a split. Fails if the text is not an id that this source prints.
    pub(crate) fn parse(id: &SplitId) -> Result<Self, SourceError> {
        let text = id.as_str();
        let chunk = || {
            let (table, number) = text.rsplit_once(CHUNK)?;
            Some(Self::Chunk { table: table.parse().ok()?, number: number.parse().ok()? })
        };
        let stream = || text.strip_prefix(STREAM).map(|name| Self::Stream { name: name.to_owned() });
        let name = if text == SCHEMA { Some(Self::Schema) } else { chunk().or_else(stream) };
        // Splits are looked up by their text, so each split has exactly one spelling: `chunk-017` is refused, because `Display` prints
        // `chunk-17`.
        let name = name.filter(|name| name.to_string() == text);
        name.ok_or_else(|| SourceError::Checkpoint { what: format!("{id} is not the name of a split of this source") })
    }
}

impl fmt::Display for SplitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema => f.write_str(SCHEMA),
            Self::Chunk { table, number } => write!(f, "{table}{CHUNK}{number}"),
            Self::Stream { name } => write!(f, "{STREAM}{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_what_status_shows() {
        let chunk = |database: &str, table: &str| SplitName::Chunk { table: TableId::new(database, table), number: 17 };
        assert_eq!(chunk("shop", "orders").to_string(), "shop.orders/chunk-17");
        assert_eq!(chunk("a.b", "c`d").to_string(), "`a.b`.`c``d`/chunk-17");
        assert_eq!(SplitName::global_stream().to_string(), "stream_global");
        for text in ["", "snapshot_plan", "shop.orders", "shop.orders/chunk-x", "shop.orders/chunk-017", "a/chunk-1"] {
            assert!(SplitName::parse(&text.into()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn names_read_back(database in "[ -~é]{1,9}", table in "[ -~é]{1,9}", number: u32) {
            let name = SplitName::Chunk { table: TableId::new(database, table), number };
            prop_assert_eq!(SplitName::parse(&name.id()).unwrap(), name);
        }
    }
}
