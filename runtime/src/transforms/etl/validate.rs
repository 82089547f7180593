//! What is wrong with a script whatever the table is: names of functions, numbers of arguments, and actions in the place of values.

use super::functions::{Callee, Entry};
use super::place::Fault;
use super::syntax::{Argument, Node, NodeKind};

/// What stands in the place of a node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Action,
    Value,
}

/// Checks a node and all below it.
pub(super) fn validate(node: &Node, expected: Expected) -> Result<(), Fault> {
    if let NodeKind::Call(name, arguments) = &node.kind {
        let Some(entry) = Entry::find(name) else {
            return Err(Fault::new(node.place, format!("unknown function {name}")).with_help(similar(name)));
        };
        match (entry.callee, expected) {
            (Callee::Action(_), Expected::Value) => {
                return Err(Fault::new(node.place, format!("{name} is an action, and a value is expected here")));
            }
            (Callee::Value(_) | Callee::Form(_), Expected::Action) => return Err(no_action(node)),
            _ => {}
        }
        let positional = arguments.iter().filter(|argument| argument.name.is_none()).count();
        if let Some(wrong) = entry.wrong_count(positional) {
            return Err(Fault::new(node.place, wrong));
        }
        for (index, argument) in arguments.iter().enumerate() {
            if let Some(argument_name) = &argument.name {
                let is_twice = arguments.iter().take(index).any(|other| other.name == argument.name);
                if is_twice || !entry.takes_named(argument_name) {
                    let why = if is_twice { "has two arguments" } else { "takes no argument" };
                    return Err(Fault::new(argument.value.place, format!("{name} {why} {argument_name}")));
                }
            }
            validate(&argument.value, expected_argument(entry, arguments, index))?;
        }
        return Ok(());
    }
    if expected == Expected::Action {
        return Err(no_action(node));
    }
    match &node.kind {
        NodeKind::Infix(_, operands) => operands.iter().try_for_each(|operand| validate(operand, Expected::Value)),
        NodeKind::Choice(parts) => parts.iter().try_for_each(|part| validate(part, Expected::Value)),
        NodeKind::Minus(operand) => validate(operand, Expected::Value),
        NodeKind::Int(_) | NodeKind::Float(_) | NodeKind::Text(_) | NodeKind::Column(_) | NodeKind::Word(_) | NodeKind::Call(..) => Ok(()),
    }
}

fn expected_argument(entry: &Entry, arguments: &[Argument], index: usize) -> Expected {
    use super::functions::ActionName as A;
    let is_named = arguments.get(index).is_some_and(|argument| argument.name.is_some());
    let position = arguments.iter().take(index).filter(|argument| argument.name.is_none()).count();
    let is_action = match entry.callee {
        Callee::Action(A::Compose) => true,
        Callee::Action(A::IfElse) => position > 0,
        Callee::Action(A::If) => position % 2 == 1,
        Callee::Action(A::Switch) => is_named || position % 2 == 1,
        _ => false,
    };
    if is_action { Expected::Action } else { Expected::Value }
}

fn no_action(node: &Node) -> Fault {
    Fault::new(node.place, "an action is expected here")
        .with_help("actions are e_set, e_if, e_if_else, e_switch, e_compose, e_drop, e_keep")
}

/// The known name that differs least.
fn similar(name: &str) -> String {
    let common = |other: &str| other.chars().zip(name.chars()).take_while(|(a, b)| a == b).count();
    let closest = super::functions::ENTRIES.iter().max_by_key(|entry| (common(entry.name), usize::MAX - entry.name.len()));
    match closest {
        Some(entry) if common(entry.name) > 3 => format!("a function with a name like it is {}", entry.name),
        _ => "docs/etl.md lists all functions".into(),
    }
}
