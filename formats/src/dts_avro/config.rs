//! The settings of the DTS Avro format.

use serde::Deserialize;

use crate::message::SnapshotType;

/// Settings of [`DtsAvro`](super::DtsAvro). Every setting has a default.
///
/// ```
/// use formats::dts_avro::{Config, DtsAvro, Heartbeats};
///
/// let plain = DtsAvro::default();
/// let for_the_subscribe_sdk = DtsAvro::new(Config::default().heartbeats(Heartbeats::Heartbeat));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Config {
    /// The operation of rows that were read by the snapshot. Default: `INIT`, as DTS writes it. `INSERT` is for consumers that know only
    /// row changes.
    pub snapshot_type: SnapshotType,
    /// Whether a record marks the beginning and the commit of each transaction. Default: false, as in topics that DTS writes for its
    /// users. Consumers of DTS's change tracking need these records: they group changes by transaction.
    pub transactions: bool,
    /// Which record a heartbeat produces. Default: `off`. With `heartbeat`, the checkpoints of DTS's subscribe SDK advance while the
    /// source is idle.
    pub heartbeats: Heartbeats,
    /// The character set in which texts are written. Default: `utf8mb4`, which all consumers decode correctly. `source` is for consumers
    /// that need the bytes of the database, as DTS itself sends them.
    pub charset: TextCharset,
    /// What to do with a text whose bytes are not valid in its character set. Default: `fail`.
    pub invalid_text: InvalidText,
}

impl Config {
    /// Sets [`Config::snapshot_type`].
    #[must_use]
    pub fn snapshot_type(self, snapshot_type: SnapshotType) -> Self {
        Self { snapshot_type, ..self }
    }

    /// Sets [`Config::transactions`].
    #[must_use]
    pub fn transactions(self, transactions: bool) -> Self {
        Self { transactions, ..self }
    }

    /// Sets [`Config::heartbeats`].
    #[must_use]
    pub fn heartbeats(self, heartbeats: Heartbeats) -> Self {
        Self { heartbeats, ..self }
    }

    /// Sets [`Config::charset`].
    #[must_use]
    pub fn charset(self, charset: TextCharset) -> Self {
        Self { charset, ..self }
    }

    /// Sets [`Config::invalid_text`].
    #[must_use]
    pub fn invalid_text(self, invalid_text: InvalidText) -> Self {
        Self { invalid_text, ..self }
    }
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

/// Which record a heartbeat of the source produces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Heartbeats {
    /// No record.
    #[default]
    Off,
    /// A record with the operation HEARTBEAT.
    Heartbeat,
    /// A record with the operation CHECKPOINT, for consumers of DTS's internal streams.
    Checkpoint,
}

/// The character set in which texts are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TextCharset {
    /// UTF-8, called `utf8mb4` in the record.
    #[default]
    Utf8mb4,
    /// The character set of the column, under its own name. The consumers of DTS decode some of MySQL's character sets to wrong
    /// characters: `latin1` from 0x80 to 0x9F, `geostd8`, `armscii8`, `hp8`, `dec8`, `swe7`, `keybcs2`, `koi8u`.
    Source,
}

/// What to do with a text whose bytes are not valid in its character set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum InvalidText {
    /// Report an error instead of encoding the row.
    #[default]
    Fail,
    /// Write the bytes unchanged, with the name of the column's character set.
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
        let built = Config::default()
            .snapshot_type(SnapshotType::Insert)
            .transactions(true)
            .heartbeats(Heartbeats::Checkpoint)
            .charset(TextCharset::Source)
            .invalid_text(InvalidText::Keep);
        assert_eq!(built, config);
        assert!(serde_json::from_str::<Config>(r#"{"snapshot_typ":"INSERT"}"#).unwrap_err().to_string().contains("snapshot_type"));
        assert!(serde_json::from_str::<Config>(r#"{"heartbeats":"on"}"#).unwrap_err().to_string().contains("checkpoint"));
    }
}
