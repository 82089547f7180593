//! Dead letters: events that could not be delivered, and what is done with such events.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::{Body, Cause, Error, Event};

/// What becomes of a row that cannot be delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnDataError {
    /// The task stops before it.
    #[default]
    Fail,
    /// It is left out, with a warning.
    Skip,
    /// It is written to the sink for dead letters.
    DeadLetters,
}

/// What becomes of rows that cannot be delivered, by cause, and how many there may be. The default stops the task at the first one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataErrors {
    otherwise: OnDataError,
    causes: BTreeMap<Cause, OnDataError>,
    max_rejected: Option<u64>,
}

/// How many rows may be rejected by default.
const MAX_REJECTED: u64 = 1000;
/// By default, one of so many delivered rows may be rejected, if that is more.
const ROWS_PER_REJECTED: u64 = 1000;

impl DataErrors {
    /// The same for every cause.
    pub fn new(action: OnDataError) -> Self {
        Self { otherwise: action, ..Self::default() }
    }

    /// Another action for one cause.
    #[must_use]
    pub fn with_cause(mut self, cause: Cause, action: OnDataError) -> Self {
        self.causes.insert(cause, action);
        self
    }

    /// How many rows may be skipped or become dead letters before the task stops. The default is 1,000 or 0.1 % of the rows that this process
    /// has delivered, whichever is more.
    #[must_use]
    pub fn with_max_rejected(mut self, rows: u64) -> Self {
        self.max_rejected = Some(rows);
        self
    }

    /// What becomes of a row with this cause.
    pub fn action(&self, cause: Cause) -> OnDataError {
        self.causes.get(&cause).copied().unwrap_or(self.otherwise)
    }

    /// Whether a cause has this action.
    pub(crate) fn uses(&self, action: OnDataError) -> bool {
        Cause::ALL.iter().any(|cause| self.action(*cause) == action)
    }

    /// Whether there is a limit of rejected rows, and no row can be rejected.
    pub(crate) fn has_idle_limit(&self) -> bool {
        self.max_rejected.is_some() && Cause::ALL.iter().all(|cause| self.action(*cause) == OnDataError::Fail)
    }

    /// How many rows may be rejected if so many were delivered.
    pub(crate) fn budget(&self, delivered: u64) -> u64 {
        self.max_rejected.unwrap_or_else(|| MAX_REJECTED.max(delivered / ROWS_PER_REJECTED))
    }
}

/// An event that could not be delivered, as the sink for dead letters gets it: as it was when it was rejected, with the error.
#[derive(Debug)]
#[non_exhaustive]
pub struct Letter {
    /// The event.
    pub event: Event,
    /// Why it could not be delivered.
    pub error: Error,
    /// The cause.
    pub cause: Cause,
}

impl Letter {
    /// A letter about an event. The table and the position of the event are added to the error.
    pub fn new(event: Event, error: Error, cause: Cause) -> Self {
        let error = error.of_event(&event);
        Self { event, error, cause }
    }

    /// What is known of the error, by the names of record headers: `dts.error.kind` (the cause), `dts.error.text`, `dts.error.topic` and
    /// `dts.error.partition` (what the event was bound for), `dts.error.table`, `dts.error.position`, and `dts.error.time` (milliseconds since
    /// the epoch, when the letter is written). What is not known is left out. The texts hold no value of a cell.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let text = [Some(self.error.message().to_owned()), self.error.cause()].into_iter().flatten().collect::<Vec<_>>().join(": ");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let mut headers = vec![("dts.error.kind", self.cause.as_str().to_owned()), ("dts.error.text", text)];
        if let Some((topic, partition)) = self.error.destination() {
            headers.push(("dts.error.topic", topic.to_owned()));
            headers.extend(partition.map(|partition| ("dts.error.partition", partition.to_string())));
        }
        if let Body::Row(row) = &self.event.body {
            headers.push(("dts.error.table", row.schema.id.to_string()));
        }
        headers.push(("dts.error.position", self.event.location().to_string()));
        headers.push(("dts.error.time", now.to_string()));
        headers
    }

    /// The event as JSON, whatever its cells hold: as [`crate::RowChange::to_json`], where a value that is not valid text is
    /// `{"hex": "<its bytes in hexadecimal digits>"}`. Null if the event is no row.
    pub fn to_json(&self) -> Json {
        match &self.event.body {
            Body::Row(row) => row.to_json_as_it_is(),
            _ => json!(null),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::events;

    #[test]
    fn each_cause_has_its_action_and_the_budget_grows_with_the_rows() {
        let errors = DataErrors::new(OnDataError::Skip).with_cause(Cause::TooLarge, OnDataError::DeadLetters);
        assert_eq!((errors.action(Cause::TooLarge), errors.action(Cause::Transform)), (OnDataError::DeadLetters, OnDataError::Skip));
        assert!(errors.uses(OnDataError::Skip) && errors.uses(OnDataError::DeadLetters) && !errors.uses(OnDataError::Fail));
        assert_eq!((errors.budget(0), errors.budget(5_000_000)), (1000, 5000));
        let limited = errors.with_max_rejected(3);
        assert_eq!(limited.budget(5_000_000), 3);
        assert!(!limited.has_idle_limit());
        let failing = Cause::ALL.into_iter().fold(limited, |errors, cause| errors.with_cause(cause, OnDataError::Fail));
        assert!(failing.has_idle_limit() && !failing.uses(OnDataError::Skip), "what no cause has does not count");
        assert!(DataErrors::default().with_max_rejected(0).has_idle_limit() && !DataErrors::default().has_idle_limit());
    }

    #[test]
    fn a_letter_says_what_is_known() {
        let event = events(7, 1).remove(0);
        let error = Error::data("too long").because("4 MiB").bound_for("shop", Some(3));
        let letter = Letter::new(event, error, Cause::TooLarge);
        let headers = letter.headers();
        let expected = [
            ("dts.error.kind", "too_large"),
            ("dts.error.text", "too long: 4 MiB"),
            ("dts.error.topic", "shop"),
            ("dts.error.partition", "3"),
            ("dts.error.table", "contract.rows"),
            ("dts.error.position", "contract:7"),
        ];
        assert_eq!(headers.iter().map(|(name, value)| (*name, value.as_str())).take(6).collect::<Vec<_>>(), expected);
        assert!(headers[6].0 == "dts.error.time" && headers[6].1.parse::<u64>().is_ok_and(|ms| ms > 1_700_000_000_000));
        let after = json!({"id": 7, "text": "row"});
        assert_eq!(letter.to_json(), json!({"database": "contract", "table": "rows", "op": "insert", "before": null, "after": after}));
    }
}
