//! The transaction id behind the flags of a position header.
//!
//! The sources know the id as text. The texts of the servers are packed, each form under a tag of its own; a text of any other form is
//! written as it is. What is read is the same text again.

use std::fmt;
use std::sync::Arc;

use super::record_header::{PositionError, read_varint, write_varint};

const TSO: u8 = 1;
const GTID: u8 = 2;
const MARIADB_GTID: u8 = 3;
const TEXT: u8 = 4;

/// The number of bytes of a packed commit timestamp.
const TSO_BYTES: usize = 27;
/// The number of characters of a UUID as text, and the places of its hyphens.
const UUID_LEN: usize = 36;
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// The id of the transaction that a record comes from. Its [`Display`](fmt::Display) is the text that the database uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransactionId<'a> {
    /// The commit timestamp of PolarDB-X: 54 digits, two in a byte.
    Tso([u8; TSO_BYTES]),
    /// The GTID of MySQL: the UUID of a server and a number.
    Gtid {
        /// The UUID of the server that executed the transaction first.
        server: [u8; 16],
        /// The number of the transaction.
        number: u64,
    },
    /// The GTID of MariaDB.
    MariaDbGtid {
        /// The replication domain.
        domain: u32,
        /// The id of the server that executed the transaction first.
        server: u32,
        /// The number of the transaction in its domain.
        number: u64,
    },
    /// An id of another form.
    Text(&'a str),
}

impl<'a> TransactionId<'a> {
    /// Recognises the form of an id. An id that would be another text after packing, such as a UUID in upper case, stays a text.
    pub fn of(text: &'a str) -> Self {
        tso(text).or_else(|| gtid(text)).or_else(|| mariadb_gtid(text)).unwrap_or(Self::Text(text))
    }

    /// Appends the tag and the bytes of the id. Appends nothing for a text of more than 255 bytes.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Tso(digits) => {
                out.push(TSO);
                out.extend_from_slice(&digits);
            }
            Self::Gtid { server, number } => {
                out.push(GTID);
                out.extend_from_slice(&server);
                write_varint(out, number);
            }
            Self::MariaDbGtid { domain, server, number } => {
                out.push(MARIADB_GTID);
                write_varint(out, domain.into());
                write_varint(out, server.into());
                write_varint(out, number);
            }
            Self::Text(text) => {
                if let Ok(length) = u8::try_from(text.len()) {
                    out.extend_from_slice(&[TEXT, length]);
                    out.extend_from_slice(text.as_bytes());
                }
            }
        }
    }

    /// Reads what follows the flags: `None` if nothing does, or something that this version does not know.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Option<Self>, PositionError> {
        let Some((&tag, rest)) = bytes.split_first() else { return Ok(None) };
        let id = match tag {
            TSO => rest
                .first_chunk()
                .filter(|digits| digits.iter().all(|byte| byte >> 4 < 10 && byte & 15 < 10))
                .map(|&digits| Self::Tso(digits)),
            GTID => rest.split_first_chunk().and_then(|(&server, rest)| read_varint(rest).map(|(number, _)| Self::Gtid { server, number })),
            MARIADB_GTID => read_mariadb_gtid(rest),
            TEXT => read_text(rest),
            _ => return Ok(None),
        };
        id.map(Some).ok_or(PositionError::Malformed)
    }
}

