//! Changes statements token by token.

use fastrand::Rng;

/// Words that change what a statement does, at any place.
const WORDS: &[&str] = &[
    "TABLE",
    "IF",
    "EXISTS",
    "NOT",
    "NULL",
    "ADD",
    "DROP",
    "COLUMN",
    "KEY",
    "INDEX",
    "UNIQUE",
    "PRIMARY",
    "FIRST",
    "AFTER",
    "RENAME",
    "TO",
    "AS",
    "LIKE",
    "SELECT",
    "PARTITION",
    "BY",
    "DEFAULT",
    "CHARACTER",
    "SET",
    "COLLATE",
    "CHARSET",
    "=",
    "(",
    ")",
    ",",
    ";",
    ".",
    "*",
    "@",
    "`t`",
    "t",
    "u",
    "d.t",
    "e.u",
    "`a`",
    "'x'",
    "\"x\"",
    "INT",
    "TEXT",
    "SERIAL",
    "0",
    "70000",
    "4294967296",
    "-1",
    "x'c3a9'",
    "_utf8'x'",
    "N'x'",
    "/*!50000",
    "/*!99999",
    "/*M!100100",
    "*/",
    "NATIONAL",
    "VARYING",
    "UNSIGNED",
    "ZEROFILL",
    "BINARY",
    "GENERATED",
    "ALWAYS",
    "REFERENCES",
    "CONSTRAINT",
    "CHECK",
    "PERIOD",
    "FOR",
    "WITH",
    "ON",
    "WAIT",
    "NOWAIT",
    "IGNORE",
    "OR",
    "REPLACE",
    "DATABASE",
    "TEMPORARY",
];

/// Cuts a text into tokens: words and numbers, quoted texts with what precedes their quotes, comments, and single characters.
pub(super) fn of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = if first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
            continue;
        } else if matches!(first, '`' | '\'' | '"') {
            quoted(rest, first)
        } else if rest.starts_with("/*") || rest.starts_with("/!") {
            match rest.starts_with("/*!") || rest.starts_with("/*M!") {
                true => rest.find(char::is_whitespace).unwrap_or(rest.len()),
                false => rest.find("*/").map_or(rest.len(), |end| end + 2),
            }
        } else if rest.starts_with("*/") {
            2
        } else if first == '#' || rest.starts_with("-- ") {
            rest.len()
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            // `X'61'`, `_latin1'x'` and `1.5` are one token.
            match rest[end..].chars().next() {
                Some(quote @ ('\'' | '"')) => end + quoted(&rest[end..], quote),
                Some('.') if first.is_ascii_digit() => end + 1 + rest[end + 1..].find(|c| !is_word(c)).unwrap_or(rest.len() - end - 1),
                _ => end,
            }
        } else {
            first.len_utf8()
        };
        found.push(rest[..end].to_owned());
        rest = &rest[end..];
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

/// The length of a quoted text with its quotes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote != '`' {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    rest.len()
}

/// Whether a quoted token ends with its quote in every mode.
pub(super) fn is_closed(token: &str) -> bool {
    let Some(at) = token.find(['`', '\'', '"']) else { return true };
    let rest = &token[at..];
    let quote = rest.chars().next().unwrap_or_default();
    let end = quoted(rest, quote);
    end >= 2 && rest[..end].ends_with(quote) && !rest.contains('\\') && !rest[end..].contains(['`', '\'', '"'])
}

/// Changes nothing, or some tokens. Some may come from another statement.
pub(super) fn mutate(random: &mut Rng, tokens: &mut Vec<String>, other: &[String]) {
    for _ in 0..[0, 1, 1, 2, 4, 12][random.usize(..6)] {
        let at = random.usize(..=tokens.len());
        let end = at + random.usize(..=(tokens.len() - at).min(6));
        match random.u8(..9) {
            0 => drop(tokens.drain(at..end)),
            1 => {
                let piece = tokens[at..end].to_vec();
                tokens.splice(at..at, piece);
            }
            2 => {
                let from = random.usize(..=other.len());
                let to = from + random.usize(..=(other.len() - from).min(10));
                tokens.splice(at..end, other[from..to].iter().cloned());
            }
            3 if at < tokens.len() => {
                let with = random.usize(..tokens.len());
                tokens.swap(at, with);
            }
            4 => tokens.truncate(at),
            5 => (0..random.usize(..60)).for_each(|_| tokens.insert(at, "(".to_owned())),
            6 if at < tokens.len() => {
                let token = &mut tokens[at];
                *token = match random.u8(..4) {
                    0 => token.to_lowercase(),
                    1 => format!("`{}`", token.replace('`', "``")),
                    2 => format!("{token}{}", random.u8(..)),
                    _ => format!("{}é", token),
                };
            }
            _ => tokens.insert(at, WORDS[random.usize(..WORDS.len())].to_owned()),
        }
    }
}

/// Changes single characters.
pub(super) fn damage(random: &mut Rng, text: &mut String) {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..=chars.len());
        match random.u8(..4) {
            0 => chars.truncate(at),
            1 if at < chars.len() => drop(chars.remove(at)),
            2 => {
                chars.insert(at, ['\'', '"', '`', '\\', '/', '*', '#', '-', '\0', '\n', '\u{fffd}', '☃', '(', ';', '='][random.usize(..15)])
            }
            _ => {
                if let Some(found) = chars.get_mut(at) {
                    *found = char::from(random.u8(..));
                }
            }
        }
    }
    *text = chars.into_iter().collect();
}

/// A text of about `length` bytes in which some of the tokens come again and again, with a number behind each word of one kind.
pub(super) fn grown(random: &mut Rng, tokens: &[String], length: usize) -> String {
    let from = random.usize(..=tokens.len());
    let to = from + random.usize(..=(tokens.len() - from).min(8));
    let numbered = random.usize(from..=to);
    let mut text = tokens[..from].join(" ");
    for number in 0..length {
        if text.len() >= length || from == to {
            break;
        }
        for (index, token) in tokens[from..to].iter().enumerate() {
            text.push(' ');
            text.push_str(token);
            if from + index == numbered && token.chars().all(is_word) {
                text.push_str(&number.to_string());
            }
        }
    }
    format!("{text} {}", tokens[to..].join(" "))
}
