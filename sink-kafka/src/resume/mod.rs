//! Finds out what was delivered before, so that a task continues exactly where it stopped.

mod evidence;
mod ownership;
mod receipt;
pub mod record_header;
mod recovery;
mod scan;

pub(crate) use evidence::{Evidence, verify as verify_evidence};
pub(crate) use ownership::{FirstRecord, first_records};
pub(crate) use receipt::{Mark, Marks, ReceiptContent, parse as parse_receipt, write as write_receipt};
pub(crate) use recovery::{Known, recover};
pub(crate) use scan::{Found, scan, scan_with_producers};
