//! The commit marks of PolarDB-X: ROWS_QUERY events that hold the commit timestamp of a transaction.
//!
//! The text `CTS::<54 digits>` ends a transaction. Words may follow, such as `::FlushLog`. The first ROWS_QUERY of a transaction may announce
//! the same timestamp in a line `# CTS::<54 digits>`. There the word `::ARCHIVE` means that the server's own archiving made the transaction.

use std::fmt;

use crate::binlog::error::StreamError;

/// The number of digits of a timestamp.
const DIGITS: usize = 54;
/// The digits of the time: milliseconds since the epoch and, in the low bits, a counter.
const TIME_DIGITS: usize = 19;
const COUNTER_BITS: u32 = 22;

/// The commit timestamp of a PolarDB-X transaction. Later transactions of a stream have greater timestamps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tso([u8; DIGITS]);

impl Tso {
    /// Reads 54 digits; `None` for any other text.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits: [u8; DIGITS] = text.try_into().ok()?;
        let tso = Self(digits);
        (digits.iter().all(u8::is_ascii_digit) && tso.time().is_some()).then_some(tso)
    }

    fn time(&self) -> Option<i64> {
        self.text().get(..TIME_DIGITS)?.parse().ok()
    }

    /// The time of the commit in milliseconds since the epoch.
    pub fn ms(&self) -> i64 {
        self.time().unwrap_or_default() >> COUNTER_BITS
    }

    /// The 54 digits.
    pub fn text(&self) -> &str {
        // Invariant: digits are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Tso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Debug for Tso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tso({self})")
    }
}

/// A commit mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitMark {
    /// The end of a transaction, or a mark of its own.
    End(Tso),
    /// The timestamp that the transaction will end with.
    Announced { tso: Tso, is_archive: bool },
}

impl CommitMark {
    /// Reads the body of a ROWS_QUERY event; `None` if it is no mark.
    pub(crate) fn read(body: &[u8]) -> Result<Option<Self>, StreamError> {
        // The first byte is a length, which the server does not fill.
        let text = body.get(1..).unwrap_or_default();
        if let Some(rest) = text.strip_prefix(b"CTS::") {
            return Ok(Some(Self::End(read_mark(rest)?.0)));
        }
        match text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"# CTS::")) {
            Some(rest) => read_mark(rest).map(|(tso, word)| Some(Self::Announced { tso, is_archive: word == b"ARCHIVE" })),
            None => Ok(None),
        }
    }
}

/// Reads the digits of a mark and the word behind them, which may be empty.
fn read_mark(text: &[u8]) -> Result<(Tso, &[u8]), StreamError> {
    let broken = || StreamError::corrupt("a commit mark (CTS) without a timestamp of 54 digits");
    let (digits, rest) = text.split_at_checked(DIGITS).ok_or_else(broken)?;
    let tso = Tso::parse(digits).ok_or_else(broken)?;
    match rest.strip_prefix(b"::") {
        Some(word) => Ok((tso, word)),
        None if rest.is_empty() => Ok((tso, rest)),
        None => Err(broken()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TSO: &str = "753257768515167846418831443902710416620000000000000000";

    fn read(text: &str) -> Result<Option<CommitMark>, StreamError> {
        CommitMark::read(&[b"\x01", text.as_bytes()].concat())
    }

    #[test]
    fn marks_are_told_from_traces() {
        let tso = Tso::parse(TSO.as_bytes()).unwrap();
        assert_eq!((tso.to_string().as_str(), tso.ms()), (TSO, 1_795_906_468_666));
        for (text, expected) in [
            (format!("CTS::{TSO}"), Some(CommitMark::End(tso))),
            (format!("CTS::{TSO}::FlushLog"), Some(CommitMark::End(tso))),
            (format!("/*DRDS /10.0.0.7/1-1/0// */\n# CTS::{TSO}"), Some(CommitMark::Announced { tso, is_archive: false })),
            (format!("# CTS::{TSO}::ARCHIVE"), Some(CommitMark::Announced { tso, is_archive: true })),
            ("/*DRDS /10.0.0.7/1-1/0// */".to_owned(), None),
            ("# TSO HEARTBEAT TXN".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(read(&text).unwrap(), expected, "{text}");
        }
        assert_eq!(CommitMark::read(b"").unwrap(), None);
    }

    #[test]
    fn a_mark_without_its_timestamp_is_corrupt() {
        for text in [
            "CTS::",
            "CTS::75",
            &format!("CTS::{TSO}1"),
            &format!("CTS::{}", TSO.replace('7', "x")),
            "# CTS::1",
            &format!("CTS::{}", "9".repeat(54)),
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
