//! Collations: how the texts of a column are compared, in the bytes of the column's character set.

mod weights;

use std::cmp::Ordering;
use std::sync::OnceLock;

use weights::{Element, Weights};

use super::failure::Failure;
use crate::charset::Charset;

/// The first character of a text, and the rest.
type Parts<'a> = (&'a [u8], &'a [u8]);

/// A collation that conditions can be evaluated in.
#[derive(Clone, Copy)]
pub(super) struct Collator {
    rule: Rule,
    form: Form,
    charset: Option<Charset>,
    /// Whether the shorter text is compared as if it ended in spaces.
    pads: bool,
}

#[derive(Clone, Copy)]
enum Rule {
    Bytes,
    /// A weight for each byte.
    Table(&'static [u8; 256]),
    /// Weights for each character.
    Weights(&'static Weights),
}

/// How bytes are cut into characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Single,
    Utf8,
    Gbk,
}

impl PartialEq for Collator {
    fn eq(&self, other: &Self) -> bool {
        let rule = match (self.rule, other.rule) {
            (Rule::Bytes, Rule::Bytes) => true,
            (Rule::Table(a), Rule::Table(b)) => std::ptr::eq(a, b),
            (Rule::Weights(a), Rule::Weights(b)) => std::ptr::eq(a, b),
            _ => false,
        };
        rule && (self.form, self.charset, self.pads) == (other.form, other.charset, other.pads)
    }
}

impl std::fmt::Debug for Collator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collator").field("charset", &self.charset).field("pads", &self.pads).finish_non_exhaustive()
    }
}

const SINGLE_BYTE: &str = include_str!("single.weights");

/// The tables of the collations of one byte a character: a line for each, with its name and its weights in hexadecimal.
fn tables() -> &'static [(&'static str, [u8; 256])] {
    static TABLES: OnceLock<Vec<(&'static str, [u8; 256])>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let table = |line: &'static str| {
            let (name, digits) = line.split_once(' ')?;
            let mut table = [0; 256];
            for (place, weight) in table.iter_mut().enumerate() {
                *weight = u8::from_str_radix(digits.get(place * 2..place * 2 + 2)?, 16).ok()?;
            }
            Some((name, table))
        };
        SINGLE_BYTE.lines().filter_map(table).collect()
    })
}

macro_rules! weights_of {
    ($file:literal) => {{
        static WEIGHTS: OnceLock<Weights> = OnceLock::new();
        Rule::Weights(WEIGHTS.get_or_init(|| Weights::read(include_bytes!($file))))
    }};
}

impl Collator {
    /// The order of bytes, as binary columns have it.
    pub(super) const BINARY: Self = Self { rule: Rule::Bytes, form: Form::Single, charset: None, pads: false };

    /// The collation of this name; `None` if it is not known here.
    pub(super) fn find(name: &str) -> Option<Self> {
        let (charset, rest) = name.split_once('_').unwrap_or((name, ""));
        if name == "binary" {
            return Some(Self::BINARY);
        }
        let is_utf8 = matches!(charset, "utf8" | "utf8mb4");
        let table = || tables().iter().find(|(known, _)| *known == name).map(|(_, table)| table);
        let is_single = tables().iter().any(|(known, _)| known.split('_').next() == Some(charset));
        let (rule, form) = match rest {
            "bin" if is_utf8 => (Rule::Bytes, Form::Utf8),
            "bin" if charset == "gbk" => (Rule::Bytes, Form::Gbk),
            "bin" if is_single => (Rule::Bytes, Form::Single),
            "general_ci" if is_utf8 => (weights_of!("general.weights"), Form::Utf8),
            "unicode_ci" if is_utf8 => (weights_of!("unicode.weights"), Form::Utf8),
            "0900_ai_ci" if charset == "utf8mb4" => (weights_of!("uca0900.weights"), Form::Utf8),
            "chinese_ci" if charset == "gbk" => (weights_of!("gbk.weights"), Form::Gbk),
            _ => (Rule::Table(table()?), Form::Single),
        };
        Some(Self { rule, form, charset: Charset::from_name(charset), pads: rest != "0900_ai_ci" })
    }

    /// Whether texts that differ in case only may be equal.
    pub(super) fn ignores_case(&self) -> bool {
        !matches!(self.rule, Rule::Bytes)
    }

    /// Whether it compares bytes and nothing else.
    pub(super) fn is_binary(&self) -> bool {
        self.charset.is_none()
    }

