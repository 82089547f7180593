//! Random tables and events. They are valid by default. With `bad` they may be invalid in ways that a source must never produce.

use std::sync::Arc;

use fastrand::Rng;
use runtime::{
    Body, CellBlock, Collation, Column, ColumnKind, Event, Op, Origin, Position, Row, RowChange, SchemaChange, SchemaChangeKind, Seq,
    TableId, TableSchema, UniqueKey,
};

use super::cells::{awkward, push_bad, push_good};

/// Random events of one table, for one topic-partition. With `bad`, they may have images, cells, keys and names that a source must never
/// produce.
pub(super) fn slice(random: &mut Rng, bad: bool) -> Vec<Event> {
    let schema = Arc::new(table(random, bad));
    let mut origin = Arc::new(origin(random));
    let statement = random.u8(..8) == 0;
    let (mut events, count) = (Vec::new(), random.usize(1..6));
    let mut op = op(random);
    for number in 0..count {
        // The rows of one binlog event share origin, operation and schema. A new origin stands for the next binlog event.
        if random.u8(..3) == 0 {
            origin = Arc::new(self::origin(random));
            op = self::op(random);
        }
        let body = match random.u8(..12) {
            0 => Body::Begin,
            1 => Body::Commit,
            2 => Body::Heartbeat,
            _ if statement => Body::Schema(schema_change(random, &schema)),
            _ => Body::Row(change(random, &schema, op, bad)),
        };
        events.push(Event {
            seq: Seq(number as u128 + 1),
            position: Position::from("binlog.000014:4"),
            timestamp_ms: if bad { random.i64(..) } else { random.i64(1..4_102_444_800_000) },
            txid: None,
            origin: origin.clone(),
            body,
        });
    }
    events
}

fn op(random: &mut Rng) -> Op {
    [Op::Read, Op::Insert, Op::Update, Op::Delete][random.usize(..4)]
}

fn origin(random: &mut Rng) -> Origin {
    let mut origin = Origin::default();
    origin.server_id = random.u32(..);
    origin.server_version = "8.0.36".into();
    origin.thread_id = random.u32(..);
    origin.gtid = random.bool().then(|| "3e11fa47-71ca-11e1-9e33-c80aa9429562:23".into());
    origin.offset = format!("{}@14", random.u32(..)).into();
    origin.safe_offset = "4@14".into();
    origin.read_ms = random.i64(1..4_102_444_800_000);
    if random.bool() {
        origin.facts = vec![("Q_SQL_MODE_CODE", random.u32(..).to_string()), ("commitTimestamp", awkward(random, 3))];
    }
    origin
}

fn change(random: &mut Rng, schema: &Arc<TableSchema>, op: Op, bad: bool) -> RowChange {
    let spoilt = |random: &mut Rng| bad && random.u8(..12) == 0;
    let mut before = matches!(op, Op::Update | Op::Delete).then(|| row(random, schema, None, bad));
    let mut after = (op != Op::Delete).then(|| row(random, schema, before.as_ref(), bad));
    if spoilt(random) {
        before = before.xor(Some(row(random, schema, None, bad)));
    }
    if spoilt(random) {
        after = None;
    }
    RowChange::new(schema.clone(), op, before, after)
}

/// A random row. If `like` is given, about half of the cells are copied from it.
fn row(random: &mut Rng, schema: &TableSchema, like: Option<&Row>, bad: bool) -> Row {
    let spoilt = bad && random.u8(..12) == 0;
    let width = if spoilt { random.usize(..schema.columns.len() + 3) } else { schema.columns.len() };
    let mut block = CellBlock::default();
    let mut writer = block.row(width);
    for index in 0..width {
        match (like, schema.columns.get(index)) {
            (Some(like), _) if random.bool() => writer.push(like.get(index)),
            (_, Some(column)) if !bad || random.u8(..8) > 0 => push_good(&mut writer, random, column),
            _ => push_bad(&mut writer, random),
        }
    }
    let row = writer.finish();
    // Until a block is sealed, its rows read as empty. Some invalid rows are left in that state.
    if !spoilt || random.bool() {
        block.seal();
    }
    row
}

fn table(random: &mut Rng, bad: bool) -> TableSchema {
    let columns: Vec<Column> = (0..random.usize(1..8)).map(|index| column(random, index, bad)).collect();
    let last = columns.len() - 1;
    let name = |random: &mut Rng| if bad || random.bool() { awkward(random, 5) } else { "orders".to_owned() };
    let mut schema = TableSchema::new(TableId::new(name(random), name(random)), columns);
    schema.version = random.u32(1..);
    // A key of an invalid table may name a column that does not exist.
    let any = |random: &mut Rng| random.usize(..=last + usize::from(bad));
    if random.u8(..4) > 0 {
        schema.primary_key = if last > 0 && random.bool() { vec![last, 0] } else { vec![any(random)] };
    }
    if random.bool() {
        schema.unique_keys = vec![UniqueKey { name: awkward(random, 3), columns: vec![any(random)] }];
    }
    schema
}

