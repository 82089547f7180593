//! Shows binlog files that were changed at random.
//!
//! What frames the events is changed as well: the first bytes of the file, lengths, offsets and the end. A file may be shown or refused with an
//! error that has a code. Nothing may panic.

use std::path::PathBuf;
use std::sync::OnceLock;

use fastrand::Rng;
use source_polardbx::inspect::{Content, InspectOptions, Inspector};

use super::binlog_events::{change, logs};
use super::mutation::mutate;
use crate::{Failure, Result};

const FORMAT_DESCRIPTION: u8 = 15;

pub(super) fn round(random: &mut Rng) -> Result<()> {
    let logs = logs::logs();
    let log = &logs[random.usize(..logs.len())];
    let heads: Vec<usize> = (0..log.events.len()).filter(|&place| log.events[place].kind() == FORMAT_DESCRIPTION).collect();
    let Some(begin) = random.choice(heads.iter().copied()) else { return Failure::err("a log without a format") };
    let end = heads.iter().copied().find(|&place| place > begin).unwrap_or(log.events.len());
    let mut events = log.events[begin..end.min(begin + random.usize(1..300))].to_vec();
    let other = &logs[random.usize(..logs.len())];
    for _ in 0..random.usize(..4) {
        change(random, &mut events, &other.events);
    }
    let mut file = b"\xfebin".to_vec();
    file.extend(logs::framed(&events).concat());
    match random.u8(..4) {
        0 => mutate(random, &mut file, &other.events[0].body),
        1 => file.truncate(random.usize(..=file.len())),
        _ => {}
    }
    let path = path()?;
    std::fs::write(&path, &file)?;
    let shown = show(&path, random);
    match shown {
        Err(error) if error.code().is_none() => Failure::err(format!("an error without a code: {error}")),
        _ => Ok(()),
    }
}

fn show(path: &std::path::Path, random: &mut Rng) -> runtime::Result<()> {
    let mut options = InspectOptions::default();
    if random.bool() {
        options.tables = vec!["shop.*".to_owned()];
    }
    let mut inspector = Inspector::new(options)?;
    let from = random.bool().then(|| random.u64(4..2_000));
    let mut file = inspector.open(path, from.filter(|_| random.u8(..8) == 0))?;
    while let Some(event) = file.next_event()? {
        let _ = event.time();
        if let Content::Rows(rows) = &event.content {
            rows.iter().for_each(|row| drop(row.to_json()));
        }
    }
    Ok(())
}

/// The file of this process, which the rounds write one after another.
fn path() -> Result<PathBuf> {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    if FOLDER.get().is_none() {
        let _ = FOLDER.set(tempfile::tempdir()?);
    }
    let folder = FOLDER.get().ok_or_else(|| Failure::new("no folder"))?;
    Ok(folder.path().join(format!("binlog-{:?}.000001", std::thread::current().id())))
}
