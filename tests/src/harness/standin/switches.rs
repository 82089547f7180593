//! The switches of the stand-in: each makes one property of a real server appear. They can be set at the start, with
//! `--set name=value`, and at any time by `SET @standin_name = value` from a connection of root.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Failure, Result};

/// The switches, with their values at the start. The text behind each says what it does.
pub const SWITCHES: &[(&str, &str, &str)] = &[
    ("early_cts", "1", "a transaction names its TSO already in its first ROWS_QUERY event"),
    ("heartbeat_as_transaction", "1", "a heartbeat in the files is a transaction; otherwise only its CTS event"),
    ("heartbeat_ms", "1000", "the interval of these heartbeats while nothing is written"),
    ("rows_query", "1", "ROWS_QUERY events with the trace are written"),
    ("hidden_key", "0", "row events contain the hidden key column of tables without a primary key"),
    ("lag_ms", "50", "how long a transaction stays out of the files after its commit"),
    ("file_bytes", "524288000", "the size at which a new file begins"),
    ("rotate_every", "0", "a new file begins after this many transactions; 0 for never"),
    ("late_error", "0", "a dump ends after this many events, with an error whose sequence number is 1; 0 for never"),
    ("glued_packets", "1", "an event of 0xFFFFFE bytes, or 0xFFFFFF more, is not followed by the empty packet that ends it"),
    ("config_change", "0", "the next CTS says ConfigChange; the switch then goes back to 0"),
    ("archive_tables", "", "DELETEs of these tables, such as `d.t,d.u`, are in transactions marked as ARCHIVE"),
    ("server_uuid_changes", "0", "each question for server_uuid gets another answer"),
    ("streams", "0", "the number of streams of the group `group1`, besides the global binlog; only at the start"),
    ("more_streams", "0", "the number of streams of a second group, `group2`; only at the start"),
    ("split", "record", "by what the changes are split over the streams of a group: record, table or database; only at the start"),
    ("global_binlog", "1", "there is a global binlog; otherwise SHOW MASTER STATUS is answered by a data node"),
    ("master_status_lag_ms", "0", "how old the position is that SHOW MASTER STATUS returns"),
];

/// The values of all switches.
#[derive(Clone)]
pub(super) struct Switches(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Switches {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(SWITCHES.iter().map(|(name, value, _)| (*name, (*value).to_owned())).collect())))
    }

    /// Sets a switch.
    pub(super) fn set(&self, name: &str, value: &str) -> Result<()> {
        let found =
            SWITCHES.iter().find(|(known, ..)| *known == name).ok_or_else(|| Failure::new(format!("no switch is called {name}")))?;
        let is_text = ["archive_tables", "split"].contains(&found.0);
        if !is_text && value.parse::<u64>().is_err() {
            return Failure::err(format!("the value of {name} must be a number"));
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(found.0, value.to_owned());
        Ok(())
    }

    /// The value of a switch as a text.
    pub(super) fn text(&self, name: &str) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned().unwrap_or_default()
    }

    /// The value of a switch as a number.
    pub(super) fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or_default()
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.number(name) != 0
    }
}
