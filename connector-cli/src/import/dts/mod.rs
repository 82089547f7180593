//! The settings of a DTS task: its list of objects, alone or in the request with which the task was configured.

mod columns;
mod objects;
mod operations;
mod task;

use runtime::{Error, Result};
use serde_json::{Map, Value};

use super::Input;
use super::draft::Draft;
use objects::Objects;

/// Reads a list of objects, or the request or description of a task that has one.
pub(super) fn import(input: &Input) -> Result<Draft> {
    match input.json()? {
        Value::Object(root) if task::is_task(&root) => task::import(&input.name, root),
        list => {
            let mut draft = Draft::new(format!("A DTS object list ({}), as a task of its own.", input.name), "dts");
            Objects::read(&input.name, &list)?.write(&mut draft);
            task::without_parameters(&mut draft);
            Ok(draft)
        }
    }
}

/// The error for a value that is not what DTS writes there. It names the place, and not the value.
fn unexpected(place: &str, expected: &str) -> Error {
    Error::config(format!("{place} is not {expected}"))
        .with_help("give the object list of a DTS task, or the request that configures the task")
}

fn object<'a>(value: &'a Value, place: &str) -> Result<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| unexpected(place, "an object"))
}

/// A text, number or switch as text; `None` if it is null or blank.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}
