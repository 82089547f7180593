//! Text cells: in which character set they are written, and what happens to bytes that are not valid in it.

use runtime::{Charset, Column};

use super::config::{Config, InvalidText, TextCharset};
use super::encoding::{branch, write_bytes, write_string};
use crate::error::FormatError;
use crate::row::{CellError, charset, charset_name};

/// How the text cells of a column are encoded.
#[derive(Debug)]
pub(super) struct TextEncoding {
    /// The character set in which the bytes must be valid; `None` if all bytes are accepted.
    charset: Option<Charset>,
    /// The union branch and the name of the column's character set, encoded.
    head: Vec<u8>,
    wanted: TextCharset,
    invalid: InvalidText,
    /// Whether ASCII bytes are written unchanged under the name `utf8mb4`. This is the common case, decided once per column.
    ascii_is_utf8: bool,
}

impl TextEncoding {
    pub(super) fn of(column: &Column, config: &Config) -> Result<Self, FormatError> {
        let keeps_all = (config.charset, config.invalid_text) == (TextCharset::Source, InvalidText::Keep);
        let mut head = vec![branch::CHARACTER];
        // `utf8` and not `utf8mb3`, which the example consumers of DTS do not know.
        write_string(&mut head, charset_name(column));
        let charset = if keeps_all { None } else { Some(charset(column)?) };
        let ascii_is_utf8 = charset == Some(Charset::UTF8) && config.charset == TextCharset::Utf8mb4;
        Ok(Self { charset, head, wanted: config.charset, invalid: config.invalid_text, ascii_is_utf8 })
    }

    /// Appends a Character {charset, value}.
    #[inline]
    pub(super) fn write(&self, out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), CellError> {
        // The encoded union branch, the length of the name `utf8mb4`, and the name.
        const UTF8_HEAD: &[u8; 9] = b"\x04\x0eutf8mb4";
        if self.ascii_is_utf8 && bytes.is_ascii() {
            out.extend_from_slice(UTF8_HEAD);
            write_bytes(out, bytes);
            return Ok(());
        }
        let text = self.charset.and_then(|charset| charset.decode(bytes));
        match (text, self.wanted, self.invalid) {
            (Some(text), TextCharset::Utf8mb4, _) => {
                out.extend_from_slice(UTF8_HEAD);
                write_string(out, &text);
            }
            (Some(_), TextCharset::Source, _) | (None, _, InvalidText::Keep) => {
                out.extend_from_slice(&self.head);
                write_bytes(out, bytes);
            }
            (None, _, InvalidText::Fail) => return Err(CellError::InvalidText),
        }
        Ok(())
    }
}
