//! Sends the global binlog to a client, as the real dump service does.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::errors::dump_error;
use super::events::{CHECKSUM, Event, HEADER, HEARTBEAT, ROTATE, START};
use super::store::Store;
use super::switches::Switches;
use super::wire::{MAX_PACKET, put_message, take, take_number};
use crate::{Failure, Result};

/// A request for a dump, with the session's variables that matter.
#[derive(Clone, Debug)]
pub(super) struct Dump {
    pub(super) file: String,
    pub(super) position: u32,
    /// `@master_binlog_checksum`; `None` if it was not set.
    pub(super) checksum: Option<String>,
    /// `@master_heartbeat_period` as the client wrote it; `None` if it was not set.
    pub(super) heartbeat: Option<String>,
}

impl Dump {
    /// Reads the payload of the command, without the byte of the command.
    pub(super) fn read(mut payload: &[u8]) -> Result<Self> {
        let position = take_number(&mut payload, 4)? as u32;
        take(&mut payload, 6)?;
        let file = String::from_utf8_lossy(payload).trim().to_owned();
        Ok(Self { file, position, checksum: None, heartbeat: None })
    }
}

/// Why a dump ended.
enum End {
    /// The client gets an error with the next sequence number.
    Refused,
    /// The client gets an error with the sequence number 1.
    Late,
}

/// The connection of a dump.
struct Out<'a, S> {
    stream: &'a mut S,
    buffer: Vec<u8>,
    sequence: u8,
    events: u64,
    switches: &'a Switches,
}

impl<S: AsyncWrite + Unpin> Out<'_, S> {
    /// Sends an event. Returns `false` if the switch says that the dump ends here.
    async fn event(&mut self, event: &[u8]) -> Result<bool> {
        let from = self.buffer.len();
        self.sequence = put_message(&mut self.buffer, self.sequence, &[&[0], event].concat());
        if (event.len() + 1).is_multiple_of(MAX_PACKET) && self.switches.is_on("glued_packets") {
            // Without the empty packet at the end, the client takes the next event for the rest of this one.
            let end = self.buffer.len() - 4;
            self.buffer.truncate(end.max(from));
            self.sequence = self.sequence.wrapping_sub(1);
        }
        self.events += 1;
        if self.buffer.len() > 1 << 20 {
            self.flush().await?;
        }
        let limit = self.switches.number("late_error");
        Ok(limit == 0 || self.events < limit)
    }

    async fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.buffer).await?;
        self.buffer.clear();
        Ok(())
    }
}

/// Serves a dump until the connection ends, or until the client gets an error.
pub(super) async fn serve(
    stream: &mut (impl AsyncWrite + Unpin),
    dump: Dump,
    store: &Store,
    switches: &Switches,
    server_id: u32,
) -> Result<()> {
    let mut out = Out { stream, buffer: Vec::new(), sequence: 1, events: 0, switches };
    let end = send_files(&mut out, dump, store, server_id).await?;
    let sequence = match end {
        End::Refused => out.sequence,
        End::Late => 1,
    };
    put_message(&mut out.buffer, sequence, &dump_error());
    out.flush().await?;
    out.stream.shutdown().await?;
    Ok(())
}

async fn send_files<S: AsyncWrite + Unpin>(out: &mut Out<'_, S>, dump: Dump, store: &Store, server_id: u32) -> Result<End> {
    let period = match dump.heartbeat.as_deref().map(str::parse::<u64>) {
        None => 1_000_000_000,
        Some(Ok(period)) => period,
        Some(Err(_)) => return Ok(End::Refused),
    };
    let period = Duration::from_nanos(period).max(Duration::from_millis(10));
    // The real server reads the position as a signed number, and takes everything below the first event for the first event.
    let mut position = u64::from(dump.position.cast_signed().max(START as i32).cast_unsigned());
    let mut name = if dump.file.is_empty() { store.file("").map(|(file, _)| file.name).unwrap_or_default() } else { dump.file };
    let has_checksum = dump.checksum.as_deref() == Some("CRC32");
    if !out.event(&fake_rotate(&name, position, server_id, has_checksum)).await? {
        return Ok(End::Late);
    }
    if dump.checksum.is_none_or(|checksum| checksum == "UNDEF") {
        return Ok(End::Refused);
    }
    let Some((info, is_newest)) = store.file(&name) else {
        return Ok(End::Refused);
    };
    let mut file = File::open(store.path(&name))?;
    if !is_valid(&file, position, info.size, is_newest)? {
        return Ok(End::Refused);
    }
    let mut grown = store.grown();
    if position > START {
        let mut format = read_event(&file, START)?;
        format.iter_mut().take(HEADER).skip(13).for_each(|byte| *byte = 0);
        seal(&mut format);
        if !out.event(&format).await? {
            return Ok(End::Late);
        }
    }
    loop {
        grown.borrow_and_update();
        let Some((info, _)) = store.file(&name) else {
            return Ok(End::Refused);
        };
        while position < info.size {
            let event = read_event(&file, position)?;
            position += event.len() as u64;
            if !out.event(&event).await? {
                return Ok(End::Late);
            }
            if event.get(4) == Some(&ROTATE) {
                // The next file is known in the same moment as the end of this one.
                let next = store.next_file(&name).ok_or_else(|| Failure::new("a file behind a ROTATE event is missing"))?;
                (name, position) = (next.name, START);
                file = File::open(store.path(&name))?;
                if !out.event(&fake_rotate(&name, position, server_id, true)).await? {
                    return Ok(End::Late);
                }
                break;
            }
        }
        if store.file(&name).is_some_and(|(info, _)| position < info.size) {
            continue;
        }
        out.flush().await?;
        if tokio::time::timeout(period, grown.changed()).await.is_err() {
            let mut heartbeat = Vec::new();
            Event::new(HEARTBEAT, 0, name.clone().into_bytes()).write(&mut heartbeat, 0, server_id, position);
            if !out.event(&heartbeat).await? {
                return Ok(End::Late);
            }
            out.flush().await?;
        }
    }
}

/// The event that tells a client the file and the position.
fn fake_rotate(name: &str, position: u64, server_id: u32, has_checksum: bool) -> Vec<u8> {
    let mut event = Vec::new();
    Event::rotate(name, position, 0x20).write(&mut event, 0, server_id, 0);
    if !has_checksum {
        event.truncate(event.len() - CHECKSUM);
        let size = event.len() as u32;
        event[9..13].copy_from_slice(&size.to_le_bytes());
    }
    event
}

/// Computes the checksum of an event again.
fn seal(event: &mut [u8]) {
    if let Some((content, checksum)) = event.split_last_chunk_mut::<CHECKSUM>() {
        *checksum = crc32fast::hash(content).to_le_bytes();
    }
}

/// Whether a dump may begin at this position.
fn is_valid(file: &File, position: u64, size: u64, is_newest: bool) -> Result<bool> {
    if position == START || (position == size && is_newest) {
        return Ok(true);
    }
    if position + HEADER as u64 > size {
        return Ok(false);
    }
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, position)?;
    let [length, end] = [9, 13].map(|at| take_number(&mut header.get(at..).unwrap_or_default(), 4));
    Ok(header[4] <= 0x23 && length? == end?.wrapping_sub(position))
}

fn read_event(file: &File, position: u64) -> Result<Vec<u8>> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, position)?;
    let length = take_number(&mut header.get(9..).unwrap_or_default(), 4)? as usize;
    let mut event = vec![0; length];
    file.read_exact_at(&mut event, position)?;
    Ok(event)
}
