//! Cuts SQL text into tokens. The lexer accepts everything that MySQL, MariaDB and PolarDB-X write around a statement.
//!
//! Comments and hints are skipped. The contents of an executable comment (`/*!40101 … */`) become tokens if the server would execute them.

use std::borrow::Cow;

use super::ReadError;

/// How SQL text is read. This depends on the session's `sql_mode` and on the server's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Whether `"x"` is a name and not a string (`ANSI_QUOTES`).
    pub ansi_quotes: bool,
    /// Whether `[x]` is a name (`MSSQL` of MariaDB).
    pub brackets: bool,
    /// Whether a backslash in a string is an escape character (it is not with `NO_BACKSLASH_ESCAPES`).
    pub backslash_escapes: bool,
    /// Whether `REAL` means `FLOAT` (`REAL_AS_FLOAT`).
    pub real_as_float: bool,
    /// Whether types have the meaning that Oracle gives them (`ORACLE` of MariaDB), such as `DATE` with a time of day. MySQL has a mode of
    /// this name, too, which changes no type.
    pub oracle: bool,
    /// Whether `TIMESTAMP` means `DATETIME` (`MAXDB`).
    pub maxdb: bool,
    /// The server's version in the form used by executable comments, such as 50722. Comments for later versions are not executed.
    /// `u32::MAX` if the version is not known, or if the server itself has printed the text.
    pub version: u32,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            ansi_quotes: false,
            brackets: false,
            backslash_escapes: true,
            real_as_float: false,
            oracle: false,
            maxdb: false,
            version: u32::MAX,
        }
    }
}

impl Dialect {
    const REAL_AS_FLOAT: u64 = 1;
    const ANSI_QUOTES: u64 = 4;
    const ORACLE: u64 = 1 << 9;
    const MSSQL: u64 = 1 << 10;
    const MAXDB: u64 = 1 << 12;
    const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;

    /// Whether the server is MariaDB.
    pub(crate) fn is_mariadb(self) -> bool {
        (100_000..u32::MAX).contains(&self.version)
    }

    /// The dialect of a session with this `sql_mode`, as the binlog stores it.
    #[must_use]
    pub fn with_sql_mode(self, mode: u64) -> Self {
        Self {
            ansi_quotes: mode & Self::ANSI_QUOTES != 0,
            brackets: mode & Self::MSSQL != 0 && self.is_mariadb(),
            backslash_escapes: mode & Self::NO_BACKSLASH_ESCAPES == 0,
            real_as_float: mode & Self::REAL_AS_FLOAT != 0,
            oracle: mode & Self::ORACLE != 0 && self.is_mariadb(),
            maxdb: mode & Self::MAXDB != 0,
            ..self
        }
    }

    /// The dialect of a server with this version text, such as `5.7.22-log`.
    pub fn of_version(text: &str) -> Self {
        let mut parts = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
        let mut part = || parts.next().unwrap_or(0);
        let version = part().saturating_mul(10_000).saturating_add(part().saturating_mul(100)).saturating_add(part());
        Self { version: if version == 0 { u32::MAX } else { version }, ..Self::default() }
    }
}

/// A token, and the offset in the SQL text where it begins, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lexeme<'a> {
    pub(crate) token: Token<'a>,
    pub(crate) start: usize,
}

/// A token of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A keyword, an unquoted name or a number.
    Word(&'a str),
    /// A quoted name.
    Name(Cow<'a, str>),
    /// A string.
    Text(Cow<'a, str>),
    /// Any other character.
    Symbol(char),
}

/// Cuts `sql` into tokens. Fails if a string, a name or a comment has no end.
pub(crate) fn tokens(sql: &str, dialect: Dialect) -> Result<Vec<Lexeme<'_>>, ReadError> {
    let mut lexer = Lexer { sql, at: 0, dialect, executable: 0, found: Vec::new() };
    while lexer.step()? {}
    Ok(lexer.found)
}

/// Whether a name or a keyword of `sql` contains U+FFFD, which replaces bytes that are not valid text. Strings and comments do not count.
/// The result is also `true` if `sql` cannot be cut into tokens.
pub(crate) fn loses_names(sql: &str, dialect: Dialect) -> bool {
    let lost = |lexeme: Lexeme<'_>| match lexeme.token {
        Token::Word(word) => word.contains('\u{fffd}'),
        Token::Name(name) => name.contains('\u{fffd}'),
        Token::Symbol(_) | Token::Text(_) => false,
    };
    tokens(sql, dialect).map_or(true, |found| found.into_iter().any(lost))
}

