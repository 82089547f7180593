//! The settings of the DTS Avro format.

use serde::Deserialize;

use crate::SnapshotType;

/// Settings of [`DtsAvro`](super::DtsAvro); every one has a default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Config {
    /// The operation of rows that the snapshot read. Default `INIT`, as DTS writes it; `INSERT` for consumers that know only row changes.
    pub snapshot_type: SnapshotType,
    /// Whether a record marks the begin and the commit of each transaction. Default false, as DTS does with a topic of one's own; consumers
    /// made for DTS's change tracking, which group changes by transaction, have them.
    pub transactions: bool,
    /// What becomes of signs of life. Default `off`; with `heartbeat` the checkpoints of the subscribe SDK move while the source is idle.
    pub heartbeats: Heartbeats,
    /// In which character set texts go out. Default `utf8mb4`, which every consumer decodes alike; `source` for consumers that want the bytes
    /// of the database, as DTS itself sends them.
    pub charset: TextCharset,
    /// What becomes of a text whose bytes are not valid in its character set. Default `fail`.
    pub invalid_text: InvalidText,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            snapshot_type: SnapshotType::Init,
            transactions: false,
            heartbeats: Heartbeats::default(),
            charset: TextCharset::default(),
            invalid_text: InvalidText::default(),
        }
    }
}

/// What becomes of signs of life of the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Heartbeats {
    /// Nothing.
    #[default]
    Off,
    /// Records of the operation HEARTBEAT.
    Heartbeat,
    /// Records of the operation CHECKPOINT, for consumers of DTS's inner streams.
    Checkpoint,
}

/// In which character set texts go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TextCharset {
    /// UTF-8, under the name `utf8mb4`.
    #[default]
    Utf8mb4,
    /// The column's own, under its name. The consumers of DTS decode some of MySQL's character sets to wrong characters: `latin1` from 0x80
    /// to 0x9F, `geostd8`, `armscii8`, `hp8`, `dec8`, `swe7`, `keybcs2`, `koi8u`.
    Source,
}

/// What becomes of a text whose bytes are not valid in its character set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum InvalidText {
    /// It cannot be carried.
    #[default]
    Fail,
    /// The bytes go out as they are, under the name of the source's character set.
    Keep,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_default_and_unknown_ones_are_errors() {
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), Config::default());
        let text = r#"{"snapshot_type":"INSERT","transactions":true,"heartbeats":"checkpoint","charset":"source","invalid_text":"keep"}"#;
        let config: Config = serde_json::from_str(text).unwrap();
        assert_eq!(
            config,
            Config {
                snapshot_type: SnapshotType::Insert,
                transactions: true,
                heartbeats: Heartbeats::Checkpoint,
                charset: TextCharset::Source,
                invalid_text: InvalidText::Keep
            }
        );
        assert!(serde_json::from_str::<Config>(r#"{"snapshot_typ":"INSERT"}"#).unwrap_err().to_string().contains("snapshot_type"));
        assert!(serde_json::from_str::<Config>(r#"{"heartbeats":"on"}"#).unwrap_err().to_string().contains("checkpoint"));
    }
}
