//! Tests of tables whose TABLE_MAPs have other columns than their schemas: columns of expressions, and tables that are rebuilt.

use runtime::{KeyPart, OtherKey};

use super::*;

/// The TABLE_MAP of `d.t` with these types, metadata and optional metadata. All columns are nullable.
fn table_map(id: u8, types: &[u8], metadata: &[u8], optional: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![id, 0, 0, 0, 0, 0, 1, 0, 1, b'd', 0, 1, b't', 0, types.len() as u8];
    body.extend_from_slice(types);
    body.push(metadata.len() as u8);
    body.extend_from_slice(metadata);
    body.extend(std::iter::repeat_n(0xff, types.len().div_ceil(8)));
    body.extend(optional.concat());
    body
}

fn part(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind, value.len() as u8][..], value].concat()
}

/// A row event of version 2 with these bitmaps and images.
fn rows(id: u8, columns: u8, bitmaps: &[u8], images: &[&[u8]]) -> Vec<u8> {
    [&[id, 0, 0, 0, 0, 0, 1, 0, 2, 0, columns][..], bitmaps, &images.concat()].concat()
}

fn int(name: &str) -> Column {
    Column::new(name, ColumnKind::Int { bytes: 4 }, "int(11)")
}

/// The table `d.t` with two numbers and a key over an expression.
fn with_expression() -> Arc<TableSchema> {
    let mut schema = TableSchema::new(TableId::new("d", "t"), vec![int("a"), int("b")]);
    schema.other_keys = vec![OtherKey { name: "k".into(), unique: true, parts: vec![KeyPart::Expression] }];
    Arc::new(schema)
}

fn values(batches: &[Batch]) -> Vec<String> {
    let rows = batches.iter().flat_map(|batch| &batch.events).filter_map(|event| match &event.body {
        Body::Row(row) => Some(row),
        _ => None,
    });
    let text = |row: &Option<Row>, columns: usize| {
        row.as_ref().map_or_else(String::new, |row| (0..columns).map(|column| format!("{:?} ", row.get(column))).collect())
    };
    rows.map(|row| {
        let columns = row.schema.columns.len();
        format!("v{} {:?} {}| {}", row.schema.version, row.op, text(&row.before, columns), text(&row.after, columns))
    })
    .collect()
}

const ONE: &[u8] = &[1, 0, 0, 0];
const TWO: &[u8] = &[2, 0, 0, 0];

#[test]
fn the_columns_of_expressions_are_not_in_the_rows() {
    let mut log = Log::new();
    // The column of the expression is in the middle, then behind a second TABLE_MAP at the beginning, and then not in the TABLE_MAP at all.
    log.begin().add(19, &table_map(5, &[3, 15, 3], &[80, 0], &[]));
    log.add(30, &rows(5, 3, &[0b1111_1101], &[&[0], ONE, TWO])).add(31, &rows(5, 3, &[0b101; 2], &[&[0], ONE, TWO, &[2], TWO]));
    log.commit().begin().add(19, &table_map(6, &[8, 3, 3], &[], &[])).add(32, &rows(6, 3, &[0b110], &[&[1], TWO])).commit();
    log.begin().add(19, &table_map(7, &[3, 3], &[], &[])).add(30, &rows(7, 2, &[0b11], &[&[0], TWO, TWO])).commit();
    let (batches, failed) = read(&mut decoder(start(), with_expression(), 1 << 20), &log);
    assert!(failed.is_none(), "{failed:?}");
    assert_eq!(
        values(&batches),
        ["v1 Insert | Int(1) Int(2) ", "v1 Update Int(1) Int(2) | Int(2) Null ", "v1 Delete Null Int(2) | ", "v1 Insert | Int(2) Int(2) ",]
    );
    assert!(batches.iter().all(|batch| batch.schemas.is_empty()));
}

