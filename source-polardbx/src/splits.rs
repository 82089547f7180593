//! The names of splits. Only this module prints and parses them.

use std::fmt;

use runtime::{SplitId, TableId};
use serde::{Deserialize, Serialize};

use crate::error::SourceError;

/// The name of the stream of a server that has only one.
const GLOBAL: &str = "global";

const SCHEMA: &str = "schema";
const SCHEMA_AGAIN: &str = "schema_again";
const CATCH_UP: &str = "catch_up-";
const GLOBAL_STREAM: &str = "stream_global";
/// What stands between a group and a number in the name of a stream.
const STREAM_OF_GROUP: &str = "_stream_";
const CHUNK: &str = "/chunk-";

/// The name of a stream: `global` for the binlog of a server or the global binlog of PolarDB-X, or the name that PolarDB-X gives to one of
/// several streams, such as `group1_stream_0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct StreamName(String);

impl StreamName {
    /// The stream of a server that has only one, and the global binlog of PolarDB-X.
    pub(crate) fn global() -> Self {
        Self(GLOBAL.to_owned())
    }

    /// The name of one of several streams. `None` if it is not a name as PolarDB-X gives them: a group, `_stream_` and a number.
    pub(crate) fn of_group(name: &str) -> Option<Self> {
        let (group, number) = name.rsplit_once(STREAM_OF_GROUP)?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && !group.is_empty() && !group.contains('/')).then(|| Self(name.to_owned()))
    }

    pub(crate) fn is_global(&self) -> bool {
        self.0 == GLOBAL
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The number in its group, by which streams are ordered.
    pub(crate) fn number(&self) -> u64 {
        self.0.rsplit_once(STREAM_OF_GROUP).and_then(|(_, number)| number.parse().ok()).unwrap_or_default()
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The parsed name of a split, which says what the split reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SplitName {
    /// `schema`: the CREATE TABLE of every table.
    Schema,
    /// `schema_again`: the CREATE TABLE of tables that are read again.
    SchemaAgain,
    /// `catch_up-1/stream_global`: the events of a binlog up to a point of the full phase.
    CatchUp { round: u32, stream: StreamName },
    /// `shop.orders/chunk-17`: rows of one table.
    Chunk { table: TableId, number: u32 },
    /// `stream_global` or `group1_stream_0`: the events of a binlog.
    Stream(StreamName),
}

impl SplitName {
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
        let stream = |text: &str| if text == GLOBAL_STREAM { Some(StreamName::global()) } else { StreamName::of_group(text) };
        let catch_up = || {
            let (round, name) = text.strip_prefix(CATCH_UP)?.split_once('/')?;
            Some(Self::CatchUp { round: round.parse().ok()?, stream: stream(name)? })
        };
        let name = match text {
            SCHEMA => Some(Self::Schema),
            SCHEMA_AGAIN => Some(Self::SchemaAgain),
            _ => chunk().or_else(catch_up).or_else(|| stream(text).map(Self::Stream)),
        };
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
            Self::SchemaAgain => f.write_str(SCHEMA_AGAIN),
            Self::CatchUp { round, stream } => write!(f, "{CATCH_UP}{round}/{}", Self::Stream(stream.clone())),
            Self::Chunk { table, number } => write!(f, "{table}{CHUNK}{number}"),
            Self::Stream(name) if name.is_global() => f.write_str(GLOBAL_STREAM),
            Self::Stream(name) => name.fmt(f),
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
        assert_eq!(SplitName::Stream(StreamName::global()).to_string(), "stream_global");
        for text in ["stream_global", "group1_stream_0", "a_stream_1_stream_12"] {
            let name = SplitName::parse(&text.into()).unwrap();
            assert!(matches!(&name, SplitName::Stream(_)) && name.to_string() == text, "{name:?}");
        }
        for text in ["schema", "schema_again", "catch_up-1/stream_global", "catch_up-12/group1_stream_0"] {
            assert_eq!(SplitName::parse(&text.into()).unwrap().to_string(), text);
        }
        let table = SplitName::parse(&"catch_up-1.t/chunk-2".into()).unwrap();
        assert_eq!(table, SplitName::Chunk { table: TableId::new("catch_up-1", "t"), number: 2 });
        assert_eq!(StreamName::of_group("group1_stream_12").map(|name| name.number()), Some(12));
        for text in [
            "",
            "global",
            "group1_stream_",
            "_stream_1",
            "group1_stream_x",
            "stream_0",
            "snapshot_plan",
            "shop.orders",
            "shop.orders/chunk-x",
            "shop.orders/chunk-017",
            "a/chunk-1",
            "catch_up-01/stream_global",
            "catch_up-1/schema",
            "catch_up-1/",
        ] {
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
