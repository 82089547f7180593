//! Writes text inside a JSON string. Only the characters that JSON requires to be escaped are escaped, as Canal does.

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// For each byte the character that follows the backslash in its escape; 0 if the byte needs no escape.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        escapes[byte] = b'u';
        byte += 1;
    }
    escapes[0x08] = b'b';
    escapes[b'\t' as usize] = b't';
    escapes[b'\n' as usize] = b'n';
    escapes[0x0c] = b'f';
    escapes[b'\r' as usize] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes
};

/// Appends `text` without quotes around it.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = rest.split_at(plain_prefix(rest));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = special.split_first() else { return };
        write_escape(out, byte);
        rest = after;
    }
}

/// Appends UTF-8 text without quotes around it; `None` if the bytes are not valid UTF-8.
///
/// Most text is ASCII without escapes; it needs only a single check.
pub(crate) fn write_utf8(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    if is_plain_ascii(bytes) {
        out.extend_from_slice(bytes);
    } else {
        write_text(out, std::str::from_utf8(bytes).ok()?);
    }
    Some(())
}

/// Appends `text` in quotes.
pub(crate) fn write_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_text(out, text);
    out.push(b'"');
}

/// Appends each byte as one character from U+0000 to U+00FF (ISO-8859-1), without quotes around the text.
pub(crate) fn write_latin1(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len());
    for &byte in bytes {
        if byte >= 0x80 {
            out.extend_from_slice(&[0xc0 | byte >> 6, 0x80 | byte & 0x3f]);
        } else if ESCAPES[usize::from(byte)] == 0 {
            out.push(byte);
        } else {
            write_escape(out, byte);
        }
    }
}

/// Appends the escape sequence of a byte that needs one.
fn write_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match ESCAPES[usize::from(byte)] {
        b'u' => out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        letter => out.extend_from_slice(&[b'\\', letter]),
    }
}

/// Whether all bytes are ASCII and none of them needs an escape.
fn is_plain_ascii(bytes: &[u8]) -> bool {
    let is_plain = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        (special_bytes(word) | word) & HIGH == 0
    };
    match bytes.last_chunk::<8>() {
        // The last eight bytes may overlap the words before them; some bytes are then checked twice.
        Some(last) => bytes.as_chunks::<8>().0.iter().all(is_plain) && is_plain(last),
        None => bytes.iter().all(|&byte| byte < 0x80 && ESCAPES[usize::from(byte)] == 0),
    }
}

/// The number of bytes before the first byte that needs an escape.
fn plain_prefix(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let start = bytes.len() - tail.len();
    tail.iter().position(|&byte| ESCAPES[usize::from(byte)] != 0).map_or(bytes.len(), |at| start + at)
}

/// Sets the high bit of each byte of `word` that needs an escape. Only the lowest such bit is reliable: the subtraction may borrow from
/// the bytes above it.
fn special_bytes(word: u64) -> u64 {
    let below = |limit: u64, word: u64| word.wrapping_sub(ONES * limit) & !word;
    let control = below(0x20, word);
    let quote = below(1, word ^ (ONES * b'"' as u64));
    let backslash = below(1, word ^ (ONES * b'\\' as u64));
    (control | quote | backslash) & HIGH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(text: &str) -> String {
        let mut out = Vec::new();
        write_quoted(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_required_escapes_are_written() {
        assert_eq!(quoted("a\"b\\c/\n\t<>&'"), r#""a\"b\\c/\n\t<>&'""#);
        assert_eq!(quoted("x\0y\u{1f}\u{8}\u{c}\r"), r#""x\u0000y\u001f\b\f\r""#);
        for raw in ["\u{7f}\u{80}\u{9f}", "\u{2028}\u{2029}\u{feff}", "😀测试é"] {
            assert_eq!(quoted(raw), format!("\"{raw}\""));
        }
    }

    #[test]
    fn bytes_become_the_characters_of_the_same_number() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut out = vec![b'"'];
        write_latin1(&mut out, &bytes);
        out.push(b'"');
        let text: String = serde_json::from_slice(&out).unwrap();
        assert!(text.chars().map(u32::from).eq(0..=255));
    }

    proptest! {
        #[test]
        fn any_text_reads_back(text in "(\\PC|[\\x00-\\x22\\\\]){0,40}") {
            prop_assert_eq!(serde_json::from_str::<String>(&quoted(&text)).unwrap(), text);
        }
    }
}
