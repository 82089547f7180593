//! The types of functions: what they take, what they give, and what of their arguments is worked out beforehand.

use memchr::memmem::Finder;
use regex::RegexBuilder;

use super::decimal::{Decimal, MAX_SCALE};
use super::expression::{Expression, Extra};
use super::functions::Function;
use super::moment::{Moment, Pattern, Unit};
use super::place::{Fault, Place};
use super::value::{Constant, Type, moment_type};
use super::zone::Zone;
use crate::transforms::masking::{DigitCipher, Hasher};

/// The most memory for a compiled regular expression.
const MAX_REGEX: usize = 1 << 20;

/// What a parameter takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Text,
    Int,
    Bool,
    Moment,
    Number,
    /// Everything that can be written as a text.
    Any,
}

impl Takes {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Int => "an integer",
            Self::Bool => "a boolean",
            Self::Moment => "a datetime",
            Self::Number => "a number",
            Self::Any => "a value",
        }
    }

    fn accepts(self, ty: Type) -> bool {
        match (self, ty) {
            (_, Type::Null) => true,
            (Self::Text, Type::Text(_)) | (Self::Int, Type::Int) | (Self::Bool, Type::Bool) | (Self::Any, _) => true,
            (Self::Moment, Type::Date | Type::DateTime(_)) => true,
            (Self::Number, ty) => ty.is_number(),
            _ => false,
        }
    }
}

/// The parameters of a function. More arguments than parameters are like the last one.
fn parameters(function: Function) -> &'static [Takes] {
    use Function as F;
    use Takes::{Any, Bool, Int, Moment, Number, Text};
    match function {
        F::Sum | F::Sub | F::Mul | F::Div | F::Mod => &[Number, Number],
        F::And | F::Or => &[Bool],
        F::Not => &[Bool],
        F::Eq | F::Ne | F::Gt | F::Lt | F::Ge | F::Le | F::In | F::IsNull | F::IsNotNull | F::IsText | F::Join | F::Hash | F::Digits => {
            &[Any]
        }
        F::Format => &[Text, Any],
        F::Replace => &[Text, Text, Text, Int],
        F::Strip | F::Count | F::Find | F::After | F::Before | F::Between => &[Text],
        F::Lower | F::Upper | F::ToLong | F::ToDouble | F::IsAlpha | F::IsDigit | F::Matches | F::Parse => &[Text],
        F::FromLong | F::FromSeconds | F::FromMillis => &[Int],
        F::Mask | F::Partial => &[Text, Int, Int, Text],
        F::Truncate => &[Text, Int],
        F::ToSeconds | F::ToMillis | F::Print => &[Moment],
        F::AddTime => &[Moment, Int],
        F::Uuid | F::Now | F::NowMillis => &[],
    }
}

/// Takes out the arguments that must be constants: patterns, time zones, salts.
pub(super) fn prepare(function: Function, values: &mut Vec<Expression>, place: Place) -> Result<Extra, Fault> {
    use Function as F;
    let name = function.name();
    let what = match function {
        F::Matches => "the regular expression",
        F::Print | F::Parse => "the pattern",
        F::Hash | F::Digits => "the salt",
        F::FromSeconds | F::FromMillis | F::ToSeconds | F::ToMillis if values.len() > 1 => "the time zone",
        F::FromSeconds | F::FromMillis | F::ToSeconds | F::ToMillis => return Ok(Extra::Zone(None)),
        F::Replace => {
            let old = values.get(1).and_then(Expression::as_text).filter(|old| !old.is_empty());
            return Ok(old.map_or(Extra::None, |old| Extra::Finder(Box::new(Finder::new(old).into_owned()))));
        }
        _ => return Ok(Extra::None),
    };
    let argument = values.pop();
    let Some(text) = argument.as_ref().and_then(Expression::as_text) else {
        let place = argument.map_or(place, |argument| argument.place);
        return Err(Fault::new(place, format!("{name}: {what} must be a text that is written out")));
    };
    let place = argument.as_ref().map_or(place, |argument| argument.place);
    let empty = || Fault::new(place, format!("{name}: the salt is empty"));
    Ok(match function {
        F::Matches => {
            // A match is one of the whole text.
            let regex = RegexBuilder::new(&format!("^(?:{text})$")).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).build();
            Extra::Regex(Box::new(regex.map_err(|_| {
                Fault::new(place, format!("{name}: the text is not a regular expression"))
                    .with_help("back references and look-around are not supported")
            })?))
        }
        F::Print | F::Parse => Extra::Pattern(Pattern::parse(text).map_err(|why| Fault::new(place, format!("{name}: {why}")))?),
        F::Hash => Extra::Hasher(Box::new(Hasher::new(text).ok_or_else(empty)?)),
        F::Digits => Extra::Digits(Box::new(DigitCipher::new(text).ok_or_else(empty)?), i128::from(i64::MIN), i128::from(i64::MAX)),
        _ => match Zone::parse(text) {
            Some(zone) => Extra::Zone(Some(zone)),
            None => return Err(Fault::new(place, format!("{name}: unknown time zone")).with_help("write GMT+08, +08:00 or Asia/Shanghai")),
        },
    })
}

