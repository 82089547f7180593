//! The places between two transactions at which chunks of tables are inserted.

use runtime::Position;

use super::Decoder;
use crate::binlog::position::{Insertion, StreamPosition};

/// The resume point, if the decoder is at it: between two transactions, none of which is expanded.
pub(in crate::binlog) fn boundary(decoder: &Decoder) -> Option<&StreamPosition> {
    let is_inside = !decoder.resume.is_live() || decoder.transaction.is_open() || decoder.first_group.is_inside();
    (!is_inside && !decoder.ahead.is_waiting() && !decoder.is_expanding()).then(|| decoder.resume.position())
}

/// The resume point, which is committed with a batch that holds no event of the stream.
pub(in crate::binlog) fn resume(decoder: &mut Decoder) -> Position {
    decoder.resume.hand_out()
}

/// Notes that a chunk was inserted at the resume point, and returns the resume point behind it.
pub(in crate::binlog) fn insert(decoder: &mut Decoder, inserted: Insertion) -> Position {
    decoder.resume.insert(inserted);
    decoder.resume.hand_out()
}