impl fmt::Display for TransactionId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tso(digits) => digits.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Self::Gtid { server, number } => {
                for (index, byte) in server.iter().enumerate() {
                    let hyphen = if [4, 6, 8, 10].contains(&index) { "-" } else { "" };
                    write!(f, "{hyphen}{byte:02x}")?;
                }
                write!(f, ":{number}")
            }
            Self::MariaDbGtid { domain, server, number } => write!(f, "{domain}-{server}-{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

fn tso<'a>(text: &str) -> Option<TransactionId<'a>> {
    let text: &[u8; 2 * TSO_BYTES] = text.as_bytes().try_into().ok()?;
    // One pass without a branch for each digit, which the compiler turns into vector instructions.
    let others = text.iter().fold(0, |others, byte| others | u8::from(!byte.is_ascii_digit()));
    let mut digits = [0; TSO_BYTES];
    for (byte, pair) in digits.iter_mut().zip(text.as_chunks::<2>().0) {
        *byte = (pair[0] & 15) << 4 | pair[1] & 15;
    }
    (others == 0).then_some(TransactionId::Tso(digits))
}

fn gtid<'a>(text: &str) -> Option<TransactionId<'a>> {
    let (uuid, number) = text.split_at_checked(UUID_LEN)?;
    let number = plain_number(number.strip_prefix(':')?)?;
    let mut digits = uuid.bytes().enumerate().filter(|(at, byte)| !(*byte == b'-' && HYPHENS.contains(at)));
    let mut server = [0; 16];
    for byte in &mut server {
        *byte = hex_digit(digits.next()?.1)? << 4 | hex_digit(digits.next()?.1)?;
    }
    digits.next().is_none().then_some(TransactionId::Gtid { server, number })
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn mariadb_gtid<'a>(text: &str) -> Option<TransactionId<'a>> {
    let mut parts = text.split('-').map(plain_number);
    let (domain, server, number) = (parts.next()??, parts.next()??, parts.next()??);
    let (domain, server) = (u32::try_from(domain).ok()?, u32::try_from(server).ok()?);
    parts.next().is_none().then_some(TransactionId::MariaDbGtid { domain, server, number })
}

/// A number as it is printed: only digits, and no zero in front.
fn plain_number(text: &str) -> Option<u64> {
    let plain = text == "0" || !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

fn read_mariadb_gtid(bytes: &[u8]) -> Option<TransactionId<'_>> {
    let (domain, rest) = read_varint(bytes)?;
    let (server, rest) = read_varint(rest)?;
    let (number, _) = read_varint(rest)?;
    Some(TransactionId::MariaDbGtid { domain, server, number })
}

fn read_text(bytes: &[u8]) -> Option<TransactionId<'_>> {
    let (&length, rest) = bytes.split_first()?;
    std::str::from_utf8(rest.get(..length.into())?).ok().map(TransactionId::Text)
}

/// The bytes of the last id that was asked for. Events of a transaction share the text of their id, so it is packed once for all of them.
#[derive(Default)]
pub(crate) struct TransactionBytes {
    of: Option<Arc<str>>,
    bytes: Vec<u8>,
}

impl TransactionBytes {
    /// What follows the flags of a record with this transaction id.
    #[inline]
    pub(crate) fn of(&mut self, id: Option<&Arc<str>>) -> &[u8] {
        let same = match (&self.of, id) {
            (Some(last), Some(id)) => Arc::ptr_eq(last, id),
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.pack(id);
        }
        &self.bytes
    }

    fn pack(&mut self, id: Option<&Arc<str>>) {
        match (&self.of, id) {
            // The next transaction is mostly from the same server, whose UUID is packed already.
            (Some(last), Some(id)) if self.bytes.first() == Some(&GTID) && last.get(..=UUID_LEN) == id.get(..=UUID_LEN) => {
                match id.get(UUID_LEN + 1..).and_then(plain_number) {
                    Some(number) => {
                        self.bytes.truncate(1 + 16);
                        write_varint(&mut self.bytes, number);
                    }
                    None => self.pack_whole(id),
                }
            }
            (_, Some(id)) => self.pack_whole(id),
            (_, None) => self.bytes.clear(),
        }
        self.of = id.cloned();
    }

    fn pack_whole(&mut self, id: &str) {
        self.bytes.clear();
        TransactionId::of(id).write(&mut self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOME_TSO: &str = "753257768515167846418831443902710416620000000000000000";
    const SOME_GTID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562:23";

    fn written(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        TransactionId::of(text).write(&mut bytes);
        bytes
    }

    fn read(bytes: &[u8]) -> Option<String> {
        TransactionId::read(bytes).unwrap().map(|id| id.to_string())
    }

    #[test]
    fn the_ids_of_the_servers_are_packed() {
        let mut tso = vec![1];
        tso.extend((0..54).step_by(2).map(|at| u8::from_str_radix(&SOME_TSO[at..at + 2], 16).unwrap()));
        let server = [0x3e, 0x11, 0xfa, 0x47, 0x71, 0xca, 0x11, 0xe1, 0x9e, 0x33, 0xc8, 0x0a, 0xa9, 0x42, 0x95, 0x62];
        for (text, expected) in [
            (SOME_TSO, tso),
            (SOME_GTID, [&[2], &server[..], &[23]].concat()),
            ("0-1-300", vec![3, 0, 1, 0xac, 2]),
            ("", vec![4, 0]),
            ("other", b"\x04\x05other".to_vec()),
        ] {
            assert_eq!(written(text), expected, "{text}");
            assert_eq!(read(&expected).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_text_that_packing_would_change_stays_a_text() {
        let texts = [
            "3E11FA47-71CA-11E1-9E33-C80AA9429562:23",
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:023",
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:tag:23",
            "3e11fa47-71ca-11e1-9e33c-80aa9429562:23",
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:99999999999999999999",
            "01-1-1",
            "1-+1-1",
            "1-1",
            "1-1-1-1",
            "4294967296-1-1",
            &SOME_TSO[1..],
        ];
        for text in texts {
            assert_eq!(TransactionId::of(text), TransactionId::Text(text));
            assert_eq!(read(&written(text)).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_left_out() {
        assert_eq!(written(&"x".repeat(255)).len(), 257);
        assert!(written(&"x".repeat(256)).is_empty());
    }

    #[test]
    fn ids_that_are_cut_are_errors_and_unknown_ones_are_none() {
        for text in [SOME_TSO, SOME_GTID, "12-300-70000", "other"] {
            let bytes = written(text);
            for end in 1..bytes.len() {
                assert_eq!(TransactionId::read(&bytes[..end]), Err(PositionError::Malformed), "{text} {end}");
            }
            assert_eq!(read(&[&bytes[..], b"later"].concat()).as_deref(), Some(text));
        }
        assert_eq!(TransactionId::read(&[]), Ok(None));
        assert_eq!(TransactionId::read(&[0, 7]), Ok(None));
        let mut letter = written(SOME_TSO);
        letter[5] = 0x1a;
        assert_eq!(TransactionId::read(&letter), Err(PositionError::Malformed));
    }

    #[test]
    fn the_bytes_of_the_last_id_are_kept() {
        let (first, second): (Arc<str>, Arc<str>) = ("0-1-1".into(), "0-1-2".into());
        let mut bytes = TransactionBytes::default();
        assert!(bytes.of(None).is_empty());
        assert_eq!(bytes.of(Some(&first)), [3, 0, 1, 1]);
        assert_eq!(bytes.of(Some(&first.clone())), [3, 0, 1, 1]);
        assert_eq!(bytes.of(Some(&second)), [3, 0, 1, 2]);
        assert!(bytes.of(None).is_empty());
    }

    #[test]
    fn each_id_is_packed_alike_whatever_was_packed_before() {
        let other = SOME_GTID.replace("23", "x");
        let ids =
            [SOME_GTID, "3e11fa47-71ca-11e1-9e33-c80aa9429562:70000", "3e11fa47-71ca-11e1-9e33-c80aa9429563:5", &other, SOME_TSO, "", "x"];
        for first in ids {
            for second in ids {
                let mut bytes = TransactionBytes::default();
                bytes.of(Some(&first.into()));
                assert_eq!(bytes.of(Some(&second.into())), written(second), "{second} behind {first}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "[0-9]{54}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}:[0-9]{1,21}|[0-9]{1,11}-[0-9]{1,11}-[0-9]{1,21}|.{0,60}") {
            prop_assert_eq!(read(&written(&text)), Some(text));
        }

        #[test]
        fn any_bytes_are_an_id_or_refused(bytes: Vec<u8>) {
            if let Ok(Some(id)) = TransactionId::read(&bytes) {
                let text = id.to_string();
                prop_assert_eq!(read(&written(&text)), Some(text));
            }
        }
    }
}
