//! Tables that do not match their known schemas, and are corrected by their TABLE_MAPs.

use std::sync::Arc;

use super::table_maps::Corrected;
use super::{Decoder, unstated};
use crate::binlog::error::StreamError;
use crate::binlog::event::RawEvent;
use crate::binlog::row::RowLayout;

/// The layout of a row event's table; `None` if its rows are ignored. A table that was corrected for it has its new schema from here on.
#[inline]
pub(super) fn layout(decoder: &mut Decoder, event: &RawEvent<'_>) -> Result<Option<Arc<RowLayout>>, StreamError> {
    let layout = decoder.tables.layout(event, &decoder.profile)?;
    if let Some(corrected) = decoder.tables.take_corrected() {
        take(decoder, corrected)?;
    }
    Ok(layout)
}

/// Takes the schema of a table that its TABLE_MAP shows.
///
/// Invariant: the schema may be committed with the position before the open group, because no row of the table with its former schema is
/// behind that position. If rows of the group were emitted before, no batch ends with a resume point before the group does.
#[cold]
fn take(decoder: &mut Decoder, corrected: Corrected) -> Result<(), StreamError> {
    let at = decoder.tracker.at();
    let schema = match corrected {
        Corrected::Collations(schema) => {
            tracing::warn!(
                table = %schema.id,
                %at,
                "columns of a table have other collations than its statements say; those of the binlog hold"
            );
            schema
        }
        Corrected::Rebuilt(schema) => {
            let why = match decoder.history.table(&schema.id) {
                Some(_) => "a table does not match its known schema",
                None => "the schema of a table was not known",
            };
            tracing::warn!(
                table = %schema.id,
                %at,
                "{why}, and was rebuilt from the binlog: its columns, their types and its primary key; display widths, ZEROFILL and other keys \
                 may be wrong"
            );
            schema
        }
    };
    // The rows before have another schema, so they are in a batch of their own.
    decoder.cut();
    decoder.history.set(schema.clone());
    unstated::note(&decoder.stream, &mut decoder.history, &mut decoder.output)?;
    decoder.output.set_schemas(vec![(schema.id.clone(), Some(schema))]);
    Ok(())
}
