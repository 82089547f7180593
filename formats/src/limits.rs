//! Bounds of MySQL's types that are narrower than what a [`runtime::Value`] can hold.

/// The longest duration: 838:59:59.999999, in microseconds.
pub(crate) const MAX_TIME: u64 = (838 * 3600 + 59 * 60 + 59) * 1_000_000 + 999_999;

/// The end of the year 9999 in microseconds since the epoch; no server stores a later moment.
pub(crate) const MAX_TIMESTAMP: i64 = 253_402_300_799_999_999;
