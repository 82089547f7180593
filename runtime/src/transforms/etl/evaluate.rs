//! Evaluates expressions on a row.

use std::cell::Cell;
use std::cmp::Ordering;

use super::decimal::Decimal;
use super::expression::{Expression, Extra, Image, Term};
use super::functions::Function;
use super::moment::{Form, Moment};
use super::place::{Evaluated, Failure, Place};
use super::read::Reader;
use super::value::{Constant, Scratch, Slot, Val};
use super::zone::Zone;
use super::{texts, times};
use crate::{Op, Row, Value};

/// What expressions are evaluated on.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    /// The image that is worked on.
    pub(super) row: Option<&'a Row>,
    pub(super) before: Option<&'a Row>,
    pub(super) after: Option<&'a Row>,
    pub(super) op: Op,
    pub(super) commit_ms: i64,
    pub(super) position: &'a str,
    /// The present, in microseconds since the epoch; the same for all rows of a batch.
    pub(super) now: i64,
    pub(super) zone: &'a Zone,
    /// How the values of slots are read.
    pub(super) slots: &'a [Reader],
    /// What the script has set.
    pub(super) stored: &'a [Slot<'a>],
    /// Where texts are made.
    pub(super) scratch: &'a Scratch,
}

/// A call that is being evaluated.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) function: Function,
    pub(super) extra: &'a Extra,
    pub(super) place: Place,
}

impl Call<'_> {
    pub(super) fn fail<T>(self, why: &'static str) -> Evaluated<T> {
        Failure::err(self.place, self.function.name(), why)
    }
}

/// Finds the value of an expression. It is written to `out` and not returned, because the processor has to wait where a value is copied that
/// was written just before.
pub(super) fn evaluate<'a>(expression: &'a Expression, scene: &Scene<'a>, out: &mut Val<'a>) -> Evaluated<()> {
    let place = expression.place;
    let cell = |column: usize, reader: &'a Reader, row: Option<&'a Row>, out: &mut Val<'a>| {
        reader.read(row.map_or(Value::Null, |row| row.get(column)), scene.zone, scene.scratch, place, out)
    };
    match &expression.term {
        Term::Constant(constant) => *out = constant.value(),
        Term::Cell { column, reader, image } => {
            let row = match image {
                Image::Own => scene.row,
                Image::Before => scene.before,
                Image::After => scene.after,
            };
            cell(*column, reader, row, out)?;
        }
        Term::Slot { slot, original } => {
            let stored = scene.stored.get(*slot).and_then(Cell::get);
            match (stored, scene.slots.get(*slot), original) {
                (Some(value), Some(reader), _) => reader.read(value, scene.zone, scene.scratch, place, out)?,
                (None, _, Some((column, reader))) => cell(*column, reader, scene.row, out)?,
                _ => *out = Val::Null,
            }
        }
        Term::Operation => {
            *out = Val::Text(match scene.op {
                Op::Read | Op::Insert => "INSERT",
                Op::Update => "UPDATE",
                Op::Delete => "DELETE",
            });
        }
        Term::CommitTime => match scene.commit_ms.checked_mul(1000).and_then(|micros| scene.zone.local(micros)) {
            Some(at) => *out = Val::Moment(Moment { at, form: Form::Time(3) }),
            None => return Failure::err(place, "__COMMIT_TIMESTAMP__", "the time is outside the years 0 to 9999"),
        },
        Term::Position => *out = Val::Text(scene.position),
        Term::Choice(parts) => {
            let [condition, yes, no] = &**parts;
            evaluate(if is_true(condition, scene)? { yes } else { no }, scene, out)?;
        }
        Term::Call { function, arguments, extra } => {
            let call = Call { function: *function, extra, place };
            match function {
                Function::And | Function::Or => *out = logic(*function == Function::And, arguments, scene)?,
                Function::IsNull | Function::IsNotNull => {
                    *out = Val::Null;
                    if let Some(argument) = arguments.first() {
                        evaluate(argument, scene, out)?;
                    }
                    *out = Val::Bool(matches!(out, Val::Null) == (*function == Function::IsNull));
                }
                _ => {
                    // Most calls have few arguments.
                    let (mut few, mut many) = ([Val::Null; 4], Vec::new());
                    let values = match few.get_mut(..arguments.len()) {
                        Some(values) => values,
                        None => {
                            many.resize(arguments.len(), Val::Null);
                            many.as_mut_slice()
                        }
                    };
                    for (value, argument) in values.iter_mut().zip(arguments) {
                        match &argument.term {
                            Term::Constant(constant) => *value = constant.value(),
                            _ => evaluate(argument, scene, value)?,
                        }
                        if let Val::Null = value {
                            *out = Val::Null;
                            return Ok(());
                        }
                    }
                    apply(call, values, scene, out)?;
                }
            }
        }
    }
    Ok(())
}

