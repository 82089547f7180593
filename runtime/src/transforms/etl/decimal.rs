//! Exact numbers of up to 38 digits.

use std::cmp::Ordering;

use crate::transforms::quotient::quotient;

/// The most digits behind the point, as in MySQL.
pub(super) const MAX_SCALE: u8 = 30;

/// An exact number: `units` divided by 10 to the power of `scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) units: i128,
    pub(super) scale: u8,
}

impl Decimal {
    /// Reads `[-]digits[.digits]`; `None` if it is nothing of this form or has too many digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mut units, mut scale, mut seen, mut behind) = (0i128, 0u8, false, false);
        for byte in digits.bytes() {
            match byte {
                b'0'..=b'9' => {
                    units = units.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
                    seen = true;
                    if behind {
                        scale = scale.checked_add(1).filter(|scale| *scale <= MAX_SCALE)?;
                    }
                }
                b'.' if !behind => behind = true,
                _ => return None,
            }
        }
        seen.then_some(Self { units: if negative { -units } else { units }, scale })
    }

    /// The decimal that the shortest text of a float shows; `None` if it has too many digits. It is rounded to [`MAX_SCALE`] digits.
    pub(super) fn from_float(number: f64) -> Option<Self> {
        let text = number.to_string();
        let end = text.find('.').map_or(text.len(), |point| text.len().min(point + 1 + usize::from(MAX_SCALE)));
        // What is cut off is less than one unit of the 30th digit.
        Self::parse(text.get(..end)?)
    }

    pub(super) fn to_float(self) -> f64 {
        if let Some(float) = quotient(self.units, self.scale) {
            return float;
        }
        let mut text = String::new();
        self.write(&mut text);
        // A text of digits is a number.
        text.parse().unwrap_or(f64::NAN)
    }

    /// The same number with `scale` digits behind the point, rounded half away from zero as MySQL rounds; `None` if it has too many digits.
    pub(super) fn rescale(self, scale: u8) -> Option<Self> {
        let units = match scale.cmp(&self.scale) {
            Ordering::Equal => self.units,
            Ordering::Greater => self.units.checked_mul(10i128.checked_pow(u32::from(scale - self.scale))?)?,
            Ordering::Less => {
                let divisor = 10i128.checked_pow(u32::from(self.scale - scale))?;
                let (quotient, rest) = (self.units / divisor, self.units % divisor);
                if rest.abs() >= divisor / 2 { quotient + self.units.signum() } else { quotient }
            }
        };
        Some(Self { units, scale })
    }

    fn aligned(self, other: Self) -> Option<(i128, i128, u8)> {
        let scale = self.scale.max(other.scale);
        Some((self.rescale(scale)?.units, other.rescale(scale)?.units, scale))
    }

    pub(super) fn add(self, other: Self) -> Option<Self> {
        let (a, b, scale) = self.aligned(other)?;
        Some(Self { units: a.checked_add(b)?, scale })
    }

    pub(super) fn sub(self, other: Self) -> Option<Self> {
        let (a, b, scale) = self.aligned(other)?;
        Some(Self { units: a.checked_sub(b)?, scale })
    }

    pub(super) fn mul(self, other: Self) -> Option<Self> {
        let product = Self { units: self.units.checked_mul(other.units)?, scale: self.scale + other.scale };
        if product.scale > MAX_SCALE { product.rescale(MAX_SCALE) } else { Some(product) }
    }

    /// The remainder, with the sign of `self`; `None` by zero.
    pub(super) fn rem(self, other: Self) -> Option<Self> {
        let (a, b, scale) = self.aligned(other)?;
        Some(Self { units: a.checked_rem(b)?, scale })
    }

    /// Compares exactly.
    pub(super) fn compare(self, other: Self) -> Ordering {
        if let Some((a, b, _)) = self.aligned(other) {
            return a.cmp(&b);
        }
        let whole = |number: Self| number.units.div_euclid(10i128.pow(u32::from(number.scale)));
        whole(self).cmp(&whole(other)).then_with(|| {
            // The parts behind the point are less than 10^30 and fit at any scale.
            let rest = |number: Self| {
                number.units.rem_euclid(10i128.pow(u32::from(number.scale))) * 10i128.pow(u32::from(MAX_SCALE - number.scale))
            };
            rest(self).cmp(&rest(other))
        })
    }

    /// Appends all digits: as many behind the point as the scale says.
    pub(super) fn write(self, out: &mut String) {
        if self.units < 0 {
            out.push('-');
        }
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(self.units.unsigned_abs());
        let scale = usize::from(self.scale);
        let point = digits.len().saturating_sub(scale);
        let (whole, fraction) = digits.split_at(point);
        out.push_str(if whole.is_empty() { "0" } else { whole });
        if scale > 0 {
            out.push('.');
            out.extend(std::iter::repeat_n('0', scale - fraction.len()));
            out.push_str(fraction);
        }
    }
}
