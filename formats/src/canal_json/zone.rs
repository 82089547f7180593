//! The time zone in which TIMESTAMP values are written.

use std::str::FromStr;

use serde::Deserialize;

/// A fixed offset from UTC, written as in MySQL's `time_zone`: `UTC` or `+08:00`.
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

/// The text is not a valid [`ZoneOffset`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a time zone must be `UTC` or an offset between -14:00 and +14:00 such as `+08:00`; zone names are not allowed, since their offset may change over the year"
)]
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
}
