//! What scripts do to events.

use super::*;
use crate::Body;

fn event(op: Op, before: Option<Row>, after: Option<Row>, schema: &Arc<TableSchema>) -> Event {
    Event {
        seq: Seq(7),
        position: Position::from("binlog.000014:4"),
        timestamp_ms: 1_714_978_800_500,
        txid: None,
        origin: Arc::new(Origin::default()),
        body: Body::Row(RowChange::new(schema.clone(), op, before, after)),
    }
}

fn with(id: i64, region: &str) -> Row {
    row().with(0, Value::Int(id)).with(5, Value::Text(region.as_bytes()))
}

/// The change that a transform makes of one; `None` if it is dropped.
fn apply(transform: &mut impl Transform, op: Op, before: Option<Row>, after: Option<Row>) -> Result<Option<RowChange>> {
    apply_to(transform, op, before, after, &Arc::new(orders()))
}

fn apply_to(
    transform: &mut impl Transform,
    op: Op,
    before: Option<Row>,
    after: Option<Row>,
    schema: &Arc<TableSchema>,
) -> Result<Option<RowChange>> {
    let mut batch = Batch::new(vec![event(op, before, after, schema)], None, 0);
    transform.apply(&mut batch)?;
    if let Some((_, error)) = batch.take_rejected().pop() {
        return Err(error);
    }
    batch.verify(Seq(0)).unwrap();
    Ok(batch.events.pop().map(|event| {
        assert_eq!(event.seq, Seq(7));
        match event.body {
            Body::Row(change) => change,
            other => panic!("{other:?}"),
        }
    }))
}

fn insert(script: &str) -> RowChange {
    apply(&mut etl(json!({"script": script})).unwrap(), Op::Insert, None, Some(row())).unwrap().unwrap()
}

#[test]
fn columns_are_set_and_added() {
    let change = insert(
        "e_compose(e_set(`name`, str_upper(`name`)), e_set(`greeting`, op_add('Hi ', `name`)), e_set(`paid`, `amount` > 1), \
         e_if(`region` = 'us', e_set(`zone`, 1)), e_set(`amount`, `amount` * 1.005), e_set(`at`, __COMMIT_TIMESTAMP__))",
    );
    let after = change.after.unwrap();
    let types: Vec<(&str, &str, bool)> =
        change.schema.columns.iter().map(|column| (&*column.name, &*column.source_type, column.nullable)).skip(8).collect();
    assert_eq!(
        types,
        [("greeting", "varchar(23)", true), ("paid", "tinyint(1)", true), ("zone", "bigint", true), ("at", "datetime(3)", false)]
    );
    assert_eq!(after.get(1), Value::Text(b"ANN LEE"));
    assert_eq!(after.get(8), Value::Text(b"Hi ANN LEE"));
    assert_eq!(after.get(9), Value::Int(1));
    assert_eq!(after.get(10), Value::Null);
    assert_eq!(after.get(3), Value::Decimal("12.56"), "12.5625 is rounded");
    assert_eq!(after.get(11), Value::DateTime(at(2024, 5, 6, 7, 0, 0, 500_000)));
    assert_eq!((after.get(0), after.get(7)), (Value::Int(15), Value::Null));
}

#[test]
fn a_column_may_take_the_type_of_its_value() {
    let change = insert("e_set(`created`, dt_str(`created`, 'yyyy'), NEW)");
    assert_eq!(change.schema.columns[6].source_type, "varchar(4)");
    assert_eq!(change.after.unwrap().get(6), Value::Text(b"2024"));
    let change = insert("e_if(`region` = 'us', e_set(`created`, 'never', NEW))");
    assert_eq!(change.schema.columns[6].source_type, "varchar(26)", "the old values need more");
    assert_eq!(change.after.unwrap().get(6), Value::Text(b"2024-01-31 10:20:30"));
}

