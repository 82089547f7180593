use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::events;
use crate::{Column, ColumnKind, Event, KeyPart, Kind, Level, Op, OtherKey, SchemaChangeKind, Seq, Settings, TableId, UniqueKey, Value};

fn columns(config: serde_json::Value) -> Result<Columns> {
    Columns::new(Settings::from(config).parse("transform.columns")?)
}

fn table(names: &[&str]) -> TableSchema {
    let column = |name: &&str| Column { nullable: false, ..Column::new(*name, ColumnKind::Int { bytes: 8 }, "bigint") };
    let mut schema = TableSchema::new(TableId::new("shop", "t"), names.iter().map(column).collect());
    schema.primary_key = vec![0];
    schema
}

/// An update of a row of the table, in which each cell is the number of its column, and ten more behind the update.
fn update(schema: &Arc<TableSchema>) -> Event {
    let image = |more: i64| Some(Row::from_values((0..schema.columns.len()).map(|index| Value::Int(index as i64 + more))));
    Event { body: Body::Row(RowChange::new(schema.clone(), Op::Update, image(0), image(10))), ..events(1, 1).remove(0) }
}

fn applied(columns: &mut Columns, events: Vec<Event>) -> Result<Vec<RowChange>> {
    let mut batch = Batch::new(events, None, 100);
    columns.apply(&mut batch)?;
    batch.verify(Seq(0)).unwrap();
    let rows = batch.events.into_iter().map(|event| match event.body {
        Body::Row(change) => change,
        _ => unreachable!(),
    });
    Ok(rows.collect())
}

fn names(schema: &TableSchema) -> Vec<&str> {
    schema.columns.iter().map(|column| column.name.as_str()).collect()
}

fn altered(schema: TableSchema) -> Batch {
    let mut change = SchemaChange::new(SchemaChangeKind::AlterTable, "shop", "ALTER …");
    change.tables = vec![(schema.id.clone(), Some(Arc::new(schema)))];
    Batch::new(vec![Event { body: Body::Schema(change), ..events(1, 1).remove(0) }], None, 0)
}

