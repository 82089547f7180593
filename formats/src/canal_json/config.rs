//! The settings of the Canal JSON format: a profile, and settings that override the profile's.

use serde::Deserialize;

use super::zone::ZoneOffset;
use crate::message::SnapshotType;

/// Settings of [`CanalJson`](super::CanalJson). Every setting has a default; the defaults of three settings depend on the profile.
///
/// ```
/// use formats::canal_json::{BinaryText, CanalJson, Config, Profile};
///
/// let plain = CanalJson::default();
/// let config = Config::of(Profile::Dts).binary(BinaryText::Base64).time_zone("+08:00".parse()?);
/// let for_dts_readers = CanalJson::new(config);
/// # Ok::<(), formats::canal_json::NotAnOffset>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Keys")]
#[non_exhaustive]
pub struct Config {
    /// Which program's messages to imitate. Default: `canal`.
    pub profile: Profile,
    /// How many rows a message holds. Default: `one`. Use `event` only for consumers that were written for Canal: Flink and SeaTunnel
    /// look for a column's name in `old` without distinguishing the rows of the message, and Paimon fails if two rows of a message are
    /// equal.
    pub rows: RowsPerMessage,
    /// The `type` of rows that were read by the snapshot. Default: `INSERT` with the profile `canal`, which every reader accepts; `INIT`
    /// with the profile `dts`, on which Flink, SeaTunnel, Paimon and RisingWave fail.
    pub snapshot_type: SnapshotType,
    /// How decimals are written. Default: `exact`.
    pub decimal: DecimalText,
    /// How BINARY, VARBINARY, BLOB and geometries are written. Default: `latin1`, which Canal writes, and which its client adapter,
    /// Paimon and TiCDC expect. The type BYTES of Flink needs `base64`.
    pub binary: BinaryText,
    /// How ENUM and SET are written. Default: `index`, which Canal writes, and which Paimon and TiCDC require. `text` is for readers that
    /// expect the labels.
    pub labels: LabelText,
    /// How JSON documents are written. Default: `server`.
    pub json: JsonText,
    /// The time zone in which TIMESTAMP values are written, as an offset from UTC such as `+08:00`. Default: `UTC`. Canal uses the time
    /// zone of its JVM.
    pub time_zone: ZoneOffset,
    /// What `mysqlType` holds. Default: `full` with the profile `canal`, since Paimon creates its tables from it; `base` with the profile
    /// `dts`.
    pub mysql_type: MysqlType,
    /// Whether the `sqlType` of a column may depend on the value. Default: `canal`, where it may.
    pub sql_type: SqlType,
    /// What `old` holds. Default: `changed`, which every reader understands. `all` is for consumers that need the whole row before the
    /// change, as TiCDC writes it.
    pub old: Old,
    /// Whether a key without a value is written as null or omitted. Default: `write` with the profile `canal`, `omit` with the profile
    /// `dts`.
    pub null_keys: NullKeys,
}

/// The keys of the configuration file. A key that is missing takes its default, which may depend on the profile.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    profile: Profile,
    rows: RowsPerMessage,
    snapshot_type: Option<SnapshotType>,
    decimal: DecimalText,
    binary: BinaryText,
    labels: LabelText,
    json: JsonText,
    time_zone: ZoneOffset,
    mysql_type: Option<MysqlType>,
    sql_type: SqlType,
    old: Old,
    null_keys: Option<NullKeys>,
}

impl From<Keys> for Config {
    fn from(keys: Keys) -> Self {
        let (snapshot_type, mysql_type, null_keys) = match keys.profile {
            Profile::Canal => (SnapshotType::Insert, MysqlType::Full, NullKeys::Write),
            Profile::Dts => (SnapshotType::Init, MysqlType::Base, NullKeys::Omit),
        };
        Self {
            profile: keys.profile,
            rows: keys.rows,
            snapshot_type: keys.snapshot_type.unwrap_or(snapshot_type),
            decimal: keys.decimal,
            binary: keys.binary,
            labels: keys.labels,
            json: keys.json,
            time_zone: keys.time_zone,
            mysql_type: keys.mysql_type.unwrap_or(mysql_type),
            sql_type: keys.sql_type,
            old: keys.old,
            null_keys: keys.null_keys.unwrap_or(null_keys),
        }
    }
}

