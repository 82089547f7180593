//! Builds binlog events for tests, with the layouts that the MySQL documentation describes.

/// An event that is being built.
pub(crate) struct EventBytes {
    kind: u8,
    timestamp: u32,
    flags: u16,
    log_pos: u64,
    body: Vec<u8>,
}

impl EventBytes {
    pub(crate) fn new(kind: u8) -> Self {
        Self { kind, timestamp: 1_700_000_000, flags: 0, log_pos: 0, body: Vec::new() }
    }

    pub(crate) fn body(mut self, body: &[u8]) -> Self {
        self.body.extend_from_slice(body);
        self
    }

    pub(crate) fn flags(mut self, flags: u16) -> Self {
        self.flags = flags;
        self
    }

    pub(crate) fn artificial(self) -> Self {
        self.flags(0x20)
    }

    pub(crate) fn ending_at(mut self, end: u64) -> Self {
        self.log_pos = end;
        self
    }

    /// Length of the finished event in bytes, with header and checksum.
    pub(crate) fn size(&self) -> u64 {
        19 + self.body.len() as u64 + 4
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.timestamp.to_le_bytes());
        bytes.push(self.kind);
        bytes.extend_from_slice(&1u32.to_le_bytes());
        bytes.extend_from_slice(&(self.size() as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.log_pos as u32).to_le_bytes());
        bytes.extend_from_slice(&self.flags.to_le_bytes());
        bytes.extend_from_slice(&self.body);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }
}

/// A FORMAT_DESCRIPTION event of MySQL 5.7 at offset `start`; it is artificial unless `start` is 4.
pub(crate) fn format_description(start: u64) -> Vec<u8> {
    let mut body = 4u16.to_le_bytes().to_vec();
    let mut version = b"5.7.22-log".to_vec();
    version.resize(50, 0);
    body.extend_from_slice(&version);
    body.extend_from_slice(&[0; 4]);
    body.push(19);
    body.extend_from_slice(&[
        0x38, 0x0d, 0, 8, 0, 0x12, 0, 4, 4, 4, 4, 0x12, 0, 0, 0x5f, 0, 4, 0x1a, 8, 0, 0, 0, 8, 8, 8, 2, 0, 0, 0, 0x0a, 0x0a, 0x0a, 0x2a,
        0x2a, 0, 0x12, 0x34, 0,
    ]);
    body.push(1);
    let event = EventBytes::new(15).body(&body);
    let end = start + event.size();
    if start == 4 { event.ending_at(end).finish() } else { event.finish() }
}

/// An event as it is stored inside a compressed transaction: without a checksum.
pub(crate) fn inner_event(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = EventBytes::new(kind).body(body).finish();
    bytes.truncate(bytes.len() - 4);
    let size = bytes.len() as u32;
    bytes[9..13].copy_from_slice(&size.to_le_bytes());
    bytes
}

/// The body of a TRANSACTION_PAYLOAD that holds the events `inner`. Its header states `stated` as the uncompressed size.
pub(crate) fn compressed(inner: &[u8], stated: usize) -> Vec<u8> {
    payload(&zstd::encode_all(inner, 3).expect("zstd"), stated)
}

/// The body of a TRANSACTION_PAYLOAD with these compressed bytes.
pub(crate) fn payload(packed: &[u8], stated: usize) -> Vec<u8> {
    let number = |number: usize| [&[0xfc][..], &(number as u16).to_le_bytes()].concat();
    let field = |kind: u8, value: Vec<u8>| [&[kind, value.len() as u8][..], &value].concat();
    [field(2, vec![0]), field(3, number(stated)), field(1, number(packed.len())), vec![0], packed.to_vec()].concat()
}
