//! DECIMAL: converts the groups of digits in a row to text.

use super::fields::impossible;
use crate::binlog::error::StreamError;
use crate::binlog::event::Reader;

/// The number of bytes that store a group of decimal digits, indexed by the number of digits.
const DIGIT_BYTES: [u8; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/// A validated DECIMAL of a row. [`DecimalBytes::write`] writes it as text.
pub(super) struct DecimalBytes {
    negative: bool,
    /// Groups of up to nine digits, each as its value and its number of digits. A DECIMAL has at most 65 digits, which need at most nine
    /// groups for any scale.
    groups: [(u32, u8); 10],
    used: usize,
    /// The number of groups before the decimal point.
    whole: usize,
}

impl DecimalBytes {
    /// Reads a DECIMAL. It is stored as groups of nine digits, each a big-endian number of four bytes; the first and the last group may be
    /// shorter. The first bit is 1 if the number is not negative. All bits of a negative number are inverted.
    pub(super) fn read(reader: &mut Reader<'_>, precision: u8, scale: u8) -> Result<Self, StreamError> {
        let whole_digits = precision.checked_sub(scale).ok_or_else(|| impossible("a decimal"))?;
        let mut peek = *reader;
        let negative = peek.u8()? & 0x80 == 0;
        let mut number = Self { negative, groups: [(0, 0); 10], used: 0, whole: 0 };
        let mut first = true;
        number.take(reader, whole_digits % 9, &mut first)?;
        for _ in 0..whole_digits / 9 {
            number.take(reader, 9, &mut first)?;
        }
        number.whole = number.used;
        for _ in 0..scale / 9 {
            number.take(reader, 9, &mut first)?;
        }
        number.take(reader, scale % 9, &mut first)?;
        if number.groups.iter().all(|&(value, _)| value == 0) {
            number.negative = false;
        }
        Ok(number)
    }

    fn take(&mut self, reader: &mut Reader<'_>, digits: u8, first: &mut bool) -> Result<(), StreamError> {
        if digits == 0 {
            return Ok(());
        }
        let bytes = reader.take(DIGIT_BYTES.get(usize::from(digits)).copied().unwrap_or(4).into())?;
        let flip = if self.negative { 0xff } else { 0 };
        let mut value = 0;
        for &byte in bytes {
            let sign = if std::mem::take(first) { 0x80 } else { 0 };
            value = value << 8 | u32::from(byte ^ flip ^ sign);
        }
        if value >= 10u32.pow(digits.into()) {
            return Err(impossible("a decimal"));
        }
        let slot = self.groups.get_mut(self.used).ok_or_else(|| impossible("a decimal"))?;
        *slot = (value, digits);
        self.used += 1;
        Ok(())
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        let (whole, part) = self.groups.split_at(self.whole);
        let before = out.len();
        for &(value, digits) in whole {
            if out.len() > before {
                write_digits(out, value, digits);
            } else if value > 0 {
                write_digits(out, value, value.ilog10() as u8 + 1);
            }
        }
        if out.len() == before {
            out.push(b'0');
        }
        let part = part.get(..self.used - self.whole).unwrap_or(&[]);
        if !part.is_empty() {
            out.push(b'.');
        }
        for &(value, digits) in part {
            write_digits(out, value, digits);
        }
    }
}

/// Writes `value` in exactly `digits` digits.
fn write_digits(out: &mut Vec<u8>, value: u32, digits: u8) {
    let start = out.len();
    out.resize(start + usize::from(digits), b'0');
    let mut left = value;
    for slot in out.iter_mut().skip(start).rev() {
        *slot = b'0' + (left % 10) as u8;
        left /= 10;
    }
}