/// Whether a condition is true. NULL is not.
pub(super) fn is_true<'a>(condition: &'a Expression, scene: &Scene<'a>) -> Evaluated<bool> {
    let mut value = Val::Null;
    evaluate(condition, scene, &mut value)?;
    Ok(matches!(value, Val::Bool(true)))
}

/// `and` is false if one operand is, and `or` is true if one is. Otherwise the result is NULL if one operand is. What stands behind the operand
/// that decides is not evaluated.
fn logic<'a>(is_and: bool, arguments: &'a [Expression], scene: &Scene<'a>) -> Evaluated<Val<'a>> {
    let mut is_null = false;
    for argument in arguments {
        let mut value = Val::Null;
        evaluate(argument, scene, &mut value)?;
        match value {
            Val::Bool(value) if value == is_and => {}
            Val::Bool(value) => return Ok(Val::Bool(value)),
            _ => is_null = true,
        }
    }
    Ok(if is_null { Val::Null } else { Val::Bool(is_and) })
}

/// The result of a function whose arguments are not NULL.
fn apply<'a>(call: Call<'a>, values: &[Val<'a>], scene: &Scene<'a>, out: &mut Val<'a>) -> Evaluated<()> {
    use Function as F;
    out.put(match (call.function, values) {
        (F::Sum | F::Sub | F::Mul | F::Div | F::Mod, [a, b]) => return arithmetic(call, a, b, out),
        (F::Eq | F::Ne | F::Gt | F::Lt | F::Ge | F::Le, [a, b]) => {
            let Some(ordering) = compare(a, b) else { return call.fail("the values cannot be compared") };
            Val::Bool(match call.function {
                F::Eq => ordering.is_eq(),
                F::Ne => ordering.is_ne(),
                F::Gt => ordering.is_gt(),
                F::Lt => ordering.is_lt(),
                F::Ge => ordering.is_ge(),
                _ => ordering.is_le(),
            })
        }
        (F::Not, [Val::Bool(value)]) => Val::Bool(!value),
        (F::In, [value]) => {
            let Extra::List(list) = call.extra else { return call.fail("the list is missing") };
            Val::Bool(list.iter().any(|element| compare(value, &element.value()) == Some(Ordering::Equal)))
        }
        (F::IsText, [value]) => Val::Bool(matches!(value, Val::Text(_))),
        (
            F::Now | F::NowMillis | F::FromSeconds | F::FromMillis | F::ToSeconds | F::ToMillis | F::Print | F::Parse | F::AddTime,
            values,
        ) => return times::apply(call, values, scene, out),
        (_, values) => return texts::apply(call, values, scene.scratch, out),
    })
}

/// Compares two values of one type, or two numbers. Texts are compared by their code points.
pub(super) fn compare(a: &Val<'_>, b: &Val<'_>) -> Option<Ordering> {
    Some(match (a, b) {
        (Val::Int(a), Val::Int(b)) => a.cmp(b),
        (Val::Bool(a), Val::Bool(b)) => a.cmp(b),
        (Val::Text(a), Val::Text(b)) => a.cmp(b),
        (Val::Bytes(a), Val::Bytes(b)) => a.cmp(b),
        (Val::Moment(a), Val::Moment(b)) => a.at.cmp(&b.at),
        (Val::Float(_), Val::Float(_) | Val::Int(_) | Val::Decimal(_)) | (Val::Int(_) | Val::Decimal(_), Val::Float(_)) => {
            float(a)?.partial_cmp(&float(b)?)?
        }
        (Val::Int(_) | Val::Decimal(_), Val::Int(_) | Val::Decimal(_)) => exact(a)?.compare(exact(b)?),
        _ => return None,
    })
}

