//! The settings of the Canal JSON format.

use std::str::FromStr;

use serde::Deserialize;

use crate::SnapshotType;

/// Settings of [`CanalJson`](super::CanalJson); every one has a default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Config {
    /// The `type` of rows that the snapshot read. Default `INSERT`, which every reader of Canal JSON takes; `INIT` is what Alibaba DTS writes.
    pub snapshot_type: SnapshotType,
    /// How decimals are written. Default `exact`.
    pub decimal: DecimalText,
    /// The zone that TIMESTAMP values are written in, as an offset from UTC such as `+08:00`. Default `UTC`.
    pub time_zone: ZoneOffset,
}

impl Default for Config {
    fn default() -> Self {
        Self { snapshot_type: SnapshotType::Insert, decimal: DecimalText::default(), time_zone: ZoneOffset::default() }
    }
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

/// A fixed offset from UTC, as MySQL's `time_zone` takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ZoneOffset {
    seconds: i32,
}

impl ZoneOffset {
    /// Seconds east of UTC.
    pub fn seconds(self) -> i32 {
        self.seconds
    }
}

/// A text that is no [`ZoneOffset`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time zone is `UTC` or an offset between -14:00 and +14:00 such as `+08:00`; names of zones with summer time are ambiguous")]
pub struct NotAnOffset;

impl FromStr for ZoneOffset {
    type Err = NotAnOffset;

    fn from_str(text: &str) -> Result<Self, NotAnOffset> {
        if text.eq_ignore_ascii_case("utc") {
            return Ok(Self::default());
        }
        let (sign, rest) = match text.split_at_checked(1) {
            Some(("+", rest)) => (1, rest),
            Some(("-", rest)) => (-1, rest),
            _ => return Err(NotAnOffset),
        };
        let two_digits = |part: &str| match part.as_bytes() {
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Ok(i32::from(tens - b'0') * 10 + i32::from(ones - b'0')),
            _ => Err(NotAnOffset),
        };
        let (hours, minutes) = rest.split_once(':').ok_or(NotAnOffset)?;
        let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
        if minutes > 59 || hours * 60 + minutes > 14 * 60 {
            return Err(NotAnOffset);
        }
        Ok(Self { seconds: sign * (hours * 3600 + minutes * 60) })
    }
}

impl TryFrom<String> for ZoneOffset {
    type Error = NotAnOffset;

    fn try_from(text: String) -> Result<Self, NotAnOffset> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_of_mysql_and_nothing_else() {
        for (text, seconds) in [("UTC", 0), ("utc", 0), ("+00:00", 0), ("+08:00", 28_800), ("-03:30", -12_600), ("+14:00", 50_400)] {
            assert_eq!(text.parse::<ZoneOffset>().map(ZoneOffset::seconds), Ok(seconds));
        }
        for text in ["", "+", "8", "+8:00", "+08", "+08:60", "+14:01", "Asia/Shanghai", "+0８:00", "é", "++8:00"] {
            assert_eq!(text.parse::<ZoneOffset>(), Err(NotAnOffset), "{text}");
        }
    }

    #[test]
    fn every_setting_has_a_default_and_unknown_ones_are_errors() {
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), Config::default());
        let all = r#"{"snapshot_type":"INIT","decimal":"canal","time_zone":"+08:00"}"#;
        let config: Config = serde_json::from_str(all).unwrap();
        assert_eq!((config.snapshot_type, config.decimal, config.time_zone.seconds()), (SnapshotType::Init, DecimalText::Canal, 28_800));
        let error = serde_json::from_str::<Config>(r#"{"timezone":"UTC"}"#).unwrap_err().to_string();
        assert!(error.contains("timezone") && error.contains("time_zone"), "{error}");
        let error = serde_json::from_str::<Config>(r#"{"time_zone":"CET"}"#).unwrap_err().to_string();
        assert!(error.contains("+08:00"), "{error}");
    }
}
