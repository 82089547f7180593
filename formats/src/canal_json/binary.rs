//! Bytes as text that needs no escape.

/// Appends Base64 with the standard alphabet and padding.
pub(super) fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |group: u32, shift: u32| ALPHABET[(group >> shift & 63) as usize];
    out.reserve(bytes.len().div_ceil(3) * 4);
    let (groups, rest) = bytes.as_chunks::<3>();
    for &[a, b, c] in groups {
        let group = u32::from_be_bytes([0, a, b, c]);
        out.extend_from_slice(&[letter(group, 18), letter(group, 12), letter(group, 6), letter(group, 0)]);
    }
    match *rest {
        [a] => {
            let group = u32::from_be_bytes([0, a, 0, 0]);
            out.extend_from_slice(&[letter(group, 18), letter(group, 12), b'=', b'=']);
        }
        [a, b] => {
            let group = u32::from_be_bytes([0, a, b, 0]);
            out.extend_from_slice(&[letter(group, 18), letter(group, 12), letter(group, 6), b'=']);
        }
        _ => {}
    }
}

/// Appends two lower-case digits a byte.
pub(super) fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: fn(&mut Vec<u8>, &[u8]), bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (bytes, base64) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(text(write_base64, bytes.as_bytes()), base64);
        }
        assert_eq!(text(write_base64, &[0xfb, 0xff, 0xfe]), "+//+");
        assert_eq!(text(write_hex, &[0, 0xff, 0x80]), "00ff80");
    }
}
