//! Reads whole and broken record batches of every compression, as a recovery does it: who may write to a topic decides about their bytes.

use std::sync::Arc;

use fastrand::Rng;
use sink_kafka::Compression;
use sink_kafka::benchmark::BatchMaker;
use sink_kafka::fuzzing::{fix_batch, read_batches};

use super::mutation::mutate;
use crate::{Failure, Result};

const ALL: [Compression; 5] = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
/// Where the lower byte of the attributes is in a batch. Its lowest three bits are the compression.
const ATTRIBUTES: usize = 22;
/// Where the records begin in a batch.
const RECORDS: usize = 61;

pub(super) fn round(random: &mut Rng) -> Result<()> {
    let compression = ALL[random.usize(..ALL.len())];
    let values = values(random);
    let transactions: Vec<Arc<str>> = (0..random.usize(..=values.len())).map(|number| format!("0-1-{number}").into()).collect();
    let mut maker = BatchMaker::new(compression)?;
    maker.make(&values, &transactions)?;
    let whole = maker.bytes().to_vec();
    let mut bytes = whole.clone();
    let copies = random.usize(1..3);
    (1..copies).for_each(|_| bytes.extend_from_slice(&whole));
    // The last batch may be cut off.
    let cut = random.usize(..40).min(whole.len());
    let complete = if cut == 0 { copies } else { copies - 1 };
    let count = read_batches(&bytes[..bytes.len() - cut]).map_err(Failure::new)?;
    if count != (complete * values.len()) as u64 {
        return Failure::err(format!("{count} records of {complete} batches of {}, {compression:?}", values.len()));
    }
    for _ in 0..4 {
        let mut broken = whole.clone();
        match random.u8(..4) {
            // Damage on the way, which the checksum shows.
            0 => mutate(random, &mut broken, &whole),
            // Another compression than the one that is stated.
            1 => {
                broken[ATTRIBUTES] = random.u8(..);
                fix_batch(&mut broken);
            }
            // What a writer can write.
            _ => {
                let mut records = broken.split_off(RECORDS);
                mutate(random, &mut records, &whole);
                broken.append(&mut records);
                if random.bool() {
                    let at = random.usize(ATTRIBUTES..RECORDS);
                    broken[at] = random.u8(..);
                }
                fix_batch(&mut broken);
            }
        }
        // They may be read or refused.
        let _ = read_batches(&broken);
    }
    Ok(())
}

/// Values of one batch. A few of them are long and expand to hundreds of times their compressed size.
fn values(random: &mut Rng) -> Vec<Vec<u8>> {
    let longest = if random.u8(..100) == 0 { 256 << 10 } else { 300 };
    let value = |random: &mut Rng| {
        let length = random.usize(..longest);
        if random.bool() { vec![random.u8(..); length] } else { (0..length).map(|_| random.u8(..)).collect() }
    };
    (0..random.usize(1..6)).map(|_| value(random)).collect()
}
