//! The bytes of the events in a global binlog.

use super::wire::put_length;

/// The length of an event's header.
pub(super) const HEADER: usize = 19;
/// The length of the checksum at the end of an event.
pub(super) const CHECKSUM: usize = 4;
/// The offset of the first event of a file.
pub(super) const START: u64 = 4;
/// The first bytes of a file.
pub(super) const MAGIC: [u8; 4] = [0xFE, b'b', b'i', b'n'];

pub(super) const QUERY: u8 = 2;
pub(super) const ROTATE: u8 = 4;
pub(super) const FORMAT: u8 = 15;
pub(super) const XID: u8 = 16;
pub(super) const TABLE_MAP: u8 = 19;
pub(super) const HEARTBEAT: u8 = 27;
pub(super) const ROWS_QUERY: u8 = 29;
pub(super) const WRITE_ROWS: u8 = 30;
pub(super) const UPDATE_ROWS: u8 = 31;
pub(super) const DELETE_ROWS: u8 = 32;
pub(super) const XA_PREPARE: u8 = 38;

/// The lengths of the fixed parts of the event types 1 to 38, as the real server writes them.
const POST_HEADERS: [u8; 38] =
    [0, 13, 0, 8, 0, 0, 0, 0, 4, 0, 4, 0, 0, 0, 95, 0, 4, 26, 8, 0, 0, 0, 8, 8, 8, 2, 0, 0, 0, 10, 10, 10, 42, 42, 0, 18, 52, 0];

/// An event without a position: its type, its flags and its body. The position is known only when the event is written to a file.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) kind: u8,
    pub(super) flags: u16,
    pub(super) body: Vec<u8>,
}

impl Event {
    pub(super) fn new(kind: u8, flags: u16, body: Vec<u8>) -> Self {
        Self { kind, flags, body }
    }

    /// A ROWS_QUERY event with a text. The byte in front of the text is always 1.
    pub(super) fn text(text: &str) -> Self {
        Self::new(ROWS_QUERY, 0, [&[1], text.as_bytes()].concat())
    }

    /// The event that begins a transaction.
    pub(super) fn begin() -> Self {
        Self::new(QUERY, 8, [[0; 13].as_slice(), &[0], b"BEGIN"].concat())
    }

    /// The event in front of the last CTS of a transaction.
    pub(super) fn xid(number: u64) -> Self {
        Self::new(XID, 0, number.to_le_bytes().to_vec())
    }

    /// The event at the end of a file that is continued in the file `next`.
    pub(super) fn rotate(next: &str, position: u64, flags: u16) -> Self {
        Self::new(ROTATE, flags, [&position.to_le_bytes(), next.as_bytes()].concat())
    }

    /// The event of a DDL statement. `updated` is the name in the list of changed databases; without it, the event has the key for the
    /// collation of the default database instead.
    pub(super) fn ddl(schema: &str, updated: Option<&str>, sql_mode: u64, text: &str) -> Self {
        let mut status = vec![0, 0, 0, 0, 0, 1];
        status.extend_from_slice(&sql_mode.to_le_bytes());
        status.extend_from_slice(b"\x06\x03std\x05\x06SYSTEM\x04\x2d\0\x2d\0\x2d\0");
        match updated {
            Some(name) => {
                status.extend_from_slice(&[12, 1]);
                status.extend_from_slice(name.as_bytes());
                status.push(0);
            }
            None => status.extend_from_slice(&[18, 45, 0]),
        }
        let mut body = vec![1, 0, 0, 0, 1, 0, 0, 0, schema.len() as u8, 0, 0];
        body.extend_from_slice(&(status.len() as u16).to_le_bytes());
        body.extend_from_slice(&status);
        body.extend_from_slice(schema.as_bytes());
        body.push(0);
        body.extend_from_slice(text.as_bytes());
        Self::new(QUERY, 1, body)
    }

