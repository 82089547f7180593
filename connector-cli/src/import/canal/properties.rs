//! Java's `.properties` files.

use runtime::{Error, Result};

use super::super::options::Options;

/// Reads the text of a file into `options`. Errors name the line.
pub(super) fn read(file: &str, text: &str, options: &mut Options) -> Result<()> {
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let mut line = line.trim_start().to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        // A backslash at the end of a line continues it on the next one, without the blanks that begin that.
        while is_continued(&line) {
            line.pop();
            match lines.next() {
                Some((_, next)) => line.push_str(next.trim_start()),
                None => break,
            }
        }
        let wrong = |why| {
            Error::config(format!("{file}: line {} is not valid", number + 1))
                .because(why)
                .with_help("correct the line; \\u is followed by four hexadecimal digits, and a backslash is written twice")
        };
        let (key, value) = split(&line);
        options.insert(unescape(key).map_err(wrong)?, unescape(value).map_err(wrong)?);
    }
    Ok(())
}

fn is_continued(line: &str) -> bool {
    line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1
}

/// Key and value: the key ends at the first `=`, `:` or blank without a backslash.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.char_indices().find(|(_, c)| {
        let ends = !escaped && (matches!(c, '=' | ':') || c.is_whitespace());
        escaped = !escaped && *c == '\\';
        ends
    });
    let (key, rest) = end.and_then(|(at, _)| line.split_at_checked(at)).unwrap_or((line, ""));
    let rest = rest.trim_start();
    (key, rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start())
}

fn unescape(text: &str) -> Result<String, &'static str> {
    let mut units = Vec::new();
    let mut out = String::new();
    let mut chars = text.chars();
    // Characters above U+FFFF are written as two escapes, so escapes are gathered until something else follows.
    let flush = |units: &mut Vec<u16>, out: &mut String| {
        out.push_str(&String::from_utf16_lossy(units));
        units.clear();
    };
    while let Some(c) = chars.next() {
        if c != '\\' {
            flush(&mut units, &mut out);
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let unit = u16::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4);
                units.push(unit.ok_or("it has \\u without four hexadecimal digits")?);
            }
            other => {
                flush(&mut units, &mut out);
                out.extend(other.map(|c| match c {
                    't' => '\t',
                    'n' => '\n',
                    'r' => '\r',
                    'f' => '\u{c}',
                    c => c,
                }));
            }
        }
    }
    flush(&mut units, &mut out);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str, key: &str) -> Option<String> {
        let mut options = Options::default();
        read("x", text, &mut options).unwrap();
        options.take(key)
    }

    #[test]
    fn properties_are_read_as_java_reads_them() {
        for (text, key, value) in [
            ("a=b", "a", "b"),
            ("  a  :  b c ", "a", "b c"),
            ("a b", "a", "b"),
            ("a\\=b = c", "a=b", "c"),
            (r"a=.*\\..*", "a", r".*\..*"),
            (r"a=x\.y", "a", "x.y"),
            ("a=b,\\\n   c\n", "a", "b,c"),
            ("a=b\\\\\nc=d", "a", "b\\"),
            (r"a=\u00e4\ud83d\ude00", "a", "ä😀"),
            ("a=1\r\na=2\r\n", "a", "2"),
        ] {
            assert_eq!(one(text, key).as_deref(), Some(value), "{text}");
        }
        assert_eq!(one("# a=b\n! a=c\na=", "a"), None);
        let error = read("x.properties", "\na=\\u12", &mut Options::default()).unwrap_err().to_string();
        assert!(error.contains("x.properties: line 2"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = read("x", &text, &mut Options::default());
        }

        #[test]
        fn any_value_survives(value in "[^ \t\r\n].*") {
            let escaped: String = value.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            prop_assert_eq!(one(&format!("a={escaped}"), "a"), Some(value.trim().to_owned()).filter(|text| !text.is_empty()));
        }
    }
}
