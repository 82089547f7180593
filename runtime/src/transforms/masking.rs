//! Ways to mask a value. They are used by the transform `mask` and by functions of scripts.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const HEX: &[u8; 16] = b"0123456789abcdef";
/// How often the halves of a number are mixed. Ten is what the standards for format-preserving encryption take.
const ROUNDS: u8 = 10;

/// Hashes texts by HMAC-SHA-256 with a salt. The same text has the same hash, and who does not know the salt cannot try texts.
#[derive(Clone)]
pub(super) struct Hasher(Hmac<Sha256>);

impl Hasher {
    /// A hasher with this salt; `None` if it is empty.
    pub(super) fn new(salt: &str) -> Option<Self> {
        (!salt.is_empty()).then(|| Hmac::new_from_slice(salt.as_bytes()).ok().map(Self))?
    }

    fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hmac = self.0.clone();
        for part in parts {
            hmac.update(part);
        }
        hmac.finalize().into_bytes().into()
    }

    /// The hash of a text as 64 hexadecimal digits.
    pub(super) fn hex(&self, text: &[u8]) -> [u8; 64] {
        let hash = self.hash(&[text]);
        let mut hex = [0; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(hash) {
            pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        hex
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher(…)")
    }
}

/// Replaces the digits of a text by others. The length, and every character that is no digit, stay. Different texts become different texts:
/// for every number of digits it is a permutation, which only the salt tells.
///
/// This is pseudonymisation, not encryption: numbers of few digits have few pseudonyms, so who may mask values of his own choice finds out
/// all of them.
///
/// The digits are cut into halves, and in turn a hash of the one half is added to the other, digit by digit (a Feistel network). A single
/// digit has a table of its own.
#[derive(Clone, Debug)]
pub(super) struct DigitCipher {
    hasher: Hasher,
    single: [u8; 10],
}

impl DigitCipher {
    /// A cipher with this salt; `None` if it is empty.
    pub(super) fn new(salt: &str) -> Option<Self> {
        let hasher = Hasher::new(salt)?;
        let mut single = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        single.sort_by_key(|digit| hasher.hash(&[b"digit", &[*digit]]));
        Some(Self { hasher, single })
    }

    /// Replaces the digits in `text` until the result is accepted, which the text itself must be: so it stays a permutation of the texts that
    /// are accepted.
    pub(super) fn mask(&self, text: &mut [u8], accept: impl Fn(&[u8]) -> bool) {
        let mut digits: Vec<u8> = text.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0').collect();
        loop {
            self.permute(&mut digits);
            let places = text.iter_mut().filter(|byte| byte.is_ascii_digit());
            places.zip(&digits).for_each(|(place, digit)| *place = b'0' + digit);
            if accept(text) {
                return;
            }
        }
    }

    fn permute(&self, digits: &mut [u8]) {
        if let [digit] = digits {
            *digit = self.single.get(usize::from(*digit)).copied().unwrap_or(*digit);
            return;
        }
        let length = (digits.len() as u64).to_le_bytes();
        let (left, right) = digits.split_at_mut(digits.len() / 2);
        for round in 0..ROUNDS {
            let (target, source): (&mut [u8], &[u8]) = if round % 2 == 0 { (left, right) } else { (right, left) };
            let seed = self.hasher.hash(&[b"number", &[round], &length, source]);
            // A hash has 32 bytes, of which those below 250 give a digit each, all with the same probability.
            let mut stream = (0u64..).flat_map(|block| {
                let more = if block == 0 { seed } else { self.hasher.hash(&[b"more", &block.to_le_bytes(), &seed]) };
                more.into_iter().filter(|byte| *byte < 250).map(|byte| byte % 10)
            });
            for digit in target {
                *digit = (*digit + stream.next().unwrap_or(0)) % 10;
            }
        }
    }
}

/// Replaces the digits of an integer. The sign and the number of digits stay, and the result is in the range, as the integer is.
pub(super) fn mask_integer(cipher: &DigitCipher, number: i128, least: i128, most: i128) -> i128 {
    // Outside of the range, no result would be accepted.
    let (least, most) = (least.min(number), most.max(number));
    let value = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse::<i128>().ok()).unwrap_or(number);
    let mut text = number.to_string().into_bytes();
    let is_long = number.unsigned_abs() > 9;
    cipher.mask(&mut text, |text| {
        // With a zero in front, it would become a shorter number, to which another one is masked. So would -0.
        let is_short = text.iter().find(|byte| byte.is_ascii_digit()) == Some(&b'0') && (is_long || number < 0);
        !is_short && (least..=most).contains(&value(text))
    });
    value(&text)
}

