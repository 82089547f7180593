//! The binlogs from which the rounds begin.

use std::sync::{Arc, OnceLock};

use runtime::{Collation, TableSchema};
use source_polardbx::schema::read_create_table;

/// A part of the values of the rows in the made binlogs.
pub(in crate::fuzz) const PLANTED: &str = "planted";

/// An event: its header as it was, and its body without the checksum.
#[derive(Clone)]
pub(in crate::fuzz) struct LogEvent {
    header: [u8; 19],
    pub(in crate::fuzz) body: Vec<u8>,
}

impl LogEvent {
    fn new(kind: u8, body: impl Into<Vec<u8>>) -> Self {
        let mut header = [0; 19];
        header[..9].copy_from_slice(&[0, 0xf1, 0x53, 0x65, kind, 1, 0, 0, 0]);
        // A position that is not 0: the event is one of the file.
        header[13] = 1;
        Self { header, body: body.into() }
    }

    pub(in crate::fuzz) fn kind(&self) -> u8 {
        self.header[4]
    }

    pub(in crate::fuzz) fn set_kind(&mut self, kind: u8) {
        self.header[4] = kind;
    }

    pub(in crate::fuzz) fn set_flags(&mut self, flags: u16) {
        self.header[17..].copy_from_slice(&flags.to_le_bytes());
    }

    /// The event as it stands in a compressed transaction: without a checksum.
    fn inner(&self) -> Vec<u8> {
        let mut header = self.header;
        header[9..13].copy_from_slice(&(19 + self.body.len() as u32).to_le_bytes());
        [&header[..], &self.body].concat()
    }
}

/// A binlog, and the tables that exist before it.
pub(in crate::fuzz) struct Log {
    pub(in crate::fuzz) version: &'static str,
    pub(in crate::fuzz) file: &'static str,
    pub(in crate::fuzz) schemas: Vec<Arc<TableSchema>>,
    pub(in crate::fuzz) events: Vec<LogEvent>,
}

/// The events with their lengths, their positions and their checksums.
pub(in crate::fuzz) fn framed(events: &[LogEvent]) -> Vec<Vec<u8>> {
    const FORMAT_DESCRIPTION: u8 = 15;
    let mut offset = 4u32;
    let mut framed = Vec::new();
    for event in events {
        let size = 19 + event.body.len() as u32 + 4;
        let mut header = event.header;
        if event.kind() == FORMAT_DESCRIPTION {
            offset = 4;
        }
        header[9..13].copy_from_slice(&size.to_le_bytes());
        if header[13..17] != [0; 4] {
            offset += size;
            header[13..17].copy_from_slice(&offset.to_le_bytes());
        }
        let mut bytes = [&header[..], &event.body].concat();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        framed.push(bytes);
    }
    framed
}

pub(in crate::fuzz) fn logs() -> &'static [Log] {
    static LOGS: OnceLock<Vec<Log>> = OnceLock::new();
    LOGS.get_or_init(|| vec![mysql("8.0.32"), mysql("5.7.22-log"), mariadb(), polardbx()])
}

fn schema(database: &str, sql: &str) -> Vec<Arc<TableSchema>> {
    let create = read_create_table(sql, database, &|_| Some(Collation::new("utf8mb4_general_ci")));
    create.into_iter().map(|create| Arc::new(create.schema)).collect()
}

