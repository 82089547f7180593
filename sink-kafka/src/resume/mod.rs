//! Finds out what was delivered before, so that a task continues exactly where it was.

pub(crate) mod receipt;
pub mod record_header;
pub(crate) mod recovery;
pub(crate) mod scan;
