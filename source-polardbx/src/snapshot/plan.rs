//! Cuts tables into chunks, a bounded number at a time.
//!
//! What was planned is read back from the checkpoint: a chunk's number is in its split's name and its range is its position, so the last
//! chunk of a table says where the next one begins, and a chunk without an upper bound ends the table.

use std::collections::HashMap;
use std::sync::Arc;

use runtime::{Column, ColumnKind, Committed, Split, SplitId, SplitKind, State, TableId, TableSchema};

use super::range::{Key, KeyRange, chunk_key};
use crate::error::{Result, SourceError};
use crate::session::{Session, literal, nth, quoted};

/// How far the snapshot of one table is planned and read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Number and range of the last chunk that was planned.
    last: Option<(u32, KeyRange)>,
    /// Chunks that are not read yet, by number.
    open: Vec<(u32, KeyRange)>,
}

impl Planned {
    /// Whether the last chunk reaches the end of the table.
    fn is_planned(&self) -> bool {
        self.last.as_ref().is_some_and(|(_, range)| range.upto.is_none())
    }

    /// Whether all of the table was read.
    pub(crate) fn is_read(&self) -> bool {
        self.is_planned() && self.open.is_empty()
    }

    /// How many chunks were read.
    pub(crate) fn chunks_read(&self) -> u64 {
        let planned = self.last.as_ref().map_or(0, |(number, _)| u64::from(*number));
        planned.saturating_sub(self.open.len() as u64)
    }
}

/// Name of a chunk's split.
pub(crate) fn chunk_id(table: &TableId, number: u32) -> SplitId {
    format!("{table}/chunk-{number}").into()
}

/// Table (as it is printed) and number of a chunk's split; `None` for other splits.
fn parse_chunk_id(id: &SplitId) -> Option<(&str, u32)> {
    let (table, number) = id.as_str().rsplit_once("/chunk-")?;
    Some((table, number.parse().ok()?))
}

/// The table of a chunk's split.
pub(crate) fn table_of<'a>(id: &SplitId, tables: &'a [TableId]) -> Option<&'a TableId> {
    let (name, _) = parse_chunk_id(id)?;
    tables.iter().find(|table| table.to_string() == name)
}

/// What the checkpoint says of the chunks of `tables`, in their order.
pub(crate) fn progress(committed: &Committed, tables: &[TableId]) -> Result<Vec<Planned>> {
    let places: HashMap<String, usize> = tables.iter().enumerate().map(|(place, table)| (table.to_string(), place)).collect();
    let mut all = vec![Planned::default(); tables.len()];
    for (id, checkpoint) in &committed.splits {
        let Some((table, number)) = parse_chunk_id(id) else { continue };
        let unknown = || SourceError::Checkpoint {
            what: format!("split {id} at {} is no chunk of the tables that the snapshot began with", checkpoint.position),
        };
        let table = places.get(table).and_then(|&place| all.get_mut(place)).ok_or_else(unknown)?;
        let range = KeyRange::parse(checkpoint.position.as_str()).ok_or_else(unknown)?;
        if !checkpoint.done {
            table.open.push((number, range.clone()));
        }
        if table.last.as_ref().is_none_or(|(last, _)| *last < number) {
            table.last = Some((number, range));
        }
    }
    for table in &mut all {
        table.open.sort_by_key(|(number, _)| *number);
    }
    Ok(all)
}

/// The next `slice` chunks to read: those that are planned and not read first, then new ones, in the order of the tables. Empty when the
/// snapshot is complete.
pub(crate) async fn next_chunks(
    session: &mut Session,
    schemas: &[Arc<TableSchema>],
    planned: &[Planned],
    chunk_rows: u64,
    slice: usize,
) -> Result<Vec<Split>> {
    let mut chunks: Vec<Split> = Vec::new();
    for (schema, progress) in schemas.iter().zip(planned) {
        chunks.extend(progress.open.iter().map(|(number, range)| chunk(&schema.id, *number, range)));
    }
    for (schema, progress) in schemas.iter().zip(planned) {
        if progress.is_planned() {
            continue;
        }
        let wanted = slice.saturating_sub(chunks.len());
        if wanted == 0 {
            break;
        }
        let (last, after) = match &progress.last {
            Some((number, range)) => (*number, range.upto.clone()),
            None => (0, None),
        };
        let ranges = cut(session, schema, after, chunk_rows, wanted).await.map_err(|error| gone(error, &schema.id))?;
        chunks.extend(ranges.iter().zip(last + 1..).map(|(range, number)| chunk(&schema.id, number, range)));
    }
    Ok(chunks)
}

/// A table that the plan began with and that is not there any more was dropped or renamed meanwhile: no retry brings it back.
fn gone(error: SourceError, table: &TableId) -> SourceError {
    const UNKNOWN_DATABASE_OR_TABLE: [u16; 2] = [1049, 1146];
    match error.code() {
        Some(code) if UNKNOWN_DATABASE_OR_TABLE.contains(&code) => {
            SourceError::TableChanged { table: table.clone(), what: "the table is gone".to_owned() }
        }
        _ => error,
    }
}