/// The binlog of a PolarDB-X, in which its tables are created.
fn polardbx() -> Log {
    const FILES: [&[u8]; 8] = [
        include_bytes!("../../../captured/polardbx/small/binlog.000001"),
        include_bytes!("../../../captured/polardbx/small/binlog.000002"),
        include_bytes!("../../../captured/polardbx/small/binlog.000003"),
        include_bytes!("../../../captured/polardbx/small/binlog.000004"),
        include_bytes!("../../../captured/polardbx/small/binlog.000005"),
        include_bytes!("../../../captured/polardbx/small/binlog.000006"),
        include_bytes!("../../../captured/polardbx/small/binlog.000007"),
        include_bytes!("../../../captured/polardbx/small/binlog.000008"),
    ];
    let mut events = Vec::new();
    for file in FILES {
        let mut rest = &file[4..];
        while let Some((header, _)) = rest.split_first_chunk::<19>() {
            let size = u32::from_le_bytes([header[9], header[10], header[11], header[12]]) as usize;
            let (event, behind) = rest.split_at(size.clamp(23, rest.len()));
            events.push(LogEvent { header: *header, body: event[19..event.len() - 4].to_vec() });
            rest = behind;
        }
    }
    let base = "CREATE TABLE base_t (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, v VARCHAR(32))";
    Log { version: "5.7.25-PXC-5.4.20", file: "binlog.000001", schemas: schema("shop", base), events }
}

const TABLE: &str = "CREATE TABLE t (id BIGINT NOT NULL, a INT UNSIGNED, n DECIMAL(12,2), v VARCHAR(40), x TEXT, b BLOB, e ENUM('a','b'), \
                     s SET('x','y'), j JSON, g GEOMETRY, dt DATETIME(3), ts TIMESTAMP(3) NULL, ti TIME(3), d DATE, y YEAR, bt BIT(9), \
                     f FLOAT, db DOUBLE, c CHAR(10), bi BINARY(4), PRIMARY KEY (id))";
const COLUMNS: u8 = 20;

fn format(version: &str) -> LogEvent {
    let mut body = vec![4, 0];
    body.extend_from_slice(version.as_bytes());
    body.resize(56, 0);
    body.push(19);
    body.extend_from_slice(&[
        0x38, 13, 0, 8, 0, 18, 0, 4, 4, 4, 4, 18, 0, 0, 0x5f, 0, 4, 26, 8, 0, 0, 0, 8, 8, 8, 2, 0, 0, 0, 10, 10, 10, 42, 42, 0, 18, 52, 0,
    ]);
    body.push(1);
    LogEvent::new(15, body)
}

fn query(text: &str) -> LogEvent {
    let status = b"\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\x06\x03std\x04\x2d\0\x2d\0\x2d\0\x05\x06SYSTEM\x0c\x01d\0";
    let head = [&[7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0][..], &(status.len() as u16).to_le_bytes()].concat();
    LogEvent::new(2, [&head, &status[..], b"d\0", text.as_bytes()].concat())
}

/// A TABLE_MAP of the table, with or without the names of its columns and all that MySQL 8 adds.
fn table_map(is_full: bool, json: u8) -> LogEvent {
    let mut body = b"\x05\0\0\0\0\0\x01\0\x01d\0\x01t\0".to_vec();
    body.push(COLUMNS);
    body.extend_from_slice(&[8, 3, 246, 15, 252, 252, 254, 254, json, 255, 18, 17, 19, 10, 13, 16, 4, 5, 254, 254]);
    let metadata = [12, 2, 160, 0, 2, 2, 247, 1, 248, 1, 4, 4, 3, 3, 3, 1, 1, 4, 8, 254, 40, 254, 4];
    body.push(metadata.len() as u8);
    body.extend_from_slice(&metadata);
    body.extend_from_slice(&[0xfe, 0xff, 0x0f]);
    if is_full {
        let part = |kind: u8, value: &[u8]| [&[kind, value.len() as u8][..], value].concat();
        // The numbers are id, a, n, f and db; the characters are v, x, b, c and bi.
        body.extend(part(1, &[0b0100_0000]));
        body.extend(part(2, &[45, 2, 63, 4, 63]));
        body.extend(part(
            4,
            b"\x02id\x01a\x01n\x01v\x01x\x01b\x01e\x01s\x01j\x01g\x02dt\x02ts\x02ti\x01d\x01y\x02bt\x01f\x02db\x01c\x02bi",
        ));
        body.extend(part(5, b"\x02\x01x\x01y"));
        body.extend(part(6, b"\x02\x01a\x01b"));
        body.extend(part(7, &[0]));
        body.extend(part(8, &[0]));
        body.extend(part(10, &[45]));
    }
    LogEvent::new(19, body)
}

