//! Tests of TIMESTAMP columns of which only a TABLE_MAP says whether they are nullable.

use super::*;

#[test]
fn the_first_table_map_says_which_timestamps_are_nullable() {
    let cells = [sample(ColumnKind::Timestamp { fsp: 0 }, 17, &[0], vec![0x65, 0, 0, 0], Value::Null)];
    let mut log = Log::new();
    // The events of this log have no `explicit_defaults_for_timestamp`. By the server's own setting, the column is NOT NULL.
    log.add(34, &[0; 42]).query("CREATE TABLE t2 (a TIMESTAMP, UNIQUE KEY (a))");
    log.begin().table(5, "t2", &cells).rows(30, 5, 1, &[image(&cells, &[])]).commit();
    log.begin().table(5, "t2", &cells).rows(30, 5, 1, &[image(&cells, &[])]).commit();
    let (batches, failed) = read(&mut decoder(start(), schema(&cells), 1 << 20), &log);
    assert!(failed.is_none(), "{failed:?}");
    let row_schema = |event: &runtime::Event| if let Body::Row(row) = &event.body { Some(row.schema.clone()) } else { None };
    let schemas: Vec<_> = batches.iter().flat_map(|batch| &batch.events).filter_map(row_schema).collect();
    assert_eq!(schemas.len(), 2);
    for schema in &schemas {
        assert!(schema.columns[0].nullable && schema.effective_key().is_empty(), "{schema:?}");
    }
    let facts: Vec<_> = batches.iter().flat_map(|batch| batch.facts.stored()).collect();
    let stored = |nullable: &str| format!(r#"1 {{"table":{{"database":"d","table":"t2"}},"columns":[0],"nullable":{nullable}}}"#);
    assert_eq!(facts[0], ("unstated_nulls/global/d.t2", Some(stored("null").as_str())));
    assert_eq!(facts.last(), Some(&("unstated_nulls/global/d.t2", Some(stored("[true]").as_str()))));
}
