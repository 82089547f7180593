//! The few forms of Avro's binary encoding that a DTS record needs.

/// Appends a `long`, an `int`, a length, a branch or an enum index: zig-zag, seven bits a byte, low bits first.
#[inline]
pub(super) fn write_long(out: &mut Vec<u8>, value: i64) {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    if zigzag < 0x80 { out.push(zigzag as u8) } else { write_long_way(out, zigzag) }
}

fn write_long_way(out: &mut Vec<u8>, mut rest: u64) {
    let mut bytes = [0; 10];
    let mut unused = bytes.len();
    for byte in &mut bytes {
        unused -= 1;
        if rest < 0x80 {
            *byte = rest as u8;
            break;
        }
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    // A copy of fixed size and a shorter length beat a copy of a size that the compiler does not know.
    out.extend_from_slice(&bytes);
    out.truncate(out.len() - unused);
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
