//! Prints doubles in a JSON document as the server does.

use std::io::Write;

use super::style::JsonStyle;
use crate::binlog::error::StreamError;
use crate::binlog::row::fields::impossible;

/// The decimal exponents with which a number is printed without an exponent, such as `0.001`.
const PLAIN: std::ops::RangeInclusive<i32> = -15..=14;

/// Appends a double in the format of MySQL's `my_gcvt`, with the fewest digits that read back as the same number.
pub(super) fn write_double(value: f64, style: JsonStyle, out: &mut Vec<u8>) -> Result<(), StreamError> {
    // The longest text is `-2.2250738585072014e-308`.
    let mut buffer = [0; 32];
    let mut rest = &mut buffer[..];
    let left = write!(rest, "{value:e}").map(|()| rest.len());
    let text = left.ok().and_then(|left| buffer.get(..buffer.len() - left)).unwrap_or_default();
    // Infinity and NaN are formatted without an exponent, so `split` refuses them.
    let (mantissa, power) = split(text).ok_or_else(|| impossible("a JSON number"))?;
    if !PLAIN.contains(&power) {
        out.extend_from_slice(text);
        return Ok(());
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let mut digits = mantissa.iter().copied().filter(u8::is_ascii_digit);
    if power < 0 {
        out.extend_from_slice(b"0.");
        out.extend((power..-1).map(|_| b'0'));
        out.extend(digits);
        return Ok(());
    }
    out.extend((0..=power).map(|_| digits.next().unwrap_or(b'0')));
    match digits.next() {
        Some(first) => {
            out.extend_from_slice(&[b'.', first]);
            out.extend(digits);
        }
        None if style == JsonStyle::MySql80 => out.extend_from_slice(b".0"),
        None => {}
    }
    Ok(())
}

/// Splits a number such as `1.5e-3` into `1.5` and -3.
fn split(text: &[u8]) -> Option<(&[u8], i32)> {
    let at = text.iter().position(|&byte| byte == b'e')?;
    let (mantissa, power) = (text.get(..at)?, text.get(at + 1..)?);
    Some((mantissa, std::str::from_utf8(power).ok()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(value: f64, style: JsonStyle) -> String {
        let mut out = Vec::new();
        write_double(value, style, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// The expected texts were printed by MySQL 5.7.22 and 8.0.15.
    #[test]
    fn doubles_are_set_as_the_server_sets_them() {
        for (value, old, new) in [
            (0.0, "0", "0.0"),
            (-0.0, "-0", "-0.0"),
            (1.0, "1", "1.0"),
            (-12.0, "-12", "-12.0"),
            (1e14, "100000000000000", "100000000000000.0"),
            (999_999_999_999_999.0, "999999999999999", "999999999999999.0"),
        ] {
            assert_eq!((print(value, JsonStyle::MySql57).as_str(), print(value, JsonStyle::MySql80).as_str()), (old, new));
        }
        for (value, text) in [
            (1e15, "1e15"),
            (1.5e15, "1.5e15"),
            (1_234_567_890_123_456.0, "1.234567890123456e15"),
            (1.234_567_890_123_456_7e16, "1.2345678901234568e16"),
            (0.1, "0.1"),
            (1e-5, "0.00001"),
            (-1e-15, "-0.000000000000001"),
            (1e-16, "1e-16"),
            (1.234_567_890_123_456e-14, "0.00000000000001234567890123456"),
            (1.234_567_890_123_456_7e-3, "0.0012345678901234567"),
            (f64::MAX, "1.7976931348623157e308"),
            (5e-324, "5e-324"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (2e23, "2e23"),
            (9_007_199_254_740_993.0, "9.007199254740992e15"),
            (123_456.789, "123456.789"),
        ] {
            assert_eq!((print(value, JsonStyle::MySql57).as_str(), print(value, JsonStyle::MySql80).as_str()), (text, text));
        }
    }

    #[test]
    fn an_invalid_number_is_an_error() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(write_double(value, JsonStyle::MySql80, &mut Vec::new()).is_err());
        }
    }
}
