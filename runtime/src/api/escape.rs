//! Texts of others, such as names of tables and messages of servers, made safe for terminals and logs.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Whether a character acts on the text around it instead of being seen: the control characters (C0, DEL and C1), the separators of lines and
/// paragraphs, all marks that change the direction of text, and what takes no room, so that different names would look alike.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// Shows a value in one line that a terminal, a log or an editor takes for nothing but text.
///
/// Unprintable characters ([`is_unprintable`]) are written as in Rust: `\n`, `\r`, `\t`, and `\u{1b}` for all others. Everything else stays as
/// it is. A backslash does, too, so that a text that is escaped twice is the same as one that is escaped once. So the result is for reading;
/// it does not tell an escaped character from a text that looks like one.
///
/// ```
/// # use runtime::Escaped;
/// assert_eq!(Escaped("a\u{1b}[2J\nb\\").to_string(), r"a\u{1b}[2J\nb\");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Escaped<T>(pub T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(is_unprintable) {
            match part.chars().next_back() {
                Some(last) if is_unprintable(last) => {
                    self.0.write_str(&part[..part.len() - last.len_utf8()])?;
                    write!(self.0, "{}", last.escape_default())?;
                }
                _ => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}

/// The text as [`Escaped`] shows it.
pub(crate) fn escape<'a>(text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
    let text = text.into();
    if text.contains(is_unprintable) { Escaped(text).to_string().into() } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn characters_that_act_on_a_terminal_are_written_out() {
        for (text, expected) in [
            ("", ""),
            ("orders_2026 ä 漢 😀 \\ \"'`", "orders_2026 ä 漢 😀 \\ \"'`"),
            ("\0\u{7}\u{8}\t\n\u{b}\r\u{1b}\u{1f}", r"\u{0}\u{7}\u{8}\t\n\u{b}\r\u{1b}\u{1f}"),
            ("\u{7f}\u{80}\u{85}\u{9b}31m\u{9f}\u{a0}", "\\u{7f}\\u{80}\\u{85}\\u{9b}31m\\u{9f}\u{a0}"),
            ("\u{2027}\u{2028}\u{2029}\u{202f}", "\u{2027}\\u{2028}\\u{2029}\u{202f}"),
            ("\u{ad}\u{61c}\u{200a}\u{200b}\u{200d}\u{200f}\u{2010}", "\\u{ad}\\u{61c}\u{200a}\\u{200b}\\u{200d}\\u{200f}\u{2010}"),
            ("\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}", r"\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}"),
            ("\u{205f}\u{2060}\u{2066}\u{206f}\u{2070}\u{feff}\u{e0041}", "\u{205f}\\u{2060}\\u{2066}\\u{206f}\u{2070}\\u{feff}\\u{e0041}"),
            ("a\x1b]0;x\x07\nok", r"a\u{1b}]0;x\u{7}\nok"),
        ] {
            assert_eq!(Escaped(text).to_string(), expected);
            assert_eq!(escape(text), expected);
        }
        assert_eq!(Escaped(format_args!("{}|{}", "a\n", '\u{1b}')).to_string(), r"a\n|\u{1b}", "a text that comes in pieces");
        assert!(matches!(escape("plain"), Cow::Borrowed("plain")));
    }

    proptest! {
        #[test]
        fn nothing_unprintable_is_left_and_the_rest_stays(text in "(\\PC|\\pC|[\\\\nu{}\n\u{1b}]){0,20}") {
            let escaped = Escaped(&text).to_string();
            prop_assert!(!escaped.contains(is_unprintable), "{escaped:?}");
            prop_assert_eq!(Escaped(&escaped).to_string(), &*escaped);
            if !text.contains(is_unprintable) {
                prop_assert_eq!(escaped, text);
            }
        }
    }
}