/// What stays of a text whose characters from position `start` to position `end` are masked, both from 0 and masked themselves: what is before
/// them, their number, and what is behind them. A text that ends before `start` is masked as a whole, because nothing of a short value shall
/// show.
pub(super) fn partial(text: &str, start: usize, end: usize) -> (&str, usize, &str) {
    if start >= text.len() || (!text.is_ascii() && text.chars().nth(start).is_none()) {
        return ("", text.chars().count(), "");
    }
    let head = truncate(text, start);
    let rest = text.get(head.len()..).unwrap_or("");
    let masked = truncate(rest, (end - start).saturating_add(1));
    (head, masked.chars().count(), rest.get(masked.len()..).unwrap_or(""))
}

/// The first `count` characters of a text.
pub(super) fn truncate(text: &str, count: usize) -> &str {
    if text.is_ascii() {
        return text.get(..count).unwrap_or(text);
    }
    match text.char_indices().nth(count) {
        Some((end, _)) => text.get(..end).unwrap_or(text),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn masked(cipher: &DigitCipher, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        cipher.mask(&mut bytes, |_| true);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn hashes_are_those_of_the_standard() {
        // RFC 4231, test case 2.
        let hash = Hasher::new("Jefe").unwrap().hex(b"what do ya want for nothing?");
        assert_eq!(&hash, b"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert!(Hasher::new("").is_none() && DigitCipher::new("").is_none(), "an empty salt hides nothing");
        assert_eq!(format!("{:?}", Hasher::new("secret")), "Some(Hasher(…))");
    }

    #[test]
    fn digits_are_permuted_for_every_length() {
        for salt in ["a", "b", "a long salt of many characters"] {
            let cipher = DigitCipher::new(salt).unwrap();
            for length in 1..=4usize {
                let all = 10usize.pow(length as u32);
                let images: BTreeSet<String> = (0..all).map(|number| masked(&cipher, &format!("{number:0length$}"))).collect();
                assert_eq!(images.len(), all, "{length} digits");
            }
        }
        let (a, b) = (DigitCipher::new("a").unwrap(), DigitCipher::new("b").unwrap());
        assert_ne!(masked(&a, "4111111111111111"), masked(&b, "4111111111111111"));
        assert_eq!(masked(&a, ""), "");
        assert_eq!(masked(&a, "no digits"), "no digits");
    }

    #[test]
    fn what_is_accepted_is_permuted_too() {
        let cipher = DigitCipher::new("salt").unwrap();
        let accept = |text: &[u8]| text.first() != Some(&b'0') && text <= b"4321".as_slice();
        let images: BTreeSet<Vec<u8>> = (1000..=4321)
            .map(|number| {
                let mut text = number.to_string().into_bytes();
                cipher.mask(&mut text, accept);
                assert!(accept(&text));
                text
            })
            .collect();
        assert_eq!(images.len(), 3322);
    }

    #[test]
    fn a_short_text_is_masked_as_a_whole() {
        let partial = |text: &str, start, end| {
            let (head, count, tail) = partial(text, start, end);
            format!("{head}{}{tail}", "*".repeat(count))
        };
        assert_eq!(partial("18712341111", 3, 6), "187****1111");
        assert_eq!(partial("18", 3, 6), "**");
        assert_eq!(partial("1871", 3, 6), "187*");
        assert_eq!(partial("äöü", 1, 1), "ä*ü");
        assert_eq!((truncate("äöü", 2), truncate("a", 2), truncate("", 0)), ("äö", "a", ""));
    }

    proptest! {
        #[test]
        fn only_digits_change(text in "[0-9a-c -]{0,30}", salt in "[a-z]{1,8}") {
            let masked = masked(&DigitCipher::new(&salt).unwrap(), &text);
            let shape = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "0");
            prop_assert_eq!(shape(&masked), shape(&text));
        }
    }
}
