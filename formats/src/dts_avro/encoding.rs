//! The parts of Avro's binary encoding that a DTS record needs.

/// Appends a `long`, an `int`, a length, a union branch or an enum index: a zig-zag number with seven bits per byte, low bits first.
#[inline]
pub(super) fn write_long(out: &mut Vec<u8>, value: i64) {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    if zigzag < 0x80 { out.push(zigzag as u8) } else { write_several_bytes(out, zigzag) }
}

fn write_several_bytes(out: &mut Vec<u8>, zigzag: u64) {
    let bits = 64 - (zigzag | 1).leading_zeros();
    let length = bits.div_ceil(7);
    let Some(above) = 8u32.checked_sub(length) else { return write_longest(out, zigzag) };
    // Splits the number into eight groups of seven bits, one per byte: first into halves, then quarters, then eighths.
    let spread = (zigzag & 0x0fff_ffff) | (zigzag & 0x00ff_ffff_f000_0000) << 4;
    let spread = (spread & 0x0000_3fff_0000_3fff) | (spread & 0x0fff_c000_0fff_c000) << 2;
    let spread = (spread & 0x007f_007f_007f_007f) | (spread & 0x3f80_3f80_3f80_3f80) << 1;
    // The high bit of every byte except the last means that another byte follows.
    let more = 0x0080_8080_8080_8080 >> (8 * above);
    // Appending eight bytes and truncating is faster than appending a number of bytes that is unknown to the compiler.
    out.extend_from_slice(&(spread | more).to_le_bytes());
    out.truncate(out.len() - above as usize);
}

/// Appends a number of more than 56 bits: nine or ten bytes.
fn write_longest(out: &mut Vec<u8>, mut rest: u64) {
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends a length or a count.
#[inline]
pub(super) fn write_length(out: &mut Vec<u8>, length: usize) {
    write_long(out, length as i64);
}

/// Appends `bytes` after their length.
#[inline]
pub(super) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends a `string`.
#[inline]
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    write_bytes(out, text.as_bytes());
}

/// Appends the start of an array or map that has a single block. The caller appends the items, then a 0. An array or map without items is
/// only the 0.
pub(super) fn begin_block(out: &mut Vec<u8>, items: usize) {
    if items > 0 {
        write_length(out, items);
    }
}

/// Branches of unions, each as the byte that selects it.
pub(super) mod branch {
    /// The first branch of every union.
    pub(in crate::dts_avro) const NULL: u8 = 0;
    /// The branch of a string, in `objectName`, `fields` and the images.
    pub(in crate::dts_avro) const STRING: u8 = 1 << 1;
    /// The branch of an array, in `fields` and the images.
    pub(in crate::dts_avro) const ARRAY: u8 = 2 << 1;

    // The branches of the values in an image. The schema defines Float before Decimal, but the union lists Decimal first.
    pub(in crate::dts_avro) const INTEGER: u8 = 1 << 1;
    pub(in crate::dts_avro) const CHARACTER: u8 = 2 << 1;
    pub(in crate::dts_avro) const DECIMAL: u8 = 3 << 1;
    pub(in crate::dts_avro) const FLOAT: u8 = 4 << 1;
    pub(in crate::dts_avro) const TIMESTAMP: u8 = 5 << 1;
    pub(in crate::dts_avro) const DATE_TIME: u8 = 6 << 1;
    pub(in crate::dts_avro) const BINARY_GEOMETRY: u8 = 8 << 1;
    pub(in crate::dts_avro) const BINARY_OBJECT: u8 = 10 << 1;
    pub(in crate::dts_avro) const TEXT_OBJECT: u8 = 11 << 1;
}

/// The encoded entries of a map of strings.
#[derive(Clone, Debug, Default)]
pub(super) struct Tags {
    count: usize,
    bytes: Vec<u8>,
}

impl Tags {
    pub(super) fn push(&mut self, name: &str, value: &str) {
        write_string(&mut self.bytes, name);
        write_string(&mut self.bytes, value);
        self.count += 1;
    }

    pub(super) fn push_number(&mut self, name: &str, value: impl itoa::Integer) {
        self.push(name, itoa::Buffer::new().format(value));
    }

    /// Replaces the entries with those of `other`, and reuses the memory.
    pub(super) fn copy_from(&mut self, other: &Tags) {
        self.count = other.count;
        self.bytes.clone_from(&other.bytes);
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.bytes.clear();
    }
}

/// Appends one map that holds the entries of all `parts`.
pub(super) fn write_tags(out: &mut Vec<u8>, parts: &[&Tags]) {
    begin_block(out, parts.iter().map(|tags| tags.count).sum());
    for tags in parts {
        out.extend_from_slice(&tags.bytes);
    }
    out.push(0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_long(bytes: &[u8]) -> i64 {
        let raw = bytes.iter().enumerate().fold(0u64, |sum, (index, byte)| sum | u64::from(byte & 0x7f) << (7 * index));
        (raw >> 1) as i64 ^ -((raw & 1) as i64)
    }

    #[test]
    fn known_longs() {
        for (value, bytes) in [(0, &[0u8][..]), (-1, &[1]), (1, &[2]), (63, &[0x7e]), (64, &[0x80, 1]), (-65, &[0x81, 1])] {
            let mut out = Vec::new();
            write_long(&mut out, value);
            assert_eq!(out, bytes);
        }
    }

    proptest! {
        #[test]
        fn longs_read_back(value: i64, shift in 0u32..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            write_long(&mut out, value);
            prop_assert_eq!(read_long(&out), value);
            prop_assert!(out.iter().rev().skip(1).all(|byte| byte & 0x80 != 0) && out.last().unwrap() & 0x80 == 0);
        }
    }
}
