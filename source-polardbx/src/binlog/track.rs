//! Follows the offset of a stream through events and files, so that a lost or duplicated event is detected immediately.

use super::error::StreamError;
use super::event::{Checksums, RawEvent, open_event, read_rotate};
use super::position::{FileOffset, LAST_WRAPPING, file_name, location, split_file_name};

/// The current position of a stream, and the checks of the events that advance it.
#[derive(Clone, Debug)]
pub(crate) struct Tracker {
    base: String,
    /// The position at which the next event begins.
    at: FileOffset,
    /// Invariant: this is the name of the file whose number is `at.file`.
    file_name: String,
    pub(crate) checksums: Checksums,
}

impl Tracker {
    pub(crate) fn new(base: &str, at: FileOffset) -> Self {
        Self { base: base.to_owned(), at, file_name: file_name(base, at.file), checksums: Checksums::Unknown }
    }

    /// The position at which the next event begins.
    pub(crate) fn at(&self) -> FileOffset {
        self.at
    }

    /// Name of the file that is being read.
    pub(crate) fn file_name(&self) -> &str {
        &self.file_name
    }

    /// Verifies an event's length, checksum and offset, and advances the position past the event. Returns the event and its start. After an
    /// error the position is unchanged.
    pub(crate) fn pass<'a>(&mut self, bytes: &'a [u8]) -> Result<(RawEvent<'a>, FileOffset), StreamError> {
        let event = open_event(bytes, self.checksums)?;
        let start = self.at;
        if event.header.is_real() {
            let end = start.offset + u64::from(event.header.size);
            // A header holds the low 32 bits of the offset at which its event ends.
            if end as u32 != event.header.log_pos {
                let what = format!(
                    "the event of type {} at {} should end at {end}, but says {}",
                    event.header.kind,
                    location(&self.base, start),
                    event.header.log_pos
                );
                return Err(StreamError::Gap { what });
            }
            self.at.offset = end;
        }
        Ok((event, start))
    }

    /// Follows a ROTATE event. Returns `true` if the next file begins. A real ROTATE is the last event of a file. The server sends an
    /// artificial ROTATE at the start of a stream, after a real ROTATE, and after a file that a crash left without a ROTATE. `wraps` says whether
    /// the file after number 999,999 has number 1, as in PolarDB-X.
    pub(crate) fn rotate(&mut self, event: &RawEvent<'_>, wraps: bool) -> Result<bool, StreamError> {
        let (offset, name) = read_rotate(event.body)?;
        let Some((base, file)) = split_file_name(name) else {
            return Err(StreamError::corrupt("a ROTATE does not name a binlog file"));
        };
        let to = FileOffset::new(file, offset);
        if base != self.base {
            return Err(StreamError::HistoryDiverged {
                what: format!("the binlog continues in `{name}`, but its files were called `{}.…`", self.base),
            });
        }
        if to == self.at && !event.header.is_real() {
            return Ok(false);
        }
        let next = if wraps && self.at.file == LAST_WRAPPING { 1 } else { self.at.file + 1 };
        if file == next && offset == FileOffset::FIRST {
            self.at = to;
            self.file_name = file_name(&self.base, file);
            return Ok(true);
        }
        Err(StreamError::Gap { what: format!("the binlog jumps from {} to {}", location(&self.base, self.at), location(&self.base, to)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::testing::{EventBytes, format_description};

    #[test]
    fn the_end_in_the_header_is_compared_modulo_four_gib() {
        let start = FileOffset::new(3, (1 << 32) - 10);
        let mut tracker = Tracker::new("binlog", start);
        tracker.checksums = Checksums::Crc32;
        let bytes = EventBytes::new(29).body(b"\x01hello").ending_at(start.offset + 19 + 6 + 4).finish();
        let (event, at) = tracker.pass(&bytes).unwrap();
        assert_eq!((at, event.header.log_pos, tracker.at().offset), (start, 19, (1 << 32) + 19));
        assert!(matches!(tracker.pass(&bytes), Err(StreamError::Gap { .. })));
    }

    #[test]
    fn an_event_that_ends_at_four_gib_is_in_the_file() {
        let start = FileOffset::new(3, (1 << 32) - 29);
        let mut tracker = Tracker::new("binlog", start);
        tracker.checksums = Checksums::Crc32;
        let bytes = EventBytes::new(29).body(b"\x01hello").ending_at(1 << 32).finish();
        tracker.pass(&bytes).unwrap();
        assert_eq!(tracker.at(), FileOffset::new(3, 1 << 32));
        tracker.pass(&EventBytes::new(27).body(b"binlog.000003").finish()).unwrap();
        assert_eq!(tracker.at().offset, 1 << 32, "a heartbeat is not in the file");
    }

    #[test]
    fn files_follow_each_other() {
        let rotate = |file: &str, offset: u64, real: bool| {
            let body = [&offset.to_le_bytes(), file.as_bytes()].concat();
            let event = EventBytes::new(4).body(&body);
            if real { event.ending_at(1).finish() } else { event.artificial().finish() }
        };
        let go = |at: FileOffset, bytes: &[u8]| {
            let mut tracker = Tracker::new("binlog", at);
            let event = open_event(bytes, Checksums::Unknown).unwrap();
            tracker.rotate(&event, false).map(|changed| (changed, tracker.at()))
        };
        let at = FileOffset::new(7, 500);
        assert_eq!(go(at, &rotate("binlog.000007", 500, false)).unwrap(), (false, at));
        assert_eq!(go(at, &rotate("binlog.000008", 4, true)).unwrap(), (true, FileOffset::new(8, 4)));
        assert_eq!(go(at, &rotate("binlog.000008", 4, false)).unwrap(), (true, FileOffset::new(8, 4)));
        let wrap = |wraps| {
            let bytes = rotate("binlog.000001", 4, true);
            let mut tracker = Tracker::new("binlog", FileOffset::new(999_999, 500));
            tracker.rotate(&open_event(&bytes, Checksums::Unknown).unwrap(), wraps).map(|changed| (changed, tracker.at()))
        };
        assert_eq!(wrap(true).unwrap(), (true, FileOffset::new(1, 4)));
        assert!(wrap(false).is_err());
        assert!(go(at, &rotate("binlog.000009", 4, true)).is_err());
        assert!(go(at, &rotate("binlog.000007", 501, false)).is_err());
        assert!(go(at, &rotate("other.000008", 4, true)).is_err());
    }

    #[test]
    fn nothing_but_a_rotate_comes_before_the_format() {
        let mut tracker = Tracker::new("binlog", FileOffset::new(1, 4));
        let xid = EventBytes::new(16).body(&[0; 8]).ending_at(35).finish();
        assert!(tracker.pass(&xid).is_err());
        assert!(tracker.pass(&format_description(4)).is_ok());
    }
}
