//! Decodes the text of a statement from its client's character set.

use std::borrow::Cow;

use runtime::{Charset, ColumnKind};

use crate::binlog::event::SessionVariables;
use crate::schema::{Change, Effect, of_collation_number};

/// A statement in Unicode.
pub(in crate::binlog) struct StatementText<'a> {
    /// The text, with U+FFFD for every invalid byte. If there are invalid bytes, the text is used only to find out what the statement does.
    /// It must not be emitted.
    pub(in crate::binlog) text: Cow<'a, str>,
    /// The client's character set if some of the bytes are not valid in it; `None` if all bytes are valid.
    pub(in crate::binlog) not_in: Option<String>,
    /// The text to deliver, if it is another one.
    pub(in crate::binlog) shown: Option<String>,
    /// Whether another stream delivers the statement.
    pub(in crate::binlog) is_elsewhere: bool,
    /// Whether the client's character set is `binary`, and the text is not ASCII. The server then reads names and comments as UTF-8, but
    /// the labels of ENUM and SET columns in the character set of their column.
    bytes: bool,
}

impl<'a> StatementText<'a> {
    pub(in crate::binlog) fn read(bytes: &'a [u8], facts: &SessionVariables) -> Self {
        let number = facts.charset.map(|[client, ..]| client);
        let name = number.map_or(Some("utf8mb4"), of_collation_number);
        let of_bytes = name == Some("binary");
        let charset = if of_bytes { Some(Charset::UTF8) } else { name.and_then(Charset::from_name) };
        let known = match charset {
            Some(charset) => charset.decode(bytes),
            None => Charset::UTF8.decode(bytes).filter(|_| bytes.is_ascii()),
        };
        match known {
            Some(text) => Self { bytes: of_bytes && !text.is_ascii(), ..Self::of_server(text) },
            None => Self {
                not_in: Some(name.map_or_else(|| format!("number {}", number.unwrap_or_default()), str::to_owned)),
                bytes: of_bytes,
                ..Self::of_server(with_marks(bytes, charset))
            },
        }
    }

    /// The text of a statement for what the server did on its own.
    pub(in crate::binlog) fn of_server(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into(), not_in: None, shown: None, is_elsewhere: false, bytes: false }
    }

    /// Whether the labels of ENUM or SET columns may differ from what the text shows; the field `bytes` explains why.
    pub(in crate::binlog) fn hides_labels_of(&self, change: &Change) -> bool {
        self.bytes
            && change.effects.iter().any(|effect| {
                let Effect::Create { definition: Ok(create), .. } = effect else { return false };
                create.schema.columns.iter().any(|column| {
                    let (ColumnKind::Enum { labels } | ColumnKind::Set { labels }) = &column.kind else { return false };
                    let as_shown = column.charset().is_some_and(|charset| charset.starts_with("utf8") || charset == "binary");
                    !as_shown && !labels.iter().all(|label| label.is_ascii())
                })
            })
    }
}

/// Decodes a text, with U+FFFD for every invalid byte.
fn with_marks(bytes: &[u8], charset: Option<Charset>) -> String {
    let Some(charset) = charset.filter(|charset| *charset != Charset::UTF8) else {
        return String::from_utf8_lossy(bytes).into_owned();
    };
    let mut text = String::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        // A character has at most four bytes in every character set.
        let found = (1..=4).find_map(|length| Some((length, charset.decode(bytes.get(at..at + length)?)?)));
        let (length, piece) = found.unwrap_or((1, Cow::Borrowed("\u{fffd}")));
        text.push_str(&piece);
        at += length;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], client: u16) -> (String, Option<String>) {
        let read = StatementText::read(bytes, &SessionVariables { charset: Some([client, 8, 8]), ..SessionVariables::default() });
        (read.text.into_owned(), read.not_in)
    }

    #[test]
    fn invalid_bytes_are_replaced() {
        assert_eq!(read(b"a '\xe9'", 8), ("a 'é'".into(), None));
        assert_eq!(read("a 'é'".as_bytes(), 63), ("a 'é'".into(), None));
        assert_eq!(read(b"a '\xff\xfe' b", 45), ("a '\u{fffd}\u{fffd}' b".into(), Some("utf8mb4".into())));
        // In GBK the second byte of a character may have the value of a backslash.
        assert_eq!(read(b"'\xd5\\\xff' b", 28), ("'誠\u{fffd}' b".into(), Some("gbk".into())));
        assert_eq!(read(b"a", 9_999), ("a".into(), None));
        assert_eq!(read(b"\xe9", 9_999), ("\u{fffd}".into(), Some("number 9999".into())));
    }
}
