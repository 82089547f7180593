//! Splits a script, such as the output of mysqldump, into its statements.

/// The statements of a script, without the `;` or other delimiter behind each of them. Quotes and comments are respected, and so is the
/// command DELIMITER of the `mysql` client. `backslashes` says whether a backslash escapes the next character in a string.
pub(crate) fn statements(script: &str, backslashes: bool) -> Vec<&str> {
    let bytes = script.as_bytes();
    let mut found = Vec::new();
    let (mut start, mut at) = (0, 0);
    let mut delimiter = ";";
    while at < bytes.len() {
        let rest = &bytes[at..];
        let is_line_start = at == 0 || bytes[at - 1] == b'\n';
        if is_line_start && rest.len() > 10 && rest[..10].eq_ignore_ascii_case(b"delimiter ") {
            let end = end_of_line(rest);
            delimiter = Some(script[at + 10..at + end].trim()).filter(|text| !text.is_empty()).unwrap_or(";");
            found.push(&script[start..at]);
            at += end;
            start = at;
        } else if rest.starts_with(delimiter.as_bytes()) {
            found.push(&script[start..at]);
            at += delimiter.len();
            start = at;
        } else {
            at += match rest {
                [quote @ (b'\'' | b'"' | b'`'), ..] => quoted(rest, *quote, backslashes && *quote != b'`'),
                [b'#', ..] => end_of_line(rest),
                [b'-', b'-', next, ..] if next.is_ascii_whitespace() => end_of_line(rest),
                // The text of a conditional comment is code, but it holds no delimiter of the script.
                [b'/', b'*', ..] => rest.windows(2).skip(2).position(|pair| pair == b"*/").map_or(rest.len(), |end| end + 4),
                _ => 1,
            };
        }
    }
    found.push(script.get(start..).unwrap_or_default());
    found.retain(|statement| !statement.trim().is_empty());
    found
}

/// The database of a `USE` statement.
pub(crate) fn used_database(statement: &str) -> Option<String> {
    let (word, name) = statement.split_once(char::is_whitespace)?;
    let name = name.trim();
    let quoted = || Some(name.strip_prefix('`')?.strip_suffix('`')?.replace("``", "`"));
    word.eq_ignore_ascii_case("USE").then(|| quoted().unwrap_or_else(|| name.to_owned()))
}

fn end_of_line(rest: &[u8]) -> usize {
    rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |end| end + 1)
}

/// The length of a quoted text with its quotes. A quote in it is doubled, or stands behind a backslash.
fn quoted(rest: &[u8], quote: u8, backslashes: bool) -> usize {
    let mut at = 1;
    while let Some(&byte) = rest.get(at) {
        at += 1;
        if byte == b'\\' && backslashes {
            at += 1;
        } else if byte == quote {
            if rest.get(at) != Some(&quote) {
                return at;
            }
            at += 1;
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn statements_end_at_their_delimiters() {
        let script = "-- a; dump\n/*!40101 SET NAMES utf8; */;\nCREATE TABLE `a;b` (c INT COMMENT 'x;''\\';y'); # z;\nDELIMITER ;;\n\
                      CREATE TRIGGER t BEGIN SELECT 1; END ;;\ndelimiter ;\nUSE d; \n";
        let found: Vec<_> = statements(script, true).into_iter().map(str::trim).collect();
        assert_eq!(
            found,
            [
                "-- a; dump\n/*!40101 SET NAMES utf8; */",
                "CREATE TABLE `a;b` (c INT COMMENT 'x;''\\';y')",
                "# z;",
                "CREATE TRIGGER t BEGIN SELECT 1; END",
                "USE d",
            ]
        );
        assert_eq!(statements("a 'b\\'; c'; d", false), ["a 'b\\'", " c'; d"]);
        assert!(statements(" ; ;\n", true).is_empty());
    }

    proptest! {
        #[test]
        fn no_script_panics(script in "(delimiter |[;'\"`#/*!\\\\-]|a|é|\n| ){0,40}", backslashes: bool) {
            let _ = statements(&script, backslashes);
        }
    }
}