fn exact(value: &Val<'_>) -> Option<Decimal> {
    match *value {
        Val::Int(units) => Some(Decimal { units, scale: 0 }),
        Val::Decimal(value) => Some(value),
        _ => None,
    }
}

fn float(value: &Val<'_>) -> Option<f64> {
    match *value {
        Val::Float(value) => Some(value),
        Val::Int(value) => Some(value as f64),
        Val::Decimal(value) => Some(value.to_float()),
        _ => None,
    }
}

fn arithmetic<'a>(call: Call<'a>, a: &Val<'a>, b: &Val<'a>, out: &mut Val<'a>) -> Evaluated<()> {
    use Function as F;
    const OVERFLOW: &str = "the result is too large (overflow)";
    const ZERO: &str = "the divisor is zero";
    let divides = matches!(call.function, F::Div | F::Mod);
    match (a, b) {
        (Val::Int(a), Val::Int(b)) => {
            if divides && *b == 0 {
                return call.fail(ZERO);
            }
            // The operands have at most 64 bits, so only a product can leave 128.
            let result = match call.function {
                F::Sum => a + b,
                F::Sub => a - b,
                F::Mul => a.saturating_mul(*b),
                F::Div => a / b,
                _ => a % b,
            };
            if i64::try_from(result).is_err() { call.fail(OVERFLOW) } else { out.put(Val::Int(result)) }
        }
        (Val::Float(_), _) | (_, Val::Float(_)) => floating(call, float(a), float(b), out),
        _ if call.function == F::Div => floating(call, float(a), float(b), out),
        _ => {
            let (Some(a), Some(b)) = (exact(a), exact(b)) else { return call.fail("an operand is not a number") };
            if divides && b.units == 0 {
                return call.fail(ZERO);
            }
            let result = match call.function {
                F::Sum => a.add(b),
                F::Sub => a.sub(b),
                F::Mul => a.mul(b),
                _ => a.rem(b),
            };
            result.map_or_else(|| call.fail(OVERFLOW), |result| out.put(Val::Decimal(result)))
        }
    }
}

fn floating<'a>(call: Call<'a>, a: Option<f64>, b: Option<f64>, out: &mut Val<'a>) -> Evaluated<()> {
    use Function as F;
    let (Some(a), Some(b)) = (a, b) else { return call.fail("an operand is not a number") };
    if matches!(call.function, F::Div | F::Mod) && b == 0.0 {
        return call.fail("the divisor is zero");
    }
    let result = match call.function {
        F::Sum => a + b,
        F::Sub => a - b,
        F::Mul => a * b,
        F::Div => a / b,
        _ => a % b,
    };
    if result.is_finite() { out.put(Val::Float(result)) } else { call.fail("the result is too large (overflow)") }
}

/// The value of an expression that needs no row, as a constant.
pub(super) fn fold(expression: &Expression, zone: &Zone) -> Evaluated<Constant> {
    let scratch = &Scratch::default();
    let scene = Scene {
        row: None,
        before: None,
        after: None,
        op: Op::Read,
        commit_ms: 0,
        position: "",
        now: 0,
        zone,
        slots: &[],
        stored: &[],
        scratch,
    };
    let mut value = Val::Null;
    evaluate(expression, &scene, &mut value)?;
    Ok(match value {
        Val::Null => Constant::Null,
        Val::Bool(value) => Constant::Bool(value),
        // Constants and results of arithmetic have at most 64 bits.
        Val::Int(value) => Constant::Int(value as i64),
        Val::Float(value) => Constant::Float(value),
        Val::Decimal(value) => Constant::Decimal(value),
        Val::Text(text) => Constant::Text(text.to_owned()),
        Val::Moment(value) => Constant::Moment(value),
        Val::Bytes(_) => return Failure::err(expression.place, "script", "bytes are no constant"),
    })
}
