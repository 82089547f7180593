//! Decodes binlogs that were changed at random, and encodes what comes of them.
//!
//! The binlogs are those of a real PolarDB-X, and made ones of MySQL and MariaDB. Lengths and checksums fit mostly, so that the changes reach
//! the code behind them. A binlog may be decoded or refused with an error that has a code. Nothing may panic, and no error may hold a value of
//! a row.

pub(super) mod logs;

use fastrand::Rng;
use formats::canal_json::CanalJson;
use formats::dts_avro::DtsAvro;
use runtime::{Batch, Body, Collation, Encoder, Message};
use source_polardbx::Selection;
use source_polardbx::binlog::{Decoder, DecoderOptions, PreparedTransactions, RowsWithoutEvents, ServerProfile, StreamPosition};
use source_polardbx::config::PolarDbXOptions;
use source_polardbx::schema::History;

use super::mutation::mutate;
use super::settings;
use crate::{Failure, Result};
use logs::{Log, LogEvent, PLANTED, logs};

/// Types of events that hold values of rows and nothing else that an error may show.
const OF_ROWS: [u8; 11] = [23, 24, 25, 29, 30, 31, 32, 39, 160, 166, 167];

pub(super) fn round(random: &mut Rng) -> Result<()> {
    let logs = logs();
    let log = &logs[random.usize(..logs.len())];
    let count = if random.u8(..50) == 0 { log.events.len() } else { log.events.len().min(random.usize(2..200)) };
    let mut events = log.events[..count].to_vec();
    let other = &logs[random.usize(..logs.len())];
    for _ in 0..random.usize(..4) {
        change(random, &mut events, &other.events);
    }
    let mut bytes = logs::framed(&events);
    if random.u8(..16) == 0
        && let Some(event) = random.choice(bytes.iter_mut())
    {
        mutate(random, event, &other.events[0].body);
    }
    let mut decoder = decoder(random, log)?;
    let shows_rows = events.iter().any(|event| !OF_ROWS.contains(&event.kind()) && holds(&event.body, PLANTED.as_bytes()));
    let mut encoders = Encoders::new(random)?;
    for event in &bytes {
        if let Err(error) = decoder.event(event, 1) {
            let shown = format!("{error} {error:?} {}", error.help().unwrap_or_default());
            if error.code().is_none() {
                return Failure::err(format!("an error without a code: {shown}"));
            }
            if !shows_rows && shown.contains(PLANTED) {
                return Failure::err(format!("an error shows a value of a row: {shown}"));
            }
            break;
        }
        while let Some(batch) = decoder.take() {
            encoders.encode(&batch);
        }
    }
    while let Some(batch) = decoder.drain() {
        encoders.encode(&batch);
    }
    Ok(())
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn databases() -> [(String, Collation); 2] {
    ["d", "shop"].map(|name| (name.to_owned(), Collation::new("utf8mb4_general_ci")))
}

fn decoder(random: &mut Rng, log: &Log) -> Result<Decoder> {
    let of = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
    let selected = if random.u8(..8) == 0 { "d.other" } else { "*.*" };
    Ok(Decoder::new(DecoderOptions {
        stream: "global".to_owned(),
        position: StreamPosition::start("id", log.file, 4).map_err(|error| of(&error))?,
        history: History::new(log.schemas.clone(), databases(), true),
        selection: Selection::new(&[selected.to_owned()], &[]).map_err(|error| of(&error))?,
        profile: ServerProfile::new(log.version),
        prepared: PreparedTransactions::default(),
        polardbx: PolarDbXOptions { lacks_keyless: random.u8(..8) == 0, ..PolarDbXOptions::default() },
        rows_without_events: RowsWithoutEvents::default(),
        batch_max_bytes: if random.bool() { 1 << 20 } else { 1_000 },
    }))
}

/// Changes one event, or the order of events.
pub(super) fn change(random: &mut Rng, events: &mut Vec<LogEvent>, others: &[LogEvent]) {
    let Some(at) = random.choice(0..events.len()) else { return };
    let other = &others[random.usize(..others.len())];
    match random.u8(..16) {
        0 => drop(events.remove(at)),
        1 => events.insert(at, events[at].clone()),
        2 => {
            let with = random.usize(..events.len());
            events.swap(at, with);
        }
        3 => events.insert(at, other.clone()),
        4 => {
            let kind = if random.bool() { random.u8(..45) } else { random.u8(160..175) };
            events[at].set_kind(kind);
        }
        5 => events[at].set_flags(1 << random.u8(..16)),
        6 => {
            let length = random.usize(..=events[at].body.len());
            events[at].body.truncate(length);
        }
        7..=10 => mutate(random, &mut events[at].body, &other.body),
        _ => (0..random.usize(1..4)).for_each(|_| number(random, &mut events[at].body)),
    }
}

/// Puts a number in that is too great, too small or means something else, in one to eight bytes.
fn number(random: &mut Rng, body: &mut [u8]) {
    let width = [1, 1, 1, 2, 2, 3, 4, 8][random.usize(..8)].min(body.len());
    let at = random.usize(..=body.len() - width);
    let most = u64::MAX >> (64 - 8 * width.max(1));
    let number = match random.u8(..8) {
        0 => 0,
        1 => 1,
        2 => most,
        3 => most / 2 + 1,
        4 => body.len() as u64,
        5 => random.u64(251..=255),
        6 => u64::from(random.u8(..)),
        _ => random.u64(..) & most,
    };
    body[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
}

/// Both encoders, with random settings.
struct Encoders {
    canal: CanalJson,
    avro: DtsAvro,
    message: Message,
}

impl Encoders {
    fn new(random: &mut Rng) -> Result<Self> {
        let (canal, avro) = (settings::canal(random)?.1, settings::avro(random)?.1);
        Ok(Self { canal: CanalJson::new(canal), avro: DtsAvro::new(avro), message: Message::default() })
    }

    /// Reads every cell of a batch, and encodes its events. The encoders may refuse them.
    fn encode(&mut self, batch: &Batch) {
        for event in &batch.events {
            if let Body::Row(row) = &event.body {
                for image in row.before.iter().chain(&row.after) {
                    (0..row.schema.columns.len()).for_each(|column| {
                        std::hint::black_box(image.get(column));
                    });
                }
            }
            for encoder in [&mut self.canal as &mut dyn Encoder, &mut self.avro] {
                self.message.clear();
                let _ = encoder.encode(event, &mut self.message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise the changes would reach little of the decoder.
    #[test]
    fn without_changes_every_binlog_is_decoded() {
        let mut random = Rng::with_seed(1);
        for log in logs() {
            let mut rows = 0;
            let options = DecoderOptions {
                stream: "global".to_owned(),
                position: StreamPosition::start("id", log.file, 4).unwrap(),
                history: History::new(log.schemas.clone(), databases(), true),
                selection: Selection::new(&["*.*".to_owned()], &[]).unwrap(),
                profile: ServerProfile::new(log.version),
                prepared: PreparedTransactions::default(),
                polardbx: PolarDbXOptions::default(),
                rows_without_events: RowsWithoutEvents::default(),
                batch_max_bytes: 1 << 20,
            };
            let mut decoder = Decoder::new(options);
            let mut encoders = Encoders::new(&mut random).unwrap();
            for event in logs::framed(&log.events) {
                decoder.event(&event, 1).unwrap_or_else(|error| panic!("{}: {error}", log.version));
                while let Some(batch) = decoder.take() {
                    rows += batch.row_count();
                    encoders.encode(&batch);
                }
            }
            rows += decoder.drain().map_or(0, |batch| batch.row_count());
            assert!(rows >= 4, "{}: {rows} rows", log.version);
        }
    }
}
