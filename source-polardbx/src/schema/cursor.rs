//! Reads the tokens of a statement one after another.

use std::borrow::Cow;

use runtime::TableId;

use super::ReadError;
use super::lexer::{Dialect, Lexeme, Token, tokens};

/// The tokens of one statement, and the position of the next token.
pub(crate) struct Cursor<'a> {
    sql: &'a str,
    tokens: Vec<Lexeme<'a>>,
    at: usize,
    /// Where only semicolons follow.
    end: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(sql: &'a str, dialect: Dialect) -> Result<Self, ReadError> {
        let tokens = tokens(sql, dialect)?;
        let end = tokens.iter().rposition(|lexeme| lexeme.token != Token::Symbol(';')).map_or(0, |last| last + 1);
        Ok(Self { sql, tokens, at: 0, end })
    }

    pub(crate) fn peek(&self) -> Option<&Token<'a>> {
        self.peek_at(0)
    }

    pub(crate) fn peek_at(&self, ahead: usize) -> Option<&Token<'a>> {
        self.tokens.get(self.at + ahead).map(|lexeme| &lexeme.token)
    }

    pub(crate) fn advance(&mut self) -> Option<Token<'a>> {
        let token = self.peek().cloned();
        self.at += usize::from(token.is_some());
        token
    }

    /// Whether only semicolons are left.
    pub(crate) fn at_end(&self) -> bool {
        self.at >= self.end
    }

    /// Where the next token begins in the text, in bytes.
    pub(crate) fn offset(&self) -> usize {
        self.tokens.get(self.at).map_or(self.sql.len(), |lexeme| lexeme.start)
    }

    pub(crate) fn mark(&self) -> usize {
        self.at
    }

    pub(crate) fn reset(&mut self, mark: usize) {
        self.at = mark;
    }

    /// An error that quotes the text at the current position.
    pub(crate) fn error(&self, what: impl Into<String>) -> ReadError {
        ReadError::new(what).near(self.sql.get(self.offset()..).unwrap_or(""))
    }

    /// The unquoted word that is `ahead` tokens after the next token; `None` if there is no unquoted word at that place.
    pub(crate) fn word_at(&self, ahead: usize) -> Option<&'a str> {
        match self.peek_at(ahead) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    pub(crate) fn is_word(&self, ahead: usize, words: &[&str]) -> bool {
        self.word_at(ahead).is_some_and(|found| words.iter().any(|word| found.eq_ignore_ascii_case(word)))
    }

    pub(crate) fn is_symbol(&self, ahead: usize, symbol: char) -> bool {
        self.peek_at(ahead) == Some(&Token::Symbol(symbol))
    }

    /// Whether one of `words` comes anywhere in the rest, unquoted.
    pub(crate) fn holds_word(&self, words: &[&str]) -> bool {
        (0..self.tokens.len().saturating_sub(self.at)).any(|ahead| self.is_word(ahead, words))
    }

    /// Whether `PARTITION BY`, `SUBPARTITION BY`, `DBPARTITION BY` or `TBPARTITION BY` is next. `LOCAL PARTITION BY` does not count, because
    /// it only lets rows expire.
    pub(crate) fn is_partition_clause(&self) -> bool {
        self.is_word(0, &["PARTITION", "SUBPARTITION", "DBPARTITION", "TBPARTITION"]) && self.is_word(1, &["BY"])
    }

    /// Takes one of `words` if it is next.
    pub(crate) fn take_word(&mut self, words: &[&str]) -> bool {
        let found = self.is_word(0, words);
        self.at += usize::from(found);
        found
    }

    /// Takes all of `words` if they are next; otherwise takes nothing.
    pub(crate) fn take_words(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(ahead, word)| self.is_word(ahead, &[word]));
        self.at += if found { words.len() } else { 0 };
        found
    }

    pub(crate) fn take_symbol(&mut self, symbol: char) -> bool {
        let found = self.is_symbol(0, symbol);
        self.at += usize::from(found);
        found
    }

    pub(crate) fn expect_symbol(&mut self, symbol: char) -> Result<(), ReadError> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.error(format!("expected `{symbol}`"))) }
    }

    pub(crate) fn take_if_not_exists(&mut self) -> bool {
        self.take_words(&["IF", "NOT", "EXISTS"])
    }

    pub(crate) fn take_if_exists(&mut self) -> bool {
        self.take_words(&["IF", "EXISTS"])
    }

    /// Takes a name, quoted or not; `None` if the next token is not a name.
    pub(crate) fn take_name(&mut self) -> Option<String> {
        let name = match self.peek()? {
            Token::Word(word) => (*word).to_owned(),
            Token::Name(name) => name.clone().into_owned(),
            Token::Text(_) | Token::Symbol(_) => return None,
        };
        self.at += 1;
        Some(name)
    }

    pub(crate) fn name(&mut self, of: &str) -> Result<String, ReadError> {
        self.take_name().ok_or_else(|| self.error(format!("expected the name of {of}")))
    }

    /// Takes the name of a table, `table` or `database.table`.
    pub(crate) fn table(&mut self, default_database: &str) -> Result<TableId, ReadError> {
        self.take_symbol('.');
        let first = self.name("a table")?;
        // A DELETE from several tables may write `table.*`.
        if self.is_symbol(0, '.') && self.is_symbol(1, '*') {
            self.at += 2;
            return Ok(TableId::new(default_database, first));
        }
        Ok(if self.take_symbol('.') { TableId::new(first, self.name("a table")?) } else { TableId::new(default_database, first) })
    }

    /// Takes a string, if one is next.
    pub(crate) fn take_text(&mut self) -> Option<Cow<'a, str>> {
        let Some(Token::Text(text)) = self.peek() else { return None };
        let text = text.clone();
        self.at += 1;
        Some(text)
    }

    /// Takes a name or a string; either may follow `CHARSET =`.
    pub(crate) fn name_or_text(&mut self, of: &str) -> Result<String, ReadError> {
        match self.take_text() {
            Some(text) => Ok(text.into_owned()),
            None => self.name(of),
        }
    }

    /// Takes the value of `CHARACTER SET =` or `COLLATE =`, in lower case; `None` for DEFAULT, which has the same effect as no option.
    pub(crate) fn charset_or_default(&mut self, of: &str) -> Result<Option<String>, ReadError> {
        if self.take_word(&["DEFAULT"]) { Ok(None) } else { self.name_or_text(of).map(|name| Some(name.to_ascii_lowercase())) }
    }

    /// Takes a number without sign or fraction, if one is next.
    pub(crate) fn take_number(&mut self) -> Option<u32> {
        let number = self.word_at(0)?.parse().ok()?;
        self.at += 1;
        Some(number)
    }

    /// Skips parentheses with their contents; the next token must be `(`. Returns the names and words in the parentheses.
    pub(crate) fn skip_parentheses(&mut self) -> Result<Vec<String>, ReadError> {
        let opened = self.error("a parenthesis without end");
        self.expect_symbol('(')?;
        let mut depth = 1;
        let mut names = Vec::new();
        while depth > 0 {
            match self.advance().ok_or_else(|| opened.clone())? {
                Token::Symbol('(') => depth += 1,
                Token::Symbol(')') => depth -= 1,
                Token::Word(word) => names.push(word.to_owned()),
                Token::Name(name) => names.push(name.into_owned()),
                Token::Text(_) | Token::Symbol(_) => {}
            }
        }
        Ok(names)
    }

    /// Skips to the next `,` or `)` outside parentheses, or to the end.
    pub(crate) fn skip_item(&mut self) -> Result<(), ReadError> {
        while let Some(token) = self.peek() {
            match token {
                Token::Symbol(',' | ')' | ';') => break,
                Token::Symbol('(') => drop(self.skip_parentheses()?),
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    /// Takes MariaDB's `WAIT n` or `NOWAIT`: how long a statement waits for the table's lock.
    pub(crate) fn take_wait(&mut self) {
        if !self.take_word(&["NOWAIT"]) && self.is_word(0, &["WAIT"]) && self.word_at(1).is_some_and(is_number) {
            self.at += 2;
        }
    }

    /// Every table that the rest of the statement may name. A pair `a.b` counts as a table, and so does a single name, which is taken as a
    /// table of the default database. Numbers and reserved words do not count.
    pub(crate) fn names_in_rest(&mut self, default_database: &str) -> Vec<TableId> {
        let mark = self.at;
        let mut found = Vec::new();
        while self.peek().is_some() {
            let no_name = self.word_at(0).is_some_and(|word| is_number(word) || is_reserved(word)) && !self.is_symbol(1, '.');
            match if no_name { None } else { self.table(default_database).ok() } {
                Some(table) => found.push(table),
                None => self.at += 1,
            }
        }
        self.at = mark;
        found.sort();
        found.dedup();
        found
    }
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reserved words of MySQL and MariaDB that may stand next to table names, and cannot be names without quotes.
fn is_reserved(word: &str) -> bool {
    const RESERVED: &[&str] = &[
        "ADD",
        "ALL",
        "ALTER",
        "AND",
        "AS",
        "BEFORE",
        "BY",
        "CASCADE",
        "CHANGE",
        "CHECK",
        "COLUMN",
        "CONSTRAINT",
        "CONVERT",
        "CREATE",
        "DATABASE",
        "DEFAULT",
        "DELETE",
        "DROP",
        "EXISTS",
        "FOR",
        "FOREIGN",
        "FROM",
        "IF",
        "IGNORE",
        "IN",
        "INDEX",
        "INSERT",
        "INTO",
        "IS",
        "JOIN",
        "KEY",
        "LIKE",
        "LIMIT",
        "NOT",
        "NULL",
        "ON",
        "OR",
        "ORDER",
        "PRIMARY",
        "REFERENCES",
        "RENAME",
        "REPLACE",
        "RESTRICT",
        "SCHEMA",
        "SELECT",
        "SET",
        "TABLE",
        "TO",
        "UNION",
        "UNIQUE",
        "UPDATE",
        "USING",
        "VALUES",
        "WHERE",
        "WITH",
    ];
    RESERVED.iter().any(|reserved| word.eq_ignore_ascii_case(reserved))
}
