//! The receipt says, for each partition, up to where the records of a split are known to be in the log.
//!
//! Its text is JSON with a list of entries per topic:
//! `{"v":2,"settings":{"topic":"0a1b2c3d"},"topics":{"shop":[[1042,"…32 hexadecimal digits…"],[7]]}}`. `settings` is the fingerprint of the
//! settings that a stream keeps. The length of a list is the number of partitions. An entry holds the offset after the split's last record in that partition, and the seq of that record. An
//! entry without a seq means that the split has no record in the partition; its offset is the end of the log at the time when this was
//! known. With a schema registry the receipt also has `"schemas":{"5":["…fingerprint…",["shop"]]}`: the schema ids of the written records,
//! each with the fingerprint of the schema and the topics.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use runtime::{Receipt, Seq};
use serde::Deserialize;

use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::schema_registry::WrittenSchemas;

/// Says up to where the records of one split were delivered to one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The offset after the split's last record. If `last_seq` is 0, the offset from which the records of the split must be searched.
    pub(crate) next_offset: i64,
    /// The seq of the split's last record; 0 if there is none.
    pub(crate) last_seq: Seq,
}

impl Mark {
    /// The mark of a partition about which nothing is known.
    pub(crate) const UNKNOWN: Self = Self { next_offset: 0, last_seq: Seq(0) };

    /// Whether the split has written a record to the partition.
    pub(crate) fn is_written(&self) -> bool {
        self.last_seq > Seq(0)
    }

    /// Whether the event with this seq was delivered to the partition before. Valid only for splits whose replay is exact.
    pub(crate) fn covers(&self, seq: Seq) -> bool {
        seq <= self.last_seq
    }

    /// Notes a record of the split that was read from the log or acknowledged by a broker.
    pub(crate) fn advance(&mut self, offset: i64, seq: Seq) {
        // A repeat of the last record replaces it, and its offset is checked when the task continues.
        if seq >= self.last_seq {
            *self = Self { next_offset: offset.saturating_add(1), last_seq: seq };
        }
    }
}

/// The mark of each partition, by topic.
pub(crate) type Marks = BTreeMap<String, Vec<Mark>>;

const VERSION: u32 = 2;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(rename = "v")]
    _version: u32,
    settings: Fingerprint,
    topics: BTreeMap<String, Vec<Entry>>,
    #[serde(default)]
    schemas: WrittenSchemas,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Seen(i64, String),
    Bare([i64; 1]),
}

/// The content of a receipt.
#[derive(Debug, Default)]
pub(crate) struct ReceiptContent {
    pub(crate) marks: Marks,
    /// The fingerprint of the settings that decided where rows went; empty in an empty receipt.
    pub(crate) settings: Fingerprint,
    /// The schema ids that records were written with.
    pub(crate) schemas: WrittenSchemas,
}

impl ReceiptContent {
    /// Whether the split has written a record.
    pub(crate) fn is_written(&self) -> bool {
        self.marks.values().flatten().any(Mark::is_written)
    }
}

/// Reads a receipt. An empty receipt has no marks.
pub(crate) fn parse(receipt: &Receipt) -> Result<ReceiptContent, Error> {
    if receipt.is_empty() {
        return Ok(ReceiptContent::default());
    }
    let unreadable = |problem: String| Error::Receipt { problem };
    super::check_version("the receipt", receipt, VERSION)?;
    let text: Text = serde_json::from_str(receipt.as_str()).map_err(|error| unreadable(error.to_string()))?;
    let mark = |entry: Entry| -> Result<Mark, Error> {
        match entry {
            Entry::Bare([next_offset]) => Ok(Mark { next_offset, last_seq: Seq(0) }),
            Entry::Seen(next_offset, seq) => {
                let last_seq = u128::from_str_radix(&seq, 16).map(Seq).map_err(|_| unreadable(format!("`{seq}` is not a seq")))?;
                Ok(Mark { next_offset, last_seq })
            }
        }
    };
    let marks = text.topics.into_iter().map(|(topic, entries)| Ok((topic, entries.into_iter().map(mark).collect::<Result<_, _>>()?)));
    Ok(ReceiptContent { marks: marks.collect::<Result<_, Error>>()?, settings: text.settings, schemas: text.schemas })
}