impl Config {
    /// The default settings of a profile.
    pub fn of(profile: Profile) -> Self {
        Keys { profile, ..Keys::default() }.into()
    }

    /// Sets [`Config::rows`].
    #[must_use]
    pub fn rows(self, rows: RowsPerMessage) -> Self {
        Self { rows, ..self }
    }

    /// Sets [`Config::snapshot_type`].
    #[must_use]
    pub fn snapshot_type(self, snapshot_type: SnapshotType) -> Self {
        Self { snapshot_type, ..self }
    }

    /// Sets [`Config::decimal`].
    #[must_use]
    pub fn decimal(self, decimal: DecimalText) -> Self {
        Self { decimal, ..self }
    }

    /// Sets [`Config::binary`].
    #[must_use]
    pub fn binary(self, binary: BinaryText) -> Self {
        Self { binary, ..self }
    }

    /// Sets [`Config::labels`].
    #[must_use]
    pub fn labels(self, labels: LabelText) -> Self {
        Self { labels, ..self }
    }

    /// Sets [`Config::json`].
    #[must_use]
    pub fn json(self, json: JsonText) -> Self {
        Self { json, ..self }
    }

    /// Sets [`Config::time_zone`].
    #[must_use]
    pub fn time_zone(self, time_zone: ZoneOffset) -> Self {
        Self { time_zone, ..self }
    }

    /// Sets [`Config::mysql_type`].
    #[must_use]
    pub fn mysql_type(self, mysql_type: MysqlType) -> Self {
        Self { mysql_type, ..self }
    }

    /// Sets [`Config::sql_type`].
    #[must_use]
    pub fn sql_type(self, sql_type: SqlType) -> Self {
        Self { sql_type, ..self }
    }

    /// Sets [`Config::old`].
    #[must_use]
    pub fn old(self, old: Old) -> Self {
        Self { old, ..self }
    }

    /// Sets [`Config::null_keys`].
    #[must_use]
    pub fn null_keys(self, null_keys: NullKeys) -> Self {
        Self { null_keys, ..self }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::of(Profile::Canal)
    }
}

/// Which program's messages to imitate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Profile {
    /// Imitates Canal itself. A message has 14 keys, and the `type` of a DDL statement names its kind, such as `ALTER`.
    #[default]
    Canal,
    /// Imitates what Alibaba DTS calls Canal Json. The `type` is `INIT` for rows of the full phase and `DDL` for every DDL statement;
    /// types are written without their length, and keys without a value are omitted.
    Dts,
}

/// How many rows a message holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RowsPerMessage {
    /// One row per message.
    #[default]
    One,
    /// All rows of one binlog event, as Canal does, until the message is 256 KiB long. Every row in `old` has the same columns: those
    /// that changed in at least one row of the message.
    Event,
}

/// How decimals are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DecimalText {
    /// With exactly as many digits after the point as the column has: the number 5 in a `decimal(10,2)` is written as `5.00`.
    #[default]
    Exact,
    /// As Canal writes them, mostly without trailing zeros: the number 5 is written as `5.0`. This is for readers that compare texts with
    /// those of Canal; the numbers are the same as with `exact`.
    Canal,
}

/// How bytes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BinaryText {
    /// One character per byte, U+0000 to U+00FF. BINARY has no trailing zeros: Canal never sees them.
    #[default]
    Latin1,
    /// Base64 with padding. BINARY keeps its trailing zeros.
    Base64,
    /// Two lower-case hexadecimal digits per byte. BINARY keeps its trailing zeros.
    Hex,
}

