//! Numbers of conditions: 64-bit integers, exact decimals and doubles, with MySQL's arithmetic and comparison.

use std::cmp::Ordering;

use super::failure::Failure;
use crate::transforms::quotient::quotient;

/// The most digits a decimal may have here. MySQL has up to 65.
pub(super) const MAX_DIGITS: u8 = 38;
/// The most digits after the point; a product with more would be cut by MySQL.
pub(super) const MAX_SCALE: u8 = 30;

/// A number that is not NULL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int(i64),
    UInt(u64),
    Decimal(Decimal),
    Double(f64),
}

/// An exact number: `units` divided by ten to the power of `scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    units: i128,
    scale: u8,
}

/// How an operator computes, which follows from the types of its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberKind {
    Int { unsigned: bool },
    Exact { scale: u8 },
    Double,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    IntegerDivide,
    Modulo,
}

impl Decimal {
    pub(super) const fn new(units: i128, scale: u8) -> Self {
        Self { units, scale }
    }

    /// Reads digits with an optional sign and point; `None` if it is anything else, or has more digits than fit.
    #[inline]
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (negative, digits) = match bytes.split_first() {
            Some((b'-', rest)) => (true, rest),
            _ => (false, bytes),
        };
        let (mut units, mut scale, mut point, mut any) = (0_u128, 0_u8, false, false);
        // 19 digits fit into 64 bits, where multiplying is much faster.
        let mut short = 0_u64;
        let is_short = digits.len() <= 19;
        for &byte in digits {
            match byte {
                b'0'..=b'9' => {
                    let digit = byte - b'0';
                    if is_short {
                        short = short * 10 + u64::from(digit);
                    } else {
                        units = units.checked_mul(10)?.checked_add(digit.into())?;
                    }
                    scale += u8::from(point);
                    any = true;
                }
                b'.' if !point => point = true,
                _ => return None,
            }
        }
        let units = i128::try_from(if is_short { short.into() } else { units }).ok()?;
        (any && scale <= MAX_SCALE).then_some(Self { units: if negative { -units } else { units }, scale })
    }

    fn power(scale: u8) -> i128 {
        10_i128.pow(scale.min(MAX_DIGITS).into())
    }

    /// The units at a scale that is not smaller.
    fn at(self, scale: u8) -> Option<i128> {
        self.units.checked_mul(Self::power(scale.checked_sub(self.scale)?))
    }

    fn compare(self, other: Self) -> Ordering {
        if self.scale == other.scale {
            return self.units.cmp(&other.units);
        }
        let scale = self.scale.max(other.scale);
        if let (Some(a), Some(b)) = (self.at(scale), other.at(scale)) {
            return a.cmp(&b);
        }
        // Whole parts and fractions are compared apart, because the units do not fit at the greater scale.
        let part = |number: Self| {
            let power = Self::power(number.scale);
            (number.units / power, number.units % power * Self::power(scale - number.scale))
        };
        part(self).cmp(&part(other))
    }

    #[allow(clippy::cast_precision_loss)]
    fn to_double(self) -> f64 {
        if let Some(double) = quotient(self.units, self.scale) {
            return double;
        }
        // Through the text, so that the result is the nearest double.
        self.to_text().parse().unwrap_or(f64::NAN)
    }

    fn to_text(self) -> String {
        let sign = if self.units < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.units.unsigned_abs(), width = usize::from(self.scale) + 1);
        let (whole, fraction) = digits.split_at(digits.len() - usize::from(self.scale));
        format!("{sign}{whole}.{fraction}")
    }

    /// Rounded to `digits` digits after the point, halves away from zero.
    pub(super) fn round(self, digits: u8) -> Self {
        let Some(cut) = self.scale.checked_sub(digits).filter(|cut| *cut > 0) else { return self };
        let power = Self::power(cut);
        let (quotient, rest) = (self.units / power, self.units % power);
        let up = i128::from(rest.unsigned_abs() * 2 >= power.unsigned_abs()) * self.units.signum();
        Self { units: quotient + up, scale: digits }
    }

    pub(super) fn floor(self) -> Self {
        Self { units: self.units.div_euclid(Self::power(self.scale)), scale: 0 }
    }

    pub(super) fn ceiling(self) -> Self {
        Self { units: -(-self.units).div_euclid(Self::power(self.scale)), scale: 0 }
    }

    pub(super) fn negate(self) -> Self {
        Self { units: -self.units, scale: self.scale }
    }

    pub(super) fn is_negative(self) -> bool {
        self.units < 0
    }
}

