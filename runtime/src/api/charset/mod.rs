//! Character sets: text cells keep the bytes of their column's character set until a format needs Unicode.
//!
//! Every character set of MySQL and MariaDB is here, read exactly as the servers convert it. What the Encoding Standard has is left to
//! `encoding_rs`, with MySQL's differences; the rest are small tables.

mod differences;
mod multi_byte;
mod single_byte;
mod wide;

use std::borrow::Cow;

use multi_byte::MultiByte;
use single_byte::SingleByte;
use wide::Wide;

/// A character set that text cells can be read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charset(Form);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Utf8,
    /// Bytes from 0x80 are invalid.
    Ascii,
    SingleByte(&'static SingleByte),
    MultiByte(&'static MultiByte),
    Wide(Wide),
}

impl Charset {
    /// `utf8mb4`, of which `utf8mb3` is a part.
    pub const UTF8: Self = Self(Form::Utf8);

    /// The character set that MySQL calls `name`; `None` if there is none of that name. `binary` is none: its cells are bytes, not text.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        Some(Self(match name.as_str() {
            "utf8mb4" | "utf8mb3" | "utf8" => Form::Utf8,
            "ascii" => Form::Ascii,
            "ucs2" => Form::Wide(Wide::Ucs2),
            "utf16" => Form::Wide(Wide::Utf16),
            "utf16le" => Form::Wide(Wide::Utf16le),
            "utf32" => Form::Wide(Wide::Utf32),
            name => match SingleByte::find(name) {
                Some(set) => Form::SingleByte(set),
                None => Form::MultiByte(MultiByte::find(name)?),
            },
        }))
    }

    /// The text in Unicode; `None` if the bytes are not valid in this character set. Nothing is ever replaced.
    pub fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        let is_ascii = match self.0 {
            Form::Utf8 => return std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Form::Ascii | Form::MultiByte(_) => bytes.is_ascii(),
            Form::SingleByte(set) => set.holds_ascii() && bytes.is_ascii(),
            Form::Wide(_) => false,
        };
        if is_ascii {
            // The common case, and the same bytes in Unicode.
            return std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
        }
        let text = match self.0 {
            Form::Utf8 | Form::Ascii => None,
            Form::SingleByte(set) => set.decode(bytes),
            Form::MultiByte(set) => set.decode(bytes),
            Form::Wide(set) => set.decode(bytes),
        };
        text.map(Cow::Owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(name: &str, bytes: &[u8]) -> Option<String> {
        Charset::from_name(name).unwrap().decode(bytes).map(Cow::into_owned)
    }

    #[test]
    fn latin1_is_windows_1252_with_c1_controls() {
        assert_eq!(decode("latin1", b"caf\xe9 \x80 \x81").as_deref(), Some("café € \u{81}"));
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode("latin1", &all).map(|text| text.chars().count()), Some(256));
    }

    #[test]
    fn texts_of_many_character_sets() {
        for (name, bytes, text) in [
            ("GBK", &b"a\xd6\xd0\xce\xc4"[..], "a中文"),
            ("gb18030", b"\x81\x30\x81\x30\x94\x39\xfc\x36", "\u{80}😀"),
            ("big5", b"\xa4\xa4\xa1\x45", "中•"),
            ("sjis", b"\x81\x5f\xb1\x93\xfa", "\\ｱ日"),
            ("cp932", b"\x81\x5f\x87\x40", "＼①"),
            ("euckr", b"\xb0\xa1", "가"),
            ("ujis", b"\xc6\xfc\x8e\xb1\x8f\xb0\xa1\xf5\xa1", "日ｱ丂\u{e000}"),
            ("koi8r", b"\xf4\xc5\xd3\xd4", "Тест"),
            ("cp1251", b"\xd2\xe5\xf1\xf2", "Тест"),
            ("swe7", b"\x40}", "Éå"),
            ("utf16", b"\x00a\xd8\x3d\xde\x00", "a😀"),
            ("utf16le", b"a\x00\x3d\xd8\x00\xde", "a😀"),
            ("utf32", b"\x00\x01\xf6\x00", "😀"),
            ("ucs2", b"\x4e\x2d", "中"),
        ] {
            assert_eq!(decode(name, bytes).as_deref(), Some(text), "{name}");
        }
    }

    #[test]
    fn invalid_bytes_are_none_and_never_replaced() {
        for (name, bytes) in [
            ("utf8mb4", &b"\xff"[..]),
            ("ascii", b"\xc3\xa9"),
            ("gbk", b"\xd6"),
            ("gbk", b"\x80"),
            ("gbk", b"a\xaa\xa1"),
            ("big5", b"\x87\x40"),
            ("sjis", b"\x80"),
            ("hebrew", b"\xbf"),
            ("swe7", b"\x7f"),
            ("ucs2", b"\xd8\x3d\xde\x00"),
            ("ucs2", b"\x00"),
            ("utf16", b"\xd8\x3d"),
            ("utf32", b"\x00\x11\x00\x00"),
        ] {
            assert_eq!(decode(name, bytes), None, "{name} {bytes:x?}");
        }
        assert_eq!(Charset::from_name("binary"), None);
        assert_eq!(Charset::from_name("klingon"), None);
    }
}
