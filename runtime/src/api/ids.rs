//! Names and marks that cross the seams: positions and receipts are opaque text to everyone but the plugin that wrote them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Where a source can resume, in the source's own text. The runtime stores it and never compares it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(Arc<str>);

impl Position {
    /// The source's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a sink says it delivered, in the sink's own text; empty means nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Receipt(String);

impl Receipt {
    /// A receipt with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The sink's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The name of a split: `stream_global`, `shop.orders/chunk-17`. Stable over restarts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SplitId(Arc<str>);

impl SplitId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text {
    ($type:ident) => {
        impl<T: Into<Arc<str>>> From<T> for $type {
            fn from(text: T) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text!(Position);
text!(SplitId);

/// The order of an event in its split, from 1; 0 means nothing was seen. On replay of a stream split the same event has the same number.
///
/// The source of a stream leaves the seven low bits 0: a sink numbers further records of the same event there, such as a tombstone. If a
/// source can number its events anew ([`crate::Renumbered`]), the 40 bits above number the events of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u128);

impl Seq {
    /// The number of an event, or of a further record of it, within its transaction: the 47 low bits. A source that numbers its events anew
    /// keeps them.
    pub fn in_transaction(self) -> u64 {
        const BITS: u32 = 47;
        self.0 as u64 & ((1 << BITS) - 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
