//! What a script says, before it is known for which table. Printing it gives a script that means the same.

use std::fmt::{self, Write as _};

use super::place::Place;

/// An expression of a script.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: NodeKind,
    /// The number of nodes on the longest way down.
    pub(super) depth: u32,
}

/// Scripts that differ only in places are the same.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum NodeKind {
    Int(i64),
    Float(f64),
    Text(String),
    Column(String),
    /// A word that is no function: `true`, `__TB__`.
    Word(String),
    Call(String, Vec<Argument>),
    Infix(Infix, Box<[Node; 2]>),
    /// `-a`, where `a` is not a number.
    Minus(Box<Node>),
    /// `a ? b : c`.
    Choice(Box<[Node; 3]>),
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Argument {
    /// `years` in `years=1`.
    pub(super) name: Option<String>,
    pub(super) value: Node,
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Infix {
    Add,
    Sub,
    Mul,
    Div,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Infix {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }
}

impl Node {
    pub(super) fn new(place: Place, kind: NodeKind) -> Self {
        let deepest = |nodes: &[Node]| nodes.iter().map(|node| node.depth).max().unwrap_or(0);
        let below = match &kind {
            NodeKind::Call(_, arguments) => arguments.iter().map(|argument| argument.value.depth).max().unwrap_or(0),
            NodeKind::Infix(_, operands) => deepest(operands.as_slice()),
            NodeKind::Choice(parts) => deepest(parts.as_slice()),
            NodeKind::Minus(operand) => operand.depth,
            NodeKind::Int(_) | NodeKind::Float(_) | NodeKind::Text(_) | NodeKind::Column(_) | NodeKind::Word(_) => 0,
        };
        Self { place, kind, depth: below + 1 }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            NodeKind::Int(number) => write!(f, "{number}"),
            NodeKind::Float(number) => {
                let digits = number.to_string();
                f.write_str(&digits)?;
                if digits.contains('.') { Ok(()) } else { f.write_str(".0") }
            }
            NodeKind::Text(text) => {
                f.write_char('"')?;
                for c in text.chars() {
                    match c {
                        '"' | '\\' => write!(f, "\\{c}")?,
                        c => f.write_char(c)?,
                    }
                }
                f.write_char('"')
            }
            NodeKind::Column(name) => write!(f, "`{}`", name.replace('`', "``")),
            NodeKind::Word(word) => f.write_str(word),
            NodeKind::Call(name, arguments) => {
                write!(f, "{name}(")?;
                for (index, argument) in arguments.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    if let Some(name) = &argument.name {
                        write!(f, "{name}=")?;
                    }
                    write!(f, "{}", argument.value)?;
                }
                f.write_char(')')
            }
            NodeKind::Infix(infix, operands) => {
                let [left, right] = &**operands;
                write!(f, "({left} {} {right})", infix.as_str())
            }
            // Without the brackets, a number would become negative.
            NodeKind::Minus(operand) => write!(f, "-({operand})"),
            NodeKind::Choice(parts) => {
                let [condition, yes, no] = &**parts;
                write!(f, "({condition} ? {yes} : {no})")
            }
        }
    }
}
