//! Positions in the binlog, and the sequence numbers by which events are ordered.

use std::fmt;

use runtime::{Position, Seq};

use super::event::Tso;
use super::gtid::{CatchUp, GtidSet};

/// Offsets in dump requests must be less than this, because some servers read them as signed 32-bit numbers.
pub(crate) const DUMP_LIMIT: u64 = 1 << 31;
/// The number of the file behind which PolarDB-X begins again with 1.
pub(crate) const LAST_WRAPPING: u32 = 999_999;

/// A position in the binlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileOffset {
    /// Numeric suffix of the file's name.
    pub file: u32,
    /// 64-bit offset of the next byte to read in the file.
    pub offset: u64,
}

impl FileOffset {
    /// Offset of the first event in a file, right after the 4-byte magic number.
    pub const FIRST: u64 = 4;

    /// The position `offset` in file number `file`.
    pub fn new(file: u32, offset: u64) -> Self {
        Self { file, offset }
    }

    /// Whether this position comes before another one of the same binlog. `wraps` says whether the numbers of its files begin again after
    /// 999,999, as in PolarDB-X. There are never so many files that this leaves a doubt.
    pub(crate) fn is_before(self, other: Self, wraps: bool) -> bool {
        const HALF: u32 = 500_000;
        if wraps && self.file.abs_diff(other.file) > HALF { self.file > other.file } else { self < other }
    }

    /// Where a dump begins that has to contain this position: here, or at the beginning of the file if a dump cannot begin here.
    pub(crate) fn dump_start(self) -> Self {
        if self.offset < DUMP_LIMIT { self } else { Self::new(self.file, Self::FIRST) }
    }
}

/// A position in the binlog with the name of its file, as in SHOW MASTER STATUS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BinlogCoordinates {
    /// Name of the binlog files without the dot and the number.
    pub(crate) base: String,
    pub(crate) at: FileOffset,
}

impl BinlogCoordinates {
    /// Coordinates from a file's name and an offset; `None` if `file` is not the name of a binlog file.
    pub(crate) fn new(file: &str, offset: u64) -> Option<Self> {
        let (base, file) = split_file_name(file)?;
        Some(Self { base: base.to_owned(), at: FileOffset { file, offset } })
    }

    /// Name of the file.
    pub(crate) fn file_name(&self) -> String {
        file_name(&self.base, self.at.file)
    }

    /// The position for messages, such as `binlog.000014:8273883`.
    pub(crate) fn location(&self) -> String {
        location(&self.base, self.at)
    }

    /// The position in the form that DTS prints: `<offset>@<file number>`.
    pub(crate) fn offset_text(&self) -> String {
        format!("{}@{}", self.at.offset, self.at.file)
    }
}

/// The error for a text that is not the position of a stream, or not the name of a binlog file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PositionError(String);

/// Where a stream resumes. Its text form is `v1;id=…;base=…;at=000014:8273883;prev=…;floor=…;fp=…;tso=…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPosition {
    /// Identity of the server: MySQL's `server_uuid`; empty if the server has none.
    pub identity: String,
    /// Name of the binlog files without the dot and the number.
    pub base: String,
    /// Where the stream resumes: between two transactions, after the last delivered transaction.
    pub at: FileOffset,
    /// Start of the last delivered transaction; `None` if no transaction was read yet or its file was purged.
    pub previous: Option<FileOffset>,
    /// The latest start of a transaction at an offset below 2 GiB. Some servers cannot begin a dump at a greater offset, so the dump begins
    /// here if `previous` is in the same file above 2 GiB.
    pub floor: Option<FileOffset>,
    /// First 8 bytes of a SHA-256 hash over the headers and checksums of the events in the last delivered transaction; `None` if the events
    /// of that transaction are not known.
    pub fingerprint: Option<[u8; 8]>,
    /// The commit timestamp of the last transaction that was read, where the server writes one. The next one must not be smaller.
    pub tso: Option<Tso>,
    /// The transactions that were delivered, or come before the start of the task. With them the task can go on at another server of the same
    /// replication. `None` if the server does not give every transaction a GTID.
    pub gtid: Option<GtidSet>,
    /// The transactions that are passed over, because they were delivered from another server or are not wanted; `None` once all are behind.
    pub catch_up: Option<CatchUp>,
    /// The chunk that was inserted last behind a transaction; `None` if none was.
    pub inserted: Option<Insertion>,
    /// Counts how often the task accepted a change to another server, and how often the numbers of PolarDB-X's binlog files began again.
    /// Events of a later timeline sort after the events of all earlier timelines.
    pub timeline: u16,
}