#[test]
fn cells_follow_their_columns() {
    let schema = Arc::new(table(&["id", "mail", "hash", "age"]));
    let other = Arc::new(TableSchema { id: TableId::new("crm", "t"), ..table(&["id", "hash"]) });
    for (config, expected, cells) in [
        (
            json!({"tables": ["shop.*"], "exclude": ["HASH"], "rename": {"Mail": "email"}, "order": ["age", "email"]}),
            ["age", "email", "id"].as_slice(),
            [13, 11, 10].as_slice(),
        ),
        (json!({"tables": ["shop.t"], "include": ["age", "id"]}), &["id", "age"], &[10, 13]),
        (json!({"tables": ["shop.t"], "rename": {"id": "mail", "mail": "id"}}), &["mail", "id", "hash", "age"], &[10, 11, 12, 13]),
        (json!({"tables": ["shop.t"], "order": ["ID", "gone"]}), &["id", "mail", "hash", "age"], &[10, 11, 12, 13]),
    ] {
        let mut columns = columns(config).unwrap();
        let mut second = update(&other);
        second.seq = Seq(2);
        let rows = applied(&mut columns, vec![update(&schema), second]).unwrap();
        assert_eq!(names(&rows[0].schema), expected);
        let values = |row: &Option<Row>| {
            row.as_ref()
                .unwrap()
                .values()
                .map(|value| match value {
                    Value::Int(number) => number,
                    _ => -1,
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(values(&rows[0].after), cells);
        assert_eq!(values(&rows[0].before), cells.iter().map(|cell| cell - 10).collect::<Vec<_>>());
        assert!(Arc::ptr_eq(&rows[1].schema, &other) && rows[1].after.as_ref().unwrap().columns() == 2, "another table stays");
    }
}

#[test]
fn keys_follow_their_columns() {
    let mut schema = table(&["a", "id", "b", "c"]);
    schema.primary_key = vec![1];
    schema.partition_columns = vec![2];
    schema.unique_keys = vec![UniqueKey { name: "u".into(), columns: vec![3] }, UniqueKey { name: "v".into(), columns: vec![2, 0] }];
    let part = |column| KeyPart::Column { column, prefix: Some(3) };
    schema.other_keys = vec![
        OtherKey { name: "k".into(), unique: false, parts: vec![part(3)] },
        OtherKey { name: "l".into(), unique: false, parts: vec![part(2), KeyPart::Expression] },
    ];
    (schema.filter_columns, schema.added_columns, schema.version) = (vec![3, 0], vec![2], 7);
    let schema = Arc::new(schema);
    let laid_out = |config| columns(config).unwrap().layout(&schema).unwrap().schema().unwrap().clone();
    let moved = laid_out(json!({"tables": ["shop.t"], "exclude": ["c"], "order": ["b"]}));
    assert_eq!(names(&moved), ["b", "a", "id"]);
    assert_eq!((&*moved.primary_key, &*moved.partition_columns), ([2].as_slice(), [0].as_slice()));
    assert_eq!(moved.unique_keys, [UniqueKey { name: "v".into(), columns: vec![0, 1] }]);
    assert_eq!(moved.other_keys, [OtherKey { name: "l".into(), unique: false, parts: vec![part(0), KeyPart::Expression] }]);
    assert_eq!((&*moved.filter_columns, &*moved.added_columns, moved.version), ([1].as_slice(), [0].as_slice(), 7));
    let keyed = laid_out(json!({"tables": ["shop.t"], "exclude": ["id"], "rename": {"c": "code"}, "key": ["code"]}));
    assert_eq!((names(&keyed), keyed.effective_key()), (vec!["a", "b", "code"], vec![2]));
    assert!(keyed.unique_keys.is_empty() && keyed.partition_columns.is_empty());
}

#[test]
fn a_key_column_is_not_left_out_without_another_key() {
    let mut schema = table(&["id", "region", "b"]);
    schema.partition_columns = vec![1];
    for (gone, refused) in [("id", true), ("region", true), ("b", false)] {
        let config = json!({"tables": ["shop.t"], "exclude": [gone]});
        let result = applied(&mut columns(config.clone()).unwrap(), vec![update(&Arc::new(schema.clone()))]);
        assert_eq!(result.is_err(), refused, "{gone}");
        let found = columns(config).unwrap().check(&[Arc::new(schema.clone())]);
        assert_eq!(found.iter().any(|finding| finding.level == Level::Failed), refused, "{found:?}");
        if let Err(error) = result {
            assert!(error.kind() == Kind::Config && error.to_string().contains(&format!("`{gone}` of table shop.t")), "{error}");
        }
    }
    // Without a key nothing is lost.
    (schema.primary_key, schema.partition_columns) = (Vec::new(), Vec::new());
    assert!(applied(&mut columns(json!({"tables": ["shop.t"], "exclude": ["id"]})).unwrap(), vec![update(&Arc::new(schema))]).is_ok());
}

#[test]
fn a_column_that_may_have_another_name_now_ends_the_task() {
    let config = json!({"tables": ["shop.*"], "exclude": ["hash"], "rename": {"mail": "email"}});
    let before = || table(&["id", "mail", "hash"]);
    for (now, refused) in [
        (&["id", "mail", "secret"][..], true),
        (&["id", "address", "hash"], true),
        (&["id", "mail", "HASH", "more"], false),
        (&["id", "mail"], false),
        (&["id", "hash", "mail"], false),
    ] {
        let mut by_event = columns(config.clone()).unwrap();
        by_event.apply(&mut altered(before())).unwrap();
        let result = by_event.apply(&mut altered(table(now)));
        assert_eq!(result.is_err(), refused, "{now:?}");
        if let Err(error) = result {
            assert_eq!((error.kind(), error.code()), (Kind::Config, Some("E_COLUMN_REPLACED")));
        }
        // Rows may have a new schema of which no event has told.
        let mut by_row = columns(config.clone()).unwrap();
        applied(&mut by_row, vec![update(&Arc::new(before()))]).unwrap();
        assert_eq!(applied(&mut by_row, vec![update(&Arc::new(table(now)))]).is_err(), refused, "{now:?}");
    }
    // The settings say what the column is called now. The other new column is none of theirs.
    let mut told = columns(json!({"tables": ["shop.*"], "exclude": ["hash", "Secret"]})).unwrap();
    told.apply(&mut altered(before())).unwrap();
    told.apply(&mut altered(table(&["id", "mail", "secret", "more"]))).unwrap();
    // The second time there is no column to replace.
    let mut columns = columns(config).unwrap();
    for names in [&["id", "mail", "hash"][..], &["id", "mail"], &["id", "mail", "more"]] {
        columns.apply(&mut altered(table(names))).unwrap();
    }
}

#[test]
fn a_schema_change_gets_the_same_columns_as_rows() {
    let mut columns = columns(json!({"tables": ["shop.*"], "exclude": ["hash"]})).unwrap();
    let mut batch = altered(table(&["id", "hash", "a"]));
    columns.apply(&mut batch).unwrap();
    let Body::Schema(change) = &batch.events[0].body else { unreachable!() };
    assert_eq!(names(change.tables[0].1.as_ref().unwrap()), ["id", "a"]);
}

#[test]
fn two_columns_with_one_name_are_refused() {
    let mut columns = columns(json!({"tables": ["shop.*"], "rename": {"mail": "email"}})).unwrap();
    let error = applied(&mut columns, vec![update(&Arc::new(table(&["id", "mail", "email"])))]).unwrap_err();
    assert!(error.kind() == Kind::Config && error.to_string().contains("the name `email`: `mail` and `email`"), "{error}");
}

#[test]
fn what_the_tables_show_is_found() {
    let tables = [Arc::new(table(&["id", "mail"])), Arc::new(TableSchema { id: TableId::new("shop", "u"), ..table(&["id", "hash"]) })];
    let found = |config| {
        let found = columns(config).unwrap().check(&tables);
        found.into_iter().map(|finding| (finding.level, finding.what)).collect::<Vec<_>>()
    };
    assert_eq!(found(json!({"tables": ["shop.*"], "exclude": ["hash", "mail"], "rename": {"hash": "h"}})), []);
    for (config, level, said) in [
        (json!({"tables": ["shop.t"], "exclude": ["hash"]}), Level::Failed, "`transform.columns.exclude`: no table has the column `hash`"),
        (
            json!({"tables": ["shop.*", "shop.t"], "rename": {"hash": "h"}}),
            Level::Failed,
            "`transform.columns.rename`: table shop.t has no column `hash`",
        ),
        (json!({"tables": ["shop.*"], "order": ["h", "id"]}), Level::Failed, "`transform.columns.order`: no table has the column `h`"),
        (json!({"tables": ["shop.*"], "key": ["mail"]}), Level::Failed, "table shop.u has no column `mail`"),
        (json!({"tables": ["shop.t"], "key": ["mail"]}), Level::Warning, "nothing keeps the columns mail of table shop.t unique"),
    ] {
        let found = found(config);
        assert!(found.iter().any(|(found, what)| *found == level && what.contains(said)), "{said}: {found:?}");
    }
    assert_eq!(found(json!({"tables": ["shop.t"], "rename": {"id": "key"}, "key": ["key", "mail"]})), [], "it holds the primary key");
}

#[test]
fn wrong_settings_are_refused() {
    for (config, key) in [
        (json!({"exclude": ["a"]}), "columns.tables"),
        (json!({"tables": ["a.b"]}), "columns"),
        (json!({"tables": ["a.b"], "include": ["a"], "exclude": ["b"]}), "columns"),
        (json!({"tables": ["a.b"], "order": ["a", "a"]}), "columns.order"),
        (json!({"tables": ["a.b"], "key": [""]}), "columns.key"),
        (json!({"tables": ["a.b"], "rename": {"a": ""}}), "columns.rename"),
    ] {
        let error = columns(config).err().unwrap();
        assert!(error.kind() == Kind::Config && error.to_string().contains(&format!("`transform.{key}`")), "{error}");
    }
    let error = applied(&mut columns(json!({"tables": ["shop.t"], "include": ["x"]})).unwrap(), vec![update(&Arc::new(table(&["id"])))]);
    assert!(error.unwrap_err().to_string().contains("no column of table shop.t"));
}

#[test]
fn only_names_and_keys_are_in_the_fingerprint() {
    let of = |config| columns(config).unwrap().fingerprint();
    assert_eq!(of(json!({"tables": ["a.b"], "exclude": ["x"], "order": ["y"]})), "");
    assert_ne!(of(json!({"tables": ["a.b"], "rename": {"x": "y"}})), of(json!({"tables": ["a.b"], "rename": {"x": "z"}})));
    assert_ne!(of(json!({"tables": ["a.b"], "key": ["y"]})), "");
}

proptest! {
    /// Rows with different keys before have different keys behind, in the same order, and every cell is one of its row.
    #[test]
    fn keys_stay_distinct_and_rows_in_order(
        width in 1usize..6,
        key in proptest::collection::vec(0usize..6, 1..3),
        excluded in proptest::collection::vec(0usize..6, 0..4),
        order in proptest::collection::vec(0usize..6, 0..4),
        cells in proptest::collection::vec(0i64..3, 1..60),
    ) {
        let name = |index: &usize| format!("c{index}");
        let distinct = |mut list: Vec<usize>| { list.sort_unstable(); list.dedup(); list };
        let mut schema = table(&(0..width).map(|index| name(&index)).collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>());
        schema.primary_key = distinct(key.iter().map(|column| column % width).collect());
        let schema = Arc::new(schema);
        let config = json!({
            "tables": ["shop.t"], "exclude": distinct(excluded.clone()).iter().map(name).collect::<Vec<_>>(),
            "order": distinct(order).iter().rev().map(name).collect::<Vec<_>>(), "rename": {"c0": "first"},
        });
        let rows: Vec<Row> = cells.chunks_exact(width).map(|row| Row::from_values(row.iter().map(|cell| Value::Int(*cell)))).collect();
        let events = (1..).zip(&rows).map(|(seq, row)| {
            let body = Body::Row(RowChange::new(schema.clone(), Op::Insert, None, Some(row.clone())));
            Event { seq: Seq(seq), body, ..events(1, 1).remove(0) }
        });
        let Ok(moved) = applied(&mut columns(config).unwrap(), events.collect()) else {
            // A column of the key is left out, or all of them.
            prop_assert!(schema.primary_key.iter().any(|column| excluded.contains(column)));
            return Ok(());
        };
        prop_assert_eq!(moved.len(), rows.len());
        let key_of = |schema: &TableSchema, row: &Row| {
            let mut key: Vec<String> = schema.effective_key().iter().map(|&column| {
                let name = schema.columns[column].name.replace("first", "c0");
                format!("{name}={:?}", row.get(column))
            }).collect();
            key.sort();
            key
        };
        for (row, change) in rows.iter().zip(&moved) {
            prop_assert_eq!(key_of(&schema, row), key_of(&change.schema, change.after.as_ref().unwrap()));
        }
    }
}
