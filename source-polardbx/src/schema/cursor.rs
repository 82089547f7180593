//! Reads the tokens of a statement one after another.

use std::borrow::Cow;
use std::collections::BTreeSet;

use runtime::TableId;

use super::ReadError;
use super::lexer::{Dialect, Lexeme, Lexer, Start, Token};

/// How many tokens the parsers look ahead, at most.
const LOOK_AHEAD: usize = 4;

/// How many names, values and other things are kept of one statement, at most: as many as two ENUM columns with the greatest number of labels
/// have. They take many times the room that they have in the text, and whoever may log a statement could make it endless.
const MOST_KEPT: usize = 2 * 65_536;

/// The tokens of one statement. A token is cut when it comes into sight, so that a statement takes no more memory than its text and what the
/// parsers keep of it.
pub(crate) struct Cursor<'a> {
    /// Stands behind the last token in sight.
    lexer: Lexer<'a>,
    /// The tokens in sight, in a ring that begins at `first`.
    ahead: [Option<Lexeme<'a>>; LOOK_AHEAD],
    first: usize,
    /// The offset from which on there are only semicolons.
    end: usize,
    /// How much is kept of the statement.
    kept: usize,
}

/// A place in a statement to which a cursor can be reset.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    start: Start,
    kept: usize,
}

impl<'a> Cursor<'a> {
    /// Begins with the first token. Fails if a string, a name or a comment has no end, wherever it is.
    pub(crate) fn new(sql: &'a str, dialect: Dialect) -> Result<Self, ReadError> {
        let mut end = 0;
        for lexeme in Lexer::new(sql, dialect) {
            let Lexeme { token, start } = lexeme?;
            if token != Token::Symbol(';') {
                end = start.offset + 1;
            }
        }
        let mut cursor = Self { lexer: Lexer::new(sql, dialect), ahead: [None; LOOK_AHEAD], first: 0, end, kept: 0 };
        cursor.look_ahead();
        Ok(cursor)
    }

    fn look_ahead(&mut self) {
        // Invariant: `new` has cut the whole text without an error.
        self.ahead = std::array::from_fn(|_| self.lexer.next().and_then(Result::ok));
        self.first = 0;
    }

