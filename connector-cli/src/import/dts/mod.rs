//! The settings of a DTS task: its list of objects, alone or in the request with which the task was configured.

mod columns;
mod objects;
mod operations;
mod task;
mod values;

use runtime::Result;
use serde_json::Value;

use super::draft::Draft;
use super::input::Input;
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
