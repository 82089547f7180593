//! Cuts a script into tokens.

use super::place::{Fault, Place};
use super::syntax::Infix;

/// The longest script, in bytes.
const MAX_LENGTH: usize = 64 << 10;

/// A piece of a script.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A word: a function, a constant or the name of an argument.
    Word(String),
    /// A column, in backticks.
    Column(String),
    /// A text, in single or double quotes.
    Text(String),
    /// A whole number without a sign, at most 2^63.
    Int(u64),
    /// A number with a point.
    Float(f64),
    /// `+ - * /` and comparisons, other than `=`.
    Infix(Infix),
    /// `=`: a comparison, or the end of an argument's name.
    Equals,
    Open,
    Close,
    Comma,
    Question,
    Colon,
    /// The end of the script.
    End,
}

/// The tokens of a script with their places. The last one is [`Token::End`].
pub(super) fn tokens(script: &str) -> Result<Vec<(Token, Place)>, Fault> {
    let mut lexer = Lexer { rest: script, place: Place { line: 1, column: 1 } };
    if script.len() > MAX_LENGTH {
        return Err(Fault::new(lexer.place, format!("the script is longer than {MAX_LENGTH} bytes")));
    }
    lexer.skip_blanks();
    if lexer.rest.starts_with("script:") {
        lexer.skip("script:".len());
    }
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks();
        let place = lexer.place;
        let token = lexer.token()?;
        let is_end = token == Token::End;
        tokens.push((token, place));
        if is_end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    place: Place,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or("");
        if c == '\n' {
            self.place = Place { line: self.place.line + 1, column: 1 };
        } else {
            self.place.column += 1;
        }
        Some(c)
    }

    fn skip(&mut self, characters: usize) {
        for _ in 0..characters {
            self.next();
        }
    }

    fn skip_blanks(&mut self) {
        while self.rest.starts_with(char::is_whitespace) {
            self.next();
        }
    }

    /// The longest beginning of characters for which `accept` is true.
    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let (taken, _) = self.rest.split_at(self.rest.find(|c| !accept(c)).unwrap_or(self.rest.len()));
        self.skip(taken.chars().count());
        taken
    }

    fn token(&mut self) -> Result<Token, Fault> {
        let place = self.place;
        let Some(c) = self.rest.chars().next() else { return Ok(Token::End) };
        for (text, token) in [
            ("==", Token::Equals),
            ("=", Token::Equals),
            ("!=", Token::Infix(Infix::Ne)),
            ("<>", Token::Infix(Infix::Ne)),
            ("<=", Token::Infix(Infix::Le)),
            (">=", Token::Infix(Infix::Ge)),
            ("<", Token::Infix(Infix::Lt)),
            (">", Token::Infix(Infix::Gt)),
            ("+", Token::Infix(Infix::Add)),
            ("-", Token::Infix(Infix::Sub)),
            ("*", Token::Infix(Infix::Mul)),
            ("/", Token::Infix(Infix::Div)),
            ("(", Token::Open),
            (")", Token::Close),
            (",", Token::Comma),
            ("?", Token::Question),
            (":", Token::Colon),
        ] {
            if self.rest.starts_with(text) {
                self.skip(text.len());
                return Ok(token);
            }
        }
        match c {
            '`' => self.column(),
            '"' | '\'' => self.text(c),
            '0'..='9' => self.number(),
            c if c.is_ascii_alphabetic() || c == '_' => {
                Ok(Token::Word(self.take_while(|c| c.is_ascii_alphanumeric() || c == '_').to_owned()))
            }
            c => Err(Fault::new(place, format!("`{c}` is not expected here"))),
        }
    }

    fn column(&mut self) -> Result<Token, Fault> {
        let place = self.place;
        self.next();
        let mut name = String::new();
        loop {
            match self.next() {
                Some('`') if self.rest.starts_with('`') => {
                    self.next();
                    name.push('`');
                }
                Some('`') if name.is_empty() => return Err(Fault::new(place, "the name of a column is empty")),
                Some('`') => return Ok(Token::Column(name)),
                Some(c) => name.push(c),
                None => return Err(Fault::new(place, "a backtick is not closed")),
            }
        }
    }

    /// A backslash makes the next character lose its meaning. Before any other character than a backslash, a quote and `n`, `r`, `t` it is
    /// itself, so that regular expressions may be written with one backslash.
    fn text(&mut self, quote: char) -> Result<Token, Fault> {
        let place = self.place;
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                Some('\\') => match self.next() {
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some(c @ ('\\' | '"' | '\'')) => text.push(c),
                    Some(c) => text.extend(['\\', c]),
                    None => return Err(Fault::new(place, "a quote is not closed")),
                },
                Some(c) if c == quote => return Ok(Token::Text(text)),
                Some(c) => text.push(c),
                None => return Err(Fault::new(place, "a quote is not closed")),
            }
        }
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let place = self.place;
        let start = self.rest;
        self.take_while(|c| c.is_ascii_digit());
        let is_float = self.rest.starts_with('.');
        if is_float {
            self.next();
            if self.take_while(|c| c.is_ascii_digit()).is_empty() {
                return Err(Fault::new(place, "a number ends with a point"));
            }
        }
        let digits = start.get(..start.len() - self.rest.len()).unwrap_or("");
        if self.rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.')) {
            return Err(Fault::new(place, "a number is followed by something that does not belong to it"));
        }
        if is_float {
            // The text has digits only, so it is a number, which is infinite if it has too many digits.
            return match digits.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Token::Float(number)),
                _ => Err(Fault::new(place, "a number is too large")),
            };
        }
        match digits.parse::<u64>() {
            Ok(number) if number <= 1 << 63 => Ok(Token::Int(number)),
            _ => Err(Fault::new(place, "a whole number does not fit into 64 bits")),
        }
    }
}
