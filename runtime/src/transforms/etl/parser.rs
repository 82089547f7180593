//! Reads a script.

use super::lexer::{Token, tokens};
use super::place::{Fault, Place};
use super::syntax::{Argument, Infix, Node, NodeKind};

/// How deep expressions may be nested. What walks over an expression calls itself as often.
const MAX_DEPTH: u32 = 100;

/// Reads a script, which is one expression. A prefix `script:` is passed over.
pub(super) fn parse(script: &str) -> Result<Node, Fault> {
    let mut parser = Parser { tokens: tokens(script)?, at: 0, level: 0 };
    let node = parser.expression()?;
    match parser.next() {
        (Token::End, _) => Ok(node),
        (Token::Text(_) | Token::Column(_) | Token::Word(_) | Token::Int(_) | Token::Float(_), place) => {
            Err(Fault::new(place, "the script ends before this")
                .with_help("a script is one expression: combine actions with e_compose(…, …)"))
        }
        (token, place) => Err(Fault::new(place, format!("{} is not expected here", name_of(&token)))),
    }
}

struct Parser {
    /// Ends with [`Token::End`].
    tokens: Vec<(Token, Place)>,
    at: usize,
    level: u32,
}

impl Parser {
    fn next(&mut self) -> (Token, Place) {
        let next = self.peek();
        self.at += 1;
        next
    }

    fn peek(&self) -> (Token, Place) {
        self.tokens.get(self.at).or(self.tokens.last()).cloned().unwrap_or((Token::End, Place::default()))
    }

    fn is_next(&self, token: &Token) -> bool {
        self.peek().0 == *token
    }

    /// Takes the next token if it is this one.
    fn accept(&mut self, token: &Token) -> Option<Place> {
        self.is_next(token).then(|| self.next().1)
    }

    fn expect(&mut self, token: &Token) -> Result<(), Fault> {
        match self.next() {
            (next, _) if next == *token => Ok(()),
            (next, place) => Err(Fault::new(place, format!("{} is expected here, found {}", name_of(token), name_of(&next)))),
        }
    }

    fn node(place: Place, kind: NodeKind) -> Result<Node, Fault> {
        let node = Node::new(place, kind);
        if node.depth > MAX_DEPTH { Err(too_deep(place)) } else { Ok(node) }
    }

    /// `condition ? a : b`, or what is above it.
    fn expression(&mut self) -> Result<Node, Fault> {
        self.level += 1;
        if self.level > MAX_DEPTH {
            return Err(too_deep(self.peek().1));
        }
        let first = self.comparison()?;
        let node = match self.accept(&Token::Question) {
            Some(_) => {
                let yes = self.expression()?;
                self.expect(&Token::Colon)?;
                let no = self.expression()?;
                Self::node(first.place, NodeKind::Choice(Box::new([first, yes, no])))?
            }
            None => first,
        };
        self.level -= 1;
        Ok(node)
    }

    fn comparison(&mut self) -> Result<Node, Fault> {
        let left = self.sum()?;
        let infix = match self.peek().0 {
            Token::Equals => Infix::Eq,
            Token::Infix(infix @ (Infix::Ne | Infix::Lt | Infix::Le | Infix::Gt | Infix::Ge)) => infix,
            _ => return Ok(left),
        };
        let (_, place) = self.next();
        let right = self.sum()?;
        Self::node(place, NodeKind::Infix(infix, Box::new([left, right])))
    }

    fn sum(&mut self) -> Result<Node, Fault> {
        self.chain(&[Infix::Add, Infix::Sub], |parser| parser.chain(&[Infix::Mul, Infix::Div], Self::signed))
    }

    /// Operands with operators of one rank between them, which are read from the left.
    fn chain(&mut self, rank: &[Infix], operand: impl Fn(&mut Self) -> Result<Node, Fault>) -> Result<Node, Fault> {
        let mut left = operand(self)?;
        loop {
            match self.peek().0 {
                Token::Infix(infix) if rank.contains(&infix) => {
                    let (_, place) = self.next();
                    let right = operand(self)?;
                    left = Self::node(place, NodeKind::Infix(infix, Box::new([left, right])))?;
                }
                _ => return Ok(left),
            }
        }
    }

    fn signed(&mut self) -> Result<Node, Fault> {
        let Some(place) = self.accept(&Token::Infix(Infix::Sub)) else { return self.primary() };
        match self.peek().0 {
            Token::Int(number) => {
                self.next();
                Self::node(place, NodeKind::Int(0i64.wrapping_sub_unsigned(number)))
            }
            Token::Float(number) => {
                self.next();
                Self::node(place, NodeKind::Float(-number))
            }
            _ => {
                self.level += 1;
                if self.level > MAX_DEPTH {
                    return Err(too_deep(place));
                }
                let operand = self.signed()?;
                self.level -= 1;
                Self::node(place, NodeKind::Minus(Box::new(operand)))
            }
        }
    }

    fn primary(&mut self) -> Result<Node, Fault> {
        let (token, place) = self.next();
        let kind = match token {
            Token::Int(number) => match i64::try_from(number) {
                Ok(number) => NodeKind::Int(number),
                Err(_) => return Err(Fault::new(place, "a whole number does not fit into 64 bits")),
            },
            Token::Float(number) => NodeKind::Float(number),
            Token::Text(text) => NodeKind::Text(text),
            Token::Column(name) => NodeKind::Column(name),
            Token::Word(word) if self.accept(&Token::Open).is_some() => NodeKind::Call(word, self.arguments()?),
            Token::Word(word) => NodeKind::Word(word),
            Token::Open => {
                let node = self.expression()?;
                self.expect(&Token::Close)?;
                return Ok(node);
            }
            token => return Err(Fault::new(place, format!("a value is expected here, found {}", name_of(&token)))),
        };
        Self::node(place, kind)
    }

    /// A word before `=` is the name of the argument, unless it is a constant.
    fn argument_name(&mut self) -> Option<String> {
        let Some([(Token::Word(word), _), (Token::Equals, _)]) = self.tokens.get(self.at..self.at + 2) else { return None };
        let is_constant = word.starts_with("__") || matches!(word.as_str(), "true" | "false" | "null" | "NEW");
        let name = (!is_constant).then(|| word.clone())?;
        self.at += 2;
        Some(name)
    }

    fn arguments(&mut self) -> Result<Vec<Argument>, Fault> {
        let mut arguments = Vec::new();
        if self.accept(&Token::Close).is_some() {
            return Ok(arguments);
        }
        loop {
            let name = self.argument_name();
            let value = self.expression()?;
            arguments.push(Argument { name, value });
            match self.next() {
                (Token::Comma, _) => {}
                (Token::Close, _) => return Ok(arguments),
                (token, place) => {
                    return Err(Fault::new(place, format!("`,` or `)` is expected here, found {}", name_of(&token))));
                }
            }
        }
    }
}

fn too_deep(place: Place) -> Fault {
    Fault::new(place, format!("the script is nested more than {MAX_DEPTH} deep"))
}

fn name_of(token: &Token) -> &'static str {
    match token {
        Token::Word(_) => "a word",
        Token::Column(_) => "a column",
        Token::Text(_) => "a text",
        Token::Int(_) | Token::Float(_) => "a number",
        Token::Infix(infix) => infix.as_str(),
        Token::Equals => "=",
        Token::Open => "`(`",
        Token::Close => "`)`",
        Token::Comma => "`,`",
        Token::Question => "`?`",
        Token::Colon => "`:`",
        Token::End => "the end of the script",
    }
}
