//! The few forms of Avro's binary encoding that a DTS record needs.

/// Appends a `long`, an `int`, a length, a branch or an enum index: zig-zag, seven bits a byte, low bits first.
#[inline]
pub(super) fn write_long(out: &mut Vec<u8>, value: i64) {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    if zigzag < 0x80 { out.push(zigzag as u8) } else { write_long_way(out, zigzag) }
}

fn write_long_way(out: &mut Vec<u8>, zigzag: u64) {
    let bits = 64 - (zigzag | 1).leading_zeros();
    let length = bits.div_ceil(7);
    let Some(above) = 8u32.checked_sub(length) else { return write_longest(out, zigzag) };
    // Eight groups of seven bits, each at the low end of a byte: halves, quarters and eighths are moved apart.
    let spread = (zigzag & 0x0fff_ffff) | (zigzag & 0x00ff_ffff_f000_0000) << 4;
    let spread = (spread & 0x0000_3fff_0000_3fff) | (spread & 0x0fff_c000_0fff_c000) << 2;
    let spread = (spread & 0x007f_007f_007f_007f) | (spread & 0x3f80_3f80_3f80_3f80) << 1;
    // All bytes but the last of the number say that another follows.
    let more = 0x0080_8080_8080_8080 >> (8 * above);
    // A copy of fixed size and a shorter length beat a copy of a size that the compiler does not know.
    out.extend_from_slice(&(spread | more).to_le_bytes());
    out.truncate(out.len() - above as usize);
}

/// Nine or ten bytes: numbers of more than 56 bits.
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

/// Appends `bytes`: their length and themselves.
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

/// Appends the head of an array's or map's only block. What follows are the items and a 0; without items the 0 is all.
pub(super) fn begin_block(out: &mut Vec<u8>, items: usize) {
    if items > 0 {
        write_length(out, items);
    }
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