impl Number {
    /// A literal without exponent.
    pub(super) fn literal(text: &str) -> Option<Self> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            if let Ok(number) = text.parse() {
                return Some(Self::Int(number));
            }
            if let Ok(number) = text.parse() {
                return Some(Self::UInt(number));
            }
        }
        Decimal::parse(text).map(Self::Decimal)
    }

    pub(super) fn kind(self) -> NumberKind {
        match self {
            Self::Int(_) => NumberKind::Int { unsigned: false },
            Self::UInt(_) => NumberKind::Int { unsigned: true },
            Self::Decimal(decimal) => NumberKind::Exact { scale: decimal.scale },
            Self::Double(_) => NumberKind::Double,
        }
    }

    /// The order of two numbers: as doubles if one is a double, else exact.
    #[inline]
    pub(super) fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(&b),
            (Self::UInt(a), Self::UInt(b)) => a.cmp(&b),
            (Self::Double(_), _) | (_, Self::Double(_)) => self.to_double().partial_cmp(&other.to_double()).unwrap_or(Ordering::Equal),
            (a, b) => a.to_decimal().compare(b.to_decimal()),
        }
    }

    pub(super) fn is_zero(self) -> bool {
        match self {
            Self::Int(number) => number == 0,
            Self::UInt(number) => number == 0,
            Self::Decimal(number) => number.units == 0,
            Self::Double(number) => number == 0.0,
        }
    }

    #[allow(clippy::cast_precision_loss)]
    pub(super) fn to_double(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::UInt(number) => number as f64,
            Self::Decimal(number) => number.to_double(),
            Self::Double(number) => number,
        }
    }

    /// Doubles have no exact value here; where they may come, they are compared as doubles.
    pub(super) fn to_decimal(self) -> Decimal {
        match self {
            Self::Int(number) => Decimal::new(number.into(), 0),
            Self::UInt(number) => Decimal::new(number.into(), 0),
            Self::Decimal(number) => number,
            Self::Double(_) => Decimal::new(0, 0),
        }
    }

    /// The whole number that it is, if it is one and not a double.
    pub(super) fn to_whole(self) -> Option<i128> {
        match self {
            Self::Int(number) => Some(number.into()),
            Self::UInt(number) => Some(number.into()),
            Self::Decimal(number) if number.scale == 0 => Some(number.units),
            _ => None,
        }
    }

    pub(super) fn negate(self) -> Result<Self, Failure> {
        Ok(match self {
            Self::Int(number) => Self::Int(number.checked_neg().ok_or(Failure::Overflow)?),
            Self::UInt(number) => Self::Int(i64::try_from(-i128::from(number)).map_err(|_| Failure::Overflow)?),
            Self::Decimal(number) => Self::Decimal(number.negate()),
            Self::Double(number) => Self::Double(-number),
        })
    }
}

impl Arithmetic {
    /// The result for operands of these kinds; `None` is NULL, for a division by zero.
    pub(super) fn apply(self, kind: NumberKind, left: Number, right: Number) -> Result<Option<Number>, Failure> {
        match kind {
            NumberKind::Int { unsigned } => self.whole(unsigned, left, right),
            NumberKind::Exact { .. } => self.exact(left.to_decimal(), right.to_decimal()),
            NumberKind::Double => self.double(left.to_double(), right.to_double()),
        }
    }

