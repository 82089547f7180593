//! Reads fetched record batches, which any producer may have written.

use std::cell::Cell;
use std::ops::ControlFlow;

use super::record_reader::{self, RecordHead};
use crate::codec::{self, Limits};

/// The size in bytes of the offset and the length, which precede every batch of any version.
const PREFIX: usize = 12;
/// The size in bytes of the header of a version 2 batch after the prefix.
const HEAD: usize = 49;
const CONTROL: u16 = 1 << 5;

/// Passes every record to `visit` with its offset, in order, until it breaks off. Returns the offset after the last complete batch that was
/// read; `None` if there is none. Of each record's headers only the one named `wanted_header` is kept. Transaction markers are skipped. The
/// last batch may be cut off; any other damage is returned as the offset of the batch and an error text.
pub(crate) fn read_batches(
    mut bytes: &[u8],
    wanted_header: &str,
    limits: &mut Limits,
    mut visit: impl FnMut(i64, RecordHead<'_>) -> ControlFlow<()>,
) -> Result<Option<i64>, (i64, String)> {
    let (mut next, is_broken_off) = (None, Cell::new(false));
    let mut visit = |offset, head: RecordHead<'_>| {
        let flow = visit(offset, head);
        is_broken_off.set(flow.is_break());
        flow
    };
    while let Some(((base, length), rest)) = prefix(bytes) {
        let length = usize::try_from(length).map_err(|_| (base, format!("a batch of {length} bytes")))?;
        let Some((body, after)) = rest.split_at_checked(length) else { break };
        let batch = bytes.get(..PREFIX + length).unwrap_or_default();
        let last = read_batch(base, batch, body, wanted_header, limits, &mut visit).map_err(|problem| (base, problem))?;
        next = Some(last.checked_add(1).ok_or_else(|| (base, "an offset that is too large".to_owned()))?);
        bytes = after;
        if is_broken_off.get() {
            break;
        }
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
    limits: &mut Limits,
    visit: &mut impl FnMut(i64, RecordHead<'_>) -> ControlFlow<()>,
) -> Result<i64, String> {
    match body.get(4) {
        // Batches before version 2 have no record headers. The offset of such a batch is that of its last record.
        Some(0 | 1) => {
            let _ = visit(base, RecordHead { header: None, value_start: None, producer_id: -1 });
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
    record_reader::read_records(compression, payload, field(45) as i32, wanted_header, limits, |offset_delta, head| {
        visit(base.saturating_add(offset_delta), RecordHead { producer_id, ..head })
    })?;
    Ok(last)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

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

    fn read(bytes: &[u8], visit: impl FnMut(i64, RecordHead<'_>) -> ControlFlow<()>) -> Result<Option<i64>, (i64, String)> {
        read_batches(bytes, "dts", &mut Limits::new(Arc::default()), visit)
    }

    fn passed(bytes: &[u8]) -> Result<Option<i64>, (i64, String)> {
        read(bytes, |_, _| ControlFlow::Continue(()))
    }

    fn all(bytes: &[u8]) -> (Vec<(i64, u128)>, Option<i64>) {
        let mut list = Vec::new();
        let next = read(bytes, |offset, head| {
            assert_eq!(head.value_start, Some(*b"value"));
            list.push((offset, u128::from_be_bytes(*head.header.unwrap().first_chunk().unwrap())));
            ControlFlow::Continue(())
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
        assert_eq!(passed(&unknown).unwrap_err(), (5, "an unknown compression, 7".into()));
    }

    #[test]
    fn damage_is_an_error_with_its_offset() {
        let mut bytes = batch(7, &[1], Compression::None);
        let end = bytes.len() - 1;
        bytes[end] ^= 1;
        assert_eq!(passed(&bytes).unwrap_err().0, 7);
    }

    #[test]
    fn reading_breaks_off_where_the_visitor_does() {
        let mut bytes = batch(10, &[1, 2], Compression::Zstd);
        bytes.extend(batch(20, &[3], Compression::None));
        let mut offsets = Vec::new();
        let next = read(&bytes, |offset, _| {
            offsets.push(offset);
            ControlFlow::Break(())
        });
        assert_eq!((offsets, next), (vec![10], Ok(Some(12))));
    }

    /// A batch whose payload is this, with a correct checksum.
    fn with_payload(compression: Compression, payload: &[u8]) -> Vec<u8> {
        let mut bytes = batch(7, &[1], compression);
        bytes.truncate(PREFIX + HEAD);
        bytes.extend_from_slice(payload);
        let length = (bytes.len() - PREFIX) as i32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// A record whose length says that it takes as much as a record can, and then zeros. Many zstd frames of a block that repeats a byte
    /// 128 KiB times: 4 bytes each.
    fn bomb(blocks: usize) -> Vec<u8> {
        let start = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        // A frame with a window of 128 KiB; a raw block with the start of the record; then the blocks, the last one marked.
        let mut frame = [&[0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3][..], &[(start.len() as u8) << 3, 0, 0], &start].concat();
        for block in 1..=blocks {
            let head = (128u32 << 10) << 3 | 1 << 1 | u32::from(block == blocks);
            frame.extend_from_slice(&head.to_le_bytes()[..3]);
            frame.push(0);
        }
        frame
    }

    #[test]
    fn a_batch_that_expands_without_end_is_refused() {
        let bytes = with_payload(Compression::Zstd, &bomb(250_000));
        assert!(bytes.len() < 1 << 20);
        let start = Instant::now();
        let held = allocation_counter::measure(|| {
            let (offset, problem) = passed(&bytes).unwrap_err();
            assert!(offset == 7 && problem.contains("expands to more than 1 GiB"), "{problem}");
        });
        assert!(held.bytes_max < 1 << 20 && start.elapsed() < Duration::from_secs(30), "{held:?} {:?}", start.elapsed());
    }

    #[test]
    fn all_batches_together_have_a_limit_too() {
        let bytes = with_payload(Compression::Zstd, &bomb(800));
        let mut limits = Limits::of_total(250 << 20);
        let mut problem = || read_batches(&bytes, "dts", &mut limits, |_, _| ControlFlow::Continue(())).unwrap_err().1;
        assert!(problem().contains("unexpected end") && problem().contains("unexpected end"));
        assert!(problem().contains("more than 16 GiB"));
    }

    #[test]
    fn a_reader_that_is_cancelled_ends() {
        let bytes = with_payload(Compression::Zstd, &bomb(8_000));
        let mut limits = Limits::new(Arc::new(true.into()));
        let (_, problem) = read_batches(&bytes, "dts", &mut limits, |_, _| ControlFlow::Continue(())).unwrap_err();
        assert!(problem.contains("cancelled"), "{problem}");
    }

    #[test]
    fn windows_and_pieces_that_take_much_memory_are_refused() {
        // A zstd frame with a window of 16 MiB, and a piece of Snappy that says it expands to 9 MiB.
        let window = [0x28, 0xb5, 0x2f, 0xfd, 0, 14 << 3, 1, 0, 0];
        let piece = [0x80, 0x80, 0xc0, 0x04];
        for (compression, payload) in [(Compression::Zstd, &window[..]), (Compression::Snappy, &piece)] {
            let held = allocation_counter::measure(|| {
                let (_, problem) = passed(&with_payload(compression, payload)).unwrap_err();
                println!("{problem}");
            });
            assert!(held.bytes_max < 1 << 20, "{held:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = passed(&bytes);
        }

        #[test]
        fn any_flipped_bit_is_read_or_refused(at in 0usize..150, bit in 0u8..8, kind in 0u16..5) {
            let mut bytes = batch(7, &[1, 2, 3], codec::of_attributes(kind).unwrap());
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = passed(&bytes);
            // The same damage again, now with a correct checksum, so that the reader gets further.
            let crc = crc32c::crc32c(bytes.get(21..).unwrap_or_default());
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
            let _ = passed(&bytes);
        }
    }
}
