//! Changes the text of a SHOW CREATE TABLE definition by definition, and keeps the rest as it is.

use std::ops::Range;

use crate::schema::ReadError;
use crate::schema::lexer::{Dialect, Lexeme, Token, tokens};

/// The text of a SHOW CREATE TABLE, cut into its parts.
pub(super) struct Definitions<'a> {
    statement: &'a str,
    lexemes: Vec<Lexeme<'a>>,
    /// The offsets of the outer parentheses, and of the commas between the definitions in them; each with the index of its lexeme.
    borders: Vec<(usize, usize)>,
}

/// One column, key or constraint.
pub(super) struct Definition<'d, 'a> {
    /// With the white space around it.
    pub(super) text: &'a str,
    pub(super) lexemes: &'d [Lexeme<'a>],
    /// Where `text` begins in the statement, in bytes.
    start: usize,
}

impl Definition<'_, '_> {
    /// Whether the word is at this place.
    pub(super) fn is(&self, index: usize, word: &str) -> bool {
        is_word(self.lexemes, index, word)
    }

    /// The offset in `text` where the lexeme with this index begins; the end of the text if there is none.
    pub(super) fn offset(&self, index: usize) -> usize {
        self.lexemes.get(index).map_or(self.text.len(), |lexeme| lexeme.start - self.start)
    }

    /// The text without a part.
    pub(super) fn without(&self, part: Range<usize>) -> String {
        let piece = |range: Range<usize>| self.text.get(range).unwrap_or_default();
        format!("{}{}", piece(0..part.start), piece(part.end..self.text.len()))
    }
}

pub(super) fn is_word(lexemes: &[Lexeme<'_>], index: usize, word: &str) -> bool {
    matches!(lexemes.get(index).map(|lexeme| &lexeme.token), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word))
}

impl<'a> Definitions<'a> {
    pub(super) fn read(statement: &'a str) -> Result<Self, ReadError> {
        let lexemes = tokens(statement, Dialect::default())?;
        let (mut depth, mut borders) = (0usize, Vec::new());
        for (index, lexeme) in lexemes.iter().enumerate() {
            let border = match lexeme.token {
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
                borders.push((lexeme.start, index));
                if depth == 0 {
                    break;
                }
            }
        }
        if depth != 0 || borders.len() < 2 {
            return Err(ReadError::new("the statement does not list its columns").near(statement));
        }
        Ok(Self { statement, lexemes, borders })
    }

    /// The lexemes behind the definitions, beginning with the closing parenthesis.
    pub(super) fn rest(&self) -> &[Lexeme<'a>] {
        let (_, last) = self.borders[self.borders.len() - 1];
        self.lexemes.get(last..).unwrap_or_default()
    }

    /// The statement up to the offset `end`, with other definitions: `change` returns the new text of each, or `None` to leave it out.
    pub(super) fn rewritten(&self, end: usize, change: impl Fn(&Definition<'_, 'a>) -> Option<String>) -> String {
        let part = |from: usize, to: usize| self.statement.get(from..to).unwrap_or("");
        let (first, last) = (self.borders[0].0, self.borders[self.borders.len() - 1].0);
        let (mut kept, mut space) = (Vec::with_capacity(self.borders.len()), "");
        for pair in self.borders.windows(2) {
            let [(from, begin), (to, stop)] = [pair[0], pair[1]];
            let mut text = part(from + 1, to);
            if to == last {
                // The white space before the closing parenthesis is kept, even if the last definition is removed.
                (text, space) = text.split_at(text.trim_end().len());
            }
            let lexemes = self.lexemes.get(begin + 1..stop).unwrap_or_default();
            kept.extend(change(&Definition { text, lexemes, start: from + 1 }));
        }
        format!("{}{}{space}{}", part(0, first + 1), kept.join(","), part(last, end))
    }
}
