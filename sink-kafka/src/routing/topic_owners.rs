//! Records which table each topic of a template belongs to. All lanes of a task share this.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use runtime::TableId;

/// The table that each topic of a template belongs to. Clones share the same data.
#[derive(Clone, Debug, Default)]
pub(crate) struct TopicOwners(Arc<Mutex<HashMap<Arc<str>, TableId>>>);

impl TopicOwners {
    /// Notes that the rows of a table go to a topic. If the topic already belongs to another table, the error is that table.
    pub(crate) fn claim(&self, topic: &Arc<str>, table: &TableId) -> Result<(), TableId> {
        let mut owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match owners.get(topic) {
            Some(owner) if owner != table => Err(owner.clone()),
            Some(_) => Ok(()),
            None => {
                owners.insert(topic.clone(), table.clone());
                Ok(())
            }
        }
    }
}