/// Whether the last tokens of `sql` are these words, unquoted and outside comments.
pub(crate) fn ends_with_words(sql: &str, dialect: Dialect, words: &[&str]) -> bool {
    let is = |lexeme: &Lexeme<'_>, word: &&str| matches!(lexeme.token, Token::Word(found) if found.eq_ignore_ascii_case(word));
    tokens(sql, dialect).is_ok_and(|found| {
        let last = found.len().checked_sub(words.len()).and_then(|at| found.get(at..));
        last.is_some_and(|last| last.iter().zip(words).all(|(lexeme, word)| is(lexeme, word)))
    })
}

struct Lexer<'a> {
    sql: &'a str,
    /// The offset of the next character. Invariant: it is a character boundary of `sql`.
    at: usize,
    dialect: Dialect,
    /// How many executable comments are open at this offset.
    executable: u32,
    found: Vec<Lexeme<'a>>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.sql.get(self.at..).unwrap_or("")
    }

    fn step(&mut self) -> Result<bool, ReadError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(false) };
        if first.is_whitespace() || first == '\0' {
            self.at += first.len_utf8();
        } else if first == '#' || is_dash_comment(rest) {
            self.at += rest.find('\n').map_or(rest.len(), |end| end + 1);
        } else if rest.starts_with("/*") || rest.starts_with("/!TDDL") {
            self.comment(rest)?;
        } else if self.executable > 0 && rest.starts_with("*/") {
            self.executable -= 1;
            self.at += 2;
        } else if matches!(first, '`' | '\'' | '"') {
            self.quoted(rest, first)?;
        } else if first == '[' && self.dialect.brackets {
            self.quoted(rest, ']')?;
        } else if is_word(first) {
            let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            self.push(Token::Word(rest.get(..length).unwrap_or("")), length);
        } else {
            self.push(Token::Symbol(first), first.len_utf8());
        }
        Ok(true)
    }

    fn push(&mut self, token: Token<'a>, length: usize) {
        self.found.push(Lexeme { token, start: self.at });
        self.at += length;
    }

    fn comment(&mut self, rest: &str) -> Result<(), ReadError> {
        let marked = rest.strip_prefix("/*!").or_else(|| rest.strip_prefix("/*M!"));
        if let Some(body) = marked {
            let digits = body.bytes().take(6).take_while(u8::is_ascii_digit).count();
            // A version has five digits, or six from MySQL 8.0 and MariaDB 10 on. Fewer digits are not a version.
            let digits = if digits >= 5 { digits } else { 0 };
            let version: u32 = body.get(..digits).and_then(|text| text.parse().ok()).unwrap_or(0);
            if version <= self.dialect.version {
                self.executable += 1;
                self.at += rest.len() - body.len() + digits;
                return Ok(());
            }
        }
        let end = rest.get(2..).and_then(|body| body.find("*/")).ok_or_else(|| ReadError::new("a comment without end").near(rest))?;
        self.at += end + 4;
        Ok(())
    }

    /// Takes what ends with `quote`, which stands for itself where it is doubled.
    fn quoted(&mut self, rest: &'a str, quote: char) -> Result<(), ReadError> {
        let is_name = matches!(quote, '`' | ']') || (quote == '"' && self.dialect.ansi_quotes);
        // A backslash has no meaning in a name.
        let escapes = !is_name && self.dialect.backslash_escapes;
        let body = rest.get(1..).unwrap_or("");
        let mut owned: Option<String> = None;
        let mut plain = 0;
        let mut chars = body.char_indices().peekable();
        while let Some((index, c)) = chars.next() {
            let doubled = c == quote && chars.peek().is_some_and(|(_, next)| *next == quote);
            if c == quote && !doubled {
                let tail = body.get(plain..index).unwrap_or("");
                let text = match owned {
                    Some(text) => Cow::Owned(text + tail),
                    None => Cow::Borrowed(tail),
                };
                self.push(if is_name { Token::Name(text) } else { Token::Text(text) }, index + 2);
                return Ok(());
            }
            if doubled || (escapes && c == '\\') {
                let text = owned.get_or_insert_default();
                text.push_str(body.get(plain..index).unwrap_or(""));
                let Some((next, escaped)) = chars.next() else { break };
                text.push(if doubled { c } else { unescape(escaped) });
                plain = next + escaped.len_utf8();
            }
        }
        Err(ReadError::new("a quote without end").near(rest))
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

fn is_dash_comment(rest: &str) -> bool {
    rest.strip_prefix("--").is_some_and(|after| after.chars().next().is_none_or(|c| c.is_whitespace() || c.is_control()))
}

fn unescape(c: char) -> char {
    match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        '0' => '\0',
        'b' => '\u{8}',
        'Z' => '\u{1a}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sql: &str, dialect: Dialect) -> Vec<String> {
        tokens(sql, dialect)
            .unwrap()
            .into_iter()
            .map(|lexeme| match lexeme.token {
                Token::Word(word) => word.to_owned(),
                Token::Name(name) => format!("`{name}`"),
                Token::Text(text) => format!("'{text}'"),
                Token::Symbol(symbol) => symbol.to_string(),
            })
            .collect()
    }

    #[test]
    fn comments_vanish_and_executable_ones_open() {
        let sql = "# POLARX_TSO=1\n/*+TDDL:x()*/ /!TDDL:a*/ -- c\nDROP /*!40005 TEMPORARY */ TABLE/**/a--b /*!99999 NO */ ; -- end";
        assert_eq!(read(sql, Dialect::of_version("5.7.22-log")), ["DROP", "TEMPORARY", "TABLE", "a", "-", "-", "b", ";"]);
    }

    #[test]
    fn quotes_double_and_escape() {
        assert_eq!(read(r#"`a``b` 'it''s' "x\"y" 'a\nb\\'"#, Dialect::default()), ["`a`b`", "'it's'", "'x\"y'", "'a\nb\\'"]);
        let ansi = Dialect::default().with_sql_mode(4 | 1 << 20);
        assert_eq!(read(r#""n" 'a\'"#, ansi), ["`n`", r"'a\'"]);
        let ansi = Dialect::default().with_sql_mode(4);
        assert_eq!(read(r#""n\" 'a\''"#, ansi), [r"`n\`", "'a''"]);
        let mssql = Dialect::of_version("10.11.19-MariaDB").with_sql_mode(1 << 10 | 4);
        assert_eq!(read(r#"[a b].[m]](x)\]("n")"#, mssql), ["`a b`", ".", r"`m](x)\`", "(", "`n`", ")"]);
        assert_eq!(read("[n]", Dialect::of_version("5.7.22").with_sql_mode(1 << 10)), ["[", "n", "]"]);
    }

    #[test]
    fn what_has_no_end_is_an_error() {
        for sql in ["'a", "`a", "/* a", "'a\\", "'a''"] {
            assert!(tokens(sql, Dialect::default()).is_err(), "{sql}");
        }
    }

    #[test]
    fn versions_become_numbers() {
        assert_eq!(Dialect::of_version("5.7.22-log").version, 50_722);
        assert_eq!(Dialect::of_version("10.11.6-MariaDB").version, 101_106);
        assert_eq!(Dialect::of_version("").version, u32::MAX);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(sql in "[ -~\n\u{e9}]{0,80}") {
            let _ = tokens(&sql, Dialect::default());
        }
    }
}