#[test]
fn rows_that_leave_or_enter_change_the_operation() {
    let mut etl = etl(json!({"script": "e_compose(e_keep(`region` = 'eu'), e_set(`zone`, op_add(`region`, '!')))"})).unwrap();
    let mut update = |before: &str, after: &str| {
        let change = apply(&mut etl, Op::Update, Some(with(1, before)), Some(with(1, after))).unwrap()?;
        assert_eq!(change.source_op, Op::Update);
        Some((
            change.op,
            change.before.map(|row| row.get(8) == Value::Text(b"eu!")),
            change.after.map(|row| row.get(8) == Value::Text(b"eu!")),
        ))
    };
    assert_eq!(update("eu", "eu"), Some((Op::Update, Some(true), Some(true))));
    assert_eq!(update("eu", "us"), Some((Op::Delete, Some(true), None)));
    assert_eq!(update("us", "eu"), Some((Op::Insert, None, Some(true))));
    assert_eq!(update("us", "us"), None);
    assert!(apply(&mut etl, Op::Delete, Some(with(1, "us")), None).unwrap().is_none());
    assert_eq!(apply(&mut etl, Op::Read, None, Some(with(1, "eu"))).unwrap().unwrap().op, Op::Read);
}

#[test]
fn the_image_after_decides_what_is_set_in_both() {
    for script in [
        "e_if_else(`region` = 'eu', e_set(`zone`, op_add('in ', `region`)), e_set(`zone`, op_add('out ', `region`)))",
        "e_compose(e_drop(`id` = 99), e_if_else(`region` = 'eu', e_set(`zone`, op_add('in ', `region`)), e_set(`zone`, op_add('out ', `region`))))",
    ] {
        let mut etl = etl(json!({"script": script})).unwrap();
        let change = apply(&mut etl, Op::Update, Some(with(1, "us")), Some(with(1, "eu"))).unwrap().unwrap();
        assert_eq!(change.after.unwrap().get(8), Value::Text(b"in eu"));
        assert_eq!(change.before.unwrap().get(8), Value::Text(b"in us"));
    }
}

#[test]
fn images_can_be_compared() {
    let script = "e_set(`moved`, v(`region`, __BEFORE__) != v(`region`, __AFTER__))";
    let mut etl = etl(json!({"script": script})).unwrap();
    let change = apply(&mut etl, Op::Update, Some(with(1, "us")), Some(with(1, "eu"))).unwrap().unwrap();
    assert_eq!(change.after.unwrap().get(8), Value::Int(1));
    assert_eq!(apply(&mut etl, Op::Insert, None, Some(row())).unwrap().unwrap().after.unwrap().get(8), Value::Null);
}

#[test]
fn failures_reject_the_row_or_give_null() {
    let script = "e_compose(e_if(cast_string_to_long(`name`) > 1, e_drop()), e_set(`zone`, 1 / (`id` - 15)))";
    let error = apply(&mut etl(json!({"script": script})).unwrap(), Op::Insert, None, Some(row())).unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Data, Some("E_ETL")));
    assert!(error.message().contains("line 1, column 16: cast_string_to_long: the text is not a whole number"), "{error}");
    assert!(!error.to_string().contains("Ann"), "{error}");
    let mut null = etl(json!({"script": script, "on_etl_error": "null"})).unwrap();
    let change = apply(&mut null, Op::Insert, None, Some(row())).unwrap().unwrap();
    assert_eq!(change.after.unwrap().get(8), Value::Null);
    let long = "e_set(`region`, op_add(`region`, `name`, `phone`))";
    let error = apply(&mut etl(json!({"script": long})).unwrap(), Op::Insert, None, Some(row())).unwrap_err();
    assert!(error.message().contains("line 1, column 17: e_set, for column region: the text is too long for the column"), "{error}");
}

#[test]
fn keys_stay_apart() {
    let allowed = |script: &str| {
        let etl = etl(json!({"script": script, "keys": ["id"]})).unwrap();
        etl.runner.script().compile(&Arc::new(orders())).map(|program| program.schema.effective_key())
    };
    for script in [
        "e_set(`id`, `id` + 1000)",
        "e_set(`id`, op_sub(5, `id`))",
        "e_set(`id`, mask_digits(`id`, 'salt'))",
        "e_set(`id`, mask_hash(`id`, 'salt'), NEW)",
        "e_set(`id`, op_add(__DB__, ':', cast_long_to_string(`id`)), NEW)",
        "e_if(op_eq(__TB__, 'orders'), e_set(`id`, `id` + 1))",
    ] {
        assert_eq!(allowed(script).unwrap(), [0], "{script}");
    }
    for script in [
        "e_set(`id`, 1)",
        "e_set(`id`, `id` * 2)",
        "e_set(`id`, `id` / 2)",
        "e_set(`id`, `id` + `id`)",
        "e_set(`id`, op_add(`name`, `id`), NEW)",
        "e_set(`id`, mask_truncate(cast_long_to_string(`id`), 3), NEW)",
        "e_if(`region` = 'eu', e_set(`id`, `id` + 1))",
        "e_set(`id`, null)",
        "e_set(`id`, v(`id`, __AFTER__))",
    ] {
        assert!(allowed(script).unwrap_err().message().contains("different keys"), "{script}");
    }
}

