//! The values in the JSON of DTS.

use runtime::{Error, Result};
use serde_json::{Map, Value};

/// The error for a value that is not what DTS writes there. It names the place, and not the value.
pub(super) fn unexpected(place: &str, expected: &str) -> Error {
    Error::config(format!("{place} is not {expected}"))
        .with_help("give the object list of a DTS task, or the request that configures the task")
}

pub(super) fn object<'a>(value: &'a Value, place: &str) -> Result<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| unexpected(place, "an object"))
}

/// A text, number or switch as text; `None` if it is null or blank.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}
