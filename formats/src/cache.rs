//! What a format prepares once per table version, found again by the identity of the structure.

use std::collections::HashMap;
use std::sync::Arc;

use runtime::TableSchema;

use crate::error::FormatError;

/// How many plans are kept before the ones that nobody else uses are looked for.
const FIRST_SWEEP: usize = 256;

/// Plans of the tables seen so far.
///
/// Invariant: the address of a structure is a safe key because its `Arc` is kept beside the plan, so the address cannot be used again.
pub(crate) struct Plans<P> {
    plans: HashMap<usize, (Arc<TableSchema>, Arc<P>)>,
    /// The plan used last: rows come in runs of one table.
    last: Option<(Arc<TableSchema>, Arc<P>)>,
    sweep_at: usize,
}

impl<P> Plans<P> {
    pub(crate) fn new() -> Self {
        Self { plans: HashMap::new(), last: None, sweep_at: FIRST_SWEEP }
    }

    /// The plan of `schema`, made by `build` when it is seen for the first time.
    pub(crate) fn get(
        &mut self,
        schema: &Arc<TableSchema>,
        build: impl FnOnce(&TableSchema) -> Result<P, FormatError>,
    ) -> Result<&P, FormatError> {
        let planned = match self.last.take() {
            Some(last) if Arc::ptr_eq(&last.0, schema) => last,
            _ => self.find(schema, build)?,
        };
        Ok(&self.last.insert(planned).1)
    }

    fn find(
        &mut self,
        schema: &Arc<TableSchema>,
        build: impl FnOnce(&TableSchema) -> Result<P, FormatError>,
    ) -> Result<(Arc<TableSchema>, Arc<P>), FormatError> {
        let address = Arc::as_ptr(schema).addr();
        if let Some(found) = self.plans.get(&address) {
            return Ok(found.clone());
        }
        if self.plans.len() >= self.sweep_at {
            self.sweep();
        }
        let planned = (schema.clone(), Arc::new(build(schema)?));
        self.plans.insert(address, planned.clone());
        Ok(planned)
    }

    /// Forgets structures that only this cache still holds: versions that were replaced.
    fn sweep(&mut self) {
        self.last = None;
        self.plans.retain(|_, (schema, _)| Arc::strong_count(schema) > 1);
        self.sweep_at = FIRST_SWEEP.max(self.plans.len() * 2);
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
    fn a_plan_is_made_once_per_structure() {
        let (a, b) = (schema("a"), schema("b"));
        let mut plans = Plans::new();
        let mut built = 0;
        for table in [&a, &a, &b, &a, &b] {
            let plan = plans.get(table, |schema| {
                built += 1;
                name(schema)
            });
            assert_eq!(plan.unwrap(), &table.id.to_string());
        }
        assert_eq!(built, 2);
    }

    #[test]
    fn replaced_structures_are_forgotten_and_living_ones_kept() {
        let alive = schema("alive");
        let mut plans = Plans::new();
        plans.get(&alive, name).unwrap();
        for version in 0..10 * FIRST_SWEEP {
            let plan = plans.get(&schema(&version.to_string()), name).unwrap();
            assert_eq!(plan, &format!("d.{version}"));
        }
        assert!(plans.plans.len() <= FIRST_SWEEP);
        let plan = plans.get(&alive, |_| panic!("the living table's plan was forgotten")).unwrap();
        assert_eq!(plan, "d.alive");
    }

    #[test]
    fn a_failed_plan_is_not_kept() {
        let table = schema("a");
        let mut plans = Plans::new();
        assert!(plans.get(&table, |_| Err(FormatError::UnknownEvent)).is_err());
        assert_eq!(plans.get(&table, name).unwrap(), "d.a");
    }
}