#[test]
fn filter_columns_are_protected() {
    let mut schema = orders();
    schema.filter_columns = vec![5];
    let schema = Arc::new(schema);
    let mut etl = etl(json!({"script": "e_set(`region`, 'x')"})).unwrap();
    let error = apply_to(&mut etl, Op::Insert, None, Some(row()), &schema).unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.message().contains("decides in a filter"), "{error}");
    let found = etl.check(&[schema]);
    assert!(matches!(found.as_slice(), [finding] if finding.level == crate::Level::Failed), "{found:?}");
}

#[test]
fn scripts_may_be_for_some_tables() {
    let script = "e_if(op_and(op_eq(__TB__, 'users'), `nick` = 'x'), e_set(`nick`, str_upper(`nick`)))";
    let change = insert(script);
    assert_eq!(change.schema.columns.len(), 8);
    let mut etl = etl(json!({"script": "e_set(`phone`, 'x')", "tables": ["crm.*"]})).unwrap();
    let change = apply(&mut etl, Op::Insert, None, Some(row())).unwrap().unwrap();
    assert_eq!(change.after.unwrap(), row());
}

#[test]
fn texts_of_other_character_sets_become_utf8() {
    let mut schema = orders();
    schema.columns[1].collation = Some(crate::Collation::new("latin1_swedish_ci"));
    let schema = Arc::new(schema);
    let before = row().with(1, Value::Text(b"caf\xe9"));
    let mut set = etl(json!({"script": "e_if(`region` = 'eu', e_set(`name`, op_add(`name`, '中')))"})).unwrap();
    let change = apply_to(&mut set, Op::Insert, None, Some(before.clone()), &schema).unwrap().unwrap();
    assert_eq!(change.schema.columns[1].charset(), Some("utf8mb4"));
    assert_eq!(change.after.unwrap().get(1), Value::Text("café中".as_bytes()));
    let change = apply_to(&mut set, Op::Insert, None, Some(before.with(5, Value::Text(b"us"))), &schema).unwrap().unwrap();
    assert_eq!(change.after.unwrap().get(1), Value::Text("café".as_bytes()), "also where it is not set");
}

#[test]
fn all_texts_are_searched() {
    let change = insert("tail_replace_string_field('e', '3', true)");
    let after = change.after.unwrap();
    assert_eq!((after.get(1), after.get(5), after.get(7)), (Value::Text(b"Ann L33"), Value::Text(b"3u"), Value::Null));
}

#[test]
fn constants_that_do_not_fit_are_found_before_any_row() {
    let failed = |transform: &mut dyn Transform| {
        let found = transform.check(&[Arc::new(orders())]);
        assert!(found.iter().all(|finding| finding.level == crate::Level::Failed));
        found.into_iter().map(|finding| finding.what).collect::<Vec<_>>().join("; ")
    };
    let scripts = |script: &str, on_error: &str| failed(&mut etl(json!({"script": script, "on_etl_error": on_error})).unwrap());
    let what = scripts("e_if(`region` = 'x',\n  e_set(`amount`, 'cheap'))", "error");
    assert!(what.contains("transform.etl.script: line 2, column 19: e_set: the value is not a number"), "{what}");
    assert!(what.contains("column amount is decimal"), "{what}");
    assert_eq!(scripts("e_set(`amount`, '1.5')", "error") + &scripts("e_set(`amount`, null)", "error"), "");
    assert_eq!(scripts("e_set(`amount`, 'cheap')", "null"), "", "the column is NULL then");
    let what = failed(&mut mask(json!({"tables": ["*.*"], "columns": {"Amount": {"constant": "cheap"}}})).unwrap());
    assert!(what.contains("key `transform.mask.columns.Amount.constant` does not fit column amount: the value is not a number"), "{what}");
    let what = failed(&mut mask(json!({"tables": ["*.*"], "columns": {"region": {"constant": "x".repeat(99)}}})).unwrap());
    assert!(what.contains("columns.region.constant") && what.contains("too long for the column"), "{what}");
    let config = json!({"tables": ["*.*"], "columns": [{"name": "day", "type": "date", "value": "'soon'"}]});
    let what = failed(&mut add(config).unwrap());
    assert!(what.contains("add_columns.columns, value of day: line 1, column 1: the text is not a date"), "{what}");
    for what in [scripts("e_set(`amount`, 'cheap')", "error"), what] {
        assert!(!what.contains("cheap") && !what.contains("soon") && !what.contains("line 0"), "{what}");
    }
}

