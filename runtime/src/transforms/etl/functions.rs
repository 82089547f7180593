//! The names of functions, and how many arguments they take.

use super::moment::Unit;

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callee {
    /// It does something to the row.
    Action(ActionName),
    /// It gives a value.
    Value(Function),
    /// It is a form of its own, which is worked out before any row is seen.
    Form(FormName),
}

/// Actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ActionName {
    If,
    IfElse,
    Switch,
    Compose,
    Drop,
    Keep,
    Set,
    ReplaceInTexts,
}

/// Forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FormName {
    /// `DATETIME('2021-01-01 10:10:01')`
    DateTime,
    /// `json_array('["0","1"]')`
    JsonArray,
    /// ``v(`col`, __BEFORE__)``
    Image,
    /// `bson_value`, which is refused.
    BsonValue,
}

/// Functions of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Sum,
    Sub,
    Mul,
    Div,
    Mod,
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    And,
    Or,
    Not,
    In,
    IsNull,
    IsNotNull,
    Join,
    Format,
    Replace,
    Strip,
    Lower,
    Upper,
    ToLong,
    ToDouble,
    FromLong,
    Count,
    Find,
    IsAlpha,
    IsDigit,
    Matches,
    Mask,
    After,
    Before,
    Between,
    IsText,
    Uuid,
    Now,
    NowMillis,
    FromSeconds,
    FromMillis,
    ToSeconds,
    ToMillis,
    Print,
    Parse,
    AddTime,
    Hash,
    Partial,
    Truncate,
    Digits,
}

/// A callee with its name and the least and the most number of arguments, named ones left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) callee: Callee,
    least: usize,
    most: usize,
}

const fn action(name: &'static str, action: ActionName, least: usize, most: usize) -> Entry {
    Entry { name, callee: Callee::Action(action), least, most }
}

const fn value(name: &'static str, function: Function, least: usize, most: usize) -> Entry {
    Entry { name, callee: Callee::Value(function), least, most }
}

const fn form(name: &'static str, form: FormName, least: usize, most: usize) -> Entry {
    Entry { name, callee: Callee::Form(form), least, most }
}

const MANY: usize = usize::MAX;

/// Everything that a script can call.
pub(super) const ENTRIES: &[Entry] = &[
    action("e_if", ActionName::If, 2, MANY),
    action("e_if_else", ActionName::IfElse, 3, 3),
    action("e_switch", ActionName::Switch, 2, MANY),
    action("e_compose", ActionName::Compose, 1, MANY),
    action("e_drop", ActionName::Drop, 0, 1),
    action("e_keep", ActionName::Keep, 1, 1),
    action("e_set", ActionName::Set, 2, 3),
    action("tail_replace_string_field", ActionName::ReplaceInTexts, 3, 3),
    form("DATETIME", FormName::DateTime, 1, 1),
    form("json_array", FormName::JsonArray, 1, 1),
    form("v", FormName::Image, 2, 2),
    form("bson_value", FormName::BsonValue, 1, MANY),
    value("op_sum", Function::Sum, 2, 2),
    value("op_sub", Function::Sub, 2, 2),
    value("op_mul", Function::Mul, 2, 2),
    value("op_div_true", Function::Div, 2, 2),
    value("op_mod", Function::Mod, 2, 2),
    value("op_eq", Function::Eq, 2, 2),
    value("op_ne", Function::Ne, 2, 2),
    value("op_gt", Function::Gt, 2, 2),
    value("op_lt", Function::Lt, 2, 2),
    value("op_ge", Function::Ge, 2, 2),
    value("op_le", Function::Le, 2, 2),
    value("op_and", Function::And, 2, MANY),
    value("op_or", Function::Or, 2, MANY),
    value("op_not", Function::Not, 1, 1),
    value("op_in", Function::In, 2, 2),
    value("op_is_null", Function::IsNull, 1, 1),
    value("op_is_not_null", Function::IsNotNull, 1, 1),
    value("op_add", Function::Join, 1, MANY),
    value("str_format", Function::Format, 1, MANY),
    value("str_replace", Function::Replace, 4, 4),
    value("str_strip", Function::Strip, 2, 2),
    value("str_lower", Function::Lower, 1, 1),
    value("str_upper", Function::Upper, 1, 1),
    value("cast_string_to_long", Function::ToLong, 1, 1),
    value("cast_string_to_double", Function::ToDouble, 1, 1),
    value("cast_long_to_string", Function::FromLong, 1, 1),
    value("str_count", Function::Count, 2, 2),
    value("str_find", Function::Find, 2, 2),
    value("str_isalpha", Function::IsAlpha, 1, 1),
    value("str_isdigit", Function::IsDigit, 1, 1),
    value("regex_match", Function::Matches, 2, 2),
    value("str_mask", Function::Mask, 4, 4),
    value("substring_after", Function::After, 2, 2),
    value("substring_before", Function::Before, 2, 2),
    value("substring_between", Function::Between, 3, 3),
    value("is_string_value", Function::IsText, 1, 1),
    value("str_uuid", Function::Uuid, 0, 0),
    value("dt_now", Function::Now, 0, 0),
    value("dt_now_millis", Function::NowMillis, 0, 0),
    value("dt_fromtimestamp", Function::FromSeconds, 1, 2),
    value("dt_fromtimestamp_millis", Function::FromMillis, 1, 2),
    value("dt_parsetimestamp", Function::ToSeconds, 1, 2),
    value("dt_parsetimestamp_millis", Function::ToMillis, 1, 2),
    value("dt_str", Function::Print, 2, 2),
    value("dt_strptime", Function::Parse, 2, 2),
    value("dt_add", Function::AddTime, 1, 1),
    value("mask_hash", Function::Hash, 2, 2),
    value("mask_partial", Function::Partial, 4, 4),
    value("mask_truncate", Function::Truncate, 2, 2),
    value("mask_digits", Function::Digits, 2, 2),
];

impl Entry {
    /// The entry of a name.
    pub(super) fn find(name: &str) -> Option<&'static Entry> {
        ENTRIES.iter().find(|entry| entry.name == name)
    }

    /// What is wrong with the number of its arguments, if anything is.
    pub(super) fn wrong_count(&self, found: usize) -> Option<String> {
        let Self { name, least, most, .. } = *self;
        let arguments = |count: usize| if count == 1 { "1 argument".to_owned() } else { format!("{count} arguments") };
        if (least..=most).contains(&found) {
            return None;
        }
        let expected = match (least, most) {
            (least, most) if least == most => arguments(least),
            (least, MANY) => format!("at least {}", arguments(least)),
            (least, most) => format!("{least} to {}", arguments(most)),
        };
        Some(format!("{name} takes {expected}, found {found}"))
    }

    /// Whether an argument may have this name.
    pub(super) fn takes_named(&self, argument: &str) -> bool {
        match self.callee {
            Callee::Action(ActionName::Switch) => argument == "default",
            Callee::Value(Function::AddTime) => Unit::NAMES.iter().any(|(name, _)| *name == argument),
            _ => false,
        }
    }
}

impl Function {
    /// Its name in messages.
    pub(super) fn name(self) -> &'static str {
        ENTRIES.iter().find(|entry| entry.callee == Callee::Value(self)).map_or("", |entry| entry.name)
    }

    /// Whether the same arguments give the same value.
    pub(super) fn is_pure(self) -> bool {
        !matches!(self, Self::Uuid | Self::Now | Self::NowMillis)
    }
}