impl StreamPosition {
    /// The position of a new stream. It must lie between two transactions, like the file name and offset that `SHOW MASTER STATUS` returns.
    pub fn start(identity: impl Into<String>, file_name: &str, offset: u64) -> Result<Self, PositionError> {
        let (base, file) =
            split_file_name(file_name).ok_or_else(|| PositionError(format!("`{file_name}` is not the name of a binlog file")))?;
        Ok(Self {
            identity: identity.into(),
            base: base.to_owned(),
            at: FileOffset::new(file, offset),
            previous: None,
            floor: None,
            fingerprint: None,
            tso: None,
            gtid: None,
            catch_up: None,
            inserted: None,
            timeline: 0,
        })
    }

    /// Reads the text of a position.
    pub fn parse(text: &str) -> Result<Self, PositionError> {
        let wrong = |what: &str| PositionError(format!("{what} in the position `{text}`"));
        let mut parts = text.split(';');
        if parts.next() != Some("v1") {
            return Err(wrong("an unknown version"));
        }
        let (mut identity, mut base, mut at) = (None, None, None);
        let (mut previous, mut floor, mut fingerprint, mut tso, mut timeline) = (None, None, None, None, 0);
        let (mut gtid, mut until, mut passed, mut inserted) = (None, None, None, None);
        for part in parts {
            let (key, value) = part.split_once('=').ok_or_else(|| wrong("a part without `=`"))?;
            let place = || parse_place(value).ok_or_else(|| wrong("a part that is not a file and an offset"));
            match key {
                "id" => identity = Some(unescape(value).ok_or_else(|| wrong("a bad escape"))?),
                "base" => base = Some(unescape(value).ok_or_else(|| wrong("a bad escape"))?),
                "at" => at = Some(place()?),
                "prev" => previous = Some(place()?),
                "floor" => floor = Some(place()?),
                "fp" => fingerprint = Some(parse_fingerprint(value).ok_or_else(|| wrong("an invalid fingerprint"))?),
                "tso" => tso = Some(Tso::parse(value.as_bytes()).ok_or_else(|| wrong("an invalid commit timestamp"))?),
                "gtid" => gtid = Some(GtidSet::read_stored(value).ok_or_else(|| wrong("an invalid GTID set"))?),
                "until" => until = Some(place()?),
                "passed" => passed = Some(GtidSet::read_stored(value).ok_or_else(|| wrong("an invalid GTID set"))?),
                "ins" => inserted = Some(Insertion::parse(value).ok_or_else(|| wrong("an invalid place of a chunk"))?),
                "timeline" => {
                    timeline = value.parse().ok().filter(|&number| number < 1 << 12).ok_or_else(|| wrong("an invalid timeline"))?
                }
                _ => return Err(wrong("an unknown part")),
            }
        }
        let catch_up = match (until, passed) {
            (Some(until), Some(passed)) => Some(CatchUp { until, passed }),
            (None, None) => None,
            _ => return Err(wrong("a part is missing")),
        };
        match (identity, base, at) {
            (Some(identity), Some(base), Some(at)) => {
                Ok(Self { identity, base, at, previous, floor, fingerprint, tso, gtid, catch_up, inserted, timeline })
            }
            _ => Err(wrong("a part is missing")),
        }
    }

    /// Clears `previous`, `fingerprint` and `floor` if the file of `previous` was purged but the file of the resume point still exists.
    /// `has_file` tells whether the server has a file with a given name.
    pub(crate) fn forget_purged(&mut self, has_file: impl Fn(&str) -> bool) {
        let listed = |file: u32| has_file(&self.file_name(file));
        let purged = self.previous.is_some_and(|previous| previous.file != self.at.file && !listed(previous.file));
        if purged && listed(self.at.file) {
            tracing::warn!(position = %self, "the file of the last delivered transaction was purged: its fingerprint is not compared");
            (self.previous, self.fingerprint, self.floor) = (None, None, None);
        }
    }

