//! Reads fetched record batches, which any producer may have written.

use super::record_reader::{self, RecordHead};
use crate::codec;

/// The size in bytes of the offset and the length, which precede every batch of any version.
const PREFIX: usize = 12;
/// The size in bytes of the header of a version 2 batch after the prefix.
const HEAD: usize = 49;
const CONTROL: u16 = 1 << 5;

/// Passes every record to `visit` with its offset, in order. Returns the offset after the last complete batch; `None` if there is none. Of
/// each record's headers only the one named `wanted_header` is kept. Transaction markers are skipped. The last batch may be cut off; any
/// other damage is returned as the offset of the batch and an error text.
pub(crate) fn read_batches(
    mut bytes: &[u8],
    wanted_header: &str,
    mut visit: impl FnMut(i64, RecordHead<'_>),
) -> Result<Option<i64>, (i64, String)> {
    let mut next = None;
    while let Some(((base, length), rest)) = prefix(bytes) {
        let length = usize::try_from(length).map_err(|_| (base, format!("a batch of {length} bytes")))?;
        let Some((body, after)) = rest.split_at_checked(length) else { break };
        let batch = bytes.get(..PREFIX + length).unwrap_or_default();
        let last = read_batch(base, batch, body, wanted_header, &mut visit).map_err(|problem| (base, problem))?;
        next = Some(last.checked_add(1).ok_or_else(|| (base, "an offset that is too large".to_owned()))?);
        bytes = after;
    }
    Ok(next)
}

fn prefix(bytes: &[u8]) -> Option<((i64, i32), &[u8])> {
    let (base, rest) = bytes.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    Some(((i64::from_be_bytes(*base), i32::from_be_bytes(*length)), rest))
}

/// Reads one batch; returns its last offset.
fn read_batch(
    base: i64,
    batch: &[u8],
    body: &[u8],
    wanted_header: &str,
    visit: &mut impl FnMut(i64, RecordHead<'_>),
) -> Result<i64, String> {
    match body.get(4) {
        // Batches before version 2 have no record headers. The offset of such a batch is that of its last record.
        Some(0 | 1) => {
            visit(base, RecordHead { header: None, value_start: None, producer_id: -1 });
            return Ok(base);
        }
        Some(2) if body.len() >= HEAD => {}
        Some(2) | None => return Err("a batch that is too short".into()),
        Some(version) => return Err(format!("a batch of version {version}")),
    }
    let field = |at: usize| body.get(at..).and_then(|bytes| bytes.first_chunk::<4>()).map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let attributes = (field(9) >> 16) as u16;
    let delta = i64::from(field(11) as i32);
    let last = base.checked_add(delta).filter(|last| *last >= base).ok_or_else(|| format!("a last offset of {delta}"))?;
    if attributes & CONTROL != 0 {
        return Ok(last);
    }
    let payload = batch.get(PREFIX + HEAD..).unwrap_or_default();
    // The checksum covers everything from the attributes to the end of the batch.
    if crc32c::crc32c(body.get(9..).unwrap_or_default()) != field(5) {
        return Err("a checksum that does not fit".into());
    }
    let compression = codec::of_attributes(attributes).ok_or_else(|| format!("an unknown compression, {}", attributes & 7))?;
    let producer_id = i64::from(field(31) as i32) << 32 | i64::from(field(35));
    record_reader::read_records(compression, payload, field(45) as i32, wanted_header, |offset_delta, head| {
        visit(base.saturating_add(offset_delta), RecordHead { producer_id, ..head })
    })?;
    Ok(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use runtime::Seq;

    use super::*;
    use crate::codec::{Codec, Compression};
    use crate::delivery::{ProducerId, Record, RecordBatchBuilder};

    /// A batch with one record per number. The number is in the last bytes of the header `dts`, which holds the position of the record.
    fn batch(base: i64, numbers: &[u128], compression: Compression) -> Vec<u8> {
        let mut builder = RecordBatchBuilder::new(Vec::new());
        for &number in numbers {
            let mut position = number.to_be_bytes().to_vec();
            position.push(0);
            builder.push(&Record { value: Some(b"value"), position: &position, ..Record::default() }, 0..1, Seq(number));
        }
        let (mut sealed, _) = builder.seal(&mut Codec::new(compression).unwrap(), Vec::new()).unwrap();
        sealed.stamp(ProducerId::NONE, -1);
        let mut bytes = sealed.into_buffer();
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        bytes
    }

    fn all(bytes: &[u8]) -> (Vec<(i64, u128)>, Option<i64>) {
        let mut list = Vec::new();
        let next = read_batches(bytes, "dts", |offset, head| {
            assert_eq!(head.value_start, Some(*b"value"));
            list.push((offset, u128::from_be_bytes(*head.header.unwrap().first_chunk().unwrap())));
        })
        .unwrap();
        (list, next)
    }

    #[test]
    fn batches_follow_each_other_and_the_last_may_be_cut() {
        let mut bytes = batch(10, &[1, 2], Compression::Zstd);
        bytes.extend(batch(20, &[3], Compression::None));
        assert_eq!(all(&bytes), (vec![(10, 1), (11, 2), (20, 3)], Some(21)));
        bytes.pop();
        assert_eq!(all(&bytes), (vec![(10, 1), (11, 2)], Some(12)));
        assert_eq!(all(&[]), (vec![], None));
    }

    #[test]
    fn markers_are_passed_and_every_compression_is_read() {
        let mut marker = batch(5, &[1], Compression::None);
        marker[22] |= 0x20;
        assert_eq!(all(&marker), (vec![], Some(6)));
        for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4] {
            assert_eq!(all(&batch(5, &[1, 2], compression)), (vec![(5, 1), (6, 2)], Some(7)), "{compression:?}");
        }
        let mut unknown = batch(5, &[1], Compression::None);
        unknown[22] |= 7;
        let crc = crc32c::crc32c(&unknown[21..]);
        unknown[17..21].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(read_batches(&unknown, "dts", |_, _| {}).unwrap_err(), (5, "an unknown compression, 7".into()));
    }

    #[test]
    fn damage_is_an_error_with_its_offset() {
        let mut bytes = batch(7, &[1], Compression::None);
        let end = bytes.len() - 1;
        bytes[end] ^= 1;
        assert_eq!(read_batches(&bytes, "dts", |_, _| {}).unwrap_err().0, 7);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read_batches(&bytes, "dts", |_, _| {});
        }

        #[test]
        fn any_flipped_bit_is_read_or_refused(at in 0usize..150, bit in 0u8..8, kind in 0u16..5) {
            let mut bytes = batch(7, &[1, 2, 3], codec::of_attributes(kind).unwrap());
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = read_batches(&bytes, "dts", |_, _| {});
            // The same damage again, now with a correct checksum, so that the reader gets further.
            let crc = crc32c::crc32c(bytes.get(21..).unwrap_or_default());
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
            let _ = read_batches(&bytes, "dts", |_, _| {});
        }
    }
}
