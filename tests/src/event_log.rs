//! A binlog in memory: the events that a server would send. Shares no code with the source.

/// The events of one binlog file, from its FORMAT_DESCRIPTION on.
pub struct EventLog {
    offset: u64,
    events: Vec<Vec<u8>>,
}

impl EventLog {
    const QUERY: u8 = 2;
    const FORMAT_DESCRIPTION: u8 = 15;
    const ROWS_QUERY: u8 = 29;

    /// The beginning of a file of a server with this version.
    pub fn new(version: &str) -> Self {
        let mut log = Self { offset: 4, events: Vec::new() };
        let mut format = vec![4, 0];
        format.extend_from_slice(version.as_bytes());
        format.resize(56, 0);
        format.push(19);
        format.extend_from_slice(&[
            0x38, 13, 0, 8, 0, 18, 0, 4, 4, 4, 4, 18, 0, 0, 0x5f, 0, 4, 26, 8, 0, 0, 0, 8, 8, 8, 2, 0, 0, 0, 10, 10, 10, 42, 42, 0, 18, 52,
            0,
        ]);
        format.push(1);
        log.add(Self::FORMAT_DESCRIPTION, &format);
        log
    }

    /// The events, complete with header and checksum.
    pub fn events(&self) -> &[Vec<u8>] {
        &self.events
    }

    /// Appends an event.
    pub fn add(&mut self, kind: u8, body: &[u8]) {
        let size = 19 + body.len() + 4;
        self.offset += size as u64;
        let mut event = 1_700_000_000u32.to_le_bytes().to_vec();
        event.push(kind);
        event.extend_from_slice(&1u32.to_le_bytes());
        event.extend_from_slice(&(size as u32).to_le_bytes());
        event.extend_from_slice(&(self.offset as u32).to_le_bytes());
        event.extend_from_slice(&[0, 0]);
        event.extend_from_slice(body);
        event.extend_from_slice(&crc32fast::hash(&event).to_le_bytes());
        self.events.push(event);
    }

    /// Appends a statement of a session with this default database, `sql_mode` and character set of the client.
    pub fn statement(&mut self, database: &str, sql_mode: u64, client: u16, text: &[u8]) {
        // The status variables of PolarDB-X: FLAGS2, SQL_MODE, the catalog, the character sets, the time zone and the changed databases.
        let mut status = vec![0, 0, 0, 0, 0, 1];
        status.extend_from_slice(&sql_mode.to_le_bytes());
        status.extend_from_slice(b"\x06\x03std\x04");
        [client, 45, 45].iter().for_each(|charset| status.extend_from_slice(&charset.to_le_bytes()));
        status.extend_from_slice(b"\x05\x06SYSTEM\x0c\x01");
        status.extend_from_slice(database.as_bytes());
        status.push(0);
        let mut body = vec![7, 0, 0, 0, 0, 0, 0, 0, database.len() as u8, 0, 0];
        body.extend_from_slice(&(status.len() as u16).to_le_bytes());
        body.extend_from_slice(&status);
        body.extend_from_slice(database.as_bytes());
        body.push(0);
        body.extend_from_slice(text);
        self.add(Self::QUERY, &body);
    }

    /// The commit timestamp of PolarDB-X with this number.
    pub fn tso(number: u64) -> String {
        format!("{:019}{:019}0000000000000000", (1_700_000_000_000u64 << 22) + number, 1u64 << 60)
    }

    /// Appends the mark with which PolarDB-X ends a transaction or a statement.
    pub fn commit_mark(&mut self, number: u64) {
        self.add(Self::ROWS_QUERY, format!("\u{1}CTS::{}", Self::tso(number)).as_bytes());
    }
}