    /// The position in the text form that the runtime stores.
    pub fn to_position(&self) -> Position {
        Position::from(self.to_string())
    }

    /// The name of the binlog file with the number `file`.
    pub fn file_name(&self, file: u32) -> String {
        file_name(&self.base, file)
    }

    /// A position in the binlog files of this stream, for messages: `binlog.000014:8273883`.
    pub(crate) fn location(&self, at: FileOffset) -> String {
        location(&self.base, at)
    }
}

impl fmt::Display for StreamPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1;id={};base={};at={}", escape(&self.identity), escape(&self.base), self.at)?;
        if let Some(previous) = self.previous {
            write!(f, ";prev={previous}")?;
        }
        if let Some(floor) = self.floor {
            write!(f, ";floor={floor}")?;
        }
        if let Some(fingerprint) = self.fingerprint {
            write!(f, ";fp={:016x}", u64::from_be_bytes(fingerprint))?;
        }
        if let Some(tso) = self.tso {
            write!(f, ";tso={tso}")?;
        }
        if let Some(gtid) = &self.gtid {
            write!(f, ";gtid={}", gtid.stored())?;
        }
        if let Some(CatchUp { until, passed }) = &self.catch_up {
            write!(f, ";until={until};passed={}", passed.stored())?;
        }
        if let Some(inserted) = self.inserted {
            write!(f, ";ins={inserted}")?;
        }
        if self.timeline > 0 {
            write!(f, ";timeline={}", self.timeline)?;
        }
        Ok(())
    }
}

impl fmt::Display for FileOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}:{}", self.file, self.offset)
    }
}

/// A place between two transactions at which rows of the full phase are inserted into a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Insertion {
    /// Where the transaction before it has ended.
    pub at: FileOffset,
    /// Counts the insertions at `at`, from 0.
    pub number: u32,
}

/// How many rows one insertion numbers. More rows are several insertions.
pub(crate) const INSERTION_ROWS: u32 = 1 << 22;
/// How many insertions there can be at one place.
const INSERTIONS: u32 = 1 << 18;

impl Insertion {
    /// The place behind this one, or the first one at `at` if that comes later. `None` if there can be no more of them at this place.
    pub(crate) fn next(last: Option<Self>, at: FileOffset) -> Option<Self> {
        match last.filter(|last| last.at >= at) {
            Some(last) => Some(Self { at: last.at, number: last.number + 1 }).filter(|next| next.number < INSERTIONS),
            None => Some(Self { at, number: 0 }),
        }
    }

    /// The sequence number of the row with this index, which is below [`INSERTION_ROWS`]. It sorts before the transaction that begins at the
    /// place.
    pub(crate) fn seq(self, timeline: u16, row: u32) -> Seq {
        let ord = u64::from(self.number) << INSERTION_ROWS.ilog2() | u64::from(row);
        seq(timeline, self.at, 0, ord)
    }

    fn parse(text: &str) -> Option<Self> {
        let (at, number) = text.rsplit_once(':')?;
        Some(Self { at: parse_place(at)?, number: number.parse().ok().filter(|number| *number < INSERTIONS)? })
    }
}

impl fmt::Display for Insertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.at, self.number)
    }
}

/// Builds the sequence number of an event from bit fields, highest first: `timeline:12 | file:24 | off:44 | kind:1 | ord:40 | sub:7`.
/// `start` is where the event's transaction begins. `ord` is the event's number in the transaction, in which only emitted events count.
pub fn transaction_seq(timeline: u16, start: FileOffset, ord: u64) -> Seq {
    seq(timeline, start, 1, ord)
}

/// Where the transaction of an event begins whose sequence number is from [`transaction_seq`].
pub(crate) fn transaction_start(seq: Seq) -> FileOffset {
    let field = |shift: u32, bits: u32| (seq.0 >> shift & ((1 << bits) - 1)) as u64;
    FileOffset::new(field(92, 24) as u32, field(48, 44))
}

/// The kind 1 stands for a transaction, and 0 for rows of the full phase, which are inserted before it.
fn seq(timeline: u16, start: FileOffset, kind: u64, ord: u64) -> Seq {
    let fields = [(u64::from(timeline), 12), (u64::from(start.file), 24), (start.offset, 44), (kind, 1), (ord, 40), (0, 7)];
    Seq(fields.into_iter().fold(0, |seq, (value, bits)| seq << bits | u128::from(value) & ((1 << bits) - 1)))
}

