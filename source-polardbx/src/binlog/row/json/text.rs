//! Prints the strings of a JSON document in the same form as the server.

/// Appends a string in quotes. Only quotes, backslashes and control characters are escaped.
pub(super) fn write_string(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    out.push(b'"');
    while let Some(at) = rest.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        let (plain, escaped) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((&byte, behind)) = escaped.split_first() else { break };
        escape(byte, out);
        rest = behind;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend([HEX[usize::from(byte >> 4 & 15)], HEX[usize::from(byte & 15)]]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_escaped() {
        let mut out = Vec::new();
        write_string("a/b\"\\\u{8}\u{c}\n\r\t\0\u{b}\u{1f}\u{7f}é😀<>&\u{2028}", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "\"a/b\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u000b\\u001f\u{7f}é😀<>&\u{2028}\"");
        let mut out = Vec::new();
        write_string("", &mut out);
        assert_eq!(out, b"\"\"");
    }
}