/// A row, whose JSON column holds this document.
fn row(id: u8, json: &[u8]) -> Vec<u8> {
    let mut row = vec![0, 0, 0];
    row.extend_from_slice(&[id, 0, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0]);
    row.extend_from_slice(&[0x80, 0, 0x04, 0xd2, 0x38, 0x22]);
    row.extend_from_slice(b"\x0fplanted in text");
    row.extend_from_slice(b"\x0b\0planted too");
    row.extend_from_slice(b"\x07\0planted");
    row.extend_from_slice(&[2, 3]);
    row.extend_from_slice(&(json.len() as u32).to_le_bytes());
    row.extend_from_slice(json);
    row.extend_from_slice(b"\x19\0\0\0\0\0\0\0\x01\x01\0\0\0\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\x40");
    row.extend_from_slice(&[0x99, 0xb1, 0x02, 0x00, 0x00, 0x04, 0xd2]);
    row.extend_from_slice(&[0x65, 0x53, 0xf1, 0x00, 0x04, 0xd2]);
    row.extend_from_slice(&[0x80, 0x10, 0x83, 0x04, 0xd2]);
    row.extend_from_slice(&[0x5c, 0xd0, 0x0f, 124, 1, 0xff]);
    row.extend_from_slice(&1.5f32.to_le_bytes());
    row.extend_from_slice(&(-2.25f64).to_le_bytes());
    row.extend_from_slice(b"\x07planted\x04abcd");
    row
}

/// Documents in MySQL's binary form: an object with a string, an array of numbers with an object in it, a null, and a decimal.
const DOCUMENTS: [&[u8]; 4] = [
    b"\x00\x01\0\x14\0\x0b\0\x01\0\x0c\x0c\0a\x07planted",
    b"\x02\x03\0\x19\0\x05\x01\0\x06\x0d\0\x00\x0d\0\x01\0\x0c\0\x0b\0\x01\0\x04\x01\0b",
    b"\x04\0",
    b"\x0f\xf6\x04\x04\x02\x85\x16",
];
/// MariaDB stores JSON as text.
const TEXTS: [&[u8]; 4] = [b"{\"a\": \"planted\"}", b"[1, 13, {\"b\": true}]", b"null", b"5.22"];

/// A row event with four images of rows.
fn rows(kind: u8, documents: [&[u8]; 4]) -> LogEvent {
    let mut body = b"\x05\0\0\0\0\0\x01\0".to_vec();
    if kind >= 30 {
        body.extend_from_slice(&[2, 0]);
    }
    body.push(COLUMNS);
    let images = if matches!(kind, 24 | 31 | 39) { 2 } else { 1 };
    (0..images).for_each(|_| body.extend_from_slice(&[0xff, 0xff, 0x0f]));
    for (id, document) in documents.into_iter().enumerate() {
        body.extend(row(id as u8, document));
    }
    LogEvent::new(kind, body)
}

/// A transaction of MySQL as one compressed event, either with zstd (in a frame that holds its bytes as they are) or without.
fn payload(events: &[LogEvent], with_zstd: bool) -> LogEvent {
    let inner: Vec<u8> = events.iter().flat_map(LogEvent::inner).collect();
    let number = |number: usize| [&[0xfc][..], &(number as u16).to_le_bytes()].concat();
    let field = |kind: u8, value: Vec<u8>| [&[kind, value.len() as u8][..], &value].concat();
    let packed = match with_zstd {
        true => {
            let block = (inner.len() as u32) << 3 | 1;
            [b"\x28\xb5\x2f\xfd\xa0", &(inner.len() as u32).to_le_bytes()[..], &block.to_le_bytes()[..3], &inner].concat()
        }
        false => inner.clone(),
    };
    let method = if with_zstd { vec![0] } else { number(255) };
    let body = [field(2, method), field(3, number(inner.len())), field(1, number(packed.len())), vec![0], packed].concat();
    LogEvent::new(40, body)
}