/// The name of a binlog file. Its number is padded to at least six digits.
pub(crate) fn file_name(base: &str, file: u32) -> String {
    format!("{base}.{file:06}")
}

/// A position in the binlog files called `base`, for messages: `binlog.000014:8273883`.
pub(crate) fn location(base: &str, at: FileOffset) -> String {
    format!("{}:{}", file_name(base, at.file), at.offset)
}

/// Splits `binlog.000014` into `binlog` and 14; `None` if `name` is not the name of a binlog file. All names of binlog files are parsed
/// here.
pub(crate) fn split_file_name(name: &str) -> Option<(&str, u32)> {
    let (base, digits) = name.rsplit_once('.').filter(|(base, _)| !base.is_empty())?;
    let number = (digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())??;
    // The sequence number of an event has 24 bits for the file number.
    (number < 1 << 24).then_some((base, number))
}

/// The smallest sequence number of a timeline.
pub(crate) fn first_seq(timeline: u16) -> Seq {
    Seq(transaction_seq(timeline, FileOffset::new(0, 0), 0).0 & !((1 << 116) - 1))
}

fn parse_place(text: &str) -> Option<FileOffset> {
    let (file, offset) = text.split_once(':')?;
    let place = FileOffset::new(file.parse().ok()?, offset.parse().ok()?);
    (place.file < 1 << 24 && (FileOffset::FIRST..1 << 44).contains(&place.offset)).then_some(place)
}

fn parse_fingerprint(text: &str) -> Option<[u8; 8]> {
    (text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| u64::from_str_radix(text, 16).ok().map(u64::to_be_bytes))?
}

