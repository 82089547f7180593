//! What changes events on their way.

use std::sync::Arc;

use crate::{Batch, Finding, Result, TablePattern, TableSchema};

/// Changes, drops or rejects events of a batch. CPU only; one instance per lane.
pub trait Transform: Send {
    /// Works on one batch in place. Must keep the order and the `seq` of what it keeps. Events that it cannot process are rejected with an
    /// error of kind `Data` ([`Batch::retain`], [`Batch::rewrite`]); any returned error ends the lane.
    fn apply(&mut self, batch: &mut Batch) -> Result<()>;

    /// A text that changes whenever the transform may give tables or columns other names, or keys other values. A sink that continues after a
    /// restart compares it, because after such a change a row may go to another topic or partition than before. Settings that change neither
    /// names nor keys are not in it: they may be changed, and hold from the next event on.
    fn fingerprint(&self) -> String;

    /// Looks for mistakes in the settings that only show beside the selected tables, such as the name of a column that none of them has.
    /// `tables` are as they come to this transform. Called by a check, and before the first start of a task, which fails if a finding does.
    /// Finds nothing by default.
    fn check(&mut self, tables: &[Arc<TableSchema>]) -> Vec<Finding> {
        let _ = tables;
        Vec::new()
    }

    /// The patterns by which the settings choose tables, each with its key, such as `mask.tables`; none by default. A check warns of a pattern
    /// that matches no table, and refuses one that only matches a name that a later transform gives.
    fn table_patterns(&self) -> Vec<(&str, &TablePattern)> {
        Vec::new()
    }

    /// A condition in the source's SQL that is true for every row of the table that the transform keeps, so that a source need not read the
    /// others in a snapshot; `None` by default. Only the first transforms of a pipeline are asked, up to the first one that has no
    /// condition, because the schema is the source's.
    fn pushdown(&mut self, schema: &Arc<TableSchema>) -> Result<Option<String>> {
        let _ = schema;
        Ok(None)
    }
}
