//! Which table a topic made from a template belongs to; shared by all lanes of a task.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use runtime::TableId;

/// Which table a topic made from a template belongs to. Clones share everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct TopicOwners(Arc<Mutex<HashMap<Arc<str>, TableId>>>);

impl TopicOwners {
    /// Notes that a table's rows go to a topic. If the topic belongs to another table, that one is the error.
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
