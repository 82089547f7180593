//! Cuts SQL text into tokens. The lexer accepts everything that MySQL, MariaDB and PolarDB-X write around a statement.
//!
//! Tokens are cut one after the other, when they are asked for, and borrow from the text: a statement may be as long as an event, and a list
//! of its tokens would be many times longer. Comments and hints are skipped. The contents of an executable comment (`/*!40101 … */`) become
//! tokens if the server would execute them.

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

/// A token of a statement, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lexeme<'a> {
    pub(crate) token: Token<'a>,
    pub(crate) start: Start,
}

/// Where a token begins. The text can be cut again from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// The offset in the text, in bytes. Invariant: it is a character boundary.
    pub(crate) offset: usize,
    /// How many executable comments are open.
    executable: u32,
}

/// A token of a statement. It borrows from the text, so that a token takes no memory until something of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A keyword, an unquoted name or a number.
    Word(&'a str),
    /// A quoted name.
    Name(Quoted<'a>),
    /// A string.
    Text(Quoted<'a>),
    /// Any other character.
    Symbol(char),
}

/// A quoted name or string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quoted<'a> {
    /// What is between the quotes, as it is written.
    body: &'a str,
    quote: char,
    /// Whether a backslash is an escape character.
    escapes: bool,
    /// Whether the value is not what is written: a quote is doubled, or there is an escape.
    differs: bool,
}

impl<'a> Quoted<'a> {
    /// Takes what ends with `quote`, which stands for itself where it is doubled. `rest` begins with the opening quote. `None` if there is no
    /// end.
    fn of(rest: &'a str, quote: char, escapes: bool) -> Option<Self> {
        let body = rest.get(1..)?;
        let bytes = body.as_bytes();
        let (mut at, mut differs) = (0, false);
        loop {
            // The quotes and the backslash are ASCII, so they are no part of another character.
            at += bytes.get(at..)?.iter().position(|&byte| char::from(byte) == quote || (escapes && byte == b'\\'))?;
            let escaped = body.get(at + 1..)?.chars().next();
            if bytes.get(at) == Some(&b'\\') && escapes {
                at += 1 + escaped?.len_utf8();
            } else if escaped == Some(quote) {
                at += 2;
            } else {
                return Some(Self { body: body.get(..at)?, quote, escapes, differs });
            }
            differs = true;
        }
    }

    /// The length in the text, with the quotes.
    fn length(self) -> usize {
        self.body.len() + 2
    }

    /// The value.
    pub(crate) fn value(self) -> Cow<'a, str> {
        if !self.differs {
            return Cow::Borrowed(self.body);
        }
        let mut value = String::with_capacity(self.body.len());
        let mut chars = self.body.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' if self.escapes => value.extend(chars.next().map(unescape)),
                c if c == self.quote => value.extend(chars.next()),
                c => value.push(c),
            }
        }
        Cow::Owned(value)
    }
}

/// Whether a name or a keyword of `sql` contains U+FFFD, which replaces bytes that are not valid text. Strings and comments do not count.
/// The result is also `true` if `sql` cannot be cut into tokens.
pub(crate) fn loses_names(sql: &str, dialect: Dialect) -> bool {
    Lexer::new(sql, dialect).any(|lexeme| match lexeme.map(|lexeme| lexeme.token) {
        Ok(Token::Word(name) | Token::Name(Quoted { body: name, .. })) => name.contains('\u{fffd}'),
        Ok(Token::Symbol(_) | Token::Text(_)) => false,
        Err(_) => true,
    })
}

/// Whether the last tokens of `sql` are these two words, unquoted and outside comments.
pub(crate) fn ends_with_words(sql: &str, dialect: Dialect, words: [&str; 2]) -> bool {
    let mut last = [None, None];
    for lexeme in Lexer::new(sql, dialect) {
        let Ok(lexeme) = lexeme else { return false };
        last = [last[1], Some(lexeme.token)];
    }
    let is = |token, word: &str| matches!(token, Some(Token::Word(found)) if str::eq_ignore_ascii_case(found, word));
    is(last[0], words[0]) && is(last[1], words[1])
}

/// The first word of a statement, behind its comments; `None` if it begins with something else.
pub(crate) fn first_word(sql: &str) -> Option<&str> {
    match Lexer::new(sql, Dialect::default()).next()?.ok()?.token {
        Token::Word(word) => Some(word),
        Token::Name(_) | Token::Text(_) | Token::Symbol(_) => None,
    }
}

