//! Caches keyed by the identity of a shared value.
//!
//! All rows of a table version share one `Arc<TableSchema>`, and all rows of a binlog event or chunk share one `Arc<Origin>`. Comparing
//! the addresses of two `Arc`s is therefore enough to recognise a shared value. Invariant: a cache holds a clone of every `Arc` whose
//! address it compares. The value then stays allocated, and its address cannot be reused for another value.

use std::collections::HashMap;
use std::sync::Arc;

use runtime::TableSchema;

use crate::error::FormatError;

/// The number of entries at which the cache first looks for entries of replaced schemas.
const FIRST_SWEEP: usize = 256;

/// Holds one value of type `T` per table schema; the value is built when the schema is first seen.
pub(crate) struct SchemaCache<T> {
    entries: HashMap<usize, (Arc<TableSchema>, Arc<T>)>,
    /// The entry used last, checked first: consecutive rows usually belong to the same table.
    last: Option<(Arc<TableSchema>, Arc<T>)>,
    sweep_at: usize,
}

impl<T> Default for SchemaCache<T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), last: None, sweep_at: FIRST_SWEEP }
    }
}

impl<T> SchemaCache<T> {
    /// The value for `schema`. If there is none yet, `build` makes it; if `build` fails, nothing is stored.
    pub(crate) fn get(
        &mut self,
        schema: &Arc<TableSchema>,
        build: impl FnOnce(&TableSchema) -> Result<T, FormatError>,
    ) -> Result<&T, FormatError> {
        let entry = match self.last.take() {
            Some(last) if Arc::ptr_eq(&last.0, schema) => last,
            _ => self.find(schema, build)?,
        };
        Ok(&self.last.insert(entry).1)
    }

    fn find(
        &mut self,
        schema: &Arc<TableSchema>,
        build: impl FnOnce(&TableSchema) -> Result<T, FormatError>,
    ) -> Result<(Arc<TableSchema>, Arc<T>), FormatError> {
        let address = Arc::as_ptr(schema).addr();
        if let Some(found) = self.entries.get(&address) {
            return Ok(found.clone());
        }
        if self.entries.len() >= self.sweep_at {
            self.sweep();
        }
        let entry = (schema.clone(), Arc::new(build(schema)?));
        self.entries.insert(address, entry.clone());
        Ok(entry)
    }

    /// Drops the entries whose schema only this cache still holds: these table versions were replaced.
    fn sweep(&mut self) {
        self.last = None;
        self.entries.retain(|_, (schema, _)| Arc::strong_count(schema) > 1);
        self.sweep_at = FIRST_SWEEP.max(self.entries.len() * 2);
    }
}

/// Remembers the shared value and the key of the last call.
pub(crate) struct LastSeen<T, K = ()> {
    seen: Option<(Arc<T>, K)>,
}

impl<T, K> Default for LastSeen<T, K> {
    fn default() -> Self {
        Self { seen: None }
    }
}

impl<T, K: PartialEq> LastSeen<T, K> {
    /// Whether `value` or `key` differs from the last call; always true in the first call.
    #[inline]
    pub(crate) fn is_new(&mut self, value: &Arc<T>, key: K) -> bool {
        let is_same = self.seen.as_ref().is_some_and(|(last, last_key)| Arc::ptr_eq(last, value) && *last_key == key);
        if !is_same {
            self.seen = Some((value.clone(), key));
        }
        !is_same
    }
}

#[cfg(test)]
mod tests {
    use runtime::TableId;

    use super::*;

    fn schema(name: &str) -> Arc<TableSchema> {
        Arc::new(TableSchema::new(TableId::new("d", name), Vec::new()))
    }

    fn name(schema: &TableSchema) -> Result<String, FormatError> {
        Ok(schema.id.to_string())
    }

    #[test]
    fn a_value_is_built_once_per_schema() {
        let (a, b) = (schema("a"), schema("b"));
        let mut cache = SchemaCache::default();
        let mut built = 0;
        for table in [&a, &a, &b, &a, &b] {
            let value = cache.get(table, |schema| {
                built += 1;
                name(schema)
            });
            assert_eq!(value.unwrap(), &table.id.to_string());
        }
        assert_eq!(built, 2);
    }

    #[test]
    fn replaced_schemas_are_dropped_and_used_ones_kept() {
        let used = schema("used");
        let mut cache = SchemaCache::default();
        cache.get(&used, name).unwrap();
        for version in 0..10 * FIRST_SWEEP {
            let value = cache.get(&schema(&version.to_string()), name).unwrap();
            assert_eq!(value, &format!("d.{version}"));
        }
        assert!(cache.entries.len() <= FIRST_SWEEP);
        let value = cache.get(&used, |_| panic!("the entry of a schema in use was dropped")).unwrap();
        assert_eq!(value, "d.used");
    }

    #[test]
    fn a_failed_build_is_not_kept() {
        let table = schema("a");
        let mut cache = SchemaCache::default();
        assert!(cache.get(&table, |_| Err(FormatError::UnknownEvent)).is_err());
        assert_eq!(cache.get(&table, name).unwrap(), "d.a");
    }

    #[test]
    fn only_another_value_or_key_is_new() {
        let (a, b) = (schema("a"), schema("b"));
        let mut last = LastSeen::default();
        let seen = [(&a, 1), (&a, 1), (&a, 2), (&b, 2), (&a, 2)].map(|(value, key)| last.is_new(value, key));
        assert_eq!(seen, [true, false, true, true, true]);
    }
}
