//! Reads the text of a condition with sqlparser, in MySQL's dialect.
//!
//! sqlparser's own MySQL dialect binds XOR more tightly than a comparison, reads `||` as a concatenation, and knows neither `a MOD b` nor
//! `!a`. The dialect here mends that. Where predicates stand in one another without parentheses, servers and parser may still disagree, so
//! this is refused (`compile`).

use std::any::TypeId;

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};
use sqlparser::dialect::{Dialect, MySqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Tokenizer};

/// The longest condition in bytes.
const MAX_LENGTH: usize = 16 << 10;
/// How deep expressions may be nested.
const MAX_DEPTH: usize = 50;
/// The most tokens. An operator nests its left operand one deeper, so this also bounds the depth of long chains.
const MAX_TOKENS: usize = 4096;

#[derive(Debug)]
struct Conditions(MySqlDialect);

impl Dialect for Conditions {
    fn dialect(&self) -> TypeId {
        TypeId::of::<MySqlDialect>()
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        self.0.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.0.is_identifier_part(ch)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        self.0.is_delimited_identifier_start(ch)
    }

    fn supports_string_literal_backslash_escape(&self) -> bool {
        true
    }

    fn supports_string_literal_concatenation(&self) -> bool {
        true
    }

    fn ignores_wildcard_escapes(&self) -> bool {
        true
    }

    fn supports_numeric_prefix(&self) -> bool {
        true
    }

    fn requires_single_line_comment_whitespace(&self) -> bool {
        true
    }

    fn supports_double_ampersand_operator(&self) -> bool {
        true
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        match precedence {
            // Comparisons, LIKE, IN, BETWEEN and IS are of one rank in MySQL.
            Precedence::Like | Precedence::Is => self.0.prec_value(Precedence::Eq),
            Precedence::Xor => 7,
            other => self.0.prec_value(other),
        }
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        let precedence = match &parser.peek_token_ref().token {
            Token::StringConcat => Precedence::Or,
            Token::Overlap => Precedence::And,
            Token::Word(word) if is_mod(word) => Precedence::MulDivModOp,
            _ => return None,
        };
        Some(Ok(self.prec_value(precedence)))
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        if !parser.consume_token(&Token::ExclamationMark) {
            return None;
        }
        let operand = parser.parse_subexpr(self.prec_value(Precedence::Period));
        Some(operand.map(|expr| Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(expr))) }))
    }

    fn parse_infix(&self, parser: &mut Parser<'_>, expr: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
        let op = match &parser.peek_token_ref().token {
            Token::StringConcat => BinaryOperator::Or,
            Token::Overlap => BinaryOperator::And,
            Token::Word(word) if is_mod(word) => BinaryOperator::Modulo,
            _ => return self.0.parse_infix(parser, expr, precedence),
        };
        parser.next_token();
        let right = parser.parse_subexpr(precedence);
        Some(right.map(|right| Expr::BinaryOp { left: Box::new(expr.clone()), op, right: Box::new(right) }))
    }
}

fn is_mod(word: &sqlparser::tokenizer::Word) -> bool {
    word.quote_style.is_none() && word.value.eq_ignore_ascii_case("MOD")
}

/// Reads a condition; the error says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Expr, String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("it is longer than {MAX_LENGTH} bytes"));
    }
    if text.contains("/*") {
        return Err("a comment /* … */ may be read differently by different servers".into());
    }
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        // sqlparser reads \a and \f as control characters, MySQL as letters.
        if c == '\\' && matches!(chars.next(), Some('a' | 'f' | 'u' | 'U' | 'x')) {
            return Err("a backslash before a, f, u or x means nothing in MySQL".into());
        }
    }
    let dialect = Conditions(MySqlDialect {});
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|error| error.to_string())?;
    if tokens.len() > MAX_TOKENS {
        return Err(format!("it has more than {MAX_TOKENS} words and signs"));
    }
    // sqlparser takes it for `=`.
    if tokens.iter().any(|token| token.token == Token::DoubleEq) {
        return Err("MySQL has no operator ==: write =".into());
    }
    let mut parser = Parser::new(&dialect).with_recursion_limit(MAX_DEPTH).with_tokens_with_locations(tokens);
    let expr = parser.parse_expr().map_err(|error| error.to_string())?;
    match parser.peek_token().token {
        Token::EOF => Ok(expr),
        Token::Word(word) if word.keyword == Keyword::NoKeyword => Err(format!("`{}` is not expected after the condition", word.value)),
        other => Err(format!("`{other}` is not expected after the condition")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> String {
        fn show(expr: &Expr) -> String {
            match expr {
                Expr::BinaryOp { left, op, right } => format!("({} {op} {})", show(left), show(right)),
                Expr::UnaryOp { op, expr } => format!("({op} {})", show(expr)),
                Expr::Nested(inner) => show(inner),
                Expr::IsNull(inner) => format!("({} is null)", show(inner)),
                other => other.to_string(),
            }
        }
        parse(text).map_or_else(|error| format!("error: {error}"), |expr| show(&expr))
    }

    #[test]
    fn operators_bind_as_in_mysql() {
        for (text, expected) in [
            ("a = 1 XOR b = 2 OR c", "(((a = 1) XOR (b = 2)) OR c)"),
            ("a XOR b AND c", "(a XOR (b AND c))"),
            ("a || b && c", "(a OR (b AND c))"),
            ("a MOD 3 + 1 = 2", "(((a % 3) + 1) = 2)"),
            ("10 - a DIV 2", "(10 - (a DIV 2))"),
            ("!a AND b", "((NOT a) AND b)"),
            ("NOT a = b", "(NOT (a = b))"),
            ("a = b IS NULL", "((a = b) is null)"),
            ("-a * b", "((- a) * b)"),
        ] {
            assert_eq!(tree(text).replace("(-a)", "(- a)"), expected.to_owned(), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in ["", "a =", "a = 1 b", "a = 1; b", "a /* x */ = 1", r"a = '\a'", "a == 1", &"(".repeat(3000), &"a+".repeat(9000)] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