/// Checks the arguments of a function, and tells the type of its result.
pub(super) fn check(function: Function, values: &mut [Expression], place: Place) -> Result<Type, Fault> {
    use Function as F;
    let name = function.name();
    let takes = parameters(function);
    for (index, value) in values.iter_mut().enumerate() {
        let Some(takes) = takes.get(index).or(takes.last()) else { break };
        if *takes == Takes::Moment {
            read_constant(value)?;
        }
        if !takes.accepts(value.ty) {
            let what = format!("{name}: argument {} must be {}, found {}", index + 1, takes.name(), value.ty.name());
            let fault = Fault::new(value.place, what);
            return Err(match (takes, value.ty) {
                (Takes::Text, Type::Int) => fault.with_help("cast_long_to_string makes a text of an integer"),
                (Takes::Int | Takes::Number, Type::Text(_)) => fault.with_help("cast_string_to_long makes an integer of a text"),
                _ => fault,
            });
        }
    }
    let types: Vec<Type> = values.iter().map(|value| value.ty).collect();
    let text_of = |index: usize| if let Some(Type::Text(length)) = types.get(index) { *length } else { None };
    Ok(match function {
        F::Sum | F::Sub | F::Mul | F::Div | F::Mod => number(function, &types),
        F::Eq | F::Ne | F::Gt | F::Lt | F::Ge | F::Le => {
            comparable(function, values)?;
            Type::Bool
        }
        F::And | F::Or | F::Not | F::In | F::IsNull | F::IsNotNull | F::IsText | F::IsAlpha | F::IsDigit | F::Matches => Type::Bool,
        F::Join => {
            if !types.iter().any(|ty| matches!(ty, Type::Text(_) | Type::Null)) {
                return Err(Fault::new(place, "op_add joins texts, and none of its arguments is one")
                    .with_help("op_sum adds numbers; cast_long_to_string makes a text of an integer"));
            }
            Type::Text(types.iter().try_fold(0u32, |sum, ty| sum.checked_add(text_length(*ty)?)))
        }
        F::Format => {
            if let Some(format) = values.first().and_then(Expression::as_text)
                && format.matches("{}").count() != values.len() - 1
            {
                return Err(Fault::new(place, format!("str_format: the format does not have {} times {{}}", values.len() - 1)));
            }
            Type::Text(None)
        }
        F::Mask | F::Partial => {
            if let Some(mask) = values.get(3).and_then(Expression::as_text)
                && mask.chars().count() != 1
            {
                return Err(Fault::new(place, format!("{name}: the mask is not one character")));
            }
            Type::Text(text_of(0))
        }
        F::Strip | F::After | F::Before | F::Between => Type::Text(text_of(0)),
        F::Truncate => {
            let count =
                if let Some(Constant::Int(count)) = values.get(1).and_then(|value| value.as_constant()) { Some(*count) } else { None };
            let count = count.and_then(|count| u32::try_from(count).ok());
            Type::Text(text_of(0).zip(count).map(|(a, b)| a.min(b)).or(count))
        }
        // A letter may become several.
        F::Lower | F::Upper | F::Replace | F::Print => Type::Text(None),
        F::Hash => Type::Text(Some(64)),
        F::Uuid => Type::Text(Some(36)),
        F::FromLong => Type::Text(Some(20)),
        F::ToLong | F::Count | F::Find | F::ToSeconds | F::ToMillis => Type::Int,
        F::ToDouble => Type::Float,
        F::Now | F::FromSeconds => Type::DateTime(0),
        F::NowMillis | F::FromMillis => Type::DateTime(3),
        F::Parse => Type::DateTime(0),
        F::AddTime => match types.first() {
            // Hours may be added to a date.
            Some(Type::DateTime(fsp)) => Type::DateTime(*fsp),
            _ => Type::DateTime(0),
        },
        F::Digits => match types.first() {
            Some(Type::Int) => Type::Int,
            Some(Type::Text(length)) => Type::Text(*length),
            Some(Type::Null) => Type::Null,
            other => {
                let found = other.map_or("nothing", |ty| ty.name());
                return Err(Fault::new(place, format!("mask_digits: argument 1 must be a text or an integer, found {found}")));
            }
        },
    })
}

