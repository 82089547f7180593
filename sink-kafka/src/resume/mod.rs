//! Finds out what was delivered before, so that a task continues exactly where it stopped.

mod evidence;
mod ownership;
mod receipt;
pub mod record_header;
mod recovery;
mod scan;
mod tail;
mod transaction_id;

use runtime::Receipt;
use serde::Deserialize;

use crate::error::Error;

pub(crate) use evidence::{Evidence, Removed, verify as verify_evidence};
pub(crate) use ownership::{FirstRecord, first_records};
pub(crate) use receipt::{Mark, Marks, ReceiptContent, parse as parse_receipt, write as write_receipt};
pub(crate) use recovery::{Known, Recovered, recover};
pub(crate) use scan::{Found, scan, scan_with_producers};
pub(crate) use tail::{PartitionTail, Tail};
pub(crate) use transaction_id::TransactionBytes;

/// Checks the version `v` of a stored JSON text before the rest of it is read.
fn check_version(what: &'static str, text: &Receipt, known: u32) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let Version { v: found } = serde_json::from_str(text.as_str()).map_err(|error| Error::Receipt { problem: error.to_string() })?;
    if found == known { Ok(()) } else { Err(Error::StateVersion { what, found, known }) }
}