/// Writes a receipt. `settings` is the text of a fingerprint.
pub(crate) fn write<'a, P: IntoIterator<Item = &'a Mark>>(
    settings: &str,
    topics: impl IntoIterator<Item = (&'a str, P)>,
    schemas: &WrittenSchemas,
) -> Receipt {
    let mut text = format!(r#"{{"v":{VERSION},"settings":{settings},"topics":{{"#);
    for (index, (topic, marks)) in topics.into_iter().enumerate() {
        // Topic names consist of letters, digits, `.`, `_` and `-`, so nothing must be escaped. Writing to a String cannot fail.
        let _ = write!(text, "{}\"{topic}\":[", if index > 0 { "," } else { "" });
        for (partition, mark) in marks.into_iter().enumerate() {
            let comma = if partition > 0 { "," } else { "" };
            let _ = match mark.last_seq {
                Seq(0) => write!(text, "{comma}[{}]", mark.next_offset),
                seq => write!(text, "{comma}[{},\"{seq}\"]", mark.next_offset),
            };
        }
        text.push(']');
    }
    text.push('}');
    if !schemas.is_empty() {
        // Fingerprints are hexadecimal digits, so nothing must be escaped here either.
        text.push_str(",\"schemas\":{");
        for (index, (id, (hash, topics))) in schemas.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let _ = write!(text, "{comma}\"{id}\":[\"{hash}\",[\"{}\"]]", topics.join("\",\""));
        }
        text.push('}');
    }
    text.push('}');
    Receipt::new(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_is_the_documented_one() {
        let marks = [Mark { next_offset: 1042, last_seq: Seq(255) }, Mark { next_offset: 7, last_seq: Seq(0) }];
        let receipt = write(r#"{"topic":"0a1b2c3d"}"#, [("shop", &marks)], &WrittenSchemas::new());
        let text = r#"{"v":2,"settings":{"topic":"0a1b2c3d"},"topics":{"shop":[[1042,"000000000000000000000000000000ff"],[7]]}}"#;
        assert_eq!(receipt.as_str(), text);
        assert_eq!(parse(&receipt).unwrap().marks["shop"], marks);
        let schemas =
            WrittenSchemas::from([(5, ("f00d".into(), vec!["shop".into(), "ddl".into()])), (7, ("beef".into(), vec!["x".into()]))]);
        let receipt = write("{}", [("shop", &marks[1..])], &schemas);
        let text = r#"{"v":2,"settings":{},"topics":{"shop":[[7]]},"schemas":{"5":["f00d",["shop","ddl"]],"7":["beef",["x"]]}}"#;
        assert_eq!((receipt.as_str(), parse(&receipt).unwrap().schemas), (text, schemas));
    }

    #[test]
    fn damaged_receipts_are_fatal() {
        for text in [
            "{",
            "[]",
            r#"{"v":1,"topics":{}}"#,
            r#"{"v":2,"settings":{},"topics":{"a":[[1,"zz"]]}}"#,
            r#"{"v":2,"topics":{}}"#,
            r#"{"v":2}"#,
        ] {
            let error = runtime::Error::from(parse(&Receipt::new(text)).unwrap_err());
            assert_eq!(error.kind(), runtime::Kind::Fatal, "{text}");
        }
        assert!(parse(&Receipt::default()).unwrap().marks.is_empty());
    }

    proptest! {
        #[test]
        fn there_and_back(topics in prop::collection::btree_map("[a-zA-Z0-9._-]{1,20}", prop::collection::vec((0i64.., any::<u128>()), 0..5), 0..4)) {
            let marks: Marks = topics.into_iter()
                .map(|(topic, list)| (topic, list.into_iter().map(|(next_offset, seq)| Mark { next_offset, last_seq: Seq(seq) }).collect()))
                .collect();
            let receipt = write("{}", marks.iter().map(|(topic, marks)| (topic.as_str(), marks)), &WrittenSchemas::new());
            prop_assert_eq!(parse(&receipt).unwrap().marks, marks);
        }

        // The log contains the first part of the sequence, with repeats. After the end of the log was read, a replay that skips delivered
        // events neither loses nor repeats one.
        #[test]
        fn a_replay_continues_exactly(delivered in 0u128..30, known in 0u128..30, repeats in prop::collection::vec(0u128..30, 0..5), total in 30u128..40) {
            let known = known.min(delivered);
            let mut log: Vec<u128> = (1..=delivered).collect();
            log.extend(repeats.into_iter().filter(|seq| (1..=delivered).contains(seq)));
            let mut mark = Mark { next_offset: known as i64, last_seq: Seq(known) };
            for (offset, seq) in log.iter().enumerate().skip(known as usize) {
                mark.advance(offset as i64, Seq(*seq));
            }
            let replayed: Vec<u128> = (1..=total).filter(|&seq| !mark.covers(Seq(seq))).collect();
            prop_assert_eq!(replayed, (delivered + 1..=total).collect::<Vec<_>>());
            prop_assert!(mark.last_seq == Seq(0) || log[mark.next_offset as usize - 1] == mark.last_seq.0);
        }
    }
}