#[test]
fn other_columns_must_be_in_the_rows() {
    let code = |add: &dyn Fn(&mut Log)| {
        let mut log = Log::new();
        log.begin().add(19, &table_map(5, &[3, 15, 3], &[80, 0], &[]));
        add(&mut log);
        let (_, error) = read(&mut decoder(start(), with_expression(), 1 << 20), &log);
        error.map(|error| error.code().unwrap_or_default().to_owned())
    };
    let insert = |bitmap: u8| rows(5, 3, &[bitmap], &[&[0], ONE, TWO]);
    assert_eq!(code(&|log| _ = log.add(30, &insert(0b101))), None);
    // Too many are absent.
    assert_eq!(code(&|log| _ = log.add(30, &insert(0b100))).as_deref(), Some("E_PARTIAL_IMAGE"));
    // Another column is absent, of another type or of the same.
    assert_eq!(code(&|log| _ = log.add(30, &insert(0b110))).as_deref(), Some("E_SCHEMA_MISMATCH"));
    assert_eq!(code(&|log| _ = log.add(30, &insert(0b101)).add(30, &insert(0b110))).as_deref(), Some("E_PARTIAL_IMAGE"));
    // None is absent, although the schema has fewer columns.
    assert_eq!(code(&|log| _ = log.add(30, &insert(0b111))).as_deref(), Some("E_SCHEMA_MISMATCH"));
    // The images of an UPDATE differ.
    let update = |second: u8| rows(5, 3, &[0b101, second], &[&[0], ONE, TWO, &[0], TWO, TWO]);
    assert_eq!(code(&|log| _ = log.add(31, &update(0b101))), None);
    assert_eq!(code(&|log| _ = log.add(31, &update(0b001))).as_deref(), Some("E_PARTIAL_IMAGE"));
    assert_eq!(code(&|log| _ = log.add(30, &rows(5, 2, &[0b11], &[&[0], ONE, TWO]))).as_deref(), Some("E_BINLOG_CORRUPT"));
}

/// Transactions before and after a change of the table that no statement tells: `b` becomes a text, and `n` is new. With `names`, the
/// TABLE_MAPs have the full metadata.
fn changed(names: bool) -> Log {
    let metadata = |names: &[u8], more: Vec<u8>| [part(1, &[0]), part(4, names), more];
    let old = table_map(5, &[3, 3], &[], &metadata(b"\x01a\x01b", Vec::new())[..if names { 3 } else { 0 }]);
    let new = table_map(6, &[3, 15, 3], &[40, 0], &metadata(b"\x01a\x01b\x01n", part(2, &[45]))[..if names { 3 } else { 0 }]);
    let mut log = Log::new();
    log.begin().add(19, &old).add(30, &rows(5, 2, &[0b11], &[&[0], ONE, TWO, &[0], TWO, TWO])).commit();
    for _ in 0..2 {
        log.begin().add(19, &new).add(30, &rows(6, 3, &[0b111], &[&[0], ONE, &[1, b'x'], TWO])).commit();
    }
    log
}

#[test]
fn a_table_is_rebuilt_from_full_metadata() {
    let mut known = TableSchema::new(TableId::new("d", "t"), vec![int("a"), int("b")]);
    known.version = 7;
    let known = Arc::new(known);
    let log = changed(true);
    let (whole, failed) = read(&mut decoder(start(), known.clone(), 1 << 20), &log);
    assert!(failed.is_none(), "{failed:?}");
    let row = "v8 Insert | Int(1) Text([120]) Int(2) ";
    assert_eq!(values(&whole), ["v7 Insert | Int(1) Int(2) ", "v7 Insert | Int(2) Int(2) ", row, row]);
    let (_, failed) = read(&mut decoder(start(), known.clone(), 1 << 20), &changed(false));
    let failed = failed.expect("a mismatch");
    let cause = failed.cause().unwrap_or_default();
    assert_eq!(failed.code(), Some("E_SCHEMA_MISMATCH"));
    assert!(cause.contains("`b` int(11)") && cause.contains("varchar or varbinary of 40 bytes"), "{cause}");

    // Every place from which reading may continue gives the same events, with the schemas that are committed there.
    for limit in [1, 150, 1 << 20] {
        let (batches, _) = read(&mut decoder(start(), known.clone(), limit), &log);
        assert_eq!(lines(&batches), lines(&whole), "{limit}");
        let mut schema = known.clone();
        let mut passed = 0;
        for batch in &batches {
            passed += batch.events.len();
            for (_, changed) in &batch.schemas {
                schema = changed.clone().expect("a schema");
            }
            let Some(resume) = &batch.resume else {
                assert!(batch.schemas.is_empty(), "a schema without a resume point");
                continue;
            };
            let position = StreamPosition::parse(resume.as_str()).unwrap();
            let (again, failed) = read(&mut decoder(position.clone(), schema.clone(), limit), &dump(&log, Decoder::dump_from(&position)));
            assert!(failed.is_none(), "{failed:?}");
            assert_eq!(lines(&again), lines(&whole)[passed..], "{limit}");
        }
        assert_eq!(schema.version, 8);
    }
}

