//! Character sets: text cells keep the bytes of their column's character set until a format needs Unicode.

use std::borrow::Cow;

/// A character set that text cells can be read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Charset {
    /// `utf8mb4`, `utf8mb3`, `utf8`.
    Utf8,
    /// `ascii`: bytes from 0x80 are invalid.
    Ascii,
    /// MySQL's `latin1`: windows-1252, with 0x81, 0x8D, 0x8F, 0x90 and 0x9D as the C1 controls.
    Latin1,
}

impl Charset {
    /// The character set that MySQL calls `name`; `None` if it is not supported.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "utf8mb4" | "utf8mb3" | "utf8" => Some(Charset::Utf8),
            "ascii" => Some(Charset::Ascii),
            "latin1" => Some(Charset::Latin1),
            _ => None,
        }
    }

    /// The text in Unicode; `None` if the bytes are not valid in this character set.
    pub fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Charset::Utf8 => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Charset::Ascii => bytes.is_ascii().then(|| std::str::from_utf8(bytes).ok().map(Cow::Borrowed))?,
            // ASCII is the common case, and the same bytes in both.
            Charset::Latin1 if bytes.is_ascii() => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Charset::Latin1 => encoding_rs::WINDOWS_1252.decode_without_bom_handling_and_without_replacement(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin1_is_windows_1252_with_c1_controls() {
        assert_eq!(Charset::Latin1.decode(b"caf\xe9 \x80 \x81").as_deref(), Some("café € \u{81}"));
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(Charset::Latin1.decode(&all).map(|text| text.chars().count()), Some(256));
    }

    #[test]
    fn invalid_bytes_are_none_and_never_replaced() {
        assert_eq!(Charset::Utf8.decode(b"\xff"), None);
        assert_eq!(Charset::Ascii.decode(b"\xc3\xa9"), None);
        assert_eq!(Charset::from_name("GBK"), None);
    }
}