/// The most characters of a value's text.
pub(super) fn text_length(ty: Type) -> Option<u32> {
    match ty {
        Type::Null => Some(0),
        Type::Bool => Some(5),
        Type::Int => Some(20),
        Type::Decimal { precision, .. } => Some(u32::from(precision) + 3),
        Type::Text(length) => length,
        Type::Date => Some(10),
        Type::DateTime(_) => Some(26),
        Type::Float | Type::Bytes => None,
    }
}

fn number(function: Function, types: &[Type]) -> Type {
    use Function as F;
    let parts = |ty: Type| match ty {
        Type::Decimal { precision, scale } => (precision.saturating_sub(scale), scale),
        _ => (19, 0),
    };
    let (Some(&a), Some(&b)) = (types.first(), types.get(1)) else { return Type::Null };
    match (a, b) {
        (Type::Null, other) | (other, Type::Null) if other != Type::Null => number(function, &[other, other]),
        (Type::Int | Type::Null, Type::Int | Type::Null) => Type::Int,
        (Type::Float, _) | (_, Type::Float) => Type::Float,
        _ if function == F::Div => Type::Float,
        _ => {
            let ((whole, scale), (other_whole, other_scale)) = (parts(a), parts(b));
            let (whole, scale) = match function {
                F::Mul => (whole + other_whole, (scale + other_scale).min(MAX_SCALE)),
                F::Mod => (whole.max(other_whole), scale.max(other_scale)),
                _ => (whole.max(other_whole) + 1, scale.max(other_scale)),
            };
            Type::Decimal { precision: (whole + scale).min(65), scale }
        }
    }
}

/// Checks that two values can be compared. A text that is written out is read as a date if the other value is one.
fn comparable(function: Function, values: &mut [Expression]) -> Result<(), Fault> {
    let [a, b] = values else { return Ok(()) };
    let is_moment = |ty| matches!(ty, Type::Date | Type::DateTime(_));
    if is_moment(a.ty) {
        read_constant(b)?;
    } else if is_moment(b.ty) {
        read_constant(a)?;
    }
    let is_order = !matches!(function, Function::Eq | Function::Ne);
    let fits = match (a.ty, b.ty) {
        (Type::Null, _) | (_, Type::Null) => true,
        (a, b) if a.is_number() && b.is_number() => true,
        (Type::Bool, Type::Bool) | (Type::Bytes, Type::Bytes) => !is_order,
        (a, b) => a.with(b).is_some() && !matches!(a, Type::Bool | Type::Bytes),
    };
    if fits {
        return Ok(());
    }
    let fault = Fault::new(b.place, format!("{}: {} cannot be compared with {}", function.name(), a.ty.name(), b.ty.name()));
    Err(match (a.ty, b.ty) {
        (Type::Text(_), other) | (other, Type::Text(_)) if other.is_number() => {
            fault.with_help("cast_string_to_long makes an integer of a text, cast_long_to_string a text of an integer")
        }
        (Type::Bool, Type::Int) | (Type::Int, Type::Bool) => fault.with_help("compare a tinyint(1) with 0 or 1"),
        _ => fault,
    })
}

/// Reads a text that is written out as a date.
fn read_constant(value: &mut Expression) -> Result<(), Fault> {
    let Some(text) = value.as_text() else { return Ok(()) };
    match Moment::parse(text) {
        Some(moment) => {
            *value = Expression::constant(Constant::Moment(moment), moment_type(moment.form), value.place);
            Ok(())
        }
        None => Err(Fault::new(value.place, "the text is no date of the calendar such as 2021-01-01 10:10:01")),
    }
}

/// An element of a list as a value of a type.
pub(super) fn element(text: &str, ty: Type) -> Option<Constant> {
    Some(match ty {
        Type::Text(_) | Type::Null => Constant::Text(text.to_owned()),
        Type::Int | Type::Float | Type::Decimal { .. } => match text.parse::<i64>() {
            Ok(number) => Constant::Int(number),
            Err(_) if ty == Type::Float => Constant::Float(text.parse().ok()?),
            Err(_) => Constant::Decimal(Decimal::parse(text)?),
        },
        Type::Date | Type::DateTime(_) => Constant::Moment(Moment::parse(text)?),
        Type::Bool | Type::Bytes => return None,
    })
}

/// The unit with this name.
pub(super) fn unit(name: &str) -> Option<Unit> {
    Unit::NAMES.iter().find(|(known, _)| *known == name).map(|(_, unit)| *unit)
}