    fn lexeme(&self, ahead: usize) -> Option<Lexeme<'a>> {
        debug_assert!(ahead < LOOK_AHEAD, "the cursor does not look so far ahead");
        self.ahead[(self.first + ahead) % LOOK_AHEAD]
    }

    pub(crate) fn peek(&self) -> Option<Token<'a>> {
        self.peek_at(0)
    }

    pub(crate) fn peek_at(&self, ahead: usize) -> Option<Token<'a>> {
        self.lexeme(ahead).map(|lexeme| lexeme.token)
    }

    pub(crate) fn advance(&mut self) -> Option<Token<'a>> {
        let token = self.peek()?;
        self.ahead[self.first] = self.lexer.next().and_then(Result::ok);
        self.first = (self.first + 1) % LOOK_AHEAD;
        Some(token)
    }

    fn advance_by(&mut self, count: usize) {
        for _ in 0..count {
            self.advance();
        }
    }

    /// Whether only semicolons are left.
    pub(crate) fn at_end(&self) -> bool {
        self.offset() >= self.end
    }

    fn start(&self) -> Start {
        self.lexeme(0).map_or(self.lexer.at(), |lexeme| lexeme.start)
    }

    /// Where the next token begins in the text, in bytes; the length of the text if there is none.
    pub(crate) fn offset(&self) -> usize {
        self.start().offset
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { start: self.start(), kept: self.kept }
    }

    /// Goes back to a mark. What was kept since then is taken as given up.
    pub(crate) fn reset(&mut self, mark: Mark) {
        self.kept = mark.kept;
        if mark.start != self.start() {
            self.lexer = self.lexer.clone().restarted(mark.start);
            self.look_ahead();
        }
    }

    /// Counts one more thing that is kept of the statement. Fails if there are too many.
    pub(crate) fn keep(&mut self) -> Result<(), ReadError> {
        self.kept += 1;
        if self.kept > MOST_KEPT { Err(ReadError::new(format!("a statement with more than {MOST_KEPT} names and values"))) } else { Ok(()) }
    }

    /// An error that quotes the text at the current position.
    pub(crate) fn error(&self, what: impl Into<String>) -> ReadError {
        ReadError::new(what).near(self.lexer.text_from(self.start()))
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
        self.peek_at(ahead) == Some(Token::Symbol(symbol))
    }

    /// Whether one of `words` comes anywhere in the rest, unquoted.
    pub(crate) fn holds_word(&self, words: &[&str]) -> bool {
        let is_one = |found: &str| words.iter().any(|word| found.eq_ignore_ascii_case(word));
        let mut rest = self.lexer.clone().restarted(self.start()).flatten();
        rest.any(|lexeme| matches!(lexeme.token, Token::Word(found) if is_one(found)))
    }

    /// Whether `PARTITION BY`, `SUBPARTITION BY`, `DBPARTITION BY` or `TBPARTITION BY` is next. `LOCAL PARTITION BY` does not count, because
    /// it only lets rows expire.
    pub(crate) fn is_partition_clause(&self) -> bool {
        self.is_word(0, &["PARTITION", "SUBPARTITION", "DBPARTITION", "TBPARTITION"]) && self.is_word(1, &["BY"])
    }

    /// Takes one of `words` if it is next.
    pub(crate) fn take_word(&mut self, words: &[&str]) -> bool {
        let found = self.is_word(0, words);
        self.advance_by(found.into());
        found
    }

    /// Takes all of `words` if they are next; otherwise takes nothing.
    pub(crate) fn take_words(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(ahead, word)| self.is_word(ahead, &[word]));
        self.advance_by(if found { words.len() } else { 0 });
        found
    }

    pub(crate) fn take_symbol(&mut self, symbol: char) -> bool {
        let found = self.is_symbol(0, symbol);
        self.advance_by(found.into());
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
            Token::Word(word) => word.to_owned(),
            Token::Name(name) => name.value().into_owned(),
            Token::Text(_) | Token::Symbol(_) => return None,
        };
        self.advance();
        Some(name)
    }

    pub(crate) fn name(&mut self, of: &str) -> Result<String, ReadError> {
        self.keep()?;
        self.take_name().ok_or_else(|| self.error(format!("expected the name of {of}")))
    }

    /// Takes the name of a table, `table` or `database.table`.
    pub(crate) fn table(&mut self, default_database: &str) -> Result<TableId, ReadError> {
        self.keep()?;
        self.take_table(default_database).ok_or_else(|| self.error("expected the name of a table"))
    }

    /// Takes the name of a table if one is next. If there is only the beginning of one, such as `database.`, it is taken, too.
    pub(crate) fn take_table(&mut self, default_database: &str) -> Option<TableId> {
        self.take_symbol('.');
        let first = self.take_name()?;
        // A DELETE from several tables may write `table.*`.
        if self.is_symbol(0, '.') && self.is_symbol(1, '*') {
            self.advance_by(2);
            return Some(TableId::new(default_database, first));
        }
        Some(if self.take_symbol('.') { TableId::new(first, self.take_name()?) } else { TableId::new(default_database, first) })
    }

    /// Takes a string, if one is next.
    pub(crate) fn take_text(&mut self) -> Option<Cow<'a, str>> {
        let Some(Token::Text(text)) = self.peek() else { return None };
        self.advance();
        Some(text.value())
    }

    /// Takes a name or a string; either may follow `CHARSET =`.
    pub(crate) fn name_or_text(&mut self, of: &str) -> Result<String, ReadError> {
        self.keep()?;
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
        self.advance();
        Some(number)
    }

    /// Skips parentheses with their contents; the next token must be `(`.
    pub(crate) fn skip_parentheses(&mut self) -> Result<(), ReadError> {
        self.in_parentheses(|_, _| Ok(()))
    }

    /// Takes parentheses, and returns the names and words in them; the next token must be `(`.
    pub(crate) fn names_in_parentheses(&mut self) -> Result<Vec<String>, ReadError> {
        let mut names = Vec::new();
        self.in_parentheses(|cursor, token| {
            match token {
                Token::Word(word) => names.push(word.to_owned()),
                Token::Name(name) => names.push(name.value().into_owned()),
                Token::Text(_) | Token::Symbol(_) => return Ok(()),
            }
            cursor.keep()
        })?;
        Ok(names)
    }

    /// Takes parentheses, and shows every token in them to `look`.
    fn in_parentheses(&mut self, mut look: impl FnMut(&mut Self, Token<'a>) -> Result<(), ReadError>) -> Result<(), ReadError> {
        let opened = self.start();
        self.expect_symbol('(')?;
        let mut depth = 1;
        while depth > 0 {
            let Some(token) = self.advance() else {
                return Err(ReadError::new("a parenthesis without end").near(self.lexer.text_from(opened)));
            };
            match token {
                Token::Symbol('(') => depth += 1,
                Token::Symbol(')') => depth -= 1,
                token => look(self, token)?,
            }
        }
        Ok(())
    }

    /// Skips to the next `,` or `)` outside parentheses, or to the end.
    pub(crate) fn skip_item(&mut self) -> Result<(), ReadError> {
        while let Some(token) = self.peek() {
            match token {
                Token::Symbol(',' | ')' | ';') => break,
                Token::Symbol('(') => self.skip_parentheses()?,
                _ => _ = self.advance(),
            }
        }
        Ok(())
    }

    /// Takes MariaDB's `WAIT n` or `NOWAIT`: how long a statement waits for the table's lock.
    pub(crate) fn take_wait(&mut self) {
        if !self.take_word(&["NOWAIT"]) && self.is_word(0, &["WAIT"]) && self.word_at(1).is_some_and(is_number) {
            self.advance_by(2);
        }
    }

    /// Every table that the rest of the statement may name. A pair `a.b` counts as a table, and so does a single name, which is taken as a
    /// table of the default database. Numbers and reserved words do not count. Fails if there are too many.
    pub(crate) fn names_in_rest(&mut self, default_database: &str) -> Result<Vec<TableId>, ReadError> {
        let mark = self.mark();
        let mut found = BTreeSet::new();
        while self.peek().is_some() {
            let no_name = self.word_at(0).is_some_and(|word| is_number(word) || is_reserved(word)) && !self.is_symbol(1, '.');
            match if no_name { None } else { self.take_table(default_database) } {
                Some(table) => {
                    if found.insert(table) {
                        self.keep()?;
                    }
                }
                None => _ = self.advance(),
            }
        }
        self.reset(mark);
        Ok(found.into_iter().collect())
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