    fn whole(self, unsigned: bool, left: Number, right: Number) -> Result<Option<Number>, Failure> {
        let (Some(left), Some(right)) = (left.to_whole(), right.to_whole()) else { return Err(Failure::Overflow) };
        let result = match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left.checked_mul(right).ok_or(Failure::Overflow)?,
            Self::Divide | Self::IntegerDivide | Self::Modulo if right == 0 => return Ok(None),
            Self::Divide | Self::IntegerDivide => left / right,
            Self::Modulo => left % right,
        };
        let fits = if unsigned { u64::try_from(result).map(Number::UInt) } else { i64::try_from(result).map(Number::Int) };
        fits.map(Some).map_err(|_| Failure::Overflow)
    }

    fn exact(self, left: Decimal, right: Decimal) -> Result<Option<Number>, Failure> {
        let scale = left.scale.max(right.scale);
        let same = || left.at(scale).zip(right.at(scale)).ok_or(Failure::TooManyDigits);
        let divides = matches!(self, Self::Divide | Self::IntegerDivide | Self::Modulo);
        if divides && right.units == 0 {
            return Ok(None);
        }
        let (units, scale) = match self {
            Self::Add => (same()?.0.checked_add(same()?.1), scale),
            Self::Subtract => (same()?.0.checked_sub(same()?.1), scale),
            Self::Multiply => (left.units.checked_mul(right.units), left.scale + right.scale),
            // Only by divisors for which four more digits are enough (`compile::arithmetic`).
            Self::Divide => (left.at(left.scale + 4).map(|units| units / right.units), left.scale + 4),
            Self::IntegerDivide => {
                let whole = same()?.0 / same()?.1;
                return i64::try_from(whole).map(|whole| Some(Number::Int(whole))).map_err(|_| Failure::Overflow);
            }
            Self::Modulo => (Some(same()?.0 % same()?.1), scale),
        };
        let units = units.filter(|units| units.unsigned_abs() < 10_u128.pow(MAX_DIGITS.into())).ok_or(Failure::TooManyDigits)?;
        Ok(Some(Number::Decimal(Decimal { units, scale })))
    }

    fn double(self, left: f64, right: f64) -> Result<Option<Number>, Failure> {
        let result = match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide | Self::IntegerDivide | Self::Modulo if right == 0.0 => return Ok(None),
            Self::Divide => left / right,
            Self::Modulo => left % right,
            Self::IntegerDivide => return Err(Failure::Overflow),
        };
        if result.is_finite() { Ok(Some(Number::Double(result))) } else { Err(Failure::Overflow) }
    }
}

/// The number at the beginning of a text, as MySQL reads it where a number is needed; 0 if there is none.
pub(super) fn leading_number(text: &[u8]) -> f64 {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | 0x0B | 0x0C | b'\r');
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let text = text.get(start..).unwrap_or(&[]);
    let digits = |from: usize| text.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let whole = digits(sign);
    let mut end = sign + whole;
    let mut fraction = 0;
    if text.get(end) == Some(&b'.') {
        fraction = digits(end + 1);
        end += 1 + fraction;
    }
    if whole + fraction == 0 {
        return 0.0;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'-' | b'+')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    let number: f64 = text.get(..end).and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| text.parse().ok()).unwrap_or(0.0);
    number.clamp(f64::MIN, f64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_at_the_beginning_of_texts() {
        for (text, number) in [
            ("12abc", 12.0),
            (" -1.5e2x", -150.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e", 1.0),
            ("", 0.0),
            ("-", 0.0),
            (".", 0.0),
            ("1e999", f64::MAX),
        ] {
            assert_eq!(leading_number(text.as_bytes()), number, "{text}");
        }
    }

    #[test]
    fn overflow_is_an_error_and_division_by_zero_is_null() {
        let int = NumberKind::Int { unsigned: false };
        let unsigned = NumberKind::Int { unsigned: true };
        assert_eq!(Arithmetic::Add.apply(int, Number::Int(i64::MAX), Number::Int(1)), Err(Failure::Overflow));
        assert_eq!(Arithmetic::Subtract.apply(unsigned, Number::UInt(1), Number::Int(2)), Err(Failure::Overflow));
        assert_eq!(Arithmetic::Modulo.apply(int, Number::Int(-7), Number::Int(3)), Ok(Some(Number::Int(-1))));
        assert_eq!(Arithmetic::IntegerDivide.apply(int, Number::Int(7), Number::Int(0)), Ok(None));
        assert_eq!(Arithmetic::Divide.apply(NumberKind::Double, Number::Double(1.0), Number::Int(0)), Ok(None));
    }

    #[test]
    fn decimals_are_rounded_away_from_zero() {
        let decimal = |text| Decimal::parse(text).unwrap();
        for (text, rounded) in [("2.5", "3"), ("-2.5", "-3"), ("2.4", "2"), ("-0.49", "0")] {
            assert_eq!(decimal(text).round(0), decimal(rounded), "{text}");
        }
        assert_eq!((decimal("-1.5").floor(), decimal("-1.5").ceiling()), (decimal("-2"), decimal("-1")));
    }

    proptest! {
        #[test]
        fn decimals_compare_like_their_values(a in -10_000_i128..10_000, s in 0_u8..4, b in -10_000_i128..10_000, t in 0_u8..4) {
            let expected = (a * 10_i128.pow(t.into())).cmp(&(b * 10_i128.pow(s.into())));
            prop_assert_eq!(Decimal::new(a, s).compare(Decimal::new(b, t)), expected);
        }
    }
}