fn chunk(table: &TableId, number: u32, range: &KeyRange) -> Split {
    // The structure is committed once, with the split that the plan hangs on.
    Split { id: chunk_id(table, number), kind: SplitKind::Snapshot, start: range.position(), schemas: Vec::new(), state: State::new() }
}

/// At most `wanted` ranges that follow `after`; the last one is open if it reaches the end of the table. `session` is a reader's, which gives
/// texts in the character set of their column.
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
        // One look at the table saves a walk over its key for every chunk.
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

/// The greatest key of the next `chunk_rows` rows; `None` if fewer are left.
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
    let values: Option<Key> = (0..key.len())
        .map(|index| match row.as_ref(index) {
            Some(mysql_async::Value::Bytes(bytes)) => Some(bytes.clone()),
            _ => None,
        })
        .collect();
    values.map(Some).ok_or_else(|| SourceError::answer(doing, "a column of its key is NULL"))
}

/// The greatest key of a table with one whole-number key that has few holes after `from`; `None` for all others.
///
/// A range of `chunk_rows` numbers holds at most as many rows, so even ranges are never too big, only too many where the key has holes.
async fn dense_end(
    session: &mut Session,
    schema: &TableSchema,
    key: &[&Column],
    from: Option<&Key>,
    chunk_rows: u64,
) -> Result<Option<i128>> {
    let ([Column { kind: ColumnKind::Int { .. }, name, .. }], Some(from)) = (key, from.and_then(whole_number)) else { return Ok(None) };
    let doing = format!("look at the key of table {}", schema.id);
    let max = session.rows(doing.clone(), format!("SELECT MAX({}) FROM {}", quoted(name), table_name(&schema.id))).await?;
    let estimate = format!(
        "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        literal(&schema.id.database),
        literal(&schema.id.table)
    );
    let estimate = session.rows(doing, estimate).await?;
    let number = |rows: &[mysql_async::Row]| rows.first().and_then(|row| nth(row, 0)).and_then(|text| text.parse::<i128>().ok());
    let (Some(max), Some(rows)) = (number(&max), number(&estimate)) else { return Ok(None) };
    let width = max.saturating_sub(from);
    Ok((width <= rows.saturating_mul(2).saturating_add(i128::from(chunk_rows))).then_some(max))
}

/// Ranges of `width` numbers each after `after`, at most `wanted`; the one that reaches `max` is open.
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

/// A table's name in SQL.
pub(crate) fn table_name(table: &TableId) -> String {
    format!("{}.{}", quoted(&table.database), quoted(&table.table))
}

#[cfg(test)]
mod tests {
    use runtime::{Checkpoint, Progress, Receipt};

    use super::*;

    fn committed(chunks: &[(&str, u32, &str, bool)]) -> Committed {
        let mut committed = Committed::default();
        for &(table, number, position, done) in chunks {
            committed.apply(&Progress {
                split: chunk_id(&TableId::new("d", table), number),
                checkpoint: Checkpoint { position: position.into(), receipt: Receipt::default(), done },
                schemas: vec![],
                state: vec![],
            });
        }
        committed
    }

    #[test]
    fn the_checkpoint_says_where_the_plan_goes_on() {
        let tables = [TableId::new("d", "a"), TableId::new("d", "b/chunk-1"), TableId::new("d", "c.d")];
        let committed = committed(&[
            ("a", 2, "v1;after=5;upto=10", false),
            ("a", 9, "v1;after=40;upto=45", true),
            ("a", 10, "v1;after=45;upto=-", false),
            ("a", 1, "v1;after=-;upto=5", true),
            ("b/chunk-1", 1, "v1;after=-;upto=7", true),
        ]);
        let progress = progress(&committed, &tables).unwrap();
        assert!(progress[0].is_planned());
        assert_eq!(progress[0].open.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 10]);
        assert!(!progress[1].is_planned() && progress[1].open.is_empty());
        assert_eq!(progress[1].last.as_ref().map(|(number, range)| (*number, range.upto.clone())), Some((1, Some(vec![b"7".to_vec()]))));
        assert_eq!(progress[2], Planned::default());
        assert_eq!(table_of(&chunk_id(&tables[1], 3), &tables), Some(&tables[1]));
        assert_eq!(table_of(&"stream_global".into(), &tables), None);
    }

    #[test]
    fn chunks_of_unknown_tables_are_an_error() {
        let tables = [TableId::new("d", "a")];
        assert!(progress(&committed(&[("b", 1, "v1;after=-;upto=-", false)]), &tables).is_err());
        assert!(progress(&committed(&[("a", 1, "nonsense", false)]), &tables).is_err());
    }

    #[test]
    fn even_ranges_meet_and_the_last_is_open() {
        let ranges = even_ranges(10, 25, 10, 9);
        let texts: Vec<_> = ranges.iter().map(|range| range.position().to_string()).collect();
        assert_eq!(texts, ["v1;after=10;upto=20", "v1;after=20;upto=-"]);
        assert_eq!(even_ranges(i128::from(u64::MAX) - 1, i128::from(u64::MAX), 10, 9).len(), 1);
        assert_eq!(even_ranges(0, 1_000, 10, 3).len(), 3);
    }
}