#[test]
fn an_error_of_a_row_names_the_rule_and_no_place_where_there_is_no_script() {
    let mut schema = orders();
    schema.columns[3].kind = ColumnKind::Decimal { precision: 65, scale: 0 };
    let large = row().with(3, Value::Decimal(&"9".repeat(60)));
    let message = |transform: &mut dyn Transform| {
        let mut batch = Batch::new(vec![event(Op::Insert, None, Some(large.clone()), &Arc::new(schema.clone()))], None, 0);
        transform.apply(&mut batch).unwrap();
        let (_, error) = batch.take_rejected().pop().unwrap();
        assert_eq!((error.kind(), error.code()), (Kind::Data, Some("E_ETL")));
        assert!(error.to_string().contains("table shop.orders"), "{error}");
        error.message().to_owned()
    };
    let found = message(&mut mask(json!({"tables": ["*.*"], "columns": {"AMOUNT": {"hash": {"salt": "s"}}}})).unwrap());
    assert!(found.starts_with("transform.mask.columns.AMOUNT.hash: ") && !found.contains("line 0"), "{found}");
    let found =
        message(&mut add(json!({"tables": ["*.*"], "columns": [{"name": "n", "type": "tinyint", "value": "`id` * 100"}]})).unwrap());
    let expected = "transform.add_columns.columns, value of n: line 1, column 6: the number does not fit into the column (overflow)";
    assert_eq!(found, expected);
    let found = message(&mut etl(json!({"script": "e_set(`name`, `amount`)"})).unwrap());
    assert!(found.starts_with("transform.etl.script: line 1, column ") && found.contains("for column name"), "{found}");
}

fn mask(config: serde_json::Value) -> Result<Mask> {
    Mask::new(Settings::from(config).parse("transform.mask")?)
}

#[test]
fn columns_are_masked() {
    let mut mask = mask(json!({"tables": ["shop.*"], "keys": ["ID"], "columns": {
        "Phone": {"partial": {"start": 3, "end": 6, "with": "*"}}, "name": {"hash": {"salt": "Jefe"}}, "region": {"truncate": 1},
        "amount": {"constant": "1.5"}, "created": "null", "score": {"partial": {"start": 0, "end": 9, "with": "x"}},
        "id": {"digits": {"salt": "s"}}, "other": "null",
    }}))
    .unwrap();
    assert!(!mask.fingerprint().contains("Jefe") && mask.fingerprint().starts_with("mask keys"));
    let change = apply(&mut mask, Op::Update, Some(row()), Some(row())).unwrap().unwrap();
    let (before, after) = (change.before.unwrap(), change.after.unwrap());
    assert_eq!(before, after);
    assert_eq!(after.get(2), Value::Text(b"187****1111"));
    assert_eq!((change.schema.columns[1].source_type.as_str(), after.get(1)), ("varchar(64)", after.get(1)));
    assert!(matches!(after.get(1), Value::Text(hash) if hash.len() == 64));
    assert_eq!(
        (after.get(3), after.get(4), after.get(5), after.get(6)),
        (Value::Decimal("1.50"), Value::Text(b"xxx"), Value::Text(b"e"), Value::Null)
    );
    assert!(matches!(after.get(0), Value::Int(10..=99)));
    let found = mask.check(&[Arc::new(orders())]);
    assert!(matches!(found.as_slice(), [finding] if finding.what.contains("other")), "{found:?}");
}