    /// A TABLE_MAP event without optional metadata.
    pub(super) fn table_map(id: u64, database: &str, table: &str, types: &[u8], metadata: &[u8], nullable: &[u8]) -> Self {
        let mut body = id.to_le_bytes()[..6].to_vec();
        body.extend_from_slice(&[1, 0]);
        for name in [database, table] {
            body.push(name.len() as u8);
            body.extend_from_slice(name.as_bytes());
            body.push(0);
        }
        put_length(&mut body, types.len() as u64);
        body.extend_from_slice(types);
        put_length(&mut body, metadata.len() as u64);
        body.extend_from_slice(metadata);
        body.extend_from_slice(nullable);
        Self::new(TABLE_MAP, 0, body)
    }

    /// The event that describes the format of a file.
    pub(super) fn format(version: &str, created: u32) -> Self {
        let mut body = vec![4, 0];
        body.extend_from_slice(&version.as_bytes()[..version.len().min(50)]);
        body.resize(52, 0);
        body.extend_from_slice(&created.to_le_bytes());
        body.push(HEADER as u8);
        body.extend_from_slice(&POST_HEADERS);
        body.push(1);
        Self::new(FORMAT, 0, body)
    }

    /// The number of bytes of the event in a file.
    pub(super) fn size(&self) -> usize {
        HEADER + self.body.len() + CHECKSUM
    }

    /// Appends the event with its checksum. `end` is the position behind it.
    pub(super) fn write(&self, out: &mut Vec<u8>, time: u32, server_id: u32, end: u64) {
        let from = out.len();
        out.extend_from_slice(&time.to_le_bytes());
        out.push(self.kind);
        out.extend_from_slice(&server_id.to_le_bytes());
        out.extend_from_slice(&(self.size() as u32).to_le_bytes());
        out.extend_from_slice(&(end as u32).to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.extend_from_slice(&self.body);
        let sum = crc32fast::hash(out.get(from..).unwrap_or_default());
        out.extend_from_slice(&sum.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_bytes_that_the_real_server_writes() {
        let hex = |event: &Event, time: u32, server: u32, end: u64| {
            let mut out = Vec::new();
            event.write(&mut out, time, server, end);
            out.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        // From a file of the real server: the transaction that begins at 1613 of `plain/binlog.000001`.
        assert_eq!(
            hex(&Event::begin(), 0x6b0b_5c0a, 0x4465_0eed, 0x677),
            "0a5c0b6b02ed0e65442a0000007706000008000000000000000000000000000000424547494e86dca8c8"
        );
        let map = Event::table_map(1, "shop", "orders", &[8, 8, 0xF6, 0x0F], &[0x0C, 2, 0, 1], &[0x0C]);
        assert_eq!(
            hex(&map, 0x6b0b_5c0a, 0x4465_0eed, 0x6af),
            "0a5c0b6b13ed0e654438000000af060000000001000000000001000473686f7000066f72646572730004\
             0808f60f040c0200010c0a35f25c"
        );
        assert_eq!(hex(&Event::xid(1), 0x6b0b_5c0a, 0x4465_0eed, 0x8c3).len(), 62);
        let format = Event::format("5.7.25-TDDL-5.4.19-20241126", 0x6b0b_5c0a);
        assert_eq!(format.size(), 119);
        assert_eq!(Event::text(&format!("CTS::{}", "0".repeat(54))).size(), 83);
        assert_eq!(Event::text("# TSO HEARTBEAT TXN").size(), 43);
        assert_eq!(Event::rotate("binlog.000002", 4, 0).size(), 44);
        let written = hex(&format, 0x6b0b_5c0a, 0x4465_0eed, 123);
        let expected = "0a5c0b6b0fed0e6544770000007b0000000000";
        assert!(written.starts_with(expected), "{written}");
        assert!(written.ends_with("018e22bedd"), "the checksum of the real event: {written}");
    }
}