/// Replaces `%`, `;`, `=` and control characters with `%XX`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | ';' | '=') || c.is_ascii_control() {
            escaped.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        plain.push(char::from(u8::from_str_radix(part.get(..2)?, 16).ok().filter(u8::is_ascii)?));
        plain.push_str(part.get(2..)?);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> impl Strategy<Value = FileOffset> {
        (0u32..1 << 24, 4u64..1 << 44).prop_map(|(file, offset)| FileOffset::new(file, offset))
    }

    proptest! {
        #[test]
        fn a_position_reads_back_from_its_text(
            identity in "[ -~]{0,40}",
            base in "[a-z;%=.é-]{1,10}",
            at in place(),
            previous in proptest::option::of(place()),
            floor in proptest::option::of(place()),
            fingerprint in proptest::option::of(any::<[u8; 8]>()),
            tso in proptest::option::of("[0-8][0-9]{53}"),
            gtid in proptest::option::of("mariadb/(0-[1-9]-[1-9])?|mysql/3e11fa47-71ca-11e1-9e33-c80aa9429562:1-[2-9]"),
            until in proptest::option::of(place()),
            inserted in proptest::option::of((place(), 0u32..1 << 18).prop_map(|(at, number)| Insertion { at, number })),
            timeline in 0u16..1 << 12,
        ) {
            let tso = tso.and_then(|text| Tso::parse(text.as_bytes()));
            let gtid = gtid.and_then(|text| GtidSet::read_stored(&text));
            let catch_up = until.zip(gtid.clone()).map(|(until, passed)| CatchUp { until, passed });
            let position = StreamPosition { identity, base, at, previous, floor, fingerprint, tso, gtid, catch_up, inserted, timeline };
            prop_assert_eq!(StreamPosition::parse(&position.to_string()).unwrap(), position);
        }

        #[test]
        fn any_other_text_is_refused_or_reads_back(text in "v1(;[a-z]{1,5}=[0-9a-f:%]{0,12}){0,5}") {
            if let Ok(position) = StreamPosition::parse(&text) {
                prop_assert_eq!(StreamPosition::parse(&position.to_string()).unwrap(), position);
            }
        }

        #[test]
        fn seq_orders_by_place_then_number(a in place(), b in place(), x in 0u64..1 << 40, y in 0u64..1 << 40) {
            prop_assert_eq!(transaction_seq(0, a, x).cmp(&transaction_seq(0, b, y)), (a, x).cmp(&(b, y)));
            prop_assert!(transaction_seq(1, a, x) > transaction_seq(0, b, y));
        }

        #[test]
        fn inserted_rows_sort_between_two_transactions(
            at in place(), number in 0u32..(1 << 18) - 1, row in 0u32..INSERTION_ROWS, before in 1u64..100, ord in 0u64..1 << 40,
        ) {
            let first = Insertion { at, number };
            let next = Insertion::next(Some(first), at).unwrap();
            prop_assert_eq!((next.at, next.number), (at, number + 1));
            prop_assert!(first.seq(0, row) < next.seq(0, 0));
            prop_assert!(first.seq(0, 0) <= first.seq(0, row));
            prop_assert!(next.seq(0, row) < transaction_seq(0, at, ord));
            prop_assert!(transaction_seq(0, FileOffset::new(at.file, at.offset.saturating_sub(before)), ord) < first.seq(0, 0) || at.offset < before);
            let later = FileOffset::new(at.file, at.offset + before);
            prop_assert_eq!(Insertion::next(Some(next), later), Some(Insertion { at: later, number: 0 }));
            prop_assert_eq!(Insertion::next(Some(Insertion { at, number: (1 << 18) - 1 }), at), None);
        }
    }

    #[test]
    fn the_text_is_what_the_checkpoint_holds() {
        let mut position = StreamPosition::start("3e11fa47", "mysql-bin.000014", 8_273_883).unwrap();
        assert_eq!(position.to_string(), "v1;id=3e11fa47;base=mysql-bin;at=000014:8273883");
        position.previous = Some(FileOffset::new(14, 8_273_500));
        position.fingerprint = Some([0, 1, 2, 3, 4, 5, 6, 0xff]);
        assert_eq!(position.to_string(), "v1;id=3e11fa47;base=mysql-bin;at=000014:8273883;prev=000014:8273500;fp=00010203040506ff");
        assert!(StreamPosition::parse("v2;id=a;base=b;at=1:4").is_err());
        assert!(StreamPosition::parse("v1;id=a;base=b;at=1:3").is_err());
        assert!(StreamPosition::start("x", "binlog", 4).is_err());
    }

    #[test]
    fn a_purged_file_takes_the_fingerprint_with_it() {
        let mut position =
            StreamPosition::parse("v1;id=a;base=binlog;at=000014:4;prev=000013:200;floor=000013:200;fp=00010203040506ff").unwrap();
        let before = position.clone();
        let has = |names: &'static [&str]| move |name: &str| names.contains(&name);
        position.forget_purged(has(&["binlog.000013", "binlog.000014"]));
        assert_eq!(position, before);
        position.forget_purged(has(&["binlog.000015"]));
        assert_eq!(position, before, "then nothing is there to continue from");
        position.forget_purged(has(&["binlog.000014"]));
        assert_eq!((position.previous, position.floor, position.fingerprint), (None, None, None));
    }

    #[test]
    fn file_numbers_may_begin_again() {
        let (last, first) = (FileOffset::new(999_999, 500), FileOffset::new(1, 4));
        assert!(last.is_before(first, true) && !first.is_before(last, true));
        assert!(first.is_before(last, false) && !last.is_before(first, false));
        assert!(first.is_before(FileOffset::new(1, 5), true) && !first.is_before(first, true));
    }

    #[test]
    fn file_names_are_compared_as_numbers() {
        assert_eq!(split_file_name("binlog.999999"), Some(("binlog", 999_999)));
        assert_eq!(split_file_name("a.b.1000000"), Some(("a.b", 1_000_000)));
        assert_eq!(split_file_name("binlog.0001"), None);
        assert_eq!(split_file_name("binlog.00000x"), None);
        assert_eq!(file_name("binlog", 1_000_000), "binlog.1000000");
        let coordinates = BinlogCoordinates::new("mysql-bin.0.000017", 4).unwrap();
        assert_eq!((coordinates.base.as_str(), coordinates.file_name().as_str()), ("mysql-bin.0", "mysql-bin.0.000017"));
        assert_eq!(coordinates.offset_text(), "4@17");
        for odd in ["binlog", ".000001", "binlog.1", "binlog.99999999999"] {
            assert_eq!(BinlogCoordinates::new(odd, 4), None, "{odd}");
        }
    }
}
