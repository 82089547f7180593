//! Reads the labels of ENUM and SET. A label is a string, or bytes in the character set of its column (`x'c3a9'`, `0x61`, `b'1100001'`).

use runtime::Charset;

use crate::schema::ReadError;
use crate::schema::cursor::Cursor;
use crate::schema::lexer::Token;

/// A label as it is written, before the column's character set is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Text(String),
    Bytes(Vec<u8>),
}

/// Takes the next label. If the next token is not a label, it takes nothing and returns `None`.
pub(super) fn take_label(cursor: &mut Cursor<'_>) -> Option<Label> {
    if let Some(text) = cursor.take_text() {
        return Some(Label::Text(text.into_owned()));
    }
    let word = cursor.word_at(0)?.to_ascii_lowercase();
    let quoted = matches!(word.as_str(), "x" | "b");
    let digits = match cursor.peek_at(1) {
        Some(Token::Text(text)) if quoted => text.value().into_owned(),
        _ => word.strip_prefix("0x").or_else(|| word.strip_prefix("0b"))?.to_owned(),
    };
    let hex = word.contains('x');
    let bytes = if hex { to_bytes(&digits, 16, 2)? } else { to_bytes(&digits, 2, 8)? };
    cursor.advance();
    if quoted {
        cursor.advance();
    }
    Some(Label::Bytes(bytes))
}

/// Converts digits to bytes, with `per_byte` digits for each byte; the first byte may have fewer digits.
fn to_bytes(digits: &str, radix: u32, per_byte: usize) -> Option<Vec<u8>> {
    let digits: Vec<u32> = digits.chars().map(|digit| digit.to_digit(radix)).collect::<Option<_>>()?;
    let byte = |digits: &[u32]| u8::try_from(digits.iter().fold(0, |value, digit| value * radix + digit)).ok();
    let (first, rest) = digits.split_at(digits.len() % per_byte);
    (!first.is_empty()).then_some(first).into_iter().chain(rest.chunks(per_byte)).map(byte).collect()
}

/// Converts the labels to Unicode. Trailing blanks are dropped, as the server does, except in the character set `binary`.
pub(super) fn resolve_labels(labels: &[Label], charset: Option<&str>) -> Result<Vec<String>, ReadError> {
    let binary = charset == Some("binary");
    let set = if binary { Some(Charset::UTF8) } else { charset.and_then(Charset::from_name) };
    let resolve = |label: &Label| {
        let text = match label {
            Label::Text(text) => text.clone(),
            Label::Bytes(bytes) => match set.and_then(|set| set.decode(bytes)) {
                Some(text) => text.into_owned(),
                None => {
                    return Err(ReadError::new(format!(
                        "a label is not valid in the character set {}",
                        charset.unwrap_or("of its database")
                    )));
                }
            },
        };
        Ok(if binary { text } else { text.trim_end_matches(' ').to_owned() })
    };
    labels.iter().map(resolve).collect()
}

/// The labels after `CONVERT TO CHARACTER SET to`. The server keeps their bytes and reads them in the new character set, so that `é` in utf8mb4
/// becomes `Ã©` in latin1. `None` if the bytes in `from` are not known, or are not valid in `to`: versions differ in what they make of such
/// bytes.
pub(super) fn converted_labels(labels: &[String], from: &str, to: &str) -> Option<Vec<String>> {
    // Character sets that are not known here hold ASCII as it is.
    let read_in = |bytes: &[u8], charset: &str| match Charset::from_name(charset) {
        Some(known) => known.decode(bytes).map(|text| text.into_owned()),
        None if charset.eq_ignore_ascii_case("binary") => Charset::UTF8.decode(bytes).map(|text| text.into_owned()),
        None => std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii()).map(str::to_owned),
    };
    let is_narrow = ["utf8", "utf8mb3"].iter().any(|narrow| to.eq_ignore_ascii_case(narrow));
    let convert = |label: &String| {
        if from.eq_ignore_ascii_case(to) {
            return Some(label.clone());
        }
        let bytes = label.as_bytes();
        read_in(bytes, from).filter(|text| text == label)?;
        read_in(bytes, to).filter(|text| !(is_narrow && text.chars().any(|c| c > '\u{ffff}')))
    };
    labels.iter().map(convert).collect()
}

/// Lists the labels, quoted as in `SHOW CREATE TABLE`.
pub(crate) fn quote_labels(labels: &[String]) -> String {
    let mut text = String::new();
    for label in labels {
        if !text.is_empty() {
            text.push(',');
        }
        text.push('\'');
        for c in label.chars() {
            match c {
                '\'' => text.push_str("''"),
                '\\' => text.push_str("\\\\"),
                '\0' => text.push_str("\\0"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                other => text.push(other),
            }
        }
        text.push('\'');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What MySQL 5.7, 8.0 and 9.7 and MariaDB 10.11 make of the labels.
    #[test]
    fn converted_labels_keep_their_bytes() {
        for (labels, from, to, expected) in [
            (&["男", "女"][..], "utf8", "utf8mb4", Some(&["男", "女"][..])),
            (&["男"], "utf8mb4", "utf8mb3", Some(&["男"])),
            (&["é", "a"], "utf8mb4", "latin1", Some(&["Ã©", "a"])),
            (&["男"], "utf8mb4", "latin1", Some(&["ç”·"])),
            (&["éé"], "utf8mb4", "cp1251", Some(&["Г©Г©"])),
            (&["é", "bc"], "utf8mb4", "utf16", Some(&["쎩", "扣"])),
            (&["defg"], "latin1", "utf16", Some(&["摥晧"])),
            (&["男"], "utf8mb4", "binary", Some(&["男"])),
            (&["[]"], "latin1", "swe7", Some(&["ÄÅ"])),
            (&["é"], "latin1", "latin1", Some(&["é"])),
            (&["a"], "latin1", "utf8mb4", Some(&["a"])),
            (&["a"], "big5", "no_such", Some(&["a"])),
            // These differ between the servers, or are an error.
            (&["é"], "latin1", "utf8mb4", None),
            (&["男"], "gbk", "utf8", None),
            (&["男"], "utf8mb4", "gbk", None),
            (&["a"], "utf8mb4", "utf16", None),
            (&["a"], "utf16", "utf8mb4", None),
            (&["a"], "ucs2", "binary", None),
            (&["é"], "latin1", "binary", None),
            (&["😀"], "utf8mb4", "utf8", None),
            (&["男"], "utf8mb4", "no_such", None),
        ] {
            let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
            let converted = converted_labels(&labels, from, to);
            assert_eq!(
                converted,
                expected.map(|labels| labels.iter().map(|&label| label.to_owned()).collect()),
                "{labels:?}, {from}, {to}"
            );
        }
    }
}
