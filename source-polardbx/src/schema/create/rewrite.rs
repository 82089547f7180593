//! Changes the text of a SHOW CREATE TABLE definition by definition, and keeps the rest as it is.

use std::ops::Range;

use crate::schema::ReadError;
use crate::schema::lexer::{Dialect, Lexeme, Lexer, Start, Token};

/// The text of a SHOW CREATE TABLE, cut into its parts.
pub(super) struct Definitions<'a> {
    statement: &'a str,
    /// Where the outer parentheses are, and the commas between the definitions in them.
    borders: Vec<Start>,
}

/// One column, key or constraint.
pub(super) struct Definition<'a> {
    /// With the white space around it.
    pub(super) text: &'a str,
    /// Stands before the first token.
    lexer: Lexer<'a>,
    /// Where `text` begins in the statement, in bytes.
    start: usize,
}

impl<'a> Definition<'a> {
    /// The tokens of the definition, each with its offset in `text`.
    pub(super) fn tokens(&self) -> impl Iterator<Item = (usize, Token<'a>)> {
        let (start, length) = (self.start, self.text.len());
        let found = self.lexer.clone().flatten().map(move |lexeme| (lexeme.start.offset - start, lexeme.token));
        found.take_while(move |&(offset, _)| offset < length)
    }

    /// Whether the word is at this place.
    pub(super) fn is(&self, index: usize, word: &str) -> bool {
        self.tokens().nth(index).is_some_and(|(_, token)| is_word(token, word))
    }

    /// The offset in `text` where the token with this index begins; the end of the text if there is none.
    pub(super) fn offset(&self, index: usize) -> usize {
        self.tokens().nth(index).map_or(self.text.len(), |(offset, _)| offset)
    }

    /// The text without a part.
    pub(super) fn without(&self, part: Range<usize>) -> String {
        let piece = |range: Range<usize>| self.text.get(range).unwrap_or_default();
        format!("{}{}", piece(0..part.start), piece(part.end..self.text.len()))
    }
}

pub(super) fn is_word(token: Token<'_>, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.eq_ignore_ascii_case(word))
}

impl<'a> Definitions<'a> {
    pub(super) fn read(statement: &'a str) -> Result<Self, ReadError> {
        /// More than any server allows in a table.
        const MOST: usize = 8_192;
        let (mut depth, mut borders) = (0usize, Vec::new());
        let mut is_closed = false;
        for lexeme in Lexer::new(statement, Dialect::default()) {
            let Lexeme { token, start } = lexeme?;
            let border = match token {
                // The rest is only checked for quotes and comments without end.
                _ if is_closed => continue,
                Token::Symbol('(') => {
                    depth += 1;
                    depth == 1
                }
                Token::Symbol(')') => {
                    depth = depth.saturating_sub(1);
                    depth == 0
                }
                Token::Symbol(',') => depth == 1,
                _ => false,
            };
            if border {
                borders.push(start);
                is_closed = depth == 0;
            }
            if borders.len() > MOST {
                return Err(ReadError::new(format!("a table with more than {MOST} columns, keys and constraints")));
            }
        }
        if depth != 0 || borders.len() < 2 {
            return Err(ReadError::new("the statement does not list its columns").near(statement));
        }
        Ok(Self { statement, borders })
    }

    fn lexer(&self, start: Start) -> Lexer<'a> {
        Lexer::new(self.statement, Dialect::default()).restarted(start)
    }

    /// The tokens behind the definitions, beginning with the closing parenthesis.
    pub(super) fn rest(&self) -> impl Iterator<Item = Lexeme<'a>> {
        self.lexer(self.borders[self.borders.len() - 1]).flatten()
    }

    /// The statement up to the offset `end`, with other definitions: `change` returns the new text of each, or `None` to leave it out.
    pub(super) fn rewritten(&self, end: usize, change: impl Fn(&Definition<'a>) -> Option<String>) -> String {
        let part = |from: usize, to: usize| self.statement.get(from..to).unwrap_or("");
        let (first, last) = (self.borders[0].offset, self.borders[self.borders.len() - 1].offset);
        let (mut kept, mut space) = (Vec::with_capacity(self.borders.len()), "");
        for pair in self.borders.windows(2) {
            let (from, to) = (pair[0], pair[1].offset);
            let mut text = part(from.offset + 1, to);
            if to == last {
                // The white space before the closing parenthesis is kept, even if the last definition is removed.
                (text, space) = text.split_at(text.trim_end().len());
            }
            let mut lexer = self.lexer(from);
            // The border itself.
            lexer.next();
            kept.extend(change(&Definition { text, lexer, start: from.offset + 1 }));
        }
        format!("{}{}{space}{}", part(0, first + 1), kept.join(","), part(last, end))
    }
}
