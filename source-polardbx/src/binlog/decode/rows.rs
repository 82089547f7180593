//! Decodes the row images of row events into the events of a batch.

use runtime::{Body, CellBlock, Op, RowChange};

use super::context::EventContext;
use super::output::BatchOutput;
use super::transaction::Transaction;
use crate::binlog::error::StreamError;
use crate::binlog::event::RawEvent;
use crate::binlog::position::FileOffset;
use crate::binlog::row::{RowImages, RowLayout, RowsKind};

/// Decodes the rows of an event into batches. Inside a transaction a full batch is cut without a resume point.
pub(super) fn decode_rows(
    event: &RawEvent<'_>,
    layout: &RowLayout,
    context: &EventContext<'_>,
    transaction: &mut Transaction,
    output: &mut BatchOutput,
) -> Result<(), StreamError> {
    let Some(kind) = RowsKind::of(event.header.kind) else { return Ok(()) };
    let mut images = RowImages::open(event.body, event.header.kind, layout)?;
    if images.is_empty() {
        return Ok(());
    }
    if transaction.undoes(FileOffset::new(context.file, context.end)) {
        return pass_over(images, kind, layout, transaction);
    }
    transaction.emit_begin(context, output)?;
    let (stamp, group) = transaction.stamp(context, Vec::new())?;
    while !images.is_empty() {
        let first = images.decode(layout, output.block())?;
        let (op, before, after) = match kind {
            RowsKind::Write => (Op::Insert, None, Some(first)),
            RowsKind::Delete => (Op::Delete, Some(first), None),
            RowsKind::Update => (Op::Update, Some(first), Some(images.decode(layout, output.block())?)),
        };
        let change = RowChange::new(layout.schema.clone(), op, before, after);
        output.push(stamp.event(group.next_seq(), Body::Row(change)));
        if output.is_full() {
            output.cut(None);
        }
    }
    Ok(())
}

/// Passes over all rows of an event.
pub(super) fn pass_over_rows(event: &RawEvent<'_>, layout: &RowLayout, transaction: &mut Transaction) -> Result<(), StreamError> {
    let Some(kind) = RowsKind::of(event.header.kind) else { return Ok(()) };
    pass_over(RowImages::open(event.body, event.header.kind, layout)?, kind, layout, transaction)
}

/// Passes over rows that are undone later or not wanted. They get numbers like all rows, so that the numbers of the others do not depend on it.
fn pass_over(mut images: RowImages<'_>, kind: RowsKind, layout: &RowLayout, transaction: &mut Transaction) -> Result<(), StreamError> {
    let mut block = CellBlock::default();
    while !images.is_empty() {
        images.decode(layout, &mut block)?;
        if kind == RowsKind::Update {
            images.decode(layout, &mut block)?;
        }
        transaction.skip_number();
    }
    Ok(())
}