    /// The text in the character set of the collation; `None` if that is not possible, or in several ways.
    pub(super) fn encode(&self, text: &str) -> Option<Vec<u8>> {
        let Some(charset) = self.charset else { return Some(text.as_bytes().to_vec()) };
        if charset == Charset::UTF8 {
            return Some(text.as_bytes().to_vec());
        }
        text.chars().try_fold(Vec::new(), |mut bytes, c| {
            bytes.extend(self.encode_char(charset, c)?);
            Some(bytes)
        })
    }

    fn encode_char(&self, charset: Charset, c: char) -> Option<Vec<u8>> {
        let is_it = |bytes: &[u8]| charset.decode(bytes).is_some_and(|text| text.chars().eq([c]));
        if c.is_ascii() && is_it(&[c as u8]) {
            return Some(vec![c as u8]);
        }
        let mut found: Vec<Vec<u8>> = (0x80..=0xFF).map(|byte| vec![byte]).filter(|bytes| is_it(bytes)).collect();
        if self.form == Form::Gbk {
            let pairs = (0x81..=0xFE).flat_map(|first| (0x40..=0xFE).map(move |second| vec![first, second]));
            found.extend(pairs.filter(|bytes| is_it(bytes)));
        }
        if found.len() == 1 { found.pop() } else { None }
    }

    /// The order of two texts. Fails if one has bytes that are no character, or a character that cannot be compared alone.
    #[inline]
    pub(super) fn compare(&self, a: &[u8], b: &[u8]) -> Result<Ordering, Failure> {
        match self.rule {
            Rule::Bytes if self.pads => Ok(padded(a, b, |byte| byte)),
            Rule::Bytes => Ok(a.cmp(b)),
            Rule::Table(table) => Ok(padded(a, b, |byte| table[usize::from(byte)])),
            Rule::Weights(weights) => self.weighted(weights, a, b),
        }
    }

    fn weighted(&self, weights: &'static Weights, a: &[u8], b: &[u8]) -> Result<Ordering, Failure> {
        // As far as both have ASCII characters of one weight, no list is made.
        let mut same = 0;
        for (&x, &y) in a.iter().zip(b) {
            match (weights.ascii(x), weights.ascii(y)) {
                (Some(x), Some(y)) if x == y => same += 1,
                (Some(x), Some(y)) => return Ok(x.cmp(&y)),
                _ => break,
            }
        }
        let mut a = self.stream(weights, a.get(same..).unwrap_or(&[]));
        let mut b = self.stream(weights, b.get(same..).unwrap_or(&[]));
        let space = weights.ascii(b' ').filter(|_| self.pads);
        loop {
            let order = match (a.next()?, b.next()?) {
                (None, None) => return Ok(Ordering::Equal),
                (Some(x), Some(y)) => x.cmp(&y),
                (Some(x), None) => space.map_or(Ordering::Greater, |space| x.cmp(&space)),
                (None, Some(y)) => space.map_or(Ordering::Less, |space| space.cmp(&y)),
            };
            if order.is_ne() {
                return Ok(order);
            }
        }
    }

    fn stream<'a>(&self, weights: &'static Weights, bytes: &'a [u8]) -> Stream<'a> {
        Stream { weights, form: self.form, bytes, element: Element::default(), next: 0 }
    }

    /// The first character and the rest; `None` at the end. Fails at bytes that are no character.
    pub(super) fn split_char<'a>(&self, bytes: &'a [u8]) -> Result<Option<Parts<'a>>, Failure> {
        self.form.split(bytes)
    }

    /// How many characters a text has.
    pub(super) fn length(&self, mut bytes: &[u8]) -> Result<usize, Failure> {
        let mut length = 0;
        while let Some((_, rest)) = self.form.split(bytes)? {
            length += 1;
            bytes = rest;
        }
        Ok(length)
    }

    /// Whether two characters are the same for LIKE.
    pub(super) fn same_char(&self, a: &[u8], b: &[u8]) -> Result<bool, Failure> {
        match (self.rule, a, b) {
            (Rule::Table(table), [a], [b]) => Ok(table[usize::from(*a)] == table[usize::from(*b)]),
            // GBK compares characters of two bytes byte by byte.
            (Rule::Weights(_), a, b) if self.form == Form::Gbk && (a.len() > 1 || b.len() > 1) => Ok(a == b),
            (Rule::Weights(weights), a, b) => {
                let element = |bytes| self.form.code(bytes).and_then(|code| weights.of(code)).ok_or(Failure::Character);
                Ok(a == b || element(a)? == element(b)?)
            }
            (_, a, b) => Ok(a == b),
        }
    }
}