/// How ENUM and SET are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LabelText {
    /// ENUM as the index of its label, counted from 1; SET as a bit mask.
    #[default]
    Index,
    /// ENUM as its label; SET as its labels joined by commas.
    Text,
}

/// How JSON documents are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum JsonText {
    /// As the database server prints them.
    #[default]
    Server,
    /// With numbers, escapes and spaces as Canal writes them (`1.0E10`, `\u0008`), for readers that compare texts with those of Canal.
    /// Values of types that JSON does not have, such as dates, are written as the server prints them.
    Canal,
}

/// What `mysqlType` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MysqlType {
    /// The whole type, such as `decimal(10,2) unsigned`.
    Full,
    /// The type's name without length and attributes, such as `decimal`.
    Base,
}

/// Whether the `sqlType` of a column may depend on the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SqlType {
    /// It may, as in Canal: an unsigned integer above the range of the signed type has the next larger type, and NULL in a SET or JSON
    /// column has a type of its own.
    #[default]
    Canal,
    /// It may not. An unsigned integer always has the next larger type.
    Static,
}

/// What `old` holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Old {
    /// Only the columns that changed, with their values before the change.
    #[default]
    Changed,
    /// The whole row before the change.
    All,
}

/// Whether keys without a value are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum NullKeys {
    /// They are written as null, and `gtid` as an empty text.
    Write,
    /// They are omitted from the message.
    Omit,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_setting_has_a_default_and_unknown_ones_are_errors() {
        assert_eq!(config("{}"), Config::default());
        let all = config(r#"{"snapshot_type":"INIT","decimal":"canal","time_zone":"+08:00"}"#);
        assert_eq!((all.snapshot_type, all.decimal, all.time_zone.seconds()), (SnapshotType::Init, DecimalText::Canal, 28_800));
        let error = serde_json::from_str::<Config>(r#"{"timezone":"UTC"}"#).unwrap_err().to_string();
        assert!(error.contains("timezone") && error.contains("time_zone"), "{error}");
        let error = serde_json::from_str::<Config>(r#"{"time_zone":"CET"}"#).unwrap_err().to_string();
        assert!(error.contains("+08:00"), "{error}");
        let error = serde_json::from_str::<Config>(r#"{"binary":"base32"}"#).unwrap_err().to_string();
        assert!(error.contains("base64"), "{error}");
    }

    #[test]
    fn a_key_overrides_the_profile() {
        let dts = config(r#"{"profile":"dts"}"#);
        assert_eq!(dts, Config::of(Profile::Dts));
        assert_eq!((dts.snapshot_type, dts.mysql_type, dts.null_keys), (SnapshotType::Init, MysqlType::Base, NullKeys::Omit));
        let mixed = config(r#"{"null_keys":"write","profile":"dts","snapshot_type":"INSERT","mysql_type":"full"}"#);
        assert_eq!(mixed, Config { profile: Profile::Dts, ..Config::default() });
    }

    #[test]
    fn setters_and_keys_agree() {
        let text = r#"{"profile":"dts","rows":"event","snapshot_type":"INSERT","decimal":"canal","binary":"hex","labels":"text","json":"canal",
            "time_zone":"-03:30","mysql_type":"full","sql_type":"static","old":"all","null_keys":"write"}"#;
        let built = Config::of(Profile::Dts)
            .rows(RowsPerMessage::Event)
            .snapshot_type(SnapshotType::Insert)
            .decimal(DecimalText::Canal)
            .binary(BinaryText::Hex)
            .labels(LabelText::Text)
            .json(JsonText::Canal)
            .time_zone("-03:30".parse().unwrap())
            .mysql_type(MysqlType::Full)
            .sql_type(SqlType::Static)
            .old(Old::All)
            .null_keys(NullKeys::Write);
        assert_eq!(built, config(text));
    }
}
