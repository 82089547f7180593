//! The settings of the Canal JSON format: a profile, and what differs from it.

use serde::Deserialize;

use super::zone::ZoneOffset;
use crate::SnapshotType;

/// Settings of [`CanalJson`](super::CanalJson); every one has a default, some of them by the profile.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Keys")]
#[non_exhaustive]
pub struct Config {
    /// Whose messages they look like. Default `canal`.
    pub profile: Profile,
    /// How many rows a message holds. Default `one`: Flink and SeaTunnel look for the names of `old` over all rows of a message, and Paimon
    /// fails on two equal rows, so more than one is for consumers that were written for Canal and count messages or want fewer of them.
    pub rows: RowsPerMessage,
    /// The `type` of rows that the snapshot read. Default `INSERT` under `canal`, which every reader takes, and `INIT` under `dts`, on which
    /// Flink, SeaTunnel, Paimon and RisingWave fail.
    pub snapshot_type: SnapshotType,
    /// How decimals are written. Default `exact`.
    pub decimal: DecimalText,
    /// How BINARY, VARBINARY, BLOB and geometries are written. Default `latin1`, as Canal does and as its client adapter, Paimon and TiCDC
    /// read them; Flink's BYTES wants `base64`.
    pub binary: BinaryText,
    /// How enums and sets are written. Default `index`, as Canal does and Paimon and TiCDC demand; `text` is for readers of strings.
    pub labels: LabelText,
    /// How JSON documents are written. Default `server`.
    pub json: JsonText,
    /// The zone that TIMESTAMP values are written in, as an offset from UTC such as `+08:00`. Default `UTC`. Canal writes the zone of its JVM.
    pub time_zone: ZoneOffset,
    /// What `mysqlType` says. Default `full` under `canal`, from which Paimon makes its tables, and `base` under `dts`.
    pub mysql_type: MysqlType,
    /// Whether a `sqlType` may depend on the value. Default `canal`.
    pub sql_type: SqlType,
    /// What `old` holds. Default `changed`, which every reader knows; `all` is for consumers that want the whole row before, as TiCDC gives it.
    pub old: Old,
    /// What becomes of keys without a value. Default `write` under `canal`, and `omit` under `dts`.
    pub null_keys: NullKeys,
}

/// What stands in the configuration: what is left out is the profile's.
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
    /// The settings of a profile.
    pub fn of(profile: Profile) -> Self {
        Keys { profile, ..Keys::default() }.into()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::of(Profile::Canal)
    }
}

/// Whose messages they look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Profile {
    /// Canal's own: 14 keys, the `type` of a statement says what it did.
    #[default]
    Canal,
    /// What Alibaba DTS calls Canal Json: `INIT` for rows of the full phase, `DDL` for every statement, types without their length, and no
    /// keys without a value.
    Dts,
}

/// How many rows a message holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RowsPerMessage {
    /// One.
    #[default]
    One,
    /// Those of one binlog event, as Canal does, until the message is 256 KiB long. All rows of `old` name the same columns: those that
    /// changed in any of them.
    Event,
}

/// How decimals are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DecimalText {
    /// With exactly as many digits after the point as the column has: 5 in a `decimal(10,2)` is `5.00`.
    #[default]
    Exact,
    /// As Canal writes them: the last group of fewer than nine digits after the point is left out if it is zero, so 5 is `5.0`.
    /// The same numbers in other texts, for readers that compare with what Canal wrote.
    Canal,
}

/// How bytes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BinaryText {
    /// One character a byte, U+0000 to U+00FF; a BINARY without the zeros at its end, which Canal never sees.
    #[default]
    Latin1,
    /// Base64 with padding, of all bytes.
    Base64,
    /// Two lower-case digits a byte, of all bytes.
    Hex,
}

/// How enums and sets are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LabelText {
    /// The index of an enum's label from 1, the bit mask of a set.
    #[default]
    Index,
    /// The label, the labels joined by commas.
    Text,
}

/// How JSON documents are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum JsonText {
    /// As the server prints them.
    #[default]
    Server,
    /// With numbers, escapes and spaces as Canal writes them (`1.0E10`, `\u0008`), for readers that compare with what Canal wrote. Dates and
    /// other values that JSON has no form for stay as the server prints them.
    Canal,
}

/// What `mysqlType` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MysqlType {
    /// `decimal(10,2) unsigned`.
    Full,
    /// `decimal`.
    Base,
}

/// Whether a `sqlType` may depend on the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SqlType {
    /// It does, as in Canal: an unsigned integer whose top bit is set is one type wider, a set or JSON that is NULL has another type.
    #[default]
    Canal,
    /// One type a column: an unsigned integer is always one type wider.
    Static,
}

/// What `old` holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Old {
    /// The columns that changed.
    #[default]
    Changed,
    /// The whole row.
    All,
}

/// What becomes of keys without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum NullKeys {
    /// They are null, `gtid` is empty.
    Write,
    /// They are left out.
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
    fn a_key_wins_over_its_profile() {
        let dts = config(r#"{"profile":"dts"}"#);
        assert_eq!(dts, Config::of(Profile::Dts));
        assert_eq!((dts.snapshot_type, dts.mysql_type, dts.null_keys), (SnapshotType::Init, MysqlType::Base, NullKeys::Omit));
        let mixed = config(r#"{"null_keys":"write","profile":"dts","snapshot_type":"INSERT","mysql_type":"full"}"#);
        assert_eq!(mixed, Config { profile: Profile::Dts, ..Config::default() });
    }
}
