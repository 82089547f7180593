//! Cuts tables into chunks, a bounded number at a time.
//!
//! The cost of a plan depends only on how many chunks it returns, not on the total number of tables and chunks. A [`Cursor`] records where
//! the next chunk begins, and chunks that are done are forgotten.

use std::sync::Arc;

use runtime::{Column, ColumnKind, TableId, TableSchema};

use super::cells::as_read;
use super::chunk::verify_schema;
use super::range::{Key, KeyRange, chunk_key, key_text, parse_key};
use crate::binlog::profile::is_polardbx;
use crate::error::{Result, SourceError};
use crate::facts::{Cursor, SnapshotPlan};
use crate::session::{Session, literal, quoted};
use crate::wire::Row;

/// A chunk to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedChunk {
    pub(crate) table: TableId,
    /// The chunk's number in its table, counted from 1.
    pub(crate) number: u32,
    pub(crate) range: KeyRange,
}

/// A cursor at the first chunk of the first table; `None` if there are no tables.
pub(crate) fn first_cursor(tables: &[Arc<TableSchema>]) -> Option<Cursor> {
    tables.first().map(|schema| Cursor { table: schema.id.clone(), chunk: 1, after: None })
}

/// Returns the next chunks, at most `wanted`, and what is left to plan behind them. `tables` must be sorted by name. A table that was altered
/// or that does not exist any more is an error.
pub(crate) async fn next_chunks(
    session: &mut Session,
    tables: &[Arc<TableSchema>],
    plan: &SnapshotPlan,
    chunk_rows: u64,
    wanted: usize,
) -> Result<(Vec<PlannedChunk>, SnapshotPlan)> {
    let mut chunks = Vec::new();
    let mut left = SnapshotPlan { next: plan.next.clone(), again: Vec::new() };
    for cursor in &plan.again {
        let table = tables.iter().filter(|schema| schema.id == cursor.table).cloned().collect::<Vec<_>>();
        let (more, next) = chunks_from(session, &table, Some(cursor.clone()), chunk_rows, wanted - chunks.len()).await?;
        chunks.extend(more);
        left.again.extend(next);
    }
    let (more, next) = chunks_from(session, tables, plan.next.clone(), chunk_rows, wanted - chunks.len()).await?;
    chunks.extend(more);
    left.next = next;
    Ok((chunks, left))
}

/// Returns the next chunks, at most `wanted`, beginning at `cursor`. Also returns the cursor for the chunk after these chunks; `None` if
/// all chunks are planned.
async fn chunks_from(
    session: &mut Session,
    tables: &[Arc<TableSchema>],
    cursor: Option<Cursor>,
    chunk_rows: u64,
    wanted: usize,
) -> Result<(Vec<PlannedChunk>, Option<Cursor>)> {
    let mut chunks = Vec::new();
    let Some(Cursor { table, chunk, after }) = cursor else { return Ok((chunks, None)) };
    let unreadable = || SourceError::Checkpoint { what: format!("the snapshot is planned up to an unknown place in table {table}") };
    let first = tables.binary_search_by(|schema| schema.id.cmp(&table)).map_err(|_| unreadable())?;
    let rest = tables.get(first..).unwrap_or_default();
    let after = after.map(|text| parse_key(&text).ok_or_else(unreadable)).transpose()?;
    let (mut number, mut after) = (chunk, after);
    let small = small_tables(session, rest.get(..rest.len().min(wanted)).unwrap_or_default(), chunk_rows).await?;
    for (index, schema) in rest.iter().enumerate() {
        if chunks.len() >= wanted {
            return Ok((chunks, Some(Cursor { table: schema.id.clone(), chunk: number, after: after.as_ref().map(key_text) })));
        }
        let whole = number == 1 && small.get(index) == Some(&true);
        let ranges = if whole {
            vec![KeyRange::default()]
        } else {
            let room = wanted - chunks.len();
            let read = as_read(schema, is_polardbx(session.version()));
            match cut(session, &read, after.take(), chunk_rows, room).await {
                // A table that is not as it was known cannot be cut, and then that is what has to be told.
                Err(error) => return Err(verify_schema(session, schema, None).await.err().unwrap_or(error)),
                Ok(ranges) => ranges,
            }
        };
        after = ranges.last().and_then(|range| range.upto.clone());
        for range in ranges {
            chunks.push(PlannedChunk { table: schema.id.clone(), number, range });
            number += 1;
        }
        if after.is_some() {
            return Ok((chunks, Some(Cursor { table: schema.id.clone(), chunk: number, after: after.as_ref().map(key_text) })));
        }
        number = 1;
    }
    Ok((chunks, None))
}

