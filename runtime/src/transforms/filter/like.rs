//! LIKE and REGEXP.

use std::fmt;

use super::collation::Collator;
use super::failure::Failure;

/// The pattern of a LIKE, cut into its characters.
#[derive(Clone)]
pub(super) struct Pattern {
    collator: Collator,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// This character.
    Is(Vec<u8>),
    /// Any one character.
    One,
    /// Any characters, also none.
    Any,
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.fmt(f)
    }
}

impl Pattern {
    /// A pattern in the character set of `collator`. Fails, with the reason, where servers may differ.
    pub(super) fn new(collator: Collator, pattern: &[u8], escape: u8) -> Result<Self, &'static str> {
        let mut pieces = Vec::new();
        let mut rest = pattern;
        const INVALID: &str = "the pattern is not valid in the character set of the column";
        while let Some((character, after)) = collator.split_char(rest).map_err(|_| INVALID)? {
            rest = after;
            pieces.push(match character {
                [byte] if *byte == escape => {
                    let Some((character, after)) = collator.split_char(rest).map_err(|_| INVALID)? else {
                        return Err("the pattern ends with the escape character");
                    };
                    rest = after;
                    Piece::Is(character.to_vec())
                }
                b"%" if pieces.last() == Some(&Piece::Any) => continue,
                b"%" => Piece::Any,
                b"_" => Piece::One,
                character => Piece::Is(character.to_vec()),
            });
        }
        Ok(Self { collator, pieces })
    }

    /// Whether a text matches. Takes time in proportion to the product of both lengths at most.
    pub(super) fn matches(&self, text: &[u8]) -> Result<bool, Failure> {
        let (mut rest, mut at) = (text, 0);
        // Where to try again: behind the last `%`, one character later.
        let mut retry: Option<(&[u8], usize)> = None;
        loop {
            match self.pieces.get(at) {
                Some(Piece::Any) => {
                    at += 1;
                    if at == self.pieces.len() {
                        return Ok(true);
                    }
                    retry = Some((rest, at));
                    continue;
                }
                None if rest.is_empty() => return Ok(true),
                Some(piece) if !rest.is_empty() => {
                    if let Some((character, after)) = self.collator.split_char(rest)?
                        && self.fits(piece, character)?
                    {
                        (rest, at) = (after, at + 1);
                        continue;
                    }
                }
                _ => {}
            }
            let Some((from, piece)) = retry else { return Ok(false) };
            let Some((_, after)) = self.collator.split_char(from)? else { return Ok(false) };
            retry = Some((after, piece));
            (rest, at) = (after, piece);
        }
    }

    #[inline]
    fn fits(&self, piece: &Piece, character: &[u8]) -> Result<bool, Failure> {
        match piece {
            Piece::Is(expected) => self.collator.same_char(character, expected),
            Piece::One => Ok(true),
            Piece::Any => Ok(false),
        }
    }
}

/// A regular expression out of the part that means the same to Henry Spencer's library (MySQL 5.7), ICU (MySQL 8.0), PCRE (MariaDB) and
/// the crate `regex`; an error says what is not.
///
/// These are letters, digits, spaces and a few signs, `^` and `$` at the ends, groups, `|`, `*`, `+` and `?` behind a character, class or
/// group, and classes of letters and digits.
pub(super) fn regex(pattern: &str, caseless: bool) -> Result<regex::bytes::Regex, String> {
    let bytes = pattern.as_bytes();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b" _-@:,;/=~#%&\"'<>".contains(&byte);
    // Whether the last thing can be repeated; whether the present alternative has anything.
    let (mut repeatable, mut any, mut depth) = (false, false, 0_u32);
    let mut place = 0;
    while let Some(&byte) = bytes.get(place) {
        place += 1;
        match byte {
            _ if is_plain(byte) => (repeatable, any) = (true, true),
            b'^' if place == 1 => repeatable = false,
            b'$' if place == bytes.len() && any => repeatable = false,
            b'*' | b'+' | b'?' if repeatable => repeatable = false,
            b'(' if bytes.get(place) != Some(&b'?') => (repeatable, any, depth) = (false, false, depth + 1),
            b')' if any && depth > 0 => (repeatable, depth) = (true, depth - 1),
            // Beside an anchor, an alternative is easily misread.
            b'|' if any && bytes.first() != Some(&b'^') && bytes.last() != Some(&b'$') => (repeatable, any) = (false, false),
            b'[' => {
                let end = bytes.iter().skip(place).position(|byte| *byte == b']').ok_or("a class is not closed")?;
                let class = bytes.get(place..place + end).unwrap_or(&[]);
                if !is_class(class) {
                    return Err("a class may have letters, digits and ranges of them only".into());
                }
                place += end + 1;
                (repeatable, any) = (true, true);
            }
            _ => return Err(format!("`{}` at this place may mean something else on another server", char::from(byte))),
        }
    }
    if !any || depth > 0 {
        return Err("an empty alternative or an open group may mean something else on another server".into());
    }
    regex::bytes::RegexBuilder::new(pattern)
        .unicode(false)
        .case_insensitive(caseless)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| error.to_string())
}

fn is_class(class: &[u8]) -> bool {
    let mut rest = class;
    while let Some((first, after)) = rest.split_first() {
        rest = match after {
            [b'-', last, behind @ ..] => {
                let same = [u8::is_ascii_digit, u8::is_ascii_lowercase, u8::is_ascii_uppercase];
                if first > last || !same.iter().any(|kind| kind(first) && kind(last)) {
                    return false;
                }
                behind
            }
            _ if first.is_ascii_alphanumeric() => after,
            _ => return false,
        };
    }
    !class.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_characters() {
        for (name, pattern, text, expected) in [
            ("utf8mb4_general_ci", "A%c", "abbc", true),
            ("utf8mb4_general_ci", "_é_", "xEy", true),
            ("utf8mb4_bin", "A%", "abc", false),
            ("utf8mb4_general_ci", "a\\%", "ab", false),
            ("utf8mb4_general_ci", "a\\%", "A%", true),
            ("utf8mb4_general_ci", "a", "a ", false),
            ("latin1_swedish_ci", "%b%b_", "abcbd", true),
            ("binary", "_", "é", false),
            ("utf8mb4_0900_ai_ci", "%", "", true),
        ] {
            let pattern = Pattern::new(Collator::find(name).unwrap(), pattern.as_bytes(), b'\\').unwrap();
            assert_eq!(pattern.matches(text.as_bytes()), Ok(expected), "{name} {pattern:?} {text}");
        }
    }

    #[test]
    fn only_common_expressions_are_taken() {
        for pattern in ["^ab+c$", "a|b", "(ab|cd)*x", "[a-f0-9]+", "order-[0-9][0-9]*"] {
            assert!(regex(pattern, true).is_ok(), "{pattern}");
        }
        for pattern in
            ["", "a.b", "a{2}", r"\d", "[[:alpha:]]", "[^a]", "a**", "(?i)a", "a|", "^a|b", "()", "(a", "é", "a$b", "[a-Z]", "^*a"]
        {
            assert!(regex(pattern, true).is_err(), "{pattern}");
        }
    }
}
