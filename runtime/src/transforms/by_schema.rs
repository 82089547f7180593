//! What a transform has worked out for each version of a table's schema, so that it is worked out once and not for each row.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{Result, TableSchema};

/// Values by schema. A schema is known by its address, and each entry keeps its schema alive, so that no other one can get that address.
pub(crate) struct BySchema<T> {
    entries: Vec<(Arc<TableSchema>, T)>,
    by_address: HashMap<usize, usize>,
    /// The entry that was used last. Rows of one table come together.
    last: usize,
}

impl<T> Default for BySchema<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), by_address: HashMap::new(), last: 0 }
    }
}

impl<T> BySchema<T> {
    /// The value for a schema, which `make` works out when it is first asked for.
    pub(crate) fn get(&mut self, schema: &Arc<TableSchema>, make: impl FnOnce(&Arc<TableSchema>) -> Result<T>) -> Result<&mut T> {
        let is_last = self.entries.get(self.last).is_some_and(|(known, _)| Arc::ptr_eq(known, schema));
        if !is_last {
            let address = Arc::as_ptr(schema) as usize;
            self.last = match self.by_address.get(&address) {
                Some(index) => *index,
                None => {
                    self.entries.push((schema.clone(), make(schema)?));
                    self.by_address.insert(address, self.entries.len() - 1);
                    self.entries.len() - 1
                }
            };
        }
        Ok(&mut self.entries[self.last].1)
    }

    /// Forgets everything. Called at a schema change: old schemas are not used again.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, TableId};

    #[test]
    fn each_schema_is_worked_out_once() {
        let schemas = ["a", "b"].map(|table| Arc::new(TableSchema::new(TableId::new("shop", table), Vec::new())));
        let mut by_schema = BySchema::default();
        let mut made = 0;
        for index in [0, 0, 1, 0, 1, 1] {
            let schema = &schemas[index];
            let name = by_schema.get(schema, |schema| {
                made += 1;
                Ok(schema.id.table.to_string())
            });
            assert_eq!(*name.unwrap(), *schema.id.table);
        }
        assert_eq!(made, 2);
        by_schema.clear();
        assert!(by_schema.get(&schemas[0], |_| Err(Error::fatal("no"))).is_err());
        assert_eq!(by_schema.get(&schemas[0], |_| Ok("again".to_owned())).unwrap(), "again", "a failure is not remembered");
    }
}
