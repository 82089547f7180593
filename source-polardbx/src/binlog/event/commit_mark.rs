//! The commit marks of PolarDB-X: ROWS_QUERY events that hold the commit timestamp of a transaction.
//!
//! The text `CTS::<54 digits>` ends a transaction. Words may follow, such as `::FlushLog`. The first ROWS_QUERY of a transaction may announce
//! the same timestamp in a line `# CTS::<54 digits>`. There the word `::ARCHIVE` means that the server's own archiving made the transaction.

use std::fmt;

use crate::binlog::error::StreamError;

/// The number of digits of a timestamp.
const DIGITS: usize = 54;
/// What the mark at the end of a transaction begins with.
const END: &[u8] = b"CTS::";
/// What the line begins with that announces a timestamp.
const ANNOUNCED: &[u8] = b"# CTS::";
/// The digits of the time: milliseconds since the epoch and, in the low bits, a counter.
const TIME_DIGITS: usize = 19;
const COUNTER_BITS: u32 = 22;

/// The commit timestamp of a PolarDB-X transaction. Later transactions of a stream have greater timestamps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tso {
    /// The value of the digits of the time. It comes first, so that most comparisons need nothing else.
    time: i64,
    digits: [u8; DIGITS],
}

impl Tso {
    /// Reads 54 digits; `None` for any other text.
    #[inline]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits: [u8; DIGITS] = text.try_into().ok()?;
        // Without an early end, many digits are checked at a time.
        if !digits.iter().fold(true, |all, digit| all & digit.is_ascii_digit()) {
            return None;
        }
        // The greatest number of 19 digits fits into a u64.
        let time = digits.iter().take(TIME_DIGITS).fold(0u64, |time, digit| time * 10 + u64::from(digit - b'0'));
        Some(Self { time: i64::try_from(time).ok()?, digits })
    }

    /// Whether the body of a ROWS_QUERY event is the mark that ends a transaction with this timestamp, and has no word.
    #[inline]
    pub(crate) fn is_marked_by(&self, body: &[u8]) -> bool {
        body.get(1..).and_then(|text| text.strip_prefix(END)).is_some_and(|digits| digits == self.digits)
    }

    /// Whether the commit was at this number or behind it, which is what `TSO_TIMESTAMP()` returns.
    pub(crate) fn reaches(&self, number: i64) -> bool {
        self.time >= number
    }

    /// The number of a time in milliseconds since the epoch.
    pub(crate) fn number_at(ms: i64) -> i64 {
        ms << COUNTER_BITS
    }

    /// The time of the commit in milliseconds since the epoch.
    pub fn ms(&self) -> i64 {
        self.time >> COUNTER_BITS
    }

    /// The 54 digits.
    pub fn text(&self) -> &str {
        // Invariant: digits are ASCII.
        std::str::from_utf8(&self.digits).unwrap_or_default()
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
    #[inline]
    pub(crate) fn read(body: &[u8]) -> Result<Option<Self>, StreamError> {
        // The first byte is a length, which the server does not fill.
        let text = body.get(1..).unwrap_or_default();
        if let Some(rest) = text.strip_prefix(END) {
            return Ok(Some(Self::End(read_mark(rest)?.0)));
        }
        let announced = last_line(text).or_else(|| text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(ANNOUNCED)));
        match announced {
            Some(rest) => read_mark(rest).map(|(tso, word)| Some(Self::Announced { tso, is_archive: word == b"ARCHIVE" })),
            None => Ok(None),
        }
    }
}

/// The digits of a mark that is the last line of a trace and has no word, as in nearly all transactions. The lines need not be split then.
#[inline]
fn last_line(text: &[u8]) -> Option<&[u8]> {
    let (before, line) = text.split_at_checked(text.len().checked_sub(ANNOUNCED.len() + DIGITS)?)?;
    line.strip_prefix(ANNOUNCED).filter(|_| before.last() == Some(&b'\n'))
}

/// Reads the digits of a mark and the word behind them, which may be empty.
#[inline]
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
            (format!("/*DRDS /10.0.0.7/1-1/0// */\n# CTS::{TSO}::ARCHIVE\nmore"), Some(CommitMark::Announced { tso, is_archive: true })),
            (format!("/*DRDS /10.0.0.7/1-1/0// */ # CTS::{TSO}"), None),
            ("/*DRDS /10.0.0.7/1-1/0// */".to_owned(), None),
            ("# TSO HEARTBEAT TXN".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(read(&text).unwrap(), expected, "{text}");
        }
        assert_eq!(CommitMark::read(b"").unwrap(), None);
        for (text, expected) in [
            (format!("CTS::{TSO}"), true),
            (format!("CTS::{TSO}::FlushLog"), false),
            (format!("CTS::{}", TSO.replace('8', "7")), false),
            (format!("# CTS::{TSO}"), false),
        ] {
            assert_eq!(tso.is_marked_by(format!("\u{1}{text}").as_bytes()), expected, "{text}");
        }
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