fn labels(random: &mut Rng, most: usize) -> Vec<String> {
    (0..random.usize(1..=most)).map(|index| format!("{}{index}", awkward(random, 2))).collect()
}

fn column(random: &mut Rng, index: usize, bad: bool) -> Column {
    let fsp = random.u8(..7);
    let length = random.u32(1..20);
    let prefix = random.u8(1..5);
    let (kind, source_type) = match random.u8(..20) {
        0 | 1 => {
            let bytes = [1, 2, 3, 4, 8, if bad { random.u8(..) } else { 8 }][random.usize(..6)];
            (ColumnKind::Int { bytes }, if bytes == 1 { "tinyint(4)" } else { "int(11)" }.to_owned())
        }
        2 => {
            let precision = random.u8(1..=65);
            let scale = random.u8(..=precision.min(30));
            (ColumnKind::Decimal { precision, scale }, format!("decimal({precision},{scale})"))
        }
        3 => (ColumnKind::Float, "float".into()),
        4 => (ColumnKind::Double, "double(10,2)".into()),
        5 => {
            let bits = random.u8(1..=64);
            (ColumnKind::Bit { bits }, format!("bit({bits})"))
        }
        6 => (ColumnKind::Year, "year(4)".into()),
        7 => (ColumnKind::Date, "date".into()),
        8 => (ColumnKind::Time { fsp }, format!("time({fsp})")),
        9 => (ColumnKind::DateTime { fsp }, format!("datetime({fsp})")),
        10 => (ColumnKind::Timestamp { fsp }, format!("timestamp({fsp})")),
        11 => (ColumnKind::Char { length }, format!("char({length})")),
        12 => (ColumnKind::Varchar { length }, format!("varchar({length})")),
        13 => (ColumnKind::Text { prefix }, "text".into()),
        14 => (ColumnKind::Binary { length }, format!("binary({length})")),
        15 => (ColumnKind::Varbinary { length }, format!("varbinary({length})")),
        16 => (ColumnKind::Blob { prefix }, "blob".into()),
        17 => {
            let labels = labels(random, if bad { 70 } else { 5 });
            let quoted: Vec<String> = labels.iter().map(|label| format!("'{}'", label.replace('\'', "''"))).collect();
            let list = quoted.join(",");
            if random.bool() {
                (ColumnKind::Enum { labels }, format!("enum({list})"))
            } else {
                (ColumnKind::Set { labels }, format!("set({list})"))
            }
        }
        18 => (ColumnKind::Json, "json".into()),
        _ => (ColumnKind::Geometry, "point".into()),
    };
    let numeric = matches!(kind, ColumnKind::Int { .. } | ColumnKind::Decimal { .. });
    let name = if bad && random.bool() { awkward(random, 3) } else { format!("{}{index}", awkward(random, 3)) };
    let source_type = if bad && random.u8(..6) == 0 { awkward(random, 8) } else { source_type };
    let mut column = Column::new(name, kind, source_type);
    column.unsigned = numeric && random.bool();
    column.nullable = random.bool();
    let charsets: &[&str] = if bad {
        &["utf8mb4", "gbk", "big5", "sjis", "ucs2", "utf16le", "utf32", "swe7", "", "nothing"]
    } else {
        &["latin1", "ascii", "utf8mb3"]
    };
    column.collation = random.bool().then(|| Collation::new(charsets[random.usize(..charsets.len())]));
    column
}

fn schema_change(random: &mut Rng, schema: &Arc<TableSchema>) -> SchemaChange {
    use SchemaChangeKind as Kind;
    const KINDS: [Kind; 9] = [
        Kind::CreateTable,
        Kind::AlterTable,
        Kind::DropTable,
        Kind::RenameTable,
        Kind::TruncateTable,
        Kind::CreateIndex,
        Kind::DropIndex,
        Kind::Database,
        Kind::Other,
    ];
    let mut change = SchemaChange::new(KINDS[random.usize(..KINDS.len())], awkward(random, 3), awkward(random, 20));
    for _ in 0..random.usize(..3) {
        change.tables.push((schema.id.clone(), random.bool().then(|| schema.clone())));
    }
    change
}
