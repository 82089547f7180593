//! The tokens of a statement, as far as the stand-in has to understand statements.

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word or a number, such as `SELECT`, `t1` or `12`; also a variable such as `@@server_id`.
    Word,
    /// A name in backticks.
    Name,
    /// A string literal.
    Text,
    /// A single character.
    Symbol,
    /// A comment.
    Comment,
}

/// A token and its place in the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    pub(super) start: usize,
}

impl Token<'_> {
    /// The offset behind the token.
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether the token is this word, in any case.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Symbol) && self.text.eq_ignore_ascii_case(word)
    }

    /// The name that the token stands for.
    pub(super) fn name(&self) -> String {
        match self.kind {
            Kind::Name => self.text.get(1..self.text.len() - 1).unwrap_or_default().replace("``", "`"),
            _ => self.text.to_owned(),
        }
    }
}

/// Splits a statement into tokens, one after the other.
pub(super) fn tokens(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = sql.get(at..)?;
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        let first = trimmed.chars().next()?;
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '@');
        let (kind, length) = if trimmed.starts_with("/*") {
            (Kind::Comment, trimmed.find("*/").map_or(trimmed.len(), |end| end + 2))
        } else if first == '#' || (trimmed.starts_with("--") && trimmed[2..].starts_with(|c: char| c.is_whitespace())) {
            (Kind::Comment, trimmed.find('\n').map_or(trimmed.len(), |end| end + 1))
        } else if matches!(first, '\'' | '"' | '`') {
            (if first == '`' { Kind::Name } else { Kind::Text }, quoted(trimmed, first))
        } else if is_word(first) {
            (Kind::Word, trimmed.find(|c| !is_word(c)).unwrap_or(trimmed.len()))
        } else {
            (Kind::Symbol, first.len_utf8())
        };
        let token = Token { kind, text: &trimmed[..length], start: at };
        at += length;
        Some(token)
    })
}

/// The tokens without comments.
pub(super) fn plain_tokens(sql: &str) -> Vec<Token<'_>> {
    tokens(sql).filter(|token| token.kind != Kind::Comment).collect()
}

/// Whether the tokens begin with these words.
pub(super) fn begins(tokens: &[Token<'_>], words: &[&str]) -> bool {
    tokens.len() >= words.len() && words.iter().zip(tokens).all(|(word, token)| token.is(word))
}

/// The length of a quoted text, with its quotes. A doubled quote, or one behind a backslash, does not end it.
fn quoted(text: &str, quote: char) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == '\\' && quote != '`' {
            characters.next();
        } else if c == quote {
            if characters.peek().is_some_and(|(_, next)| *next == quote) {
                characters.next();
            } else {
                return at + 1;
            }
        }
    }
    text.len()
}

/// The index behind the parenthesis that closes the one at `open`.
pub(super) fn behind_parentheses(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        if token.is("(") {
            depth += 1;
        } else if token.is(")") {
            depth -= 1;
            if depth == 0 {
                return index + 1;
            }
        }
    }
    tokens.len()
}

/// Splits tokens at the commas that are not inside parentheses.
pub(super) fn split_commas<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut depth = 0;
    tokens
        .split(|token| {
            depth += i32::from(token.is("(")) - i32::from(token.is(")"));
            depth == 0 && token.is(",")
        })
        .collect()
}

/// Reads a table name such as `d.t` at the front of the tokens: the database if it is named, the table, and the number of tokens.
pub(super) fn table_name(tokens: &[Token<'_>]) -> Option<(Option<String>, String, usize)> {
    let is_name = |token: &Token<'_>| matches!(token.kind, Kind::Word | Kind::Name);
    let first = tokens.first().filter(|token| is_name(token))?;
    match (tokens.get(1), tokens.get(2)) {
        (Some(dot), Some(second)) if dot.is(".") && is_name(second) => Some((Some(first.name()), second.name(), 3)),
        _ => Some((None, first.name(), 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_split_into_tokens() {
        let sql = "SELECT `a``b`, 'it''s \\' x', @@server_id -- end\n FROM d.t /* c */ # last";
        let texts: Vec<&str> = tokens(sql).map(|token| token.text).collect();
        assert_eq!(
            texts,
            ["SELECT", "`a``b`", ",", "'it''s \\' x'", ",", "@@server_id", "-- end\n", "FROM", "d", ".", "t", "/* c */", "# last"]
        );
        let plain = plain_tokens("d.`t` (a, (b, c)), e");
        assert_eq!(table_name(&plain), Some((Some("d".to_owned()), "t".to_owned(), 3)));
        assert_eq!(behind_parentheses(&plain, 3), 12);
        assert_eq!(split_commas(&plain).len(), 2);
    }
}