#[inline]
fn padded(a: &[u8], b: &[u8], weight: impl Fn(u8) -> u8) -> Ordering {
    let common = a.len().min(b.len());
    for (&x, &y) in a.iter().zip(b) {
        let order = weight(x).cmp(&weight(y));
        if order.is_ne() {
            return order;
        }
    }
    let space = weight(b' ');
    let rest = |text: &[u8]| text.get(common..).unwrap_or(&[]).iter().map(|byte| weight(*byte).cmp(&space)).find(|order| order.is_ne());
    match (rest(a), rest(b)) {
        (Some(order), _) => order,
        (None, Some(order)) => order.reverse(),
        (None, None) => Ordering::Equal,
    }
}

impl Form {
    fn split(self, bytes: &[u8]) -> Result<Option<Parts<'_>>, Failure> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let length = match (self, first) {
            (Form::Single, _) | (_, 0..=0x7F) => 1,
            (Form::Utf8, 0xC2..=0xDF) | (Form::Gbk, 0x81..=0xFE) => 2,
            (Form::Utf8, 0xE0..=0xEF) => 3,
            (Form::Utf8, 0xF0..=0xF4) => 4,
            _ => return Err(Failure::Encoding),
        };
        let (character, rest) = bytes.split_at_checked(length).ok_or(Failure::Encoding)?;
        if length > 1 && self.code(character).is_none() {
            return Err(Failure::Encoding);
        }
        Ok(Some((character, rest)))
    }

    /// The code of one character.
    fn code(self, character: &[u8]) -> Option<u32> {
        match (self, character) {
            (_, [byte @ 0..=0x7F]) | (Form::Single, [byte]) => Some(u32::from(*byte)),
            (Form::Gbk, [first @ 0x81..=0xFE, second @ (0x40..=0x7E | 0x80..=0xFE)]) => Some(u32::from(*first) << 8 | u32::from(*second)),
            (Form::Utf8, bytes) => std::str::from_utf8(bytes).ok()?.chars().next().map(u32::from),
            _ => None,
        }
    }
}

/// The weights of a text, one after the other.
struct Stream<'a> {
    weights: &'static Weights,
    form: Form,
    bytes: &'a [u8],
    element: Element,
    next: usize,
}

impl Stream<'_> {
    fn next(&mut self) -> Result<Option<u16>, Failure> {
        loop {
            if let Some(weight) = self.element.get(self.next) {
                self.next += 1;
                return Ok(Some(weight));
            }
            let Some((character, rest)) = self.form.split(self.bytes)? else { return Ok(None) };
            self.element = match character {
                [byte] if self.weights.ascii(*byte).is_some() => Element::single(self.weights.ascii(*byte).unwrap_or(0)),
                _ => self.form.code(character).and_then(|code| self.weights.of(code)).ok_or(Failure::Character)?,
            };
            (self.next, self.bytes) = (0, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_as_their_collation_says() {
        use Ordering::{Equal, Greater, Less};
        for (name, a, b, expected) in [
            ("utf8mb4_general_ci", "Straße", "STRASE", Equal),
            ("utf8mb4_general_ci", "a", "A  ", Equal),
            ("utf8mb4_general_ci", "😀", "🚀", Equal),
            ("utf8mb4_unicode_ci", "Straße", "STRASSE", Equal),
            ("utf8mb4_unicode_ci", "a\u{301}", "A", Equal),
            ("utf8mb4_0900_ai_ci", "a", "a ", Less),
            ("utf8mb4_0900_ai_ci", "é", "E", Equal),
            ("utf8mb4_0900_ai_ci", "😀", "🚀", Less),
            ("utf8mb4_bin", "a", "a ", Equal),
            ("utf8mb4_bin", "a", "A", Greater),
            ("binary", "a", "a ", Less),
            ("ascii_general_ci", "a\t", "a", Less),
        ] {
            let collator = Collator::find(name).unwrap();
            assert_eq!(collator.compare(a.as_bytes(), b.as_bytes()), Ok(expected), "{name} {a} {b}");
            assert_eq!(collator.compare(b.as_bytes(), a.as_bytes()), Ok(expected.reverse()), "{name} {b} {a}");
        }
        assert_eq!(Collator::find("utf8mb4_thai_520_w2"), None);
    }

    #[test]
    fn literals_are_written_in_the_character_set() {
        let encode = |name, text| Collator::find(name).unwrap().encode(text);
        assert_eq!(encode("latin1_swedish_ci", "é€"), Some(vec![0xE9, 0x80]));
        assert_eq!(encode("gbk_chinese_ci", "中a"), Some(vec![0xD6, 0xD0, b'a']));
        assert_eq!((encode("latin1_bin", "中"), encode("ascii_general_ci", "é")), (None, None));
    }
}