/// Cuts a text into tokens, one after the other. Fails, and ends, at a string, a name or a comment without end.
#[derive(Clone)]
pub(crate) struct Lexer<'a> {
    sql: &'a str,
    dialect: Dialect,
    /// Where the next token is looked for.
    at: Start,
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Result<Lexeme<'a>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let token = self.token();
        if token.is_err() {
            self.at.offset = self.sql.len();
        }
        token.transpose()
    }
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(sql: &'a str, dialect: Dialect) -> Self {
        Self { sql, dialect, at: Start::default() }
    }

    /// The lexer of the same text from another place on.
    #[must_use]
    pub(crate) fn restarted(self, at: Start) -> Self {
        Self { at, ..self }
    }

    /// The text from `at` on.
    pub(crate) fn text_from(&self, at: Start) -> &'a str {
        self.sql.get(at.offset..).unwrap_or("")
    }

    /// Where the next token is looked for.
    pub(crate) fn at(&self) -> Start {
        self.at
    }

    #[inline]
    fn token(&mut self) -> Result<Option<Lexeme<'a>>, ReadError> {
        let bytes = self.sql.as_bytes();
        loop {
            let start = self.at;
            let Some(&first) = bytes.get(start.offset) else { return Ok(None) };
            let token = match CLASSES[usize::from(first)] {
                Class::Blank => {
                    self.at.offset += 1;
                    continue;
                }
                Class::Word => self.word(start.offset),
                Class::Symbol => {
                    self.at.offset += 1;
                    Token::Symbol(char::from(first))
                }
                Class::Other => match self.other(first)? {
                    Some(token) => token,
                    None => continue,
                },
            };
            return Ok(Some(Lexeme { token, start }));
        }
    }

    /// Takes a word. It ends before the next ASCII character that is no part of a word.
    #[inline]
    fn word(&mut self, from: usize) -> Token<'a> {
        let rest = self.sql.as_bytes().get(from..).unwrap_or_default();
        let is_end = |byte: &u8| byte.is_ascii() && !matches!(CLASSES[usize::from(*byte)], Class::Word);
        self.at.offset = from + rest.iter().position(is_end).unwrap_or(rest.len());
        Token::Word(self.sql.get(from..self.at.offset).unwrap_or(""))
    }

    /// Takes what begins with `first`, whose meaning depends on what follows; `None` for a comment or a blank.
    fn other(&mut self, first: u8) -> Result<Option<Token<'a>>, ReadError> {
        let rest = self.text_from(self.at);
        if first == b'#' || is_dash_comment(rest) {
            self.at.offset += rest.find('\n').map_or(rest.len(), |end| end + 1);
            return Ok(None);
        }
        if rest.starts_with("/*") || rest.starts_with("/!TDDL") {
            return self.comment(rest).map(|()| None);
        }
        if self.at.executable > 0 && rest.starts_with("*/") {
            self.at.executable -= 1;
            self.at.offset += 2;
            return Ok(None);
        }
        match first {
            b'`' | b'\'' | b'"' => self.quoted(rest, char::from(first)).map(Some),
            b'[' if self.dialect.brackets => self.quoted(rest, ']').map(Some),
            0x80.. => match rest.chars().next().filter(|c| c.is_whitespace()) {
                Some(blank) => {
                    self.at.offset += blank.len_utf8();
                    Ok(None)
                }
                None => Ok(Some(self.word(self.at.offset))),
            },
            _ => {
                self.at.offset += 1;
                Ok(Some(Token::Symbol(char::from(first))))
            }
        }
    }

    fn comment(&mut self, rest: &str) -> Result<(), ReadError> {
        let marked = rest.strip_prefix("/*!").or_else(|| rest.strip_prefix("/*M!"));
        if let Some(body) = marked {
            let digits = body.bytes().take(6).take_while(u8::is_ascii_digit).count();
            // A version has five digits, or six from MySQL 8.0 and MariaDB 10 on. Fewer digits are not a version.
            let digits = if digits >= 5 { digits } else { 0 };
            let version: u32 = body.get(..digits).and_then(|text| text.parse().ok()).unwrap_or(0);
            if version <= self.dialect.version {
                self.at.executable += 1;
                self.at.offset += rest.len() - body.len() + digits;
                return Ok(());
            }
        }
        let end = rest.get(2..).and_then(|body| body.find("*/")).ok_or_else(|| ReadError::new("a comment without end").near(rest))?;
        self.at.offset += end + 4;
        Ok(())
    }

    fn quoted(&mut self, rest: &'a str, quote: char) -> Result<Token<'a>, ReadError> {
        let is_name = matches!(quote, '`' | ']') || (quote == '"' && self.dialect.ansi_quotes);
        // A backslash has no meaning in a name.
        let quoted = Quoted::of(rest, quote, !is_name && self.dialect.backslash_escapes);
        let quoted = quoted.ok_or_else(|| ReadError::new("a quote without end").near(rest))?;
        self.at.offset += quoted.length();
        Ok(if is_name { Token::Name(quoted) } else { Token::Text(quoted) })
    }
}

/// What a byte at the beginning of a token means.
#[derive(Clone, Copy)]
enum Class {
    /// A blank, or NUL.
    Blank,
    /// A part of a keyword, an unquoted name or a number.
    Word,
    /// A symbol, whatever follows.
    Symbol,
    /// That depends on what follows, on the dialect, or on the other bytes of the character.
    Other,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Symbol; 256];
    let mut byte = 0u8;
    loop {
        classes[byte as usize] = match byte {
            b'\t'..=b'\r' | b' ' | 0 => Class::Blank,
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' => Class::Word,
            b'#' | b'-' | b'/' | b'*' | b'`' | b'\'' | b'"' | b'[' | 0x80.. => Class::Other,
            _ => Class::Symbol,
        };
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    classes
};

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
        Lexer::new(sql, dialect)
            .map(|lexeme| match lexeme.unwrap().token {
                Token::Word(word) => word.to_owned(),
                Token::Name(name) => format!("`{}`", name.value()),
                Token::Text(text) => format!("'{}'", text.value()),
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
            let last = Lexer::new(sql, Dialect::default()).last();
            assert!(matches!(last, Some(Err(_))), "{sql}");
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
            let _ = Lexer::new(&sql, Dialect::default()).count();
        }
    }
}
