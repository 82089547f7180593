//! Text cells: in which character set they go out, and what becomes of bytes that are no text.

use runtime::{Charset, Column};

use super::cell::branch;
use super::config::{Config, InvalidText, TextCharset};
use super::encoding::{write_bytes, write_string};
use crate::error::{FormatError, Refusal};
use crate::{charset, charset_name};

/// How the text cells of a column are written.
#[derive(Debug)]
pub(super) struct TextForm {
    /// What the bytes must be valid in; `None` if that does not matter.
    charset: Option<Charset>,
    /// The branch and the name of the source's character set, encoded.
    head: Vec<u8>,
    wanted: TextCharset,
    invalid: InvalidText,
    /// Whether ASCII bytes go out as they are, under the name `utf8mb4`: the common case, decided once.
    as_it_is: bool,
}

impl TextForm {
    pub(super) fn of(column: &Column, config: &Config) -> Result<Self, FormatError> {
        let raw = (config.charset, config.invalid_text) == (TextCharset::Source, InvalidText::Keep);
        let mut head = vec![branch::CHARACTER];
        // The example consumers of DTS do not know the name utf8mb3.
        let name = charset_name(column);
        write_string(&mut head, if name.eq_ignore_ascii_case("utf8mb3") { "utf8" } else { name });
        let charset = if raw { None } else { Some(charset(column)?) };
        let as_it_is = charset == Some(Charset::UTF8) && config.charset == TextCharset::Utf8mb4;
        Ok(Self { charset, head, wanted: config.charset, invalid: config.invalid_text, as_it_is })
    }

    /// Appends Character {charset, value}.
    #[inline]
    pub(super) fn write(&self, out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Refusal> {
        // The branch, the length of the name and the name.
        const UTF8_HEAD: &[u8; 9] = b"\x04\x0eutf8mb4";
        if self.as_it_is && bytes.is_ascii() {
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
            (None, _, InvalidText::Fail) => return Err(Refusal::InvalidText),
        }
        Ok(())
    }
}
