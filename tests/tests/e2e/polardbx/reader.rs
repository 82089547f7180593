//! A reader of dumps that knows as little as possible, and the events that it reads.

use std::time::Duration;

use tests::harness::Database;
use tests::{Failure, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An event of the global binlog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) time: u32,
    pub(super) kind: u8,
    pub(super) flags: u16,
    pub(super) end: u32,
    pub(super) body: Vec<u8>,
}

impl Event {
    /// Reads an event; `checked` says whether a checksum is at its end.
    pub(super) fn read(bytes: &[u8], checked: bool) -> Result<Self> {
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        assert_eq!(number(9) as usize, bytes.len(), "the size in the header");
        let end = if checked { bytes.len() - 4 } else { bytes.len() };
        if checked {
            assert_eq!(crc32fast::hash(&bytes[..end]), number(end), "the checksum");
        }
        let flags = u16::from_le_bytes([bytes[17], bytes[18]]);
        Ok(Self { time: number(0), kind: bytes[4], flags, end: number(13), body: bytes[19..end].to_vec() })
    }

    pub(super) fn size(&self) -> u32 {
        self.body.len() as u32 + 23
    }

    /// The text of a ROWS_QUERY or a QUERY event.
    pub(super) fn text(&self) -> String {
        let from = match self.kind {
            29 => 1,
            2 => 13 + usize::from(self.body[8]) + usize::from(u16::from_le_bytes([self.body[11], self.body[12]])) + 1,
            _ => return String::new(),
        };
        String::from_utf8_lossy(&self.body[from..]).into_owned()
    }

    /// The event in one word or line, for comparisons.
    pub(super) fn summary(&self) -> String {
        match self.kind {
            2 => self.text(),
            4 => "ROTATE".to_owned(),
            15 => "FORMAT".to_owned(),
            16 => "XID".to_owned(),
            19 => {
                let database = usize::from(self.body[8]);
                let table = usize::from(self.body[10 + database]);
                let name = |from: usize, length: usize| String::from_utf8_lossy(&self.body[from..from + length]).into_owned();
                format!("MAP {}.{}", name(9, database), name(11 + database, table))
            }
            27 => "HEARTBEAT".to_owned(),
            29 => self.text().split(|c: char| c.is_ascii_digit() || c == '\n').next().unwrap_or_default().to_owned(),
            30 => "INSERT".to_owned(),
            31 => "UPDATE".to_owned(),
            32 => "DELETE".to_owned(),
            other => format!("event {other}"),
        }
    }
}

/// A dump connection that knows as little as possible.
pub(super) struct Dump {
    stream: TcpStream,
    pub(super) sequence: u8,
}

impl Dump {
    pub(super) async fn open(source: &Database, settings: &str, file: &str, position: u32) -> Result<Self> {
        let mut dump = Self { stream: TcpStream::connect(source.address()).await?, sequence: 0 };
        dump.packet().await?;
        let mut login = 0x0008_A200_u32.to_le_bytes().to_vec();
        login.extend_from_slice(&[0, 0, 0, 1, 45]);
        login.extend_from_slice(&[0; 23]);
        login.extend_from_slice(b"root\0\0mysql_native_password\0");
        dump.send(1, &login).await?;
        assert_eq!(dump.packet().await?.first(), Some(&0), "the login");
        if !settings.is_empty() {
            dump.send(0, &[&[3], settings.as_bytes()].concat()).await?;
            assert_eq!(dump.packet().await?.first(), Some(&0), "{settings}");
        }
        let mut request = vec![0x12];
        request.extend_from_slice(&position.to_le_bytes());
        request.extend_from_slice(&[0, 0, 9, 0, 0, 0]);
        request.extend_from_slice(file.as_bytes());
        dump.send(0, &request).await?;
        Ok(dump)
    }

    async fn send(&mut self, sequence: u8, payload: &[u8]) -> Result<()> {
        let mut packet = (payload.len() as u32).to_le_bytes()[..3].to_vec();
        packet.push(sequence);
        packet.extend_from_slice(payload);
        Ok(self.stream.write_all(&packet).await?)
    }

    async fn packet(&mut self) -> Result<Vec<u8>> {
        let mut payload = Vec::new();
        loop {
            let mut header = [0; 4];
            timeout(Duration::from_secs(20), self.stream.read_exact(&mut header)).await??;
            self.sequence = header[3];
            let from = payload.len();
            let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
            payload.resize(from + length, 0);
            self.stream.read_exact(&mut payload[from..]).await?;
            if length < 0xFF_FFFF {
                return Ok(payload);
            }
        }
    }

    /// The bytes of the next event, or the text of an error.
    pub(super) async fn next(&mut self) -> Result<Result<Vec<u8>, String>> {
        let payload = self.packet().await?;
        Ok(match payload.first() {
            Some(0) => Ok(payload[1..].to_vec()),
            _ => Err(format!("{} {}", u16::from_le_bytes([payload[1], payload[2]]), String::from_utf8_lossy(&payload[9..]))),
        })
    }

    /// The next event that has a checksum.
    pub(super) async fn event(&mut self) -> Result<Event> {
        Event::read(&self.next().await?.map_err(Failure::new)?, true)
    }

    /// Reads until a CTS event whose text contains `last`, without the heartbeats. Checks that no byte of the files is missing.
    pub(super) async fn until(&mut self, last: &str) -> Result<Vec<Event>> {
        let (mut found, mut position): (Vec<Event>, u32) = (Vec::new(), 0);
        loop {
            let event = self.event().await?;
            if event.kind == 27 {
                continue;
            }
            if event.kind == 4 && event.flags & 0x20 != 0 {
                position = event.body[0].into();
                continue;
            }
            if event.end != 0 && position != 0 {
                assert_eq!(position + event.size(), event.end, "{event:?}");
            }
            position = event.end;
            let is_last = event.kind == 29 && event.text().starts_with("CTS::") && event.text().contains(last);
            found.push(event);
            if is_last {
                return Ok(found);
            }
        }
    }
}

pub(super) const CHECKED: &str = "SET @master_binlog_checksum = 'CRC32', @master_heartbeat_period = 300000000";

/// The transactions and DDL statements of a list of events, without the transactions of heartbeats and without what is around files.
pub(super) fn groups(events: &[Event]) -> Vec<Vec<String>> {
    let ends = |event: &Event| event.kind == 29 && event.text().starts_with("CTS::");
    let summaries = |group: &[Event]| group.iter().filter(|event| ![4, 15].contains(&event.kind)).map(Event::summary).collect::<Vec<_>>();
    let all = events.split_inclusive(ends).map(summaries);
    all.filter(|group| !group.iter().any(|text| text.starts_with("# TSO"))).collect()
}

/// The TSO of a CTS event.
pub(super) fn tso(event: &Event) -> Option<String> {
    (event.kind == 29).then(|| event.text()).and_then(|text| text.strip_prefix("CTS::").map(|tso| tso[..54].to_owned()))
}

/// Reads the next group that contains `text` and its events.
pub(super) async fn group_with(dump: &mut Dump, text: &str) -> Result<Vec<Event>> {
    loop {
        let events = dump.until("CTS::").await?;
        if events.iter().any(|event| event.summary().contains(text) || event.text().contains(text)) {
            return Ok(events);
        }
    }
}
