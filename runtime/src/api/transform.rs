//! What changes events on their way.

use crate::{Batch, Result, RowFilter};

/// Changes, drops or rejects events of a batch. CPU only; one instance per lane.
pub trait Transform: Send {
    /// Works on one batch in place. Must keep the order and the `seq` of what it keeps. Events that it cannot process are rejected with an
    /// error of kind `Data` ([`Batch::retain`]); any returned error ends the lane.
    fn apply(&mut self, batch: &mut Batch) -> Result<()>;

    /// A text that changes whenever the transform may give tables or columns other names, or keys other values: usually its settings. A sink
    /// that continues after a restart compares it, because after such a change a row may go to another topic or partition than before.
    fn fingerprint(&self) -> String;

    /// Conditions that the source may evaluate as well while it reads a snapshot. None by default.
    fn pushdown(&self) -> Vec<RowFilter> {
        Vec::new()
    }
}