#[test]
fn a_table_is_rebuilt_inside_an_xa_transaction() {
    let metadata = |names: &[u8]| [part(1, &[0]), part(4, names)];
    let mut known = TableSchema::new(TableId::new("d", "t"), vec![int("a"), int("b")]);
    known.version = 7;
    let old = table_map(5, &[3, 3], &[], &metadata(b"\x01a\x01b"));
    let new = table_map(6, &[3, 3, 3], &[], &metadata(b"\x01a\x01b\x01n"));
    let xid = super::xa::xid("x");
    let mut log = Log::new();
    let insert = |log: &mut Log, begin: &str| {
        log.add(34, &[0; 42]).query(begin).add(19, &new).add(30, &rows(6, 3, &[0b111], &[&[0], ONE, TWO, TWO]));
    };
    log.begin().add(19, &old).add(30, &rows(5, 2, &[0b11], &[&[0], ONE, TWO])).commit();
    // The first rows of the changed table wait in the spool.
    insert(&mut log, &format!("XA START {xid}"));
    log.query(&format!("XA END {xid}")).add(38, &super::xa::prepare("x", false));
    log.outcome("COMMIT", "x");
    insert(&mut log, "BEGIN");
    log.commit();
    let batches = super::xa::read_table_in_two_runs(&log, &Arc::new(known));
    let row = "v8 Insert | Int(1) Int(2) Int(2) ";
    assert_eq!(values(&batches), ["v7 Insert | Int(1) Int(2) ", row, row]);
}

#[test]
fn a_table_that_is_not_known_is_built_from_full_metadata() {
    let other = Arc::new(TableSchema::new(TableId::new("d", "other"), vec![int("a")]));
    let (batches, failed) = read(&mut decoder(start(), other.clone(), 1 << 20), &changed(true));
    assert!(failed.is_none(), "{failed:?}");
    let versions: Vec<_> = values(&batches).iter().map(|row| row.split(' ').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(versions, ["v1700000000", "v1700000000", "v1700000001", "v1700000001"]);
    let (_, failed) = read(&mut decoder(start(), other, 1 << 20), &changed(false));
    let failed = failed.expect("an error");
    assert_eq!(failed.code(), Some("E_SCHEMA_MISMATCH"));
    assert!(failed.cause().is_some_and(|cause| cause.contains("shows (int, int)")), "{failed}");
}

#[test]
fn the_collations_of_the_binlog_hold() {
    let mut text = Column::new("b", ColumnKind::Varchar { length: 10 }, "varchar(10)");
    text.collation = Some(Collation::new("utf8mb4_0900_ai_ci"));
    let mut known = TableSchema::new(TableId::new("d", "t"), vec![int("a"), text]);
    known.version = 7;
    let mut log = Log::new();
    for (id, collation) in [(5, &[0xfc, 0xff, 0][..]), (6, &[45]), (7, &[45])] {
        let map = table_map(id, &[3, 15], &[40, 0], &[part(1, &[0]), part(2, collation)]);
        log.begin().add(19, &map).add(30, &rows(id, 2, &[0b11], &[&[0], ONE, &[1, b'x']])).commit();
    }
    let (batches, failed) = read(&mut decoder(start(), Arc::new(known), 1 << 20), &log);
    assert!(failed.is_none(), "{failed:?}");
    let row = |version: u32| format!("v{version} Insert | Int(1) Text([120]) ");
    assert_eq!(values(&batches), [row(7), row(8), row(8)]);
    let schemas: Vec<_> = batches.iter().flat_map(|batch| &batch.schemas).filter_map(|(_, schema)| schema.clone()).collect();
    assert_eq!(schemas.len(), 1);
    assert_eq!(schemas[0].columns[1].collation, Some(Collation::new("utf8mb4_general_ci")));
}
