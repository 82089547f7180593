//! The settings of the Canal JSON format: a profile, and settings that differ from it.

use serde::Deserialize;

use super::zone::ZoneOffset;
use crate::message::SnapshotType;

/// Settings of [`CanalJson`](super::CanalJson). Every setting has a default; three of them take it from the profile.
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
    /// How many rows a message holds. Default: `one`. Use `event` only for consumers that were written for Canal: Flink and SeaTunnel search
    /// the names of `old` in all rows of a message, and Paimon fails on two equal rows.
    pub rows: RowsPerMessage,
    /// The `type` of rows that the snapshot read. Default: `INSERT` with the profile `canal`, which every reader accepts, and `INIT` with
    /// `dts`, on which Flink, SeaTunnel, Paimon and RisingWave fail.
    pub snapshot_type: SnapshotType,
    /// How decimals are written. Default: `exact`.
    pub decimal: DecimalText,
    /// How BINARY, VARBINARY, BLOB and geometries are written. Default: `latin1`, as Canal does and as its client adapter, Paimon and TiCDC
    /// read them. Flink's BYTES needs `base64`.
    pub binary: BinaryText,
    /// How ENUM and SET are written. Default: `index`, as Canal does and as Paimon and TiCDC require. `text` is for readers of strings.
    pub labels: LabelText,
    /// How JSON documents are written. Default: `server`.
    pub json: JsonText,
    /// The time zone of TIMESTAMP texts, as an offset from UTC such as `+08:00`. Default: `UTC`. Canal uses the zone of its JVM.
    pub time_zone: ZoneOffset,
    /// What `mysqlType` holds. Default: `full` with the profile `canal`, from which Paimon creates its tables, and `base` with `dts`.
    pub mysql_type: MysqlType,
    /// Whether a `sqlType` may depend on the value. Default: `canal`.
    pub sql_type: SqlType,
    /// What `old` holds. Default: `changed`, which every reader knows. `all` is for consumers that need the whole row before, as in TiCDC.
    pub old: Old,
    /// Whether keys without a value are written. Default: `write` with the profile `canal`, `omit` with `dts`.
    pub null_keys: NullKeys,
}

/// The keys of the configuration file. The profile decides those that are left out.
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
    /// Canal itself: 14 keys; the `type` of a DDL statement says what it did.
    #[default]
    Canal,
    /// What Alibaba DTS calls Canal Json: `INIT` for rows of the full phase, `DDL` for every DDL statement, types without their length, and
    /// no keys without a value.
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
    /// All rows of one binlog event, as Canal does, until the message is 256 KiB long. Every row of `old` holds the same columns: those that
    /// changed in any of the rows.
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
    /// As Canal writes them, mostly without trailing zeros: 5 is `5.0`. For readers that compare with texts written by Canal; the numbers
    /// are the same.
    Canal,
}

/// How bytes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BinaryText {
    /// One character per byte, U+0000 to U+00FF; BINARY without trailing zeros, which Canal never sees.
    #[default]
    Latin1,
    /// Base64 with padding; BINARY with its trailing zeros.
    Base64,
    /// Two lower-case hexadecimal digits per byte; BINARY with its trailing zeros.
    Hex,
}

/// How ENUM and SET are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LabelText {
    /// ENUM as the index of its label, which counts from 1; SET as a bit mask.
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
    /// As the server prints them.
    #[default]
    Server,
    /// With numbers, escapes and spaces as Canal writes them (`1.0E10`, `\u0008`), for readers that compare with texts written by Canal.
    /// Dates and other values that JSON does not have stay as the server prints them.
    Canal,
}

/// What `mysqlType` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MysqlType {
    /// The whole type: `decimal(10,2) unsigned`.
    Full,
    /// The type's name: `decimal`.
    Base,
}

/// Whether a `sqlType` may depend on the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SqlType {
    /// As in Canal: an unsigned integer above the range of the signed type has the next larger type, and NULL in a SET or JSON column has
    /// a type of its own.
    #[default]
    Canal,
    /// One type per column: an unsigned integer always has the next larger type.
    Static,
}

/// What `old` holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Old {
    /// The former values of the columns that changed.
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
    /// As null; `gtid` as an empty text.
    Write,
    /// No: the message does not have them.
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
