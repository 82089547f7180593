//! Redacts the password in texts of a registry.
//!
//! A server may repeat parts of the request in its error. It may show the header `Authorization`, which contains the base64 of
//! `user:password` (RFC 7617), or the password in percent-encoding (RFC 3986).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// The text that replaces a secret.
const REDACTED: &str = "…";

/// Replaces the password in a text, whether it is in plain text, percent-encoded, or part of an `Authorization` header.
pub(super) fn redact(text: &str, user: &str, password: &str) -> String {
    let basic = BASE64.encode(format!("{user}:{password}"));
    let secrets = [basic.as_str(), basic.trim_end_matches('='), password];
    secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .fold(text.to_owned(), |text, secret| without(&text.replace(secret, REDACTED), secret))
}

fn without(text: &str, secret: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let length = match spelled(rest.as_bytes(), secret.as_bytes()) {
            Some(length) => {
                out.push_str(REDACTED);
                length
            }
            None => {
                out.push(first);
                first.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    out
}

/// The number of bytes at the start of `text` that spell the secret; `None` if they do not. Each byte may be plain or percent-encoded, and
/// `+` stands for a space.
fn spelled(text: &[u8], secret: &[u8]) -> Option<usize> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut at = 0;
    for &byte in secret {
        at += match text.get(at..)? {
            [b'%', high, low, ..] if digit(*high).zip(digit(*low)).is_some_and(|(high, low)| high * 16 + low == u32::from(byte)) => 3,
            [b'+', ..] if byte == b' ' => 1,
            [first, ..] if *first == byte => 1,
            _ => return None,
        };
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_the_password_stays() {
        let (user, password) = ("alice", "p@ss wörd/1%");
        let basic = BASE64.encode(format!("{user}:{password}"));
        for secret in [
            password.to_owned(),
            "p%40ss%20w%C3%B6rd%2F1%25".into(),
            "p%40ss+w%c3%b6rd%2f1%25".into(),
            "p@ss%20wörd/1%25".into(),
            basic.clone(),
            basic.trim_end_matches('=').into(),
            basic.replace('=', "%3D").replace('/', "%2F").replace('+', "%2B"),
        ] {
            let shown = redact(&format!("Ünknown <Basic {secret}> {secret}, alice!"), user, password);
            let rest = shown.replace(REDACTED, "").replace("%3D", "").replace('=', "");
            assert_eq!(rest, "Ünknown <Basic > , alice!", "{secret}: {shown}");
        }
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for text in ["", "Subject 'a%2Fb' not found; 100 % sure", "%", "%4", "é%é"] {
            assert_eq!(redact(text, "alice", "secret"), text);
        }
        assert_eq!(redact("a %25x b", "alice", "%25x"), "a … b", "a password that looks encoded");
    }
}
