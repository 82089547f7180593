//! MariaDB's types UUID, INET4 and INET6. The binlog holds them as bytes of a fixed length; a SELECT returns them as text.

use std::io::{Result, Write};

use runtime::{Column, ColumnKind, RowWriter, Value};

use super::fields::{impossible, prefixed};
use crate::binlog::error::StreamError;
use crate::binlog::event::Reader;

/// One of MariaDB's types UUID, INET4 and INET6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UuidInet {
    Uuid,
    Inet4,
    Inet6,
}

impl UuidInet {
    /// The type of a column; `None` if it is not UUID, INET4 or INET6.
    pub(crate) fn of(column: &Column) -> Option<Self> {
        match (&column.kind, column.source_type.as_str()) {
            (ColumnKind::Char { .. }, "uuid") => Some(Self::Uuid),
            (ColumnKind::Char { .. }, "inet4") => Some(Self::Inet4),
            (ColumnKind::Char { .. }, "inet6") => Some(Self::Inet6),
            _ => None,
        }
    }

    /// The number of bytes of a value.
    pub(crate) fn bytes(self) -> u32 {
        if self == Self::Inet4 { 4 } else { 16 }
    }

    /// Reads a value and packs its text. The binlog omits the zero bytes at the end of a value.
    pub(super) fn decode(self, reader: &mut Reader<'_>, writer: &mut RowWriter<'_>) -> std::result::Result<(), StreamError> {
        let stored = prefixed(reader, 1)?;
        let mut full = [0; 16];
        match full.get_mut(..self.bytes() as usize).and_then(|full| full.get_mut(..stored.len())) {
            Some(head) => head.copy_from_slice(stored),
            None => return Err(impossible("more bytes than its UUID, INET4 or INET6 column")),
        }
        // The longest text is `xxxx:xxxx:xxxx:xxxx:xxxx:xxxx:xxxx:xxxx`.
        let mut text = [0; 48];
        let mut rest = &mut text[..];
        let left = self.write(full, &mut rest).map(|()| rest.len()).map_err(|_| impossible("a UUID, INET4 or INET6"))?;
        writer.push(Value::Text(text.get(..text.len() - left).unwrap_or_default()));
        Ok(())
    }

    fn write(self, full: [u8; 16], out: &mut impl Write) -> Result<()> {
        match self {
            Self::Uuid => full.iter().enumerate().try_for_each(|(index, byte)| {
                let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
                write!(out, "{dash}{byte:02x}")
            }),
            Self::Inet4 => {
                let [a, b, c, d, ..] = full;
                write!(out, "{a}.{b}.{c}.{d}")
            }
            Self::Inet6 => write_inet6(full, out),
        }
    }
}

/// Writes an IPv6 address as MariaDB does. The longest run of zero groups is written as `::`, even if it is a single group. If several runs
/// are equally long, only the first is written as `::`. The last two groups are written as a dotted IPv4 address if six zero groups, or
/// five zero groups and `ffff`, come before them.
fn write_inet6(full: [u8; 16], out: &mut impl Write) -> Result<()> {
    let mut groups = [0u16; 8];
    for (group, bytes) in groups.iter_mut().zip(full.as_chunks::<2>().0) {
        *group = u16::from_be_bytes(*bytes);
    }
    let (gap, length) = longest_gap(&groups);
    let mut index = 0;
    while let Some(group) = groups.get(index) {
        if length > 0 && index == gap {
            out.write_all(if index == 0 { b"::" } else { b":" })?;
            index += length;
            continue;
        }
        if index == 6 && gap == 0 && (length == 6 || (length == 5 && groups[5] == 0xffff)) {
            let [.., a, b, c, d] = full;
            return write!(out, "{a}.{b}.{c}.{d}");
        }
        write!(out, "{group:x}")?;
        if index < 7 {
            out.write_all(b":")?;
        }
        index += 1;
    }
    Ok(())
}

/// Start and length of the longest run of zero groups; the length is 0 if no group is zero.
fn longest_gap(groups: &[u16; 8]) -> (usize, usize) {
    let (mut longest, mut current) = ((0, 0), 0);
    for (index, &group) in groups.iter().enumerate() {
        current = if group == 0 { current + 1 } else { 0 };
        if current > longest.1 {
            longest = (index + 1 - current, current);
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: UuidInet, bytes: [u8; 16]) -> String {
        let mut out = Vec::new();
        kind.write(bytes, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// The expected texts were printed by MariaDB 10.11.
    #[test]
    fn texts_are_the_servers() {
        for (groups, expected) in [
            ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], "2001:db8::1"),
            ([0, 0, 0, 0, 0, 0xffff, 0x102, 0x304], "::ffff:1.2.3.4"),
            ([0, 0, 0, 0, 0, 0, 0, 0], "::"),
            ([0, 0, 0, 0, 0, 0, 0, 1], "::1"),
            ([0, 0, 0, 0, 0, 0, 0x102, 0x304], "::1.2.3.4"),
            ([0, 0, 0, 0, 0, 0, 1, 2], "::0.1.0.2"),
            ([1, 0, 0, 2, 0, 0, 0, 3], "1:0:0:2::3"),
            ([1, 2, 3, 4, 5, 6, 7, 0], "1:2:3:4:5:6:7::"),
            ([0, 2, 0, 4, 0, 6, 0, 0], "0:2:0:4:0:6::"),
            ([1, 0, 2, 3, 4, 5, 6, 7], "1::2:3:4:5:6:7"),
            ([0xfe80, 0, 0, 1, 0, 0, 0, 0], "fe80:0:0:1::"),
            ([0x2020; 8], "2020:2020:2020:2020:2020:2020:2020:2020"),
        ] {
            let mut bytes = [0; 16];
            bytes.as_chunks_mut::<2>().0.iter_mut().zip(groups).for_each(|(pair, group): (_, u16)| *pair = group.to_be_bytes());
            assert_eq!(text(UuidInet::Inet6, bytes), expected);
        }
        let mut bytes = [0; 16];
        (0..16).for_each(|index| bytes[index] = 0x11 * index as u8);
        assert_eq!(text(UuidInet::Uuid, bytes), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(text(UuidInet::Inet4, bytes), "0.17.34.51");
    }
}