fn gtid(number: u8) -> LogEvent {
    let mut body = vec![1; 42];
    body[17..25].copy_from_slice(&u64::from(number).to_le_bytes());
    LogEvent::new(33, body)
}

fn mysql(version: &'static str) -> Log {
    let is_new = version.starts_with('8');
    let [write, update, delete] = if is_new { [30, 31, 32] } else { [23, 24, 25] };
    let previous = [&1u64.to_le_bytes()[..], &[1; 16], &1u64.to_le_bytes(), &1u64.to_le_bytes(), &2u64.to_le_bytes()].concat();
    let commit = || LogEvent::new(16, [1; 8]);
    let mut events = vec![format(version), LogEvent::new(35, previous), gtid(2), query("BEGIN")];
    events.push(LogEvent::new(29, &b"\x20INSERT INTO t VALUES ('planted')"[..]));
    events.extend([table_map(is_new, 245), rows(write, DOCUMENTS), rows(update, DOCUMENTS), rows(delete, DOCUMENTS), commit()]);
    events.extend([gtid(3), query("CREATE TABLE u (a INT PRIMARY KEY, b ENUM('x','y') NOT NULL, KEY (b)) COMMENT 'z'")]);
    events.extend([gtid(4), query("ALTER TABLE u ADD COLUMN (c DATETIME(3), d JSON), DROP KEY b")]);
    events.extend([gtid(5), query("DROP TABLE u")]);
    events.extend([gtid(6), query("BEGIN"), table_map(false, 245), rows(write, DOCUMENTS)]);
    events.extend([query("SAVEPOINT `s`"), table_map(false, 245), rows(update, DOCUMENTS), commit()]);
    if is_new {
        let transaction = || [query("BEGIN"), table_map(true, 245), rows(30, DOCUMENTS), rows(31, DOCUMENTS), commit()];
        events.extend([gtid(9), payload(&transaction(), true), gtid(10), payload(&transaction(), false)]);
    }
    events.push(LogEvent::new(4, &b"\x04\0\0\0\0\0\0\0binlog.000002"[..]));
    events.push(format(version));
    events.extend([gtid(11), query("BEGIN"), table_map(is_new, 245), rows(write, DOCUMENTS), commit()]);
    Log { version, file: "binlog.000001", schemas: schema("d", TABLE), events }
}

fn mariadb() -> Log {
    let version = "10.11.6-MariaDB-log";
    let gtid = |number: u8, flags: u8| LogEvent::new(162, [&u64::from(number).to_le_bytes()[..], &[0, 0, 0, 0, flags], &[0; 6]].concat());
    let commit = || LogEvent::new(16, [1; 8]);
    let mut events = vec![format(version), LogEvent::new(163, &b"\x01\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0"[..])];
    events.push(LogEvent::new(161, &b"\x0d\0\0\0binlog.000001"[..]));
    events.extend([gtid(2, 0), LogEvent::new(160, &b"INSERT INTO t VALUES ('planted')"[..])]);
    events.extend([table_map(false, 252), rows(23, TEXTS), rows(24, TEXTS), rows(25, TEXTS), commit()]);
    events.extend([gtid(3, 1), query("CREATE OR REPLACE TABLE u (a INT PRIMARY KEY, b UUID, c INET6)")]);
    events.extend([gtid(4, 1), query("DROP TABLE u")]);
    events.extend([gtid(5, 0), table_map(false, 252), rows(23, TEXTS), query("COMMIT")]);
    Log { version, file: "binlog.000001", schemas: schema("d", &TABLE.replace("JSON", "LONGTEXT")), events }
}