#[test]
fn rules_that_do_not_fit_are_refused() {
    for (rule, why) in [
        (json!({"id": {"digits": {"salt": "s"}}}), "belongs to the key"),
        (json!({"id": "null"}), "belongs to the key"),
        (json!({"amount": {"truncate": 3}}), "`truncate` is for texts"),
        (json!({"amount": {"digits": {"salt": "s"}}}), "`digits` is for texts and integers"),
        (json!({"amount": {"constant": "cheap"}}), "is not a number"),
    ] {
        let error = apply(&mut mask(json!({"tables": ["*.*"], "columns": rule})).unwrap(), Op::Insert, None, Some(row())).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    assert!(mask(json!({"tables": ["*.*"], "columns": {"a": {"hash": {"salt": ""}}}})).is_err());
    assert!(mask(json!({"tables": ["*.*"], "columns": {}})).is_err());
}

fn schema_change(transform: &mut impl Transform, schema: TableSchema) -> Result<Arc<TableSchema>> {
    let mut change = crate::SchemaChange::new(crate::SchemaChangeKind::AlterTable, "shop", "ALTER TABLE …");
    change.tables = vec![(schema.id.clone(), Some(Arc::new(schema)))];
    let mut event = event(Op::Insert, None, None, &Arc::new(orders()));
    event.body = Body::Schema(change);
    let mut batch = Batch::new(vec![event], None, 0);
    transform.apply(&mut batch)?;
    match batch.events.remove(0).body {
        Body::Schema(change) => Ok(change.tables[0].1.clone().unwrap()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn schemas_change_as_rows_do() {
    let rename = |from: usize, to: &str| {
        let mut schema = orders();
        schema.columns[from].name = to.into();
        schema
    };
    let mut mask = mask(json!({"tables": ["shop.*"], "columns": {"phone": {"hash": {"salt": "s"}}}})).unwrap();
    assert_eq!(schema_change(&mut mask, orders()).unwrap().columns[2].source_type, "varchar(64)");
    assert_eq!(schema_change(&mut mask, rename(1, "first_name")).unwrap().columns[2].source_type, "varchar(64)");
    let error = schema_change(&mut mask, rename(2, "tel")).unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Config, Some("E_COLUMN_REPLACED")));
    let mut etl = etl(json!({"script": "e_set(`phone`, 'x')"})).unwrap();
    schema_change(&mut etl, orders()).unwrap();
    assert_eq!(schema_change(&mut etl, rename(2, "tel")).unwrap_err().code(), Some("E_COLUMN_REPLACED"));
}

fn add(config: serde_json::Value) -> Result<AddColumns> {
    AddColumns::new(Settings::from(config).parse("transform.add_columns")?)
}

#[test]
fn columns_are_added_with_their_types() {
    let mut add = add(json!({"tables": ["shop.*"], "columns": [
        {"name": "origin", "type": "varchar(129)", "value": "op_add(__DB__, '.', __TB__)", "key": true},
        {"name": "double_id", "type": "int unsigned", "value": "`id` * 2"},
        {"name": "at", "type": "datetime", "value": "__COMMIT_TIMESTAMP__"},
        {"name": "n", "type": "text", "value": "`note`"},
    ]}))
    .unwrap();
    let change = apply(&mut add, Op::Insert, None, Some(row())).unwrap().unwrap();
    let after = change.after.unwrap();
    assert_eq!(
        after.values().skip(8).collect::<Vec<_>>(),
        [Value::Text(b"shop.orders"), Value::UInt(30), Value::DateTime(at(2024, 5, 6, 7, 0, 0, 0)), Value::Null,]
    );
    assert_eq!(change.schema.effective_key(), [0, 8]);
    let nullable: Vec<bool> = change.schema.columns.iter().skip(8).map(|column| column.nullable).collect();
    assert_eq!(nullable, [false, false, false, true]);
    assert_eq!(*schema_change(&mut add, orders()).unwrap(), *change.schema);
}

#[test]
fn columns_that_cannot_be_added_are_refused() {
    let column = |name: &str, kind: &str, value: &str, key: bool| {
        let config = json!({"tables": ["*.*"], "columns": [{"name": name, "type": kind, "value": value, "key": key}]});
        add(config).and_then(|mut add| apply(&mut add, Op::Insert, None, Some(row()))).unwrap_err().to_string()
    };
    for (error, why) in [
        (column("ID", "int", "1", false), "the table has a column of that name"),
        (column("a", "enum('x')", "1", false), "a type that is not supported"),
        (column("a", "double unsigned", "1", false), "a type that is not supported"),
        (column("a", "varchar()", "1", false), "a type that is not supported"),
        (column("a", "int", "e_drop()", false), "value of a: line 1, column 1: e_drop is an action"),
        (column("a", "int", "`x`", false), "value of a: line 1, column 1: table shop.orders has no column x"),
        (column("a", "tinyint", "`id` * 100", false), "does not fit into the column (overflow)"),
        (column("a", "varchar(20)", "`region`", true), "cannot belong to the key"),
        (column("a", "varchar(20)", "__OPERATION__", true), "cannot belong to the key"),
    ] {
        assert!(error.contains(why), "{error}");
    }
}