/// Tells for each table whether it has fewer than `chunk_rows` rows, so that it is a single chunk. One query covers many tables, because
/// separate queries would be most of the cost of planning small tables. The result is empty if the server refuses the query; then the
/// tables are checked one by one.
async fn small_tables(session: &mut Session, tables: &[Arc<TableSchema>], chunk_rows: u64) -> Result<Vec<bool>> {
    /// The greatest number of rows that the server may have to scan for one query.
    const ROWS: u64 = 4_000_000;
    let at_once = usize::try_from(ROWS / chunk_rows.max(1)).unwrap_or(usize::MAX).clamp(1, 64);
    let mut small = Vec::with_capacity(tables.len());
    for part in tables.chunks(at_once) {
        let large = |(index, schema): (usize, &Arc<TableSchema>)| {
            format!("(SELECT {index} FROM {} LIMIT 1 OFFSET {})", table_name(&schema.id), chunk_rows.saturating_sub(1))
        };
        let sql = part.iter().enumerate().map(large).collect::<Vec<_>>().join(" UNION ALL ");
        match session.rows("look for large tables", sql).await {
            Ok(rows) => {
                let large: Vec<usize> = rows.iter().filter_map(|row| row.text(0)?.parse().ok()).collect();
                small.extend((0..part.len()).map(|index| !large.contains(&index)));
            }
            Err(error) if error.code().is_some() => {
                tracing::debug!(%error, "the tables are checked one by one");
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(small)
}

/// Cuts the keys after `after` into at most `wanted` ranges. The last range has no upper bound if it reaches the end of the table.
/// `session` must be a session for reading chunks, which returns text in the character set of its column.
async fn cut(session: &mut Session, schema: &TableSchema, mut after: Option<Key>, chunk_rows: u64, wanted: usize) -> Result<Vec<KeyRange>> {
    let key = chunk_key(schema);
    if key.is_empty() {
        return Ok(vec![KeyRange::default()]);
    }
    let mut ranges = Vec::new();
    while ranges.len() < wanted {
        let upto = boundary(session, schema, &key, after.as_ref(), chunk_rows).await?;
        let open = upto.is_none();
        if !open && upto == after {
            let doing = format!("cut table {} into chunks", schema.id);
            return Err(SourceError::answer(doing, "the server finds the greatest key of a chunk again behind it"));
        }
        ranges.push(KeyRange { after, upto: upto.clone() });
        if open {
            return Ok(ranges);
        }
        // For a dense integer key, the bounds of further ranges are computed. This saves a scan of the key for every chunk.
        if ranges.len() == 1
            && let Some(max) = dense_end(session, schema, &key, upto.as_ref(), chunk_rows).await?
        {
            let rest = wanted - ranges.len();
            ranges.extend(even_ranges(upto.as_ref().and_then(whole_number).unwrap_or(max), max, chunk_rows, rest));
            return Ok(ranges);
        }
        after = upto;
    }
    Ok(ranges)
}

/// The greatest key of the next `chunk_rows` rows; `None` if fewer rows are left.
async fn boundary(
    session: &mut Session,
    schema: &TableSchema,
    key: &[&Column],
    after: Option<&Key>,
    chunk_rows: u64,
) -> Result<Option<Key>> {
    let doing = format!("cut table {} into chunks", schema.id);
    let names = key.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ");
    let range = KeyRange { after: after.cloned(), upto: None };
    let condition =
        range.condition(key).ok_or_else(|| SourceError::answer(doing.clone(), "a key has a value that does not fit its type"))?;
    let sql = format!(
        "SELECT {names} FROM {}{condition} ORDER BY {names} LIMIT 1 OFFSET {}",
        table_name(&schema.id),
        chunk_rows.saturating_sub(1)
    );
    let rows = session.rows(doing.clone(), sql).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let values: Option<Key> = (0..key.len()).map(|index| row.bytes(index).map(<[u8]>::to_vec)).collect();
    values.map(Some).ok_or_else(|| SourceError::answer(doing, "a column of its key is NULL"))
}

/// The greatest key of a table whose key is one integer column with few gaps after `from`; `None` for any other table.
///
/// A range of `chunk_rows` numbers holds at most `chunk_rows` rows, so a chunk with such a range is never too large. Gaps between the keys
/// only increase the number of ranges.
async fn dense_end(
    session: &mut Session,
    schema: &TableSchema,
    key: &[&Column],
    from: Option<&Key>,
    chunk_rows: u64,
) -> Result<Option<i128>> {
    let ([Column { kind: ColumnKind::Int { .. }, name, .. }], Some(from)) = (key, from.and_then(whole_number)) else { return Ok(None) };
    let doing = format!("ask for the greatest key of table {}", schema.id);
    let max = session.rows(doing.clone(), format!("SELECT MAX({}) FROM {}", quoted(name), table_name(&schema.id))).await?;
    let estimate = format!(
        "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        literal(&schema.id.database),
        literal(&schema.id.table)
    );
    let estimate = session.rows(doing, estimate).await?;
    let number = |rows: &[Row]| rows.first().and_then(|row| row.text(0)).and_then(|text| text.parse::<i128>().ok());
    let (Some(max), Some(rows)) = (number(&max), number(&estimate)) else { return Ok(None) };
    let width = max.saturating_sub(from);
    Ok((width <= rows.saturating_mul(2).saturating_add(i128::from(chunk_rows))).then_some(max))
}

/// Makes at most `wanted` ranges of `width` numbers each, beginning after the number `after`. The range that reaches `max` has no upper
/// bound.
fn even_ranges(mut after: i128, max: i128, width: u64, wanted: usize) -> Vec<KeyRange> {
    let key = |number: i128| Some(vec![number.to_string().into_bytes()]);
    let mut ranges = Vec::new();
    while ranges.len() < wanted {
        let upto = after + i128::from(width);
        let open = upto >= max;
        ranges.push(KeyRange { after: key(after), upto: if open { None } else { key(upto) } });
        if open {
            break;
        }
        after = upto;
    }
    ranges
}

fn whole_number(key: &Key) -> Option<i128> {
    match key.as_slice() {
        [value] => std::str::from_utf8(value).ok()?.parse().ok(),
        _ => None,
    }
}

/// The quoted name of a table, with its database, for SQL.
pub(crate) fn table_name(table: &TableId) -> String {
    format!("{}.{}", quoted(&table.database), quoted(&table.table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_ranges_meet_and_the_last_is_open() {
        let ranges = even_ranges(10, 25, 10, 9);
        let texts: Vec<_> = ranges.iter().map(|range| range.position().to_string()).collect();
        assert_eq!(texts, ["v1;after=10;upto=20", "v1;after=20;upto=-"]);
        assert_eq!(even_ranges(i128::from(u64::MAX) - 1, i128::from(u64::MAX), 10, 9).len(), 1);
        assert_eq!(even_ranges(0, 1_000, 10, 3).len(), 3);
    }
}
