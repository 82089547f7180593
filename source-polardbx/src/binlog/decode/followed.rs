//! Tables that are not selected, and may be later, and what else has names like tables: see [`FollowedTable`] and [`History::take_others`].

use super::output::BatchOutput;
use crate::binlog::error::StreamError;
use crate::schema::{FollowedTable, History};

/// Commits what has changed with the next resume point.
pub(super) fn note(stream: &str, history: &mut History, output: &mut BatchOutput) -> Result<(), StreamError> {
    for (table, followed) in history.take_followed() {
        let key = format!("{stream}/{table}");
        match followed {
            Some(followed) => output.set_fact(&key, &followed)?,
            None => output.remove_fact::<FollowedTable>(&key),
        }
    }
    if let Some(others) = history.take_others() {
        output.set_fact(stream, &others)?;
    }
    Ok(())
}
