//! Makes expressions of a script for one version of a table.

use super::evaluate::fold;
use super::expression::{Expression, Extra, Image, Term};
use super::functions::{Callee, Entry, FormName, Function};
use super::moment::Moment;
use super::place::{Fault, Place};
use super::read::Reader;
use super::store::integer_range;
use super::syntax::{Argument, Infix, Node, NodeKind};
use super::types;
use super::value::{Constant, Type, moment_type};
use super::zone::Zone;
use crate::TableSchema;

/// Where expressions are compiled: what a column means.
pub(super) struct Compiler<'a> {
    pub(super) schema: &'a TableSchema,
    pub(super) zone: &'a Zone,
    /// The columns that the script has set so far.
    pub(super) slots: Vec<Slot>,
}

/// A column that the script sets.
pub(super) struct Slot {
    pub(super) name: String,
    /// The table's column of this name.
    pub(super) original: Option<usize>,
    /// The type that is read after it was set.
    pub(super) ty: Type,
    /// Whether the column takes the type of its values, rather than the values the type of the column.
    pub(super) is_new: bool,
    /// Whether it can be NULL.
    pub(super) nullable: bool,
    /// Whether it is set for every row that reaches the end of the script.
    pub(super) definite: bool,
}

impl Compiler<'_> {
    /// The expression that a node means. What needs no row is worked out at once.
    pub(super) fn expression(&self, node: &Node) -> Result<Expression, Fault> {
        let place = node.place;
        let constant = |value, ty| Ok(Expression::constant(value, ty, place));
        match &node.kind {
            NodeKind::Int(number) => constant(Constant::Int(*number), Type::Int),
            NodeKind::Float(number) => constant(Constant::Float(*number), Type::Float),
            NodeKind::Text(text) => Ok(text_constant(text, place)),
            NodeKind::Column(name) => self.column(name, place),
            NodeKind::Word(word) => self.word(word, place),
            NodeKind::Minus(operand) => {
                let operand = self.expression(operand)?;
                let zero = Expression::constant(Constant::Int(0), Type::Int, place);
                self.call(Function::Sub, vec![zero, operand], place)
            }
            NodeKind::Infix(infix, operands) => {
                let [left, right] = &**operands;
                let operands = vec![self.expression(left)?, self.expression(right)?];
                let is_text = operands.iter().any(|operand| matches!(operand.ty, Type::Text(_)));
                let function = match infix {
                    Infix::Add if is_text => Function::Join,
                    Infix::Add => Function::Sum,
                    Infix::Sub => Function::Sub,
                    Infix::Mul => Function::Mul,
                    Infix::Div => Function::Div,
                    Infix::Eq => Function::Eq,
                    Infix::Ne => Function::Ne,
                    Infix::Lt => Function::Lt,
                    Infix::Le => Function::Le,
                    Infix::Gt => Function::Gt,
                    Infix::Ge => Function::Ge,
                };
                self.call(function, operands, place)
            }
            NodeKind::Choice(parts) => {
                let [condition, yes, no] = &**parts;
                let condition = self.condition(condition)?;
                match condition.as_constant() {
                    Some(Constant::Bool(true)) => return self.expression(yes),
                    Some(_) => return self.expression(no),
                    None => {}
                }
                let (yes, no) = (self.expression(yes)?, self.expression(no)?);
                let Some(ty) = yes.ty.with(no.ty) else {
                    let what = format!("the two values are of different types: {} and {}", yes.ty.name(), no.ty.name());
                    return Err(Fault::new(no.place, what));
                };
                let nullable = yes.nullable || no.nullable;
                Ok(Expression { term: Term::Choice(Box::new([condition, yes, no])), ty, nullable, place })
            }
            NodeKind::Call(name, arguments) => match Entry::find(name).map(|entry| entry.callee) {
                Some(Callee::Value(function)) => self.function(function, arguments, place),
                Some(Callee::Form(form)) => self.form(form, arguments, place),
                Some(Callee::Action(_)) | None => Err(Fault::new(place, format!("{name} is no function that gives a value"))),
            },
        }
    }

    /// A condition.
    pub(super) fn condition(&self, node: &Node) -> Result<Expression, Fault> {
        let condition = self.expression(node)?;
        match condition.ty {
            Type::Bool | Type::Null => Ok(condition),
            other => Err(Fault::new(condition.place, format!("a condition is expected here, found {}", other.name()))
                .with_help("compare the value, for example with op_eq(…, …)")),
        }
    }

    fn function(&self, function: Function, arguments: &[Argument], place: Place) -> Result<Expression, Fault> {
        if matches!(function, Function::And | Function::Or) {
            return self.logic(function, arguments, place);
        }
        if function == Function::In {
            let value = self.plain(arguments, 0, place)?;
            let list = self.list(arguments.get(1), value.ty, place)?;
            return self.finish(function, vec![value], Extra::List(list), Type::Bool, place);
        }
        let values = arguments.iter().filter(|argument| argument.name.is_none());
        let mut values = values.map(|argument| self.expression(&argument.value)).collect::<Result<Vec<_>, _>>()?;
        if function == Function::AddTime {
            let mut units = Vec::new();
            for argument in arguments {
                let Some(name) = &argument.name else { continue };
                let count = self.expression(&argument.value)?;
                if !matches!(count.ty, Type::Int | Type::Null) {
                    return Err(Fault::new(count.place, format!("dt_add: {name} must be an integer, found {}", count.ty.name())));
                }
                units.extend(types::unit(name));
                values.push(count);
            }
            let ty = types::check(function, &mut values, place)?;
            return self.finish(function, values, Extra::Units(units), ty, place);
        }
        self.call(function, values, place)
    }

    /// A call, once its arguments are known.
    pub(super) fn call(&self, function: Function, mut values: Vec<Expression>, place: Place) -> Result<Expression, Fault> {
        let mut extra = types::prepare(function, &mut values, place)?;
        if let (Extra::Digits(_, least, most), Some(Expression { term: Term::Cell { column, .. }, .. })) = (&mut extra, values.first())
            && let Some(range) = self.schema.columns.get(*column).and_then(integer_range)
        {
            (*least, *most) = range;
        }
        let ty = types::check(function, &mut values, place)?;
        let ty = match &extra {
            Extra::Pattern(pattern) if function == Function::Print => Type::Text(Some(pattern.length())),
            Extra::Pattern(pattern) if function == Function::Parse => Type::DateTime(pattern.fsp()),
            _ => ty,
        };
        self.finish(function, values, extra, ty, place)
    }

    fn finish(&self, function: Function, arguments: Vec<Expression>, extra: Extra, ty: Type, place: Place) -> Result<Expression, Fault> {
        let is_constant = function.is_pure() && arguments.iter().all(|argument| argument.as_constant().is_some());
        let nullable = match function {
            Function::IsNull | Function::IsNotNull => false,
            Function::Between => true,
            _ => arguments.iter().any(|argument| argument.nullable),
        };
        let call = Expression { term: Term::Call { function, arguments, extra }, ty, nullable, place };
        if !is_constant {
            return Ok(call);
        }
        let value = fold(&call, self.zone).map_err(|failure| failure.into_fault())?;
        let ty = match &value {
            Constant::Text(text) => text_constant(text, place).ty,
            Constant::Moment(moment) => moment_type(moment.form),
            _ => ty,
        };
        Ok(Expression::constant(value, ty, place))
    }

    /// `and` and `or`. What stands behind an operand that decides for this table is not compiled, because the table may not have its columns.
    fn logic(&self, function: Function, arguments: &[Argument], place: Place) -> Result<Expression, Fault> {
        let mut operands = Vec::new();
        for argument in arguments {
            let operand = self.condition(&argument.value)?;
            match operand.as_constant() {
                Some(Constant::Bool(value)) if *value == (function == Function::And) => {}
                Some(Constant::Bool(value)) => {
                    // Operands before it can only fail or be NULL; the result is the same.
                    return Ok(Expression::constant(Constant::Bool(*value), Type::Bool, place));
                }
                _ => operands.push(operand),
            }
        }
        if operands.is_empty() {
            return Ok(Expression::constant(Constant::Bool(function == Function::And), Type::Bool, place));
        }
        self.finish(function, operands, Extra::None, Type::Bool, place)
    }

    fn form(&self, form: FormName, arguments: &[Argument], place: Place) -> Result<Expression, Fault> {
        match form {
            FormName::DateTime => {
                let text = self.plain(arguments, 0, place)?;
                let Some(text) = text.as_text() else {
                    return Err(
                        Fault::new(place, "DATETIME takes a text that is written out").with_help("dt_strptime reads a date from a column")
                    );
                };
                match Moment::parse(text) {
                    Some(moment) => Ok(Expression::constant(Constant::Moment(moment), moment_type(moment.form), place)),
                    None => Err(Fault::new(place, "DATETIME: the text is no date of the calendar such as 2021-01-01 10:10:01")),
                }
            }
            FormName::JsonArray => Err(Fault::new(place, "json_array can only be the second argument of op_in")),
            FormName::BsonValue => Err(Fault::new(place, "bson_value reads documents of MongoDB, which this source does not have")),
            FormName::Image => self.image(arguments, place),
        }
    }

    fn image(&self, arguments: &[Argument], place: Place) -> Result<Expression, Fault> {
        let (Some(NodeKind::Column(name)), Some(NodeKind::Word(image))) =
            (arguments.first().map(|argument| &argument.value.kind), arguments.get(1).map(|argument| &argument.value.kind))
        else {
            return Err(Fault::new(place, "v takes a column in backticks and __BEFORE__ or __AFTER__"));
        };
        let image = match image.as_str() {
            "__BEFORE__" => Image::Before,
            "__AFTER__" => Image::After,
            _ => return Err(Fault::new(place, "the second argument of v is __BEFORE__ or __AFTER__")),
        };
        let Some(column) = self.schema.column(name) else { return Err(self.unknown_column(name, place)) };
        // An INSERT has no image before, and a DELETE none after.
        Ok(Expression { nullable: true, ..self.cell(column, image, place) })
    }

    fn plain(&self, arguments: &[Argument], index: usize, place: Place) -> Result<Expression, Fault> {
        match arguments.get(index) {
            Some(argument) => self.expression(&argument.value),
            None => Err(Fault::new(place, "an argument is missing")),
        }
    }

    /// The elements of `json_array('[…]')` as values that can be compared with values of type `ty`.
    fn list(&self, argument: Option<&Argument>, ty: Type, place: Place) -> Result<Vec<Constant>, Fault> {
        let wrong = || {
            Fault::new(place, "the second argument of op_in is json_array with a JSON array of texts and numbers")
                .with_help("write op_in(`state`, json_array('[\"new\", \"paid\"]'))")
        };
        let Some(NodeKind::Call(name, inner)) = argument.map(|argument| &argument.value.kind) else { return Err(wrong()) };
        if name != "json_array" {
            return Err(wrong());
        }
        let text = self.plain(inner, 0, place)?;
        let list: Vec<serde_json::Value> = text.as_text().and_then(|text| serde_json::from_str(text).ok()).ok_or_else(wrong)?;
        list.iter()
            .map(|element| {
                let constant = match element {
                    serde_json::Value::String(text) => types::element(text, ty),
                    serde_json::Value::Number(number) => types::element(&number.to_string(), ty),
                    serde_json::Value::Bool(value) if ty == Type::Bool => Some(Constant::Bool(*value)),
                    _ => return Err(wrong()),
                };
                constant.ok_or_else(|| Fault::new(place, format!("op_in: an element of the list cannot be read as {}", ty.name())))
            })
            .collect()
    }

    fn word(&self, word: &str, place: Place) -> Result<Expression, Fault> {
        let given = |term, ty, nullable| Ok(Expression { term, ty, nullable, place });
        match word {
            "true" | "false" => Ok(Expression::constant(Constant::Bool(word == "true"), Type::Bool, place)),
            "null" => Ok(Expression::constant(Constant::Null, Type::Null, place)),
            "__DB__" => Ok(text_constant(&self.schema.id.database, place)),
            "__TB__" => Ok(text_constant(&self.schema.id.table, place)),
            "__OP_INSERT__" => Ok(text_constant("INSERT", place)),
            "__OP_UPDATE__" => Ok(text_constant("UPDATE", place)),
            "__OP_DELETE__" => Ok(text_constant("DELETE", place)),
            "__OPERATION__" => given(Term::Operation, Type::Text(Some(6)), false),
            "__COMMIT_TIMESTAMP__" => given(Term::CommitTime, Type::DateTime(3), false),
            "__SCN__" => given(Term::Position, Type::Text(None), false),
            "__ROW_ID__" => Err(Fault::new(place, "__ROW_ID__ is of Oracle; this source has none")),
            "NEW" | "__BEFORE__" | "__AFTER__" => Err(Fault::new(place, format!("{word} is no value"))),
            // The word itself may be a secret that lacks its quotes.
            _ => Err(Fault::new(place, "this word has no meaning here").with_help("columns stand in backticks, texts in quotes")),
        }
    }

    /// The value of a column at this place of the script.
    pub(super) fn column(&self, name: &str, place: Place) -> Result<Expression, Fault> {
        let Some((index, slot)) = self.slots.iter().enumerate().find(|(_, slot)| slot.name == name) else {
            return match self.schema.column(name) {
                Some(column) => Ok(self.cell(column, Image::Own, place)),
                None => Err(self.unknown_column(name, place)),
            };
        };
        if slot.is_new && slot.original.is_some() && !slot.definite {
            return Err(Fault::new(place, format!("column {name} has two types here, because only some rows were given the new one")));
        }
        let original = slot.original.and_then(|column| self.schema.columns.get(column).map(|of| (column, Reader::new(of))));
        let was_nullable = slot.original.and_then(|column| self.schema.columns.get(column)).is_none_or(|column| column.nullable);
        let nullable = slot.nullable || (!slot.definite && was_nullable);
        Ok(Expression { term: Term::Slot { slot: index, original }, ty: slot.ty, nullable, place })
    }

    fn cell(&self, column: usize, image: Image, place: Place) -> Expression {
        let Some(of) = self.schema.columns.get(column) else { return Expression::constant(Constant::Null, Type::Null, place) };
        let reader = Reader::new(of);
        Expression { ty: reader.ty(), nullable: of.nullable, term: Term::Cell { column, reader, image }, place }
    }

    fn unknown_column(&self, name: &str, place: Place) -> Fault {
        let similar = self.schema.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
        let help = match similar {
            Some(column) => format!("names are case-sensitive; the column is called {}", column.name),
            None => "if only some tables have it, ask for their names first: e_if(op_eq(__TB__, \"…\"), …)".into(),
        };
        Fault::new(place, format!("table {} has no column {name}", self.schema.id)).with_help(help)
    }
}

/// A constant text.
fn text_constant(text: &str, place: Place) -> Expression {
    Expression::constant(Constant::Text(text.to_owned()), Type::Text(u32::try_from(text.chars().count()).ok()), place)
}
