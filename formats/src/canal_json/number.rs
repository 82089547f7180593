//! Numbers as Canal prints them.
//!
//! Floats are printed as Java prints them (`Float.toString`, `Double.toString` of JDK 19 and later): the shortest decimal that parses to
//! the same float.

/// Appends a finite 4-byte float.
pub(super) fn write_f32(out: &mut Vec<u8>, value: f32) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    // Java picks the nearest decimal of at least two digits. For subnormal numbers this may be longer than the shortest decimal: 1.4E-45,
    // not 1E-45.
    if value.is_subnormal() {
        write_subnormal(out, text, format!("{value:.1e}").as_str())
    } else {
        write(out, text, f64::from(value.abs()))
    }
}

/// Appends a finite 8-byte float.
pub(super) fn write_f64(out: &mut Vec<u8>, value: f64) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    if value.is_subnormal() { write_subnormal(out, text, format!("{value:.1e}").as_str()) } else { write(out, text, value.abs()) }
}

fn write_subnormal(out: &mut Vec<u8>, shortest: &str, two_digits: &str) {
    let digits = Digits::parse(shortest);
    if digits.length > 1 { digits.write(out) } else { Digits::parse(two_digits).write(out) }
}

fn write(out: &mut Vec<u8>, shortest: &str, magnitude: f64) {
    // The common case: between 1e-3 and 1e7, zmij prints the same text as Java (`123.5`, `100.0`).
    if (1e-3..1e7).contains(&magnitude) {
        out.extend_from_slice(shortest.as_bytes());
    } else {
        Digits::parse(shortest).write(out);
    }
}

/// A decimal number as `d.ddd × 10^exponent`, without leading or trailing zeros.
struct Digits {
    negative: bool,
    digits: [u8; Digits::MAX],
    /// How many elements of `digits` are used, at least 1.
    length: usize,
    exponent: i32,
}

impl Digits {
    /// The capacity. A float has at most 17 digits.
    const MAX: usize = 24;

    /// Reads `[-]digits[.digits][e[+-]digits]`.
    fn parse(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
        let whole = mantissa.find('.').unwrap_or(mantissa.len());
        let mut parsed =
            Digits { negative, digits: [b'0'; Self::MAX], length: 0, exponent: exponent.parse().unwrap_or(0) + whole as i32 - 1 };
        for digit in mantissa.bytes().filter(u8::is_ascii_digit) {
            if parsed.length == 0 && digit == b'0' {
                parsed.exponent -= 1;
            } else if let Some(slot) = parsed.digits.get_mut(parsed.length) {
                *slot = digit;
                parsed.length += 1;
            }
        }
        while parsed.length > 1 && parsed.digits.get(parsed.length - 1) == Some(&b'0') {
            parsed.length -= 1;
        }
        if parsed.length == 0 { Digits { length: 1, exponent: 0, ..parsed } } else { parsed }
    }

    fn write(&self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        let digits = self.digits.get(..self.length).unwrap_or(b"0");
        match self.exponent {
            exponent @ 0..7 => {
                let whole = exponent as usize + 1;
                let (before, after) = digits.split_at(whole.min(digits.len()));
                out.extend_from_slice(before);
                out.extend(std::iter::repeat_n(b'0', whole - before.len()));
                write_fraction(out, after);
            }
            exponent @ -3..0 => {
                out.extend_from_slice(b"0.");
                out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
                out.extend_from_slice(digits);
            }
            exponent => {
                let (first, rest) = digits.split_at(1);
                out.extend_from_slice(first);
                write_fraction(out, rest);
                out.push(b'E');
                out.extend_from_slice(itoa::Buffer::new().format(exponent).as_bytes());
            }
        }
    }
}

fn write_fraction(out: &mut Vec<u8>, digits: &[u8]) {
    out.push(b'.');
    out.extend_from_slice(if digits.is_empty() { b"0" } else { digits });
}

/// The text of a decimal without the trailing zeros that Canal omits. MySQL stores the digits after the point in groups of nine; Canal
/// omits the last, shorter group if all its digits are zero, but always keeps one digit after the point.
pub(super) fn without_trailing_zero_group(decimal: &str) -> &str {
    let Some((whole, fraction)) = decimal.split_once('.') else { return decimal };
    let groups = fraction.len() / 9 * 9;
    match fraction.get(groups..) {
        Some(last) if last.bytes().all(|digit| digit == b'0') => decimal.get(..whole.len() + 1 + groups.max(1)).unwrap_or(decimal),
        _ => decimal,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn f32_text(value: f32) -> String {
        let mut out = Vec::new();
        write_f32(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    fn f64_text(value: f64) -> String {
        let mut out = Vec::new();
        write_f64(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn as_java_prints_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (100.0, "100.0"),
            (0.001, "0.001"),
            (0.000_999, "9.99E-4"),
            (0.0001, "1.0E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (12_345_678.9, "1.23456789E7"),
            (9_007_199_254_740_993.0, "9.007199254740992E15"),
            (2e23, "2.0E23"),
            (1e23, "1.0E23"),
            (-1.5e-7, "-1.5E-7"),
            (1_234_567.25, "1234567.25"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
            (4.9e-324, "4.9E-324"),
        ] {
            assert_eq!(f64_text(value), text);
        }
        for (value, text) in [
            (1.1, "1.1"),
            (16_777_216.0, "1.6777216E7"),
            (1e-45, "1.4E-45"),
            (3.402_823_5e38, "3.4028235E38"),
            (8.5e9, "8.5E9"),
            (0.1, "0.1"),
            (-7.0, "-7.0"),
        ] {
            assert_eq!(f32_text(value), text);
        }
    }

    #[test]
    fn decimals_as_canal_writes_them() {
        for (exact, canal) in [
            ("5.00", "5.0"),
            ("5.10", "5.10"),
            ("-0.01", "-0.01"),
            ("1.5000000000", "1.500000000"),
            ("0.0000000001", "0.0000000001"),
            ("0.000000000", "0.000000000"),
            ("-0.5000", "-0.5000"),
            ("1.00000000100", "1.000000001"),
            ("-99999", "-99999"),
            ("1.000000000000000000000000000000", "1.000000000000000000000000000"),
        ] {
            assert_eq!(without_trailing_zero_group(exact), canal);
        }
    }

    proptest! {
        #[test]
        fn doubles_read_back(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(f64_text(value).parse::<f64>().unwrap().to_bits(), bits);
        }

        #[test]
        fn floats_read_back(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(f32_text(value).parse::<f32>().unwrap().to_bits(), bits);
        }

        #[test]
        fn both_paths_print_doubles_alike(value in 1e-3..1e7) {
            let mut long = Vec::new();
            Digits::parse(&f64_text(value)).write(&mut long);
            prop_assert_eq!(f64_text(value).into_bytes(), long);
        }

        #[test]
        fn both_paths_print_floats_alike(value in 1e-3f32..1e7) {
            let mut long = Vec::new();
            Digits::parse(&f32_text(value)).write(&mut long);
            prop_assert_eq!(f32_text(value).into_bytes(), long);
        }
    }
}
