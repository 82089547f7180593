//! Reads and writes the primitive types of Kafka's protocol, independently of the code that is tested.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Reads primitive values of a request. Malformed bytes make the test fail.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    pub(super) fn i8(&mut self) -> i8 {
        self.take(1)[0] as i8
    }

    pub(super) fn bool(&mut self) -> bool {
        self.i8() != 0
    }

    pub(super) fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    pub(super) fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    pub(super) fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.take(8).try_into().unwrap())
    }

    pub(super) fn string(&mut self) -> Option<String> {
        let len = usize::try_from(self.i16()).ok()?;
        Some(String::from_utf8(self.take(len).to_vec()).unwrap())
    }

    /// The compact length of an array or a string; −1 stands for null.
    pub(super) fn compact_length(&mut self) -> i32 {
        let length = self.i8();
        assert!(length >= 0, "long compact lengths are not needed here");
        i32::from(length) - 1
    }

    pub(super) fn compact_string(&mut self) -> Option<String> {
        let length = usize::try_from(self.compact_length()).ok()?;
        Some(String::from_utf8(self.take(length).to_vec()).unwrap())
    }

    pub(super) fn uuid(&mut self) -> [u8; 16] {
        self.take(16).try_into().unwrap()
    }

    pub(super) fn bytes(&mut self) -> &'a [u8] {
        let len = self.i32();
        self.take(usize::try_from(len).unwrap())
    }
}

/// Writes primitive values of an answer.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn bool(&mut self, value: bool) {
        self.0.push(u8::from(value));
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.0.extend(value.to_be_bytes());
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.0.extend(value.to_be_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.0.extend(value.to_be_bytes());
    }

    pub(super) fn string(&mut self, value: Option<&str>) {
        match value {
            Some(text) => {
                self.i16(text.len() as i16);
                self.0.extend(text.as_bytes());
            }
            None => self.i16(-1),
        }
    }

    /// A length as flexible versions write it; −1 stands for null.
    pub(super) fn compact_length(&mut self, length: i32) {
        let mut rest = (length + 1) as u32;
        while rest >= 0x80 {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }

    pub(super) fn compact_string(&mut self, value: Option<&str>) {
        self.compact_length(value.map_or(-1, |text| text.len() as i32));
        self.0.extend(value.unwrap_or_default().as_bytes());
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.i32(value.len() as i32);
        self.0.extend(value);
    }
}

/// A slow network takes this many bytes, then pauses.
pub(super) const SLOW_BYTES: usize = 64 << 10;
const SLOW_PAUSE: Duration = Duration::from_millis(20);

/// Reads a request; `None` if there is none, or if it is larger than `limit` bytes.
pub(super) async fn read_frame(stream: &mut TcpStream, limit: usize, slowly: bool) -> Option<Vec<u8>> {
    let len = usize::try_from(stream.read_i32().await.ok()?).unwrap();
    if len > limit {
        return None;
    }
    let mut frame = vec![0; len];
    for piece in frame.chunks_mut(if slowly { SLOW_BYTES } else { usize::MAX }) {
        if slowly {
            tokio::time::sleep(SLOW_PAUSE).await;
        }
        stream.read_exact(piece).await.ok()?;
    }
    Some(frame)
}

pub(super) async fn write_frame(stream: &mut TcpStream, frame: &[u8], slow: bool) -> bool {
    if slow {
        let length = (frame.len() as i32).to_be_bytes();
        for byte in length.iter().chain(frame) {
            if stream.write_all(&[*byte]).await.is_err() {
                return false;
            }
            tokio::task::yield_now().await;
        }
        return true;
    }
    stream.write_i32(frame.len() as i32).await.is_ok() && stream.write_all(frame).await.is_ok()
}

/// An answer to ApiVersions, version 3.
pub(super) fn api_versions(out: &mut Writer, is_old: bool) {
    let [fetch, list_offsets, metadata] = if is_old { [4, 3, 4] } else { [13, 7, 12] };
    let ranges: [(i16, i16, i16); 8] =
        [(0, 3, 9), (1, 4, fetch), (2, 1, list_offsets), (3, 0, metadata), (18, 0, 3), (19, 2, 7), (22, 0, 4), (32, 1, 4)];
    out.i16(0);
    out.0.push(ranges.len() as u8 + 1);
    for (key, min, max) in ranges {
        out.i16(key);
        out.i16(min);
        out.i16(max);
        out.0.push(0);
    }
    out.i32(0);
    out.0.push(0);
}

/// An answer to DescribeConfigs, version 1, about one config of one topic or broker. `request_limit` is that of the broker; `None` means that
/// the client may not read it.
pub(super) fn describe_config(request: &mut Reader<'_>, out: &mut Writer, compacted: bool, request_limit: Option<usize>) {
    assert_eq!(request.i32(), 1);
    let (kind, name) = (request.i8(), request.string());
    assert_eq!(request.i32(), 1);
    let key = request.string().unwrap();
    assert!(!request.bool());
    let value = match (kind, key.as_str()) {
        (2, "max.message.bytes") => Some("4711".into()),
        (2, "cleanup.policy") if compacted => Some("compact,delete".into()),
        (2, "cleanup.policy") => Some("delete".into()),
        (4, "socket.request.max.bytes") => request_limit.map(|limit| limit.to_string()),
        other => panic!("{other:?}"),
    };
    out.i32(0);
    out.i32(1);
    out.i16(if value.is_some() { 0 } else { 29 });
    out.string(None);
    out.0.push(kind as u8);
    out.string(name.as_deref());
    out.i32(i32::from(value.is_some()));
    let Some(value) = value else { return };
    out.string(Some(&key));
    out.string(Some(&value));
    out.bool(false);
    out.0.push(1);
    out.bool(false);
    out.i32(1);
    out.string(Some("synonym"));
    out.string(Some("1048588"));
    out.0.push(5);
}

/// A batch with one record of another program, without a position header.
pub(super) fn foreign_batch() -> Vec<u8> {
    let record = [0, 0, 0, 1, 2, b'x', 0]; // attributes, timestamp, offset, no key, value of one byte, no headers
    let mut bytes = vec![0u8; 61];
    bytes.push(record.len() as u8 * 2);
    bytes.extend(record);
    let length = bytes.len() as i32 - 12;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = 2;
    bytes[43..57].fill(0xff);
    bytes[57..61].copy_from_slice(&1i32.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}
