//! The filter as a transform, and conditions as a whole.

use proptest::prelude::*;

use super::*;
use crate::testing::events;
use crate::{Collation, Column, ColumnKind, Event, Kind, Level, SchemaChange, SchemaChangeKind, Seq, Settings, TableId, Value};

fn schema() -> Arc<TableSchema> {
    let text = |name: &str, collation: &str| Column {
        collation: Some(Collation::new(collation)),
        ..Column::new(name, ColumnKind::Varchar { length: 20 }, "varchar(20)")
    };
    let columns = vec![
        Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint(20)"),
        text("region", "utf8mb4_general_ci"),
        Column::new("amount", ColumnKind::Decimal { precision: 10, scale: 2 }, "decimal(10,2)"),
        Column { unsigned: true, ..Column::new("Total", ColumnKind::Int { bytes: 8 }, "bigint(20) unsigned") },
        Column::new("at", ColumnKind::Timestamp { fsp: 0 }, "timestamp"),
        text("code", "latin1_bin"),
        Column::new("day", ColumnKind::Date, "date"),
        Column::new("doc", ColumnKind::Json, "json"),
        Column::new("raw", ColumnKind::Varbinary { length: 9 }, "varbinary(9)"),
    ];
    Arc::new(TableSchema::new(TableId::new("shop", "orders"), columns))
}

fn row(id: i64, region: Option<&str>, amount: &str) -> Row {
    let region = region.map_or(Value::Null, |region| Value::Text(region.as_bytes()));
    let rest = [Value::UInt(u64::MAX), Value::Timestamp(0), Value::Text(b"x"), Value::Null, Value::Null, Value::Null];
    Row::from_values([Value::Int(id), region, Value::Decimal(amount)].into_iter().chain(rest))
}

fn filter(condition: &str) -> Result<Filter> {
    let settings = serde_json::json!({"tables": ["shop.*"], "where": condition});
    Filter::new(Settings::from(settings).parse("transform.filter")?)
}

fn keeps(condition: &str, row: &Row) -> Result<bool> {
    filter(condition)?.keeps(&schema(), row)
}

/// True, false or NULL.
fn value(condition: &str, row: &Row) -> Option<bool> {
    match (keeps(&format!("({condition}) is true"), row).unwrap(), keeps(&format!("({condition}) is false"), row).unwrap()) {
        (false, false) => None,
        (is_true, _) => Some(is_true),
    }
}

fn change(op: Op, before: Option<Row>, after: Option<Row>) -> Event {
    Event { body: Body::Row(RowChange::new(schema(), op, before, after)), ..events(1, 1).remove(0) }
}

fn apply(filter: &mut Filter, event: Event) -> Option<(Op, Op, bool, bool)> {
    let mut batch = Batch::new(vec![event], None, 0);
    filter.apply(&mut batch).unwrap();
    let Some(Event { seq: Seq(1), body: Body::Row(change), .. }) = batch.events.first() else { return None };
    assert!(!change.schema.filter_columns.is_empty());
    Some((change.op, change.source_op, change.before.is_some(), change.after.is_some()))
}

#[test]
fn an_update_over_the_border_becomes_a_delete_or_an_insert() {
    let (inside, outside) = (|| Some(row(1, Some("EU"), "10.50")), || Some(row(1, Some("us"), "10.50")));
    for emit_moved_in in [true, false] {
        let settings =
            serde_json::json!({"tables": ["shop.orders"], "where": "region = 'eu' and amount > 10", "emit_moved_in": emit_moved_in});
        let mut filter = Filter::new(Settings::from(settings).parse("transform.filter").unwrap()).unwrap();
        let mut outcome = |op, before, after| apply(&mut filter, change(op, before, after));
        assert_eq!(outcome(Op::Update, inside(), inside()), Some((Op::Update, Op::Update, true, true)));
        assert_eq!(outcome(Op::Update, inside(), outside()), Some((Op::Delete, Op::Update, true, false)));
        let moved_in = emit_moved_in.then_some((Op::Insert, Op::Update, false, true));
        assert_eq!(outcome(Op::Update, outside(), inside()), moved_in);
        assert_eq!(outcome(Op::Update, outside(), outside()), None);
        assert_eq!(outcome(Op::Insert, None, inside()), Some((Op::Insert, Op::Insert, false, true)));
        assert_eq!(outcome(Op::Read, None, outside()), None);
        assert_eq!(outcome(Op::Read, None, inside()), Some((Op::Read, Op::Read, false, true)));
        assert_eq!(outcome(Op::Delete, inside(), None), Some((Op::Delete, Op::Delete, true, false)));
        assert_eq!(outcome(Op::Delete, outside(), None), None);
    }
}

proptest! {
    #[test]
    fn two_filters_are_one_with_and(before in 0_i64..4, after in 0_i64..4) {
        let mut first = filter("id % 2 = 0").unwrap();
        let mut second = filter("id < 2").unwrap();
        let mut both = filter("id % 2 = 0 and id < 2").unwrap();
        let event = || change(Op::Update, Some(row(before, None, "1.00")), Some(row(after, None, "1.00")));
        let mut batch = Batch::new(vec![event()], None, 0);
        first.apply(&mut batch).unwrap();
        let one_by_one = batch.events.pop().and_then(|event| apply(&mut second, event));
        prop_assert_eq!(one_by_one, apply(&mut both, event()));
    }

    #[test]
    fn conditions_have_three_values(id in proptest::option::of(0_i64..3), amount in proptest::option::of(0_i64..3)) {
        let number = |value: Option<i64>| value.map_or("NULL".to_owned(), |value| value.to_string());
        let (p, q) = (format!("{} = 1", number(id)), format!("id = {}", number(amount)));
        let row = row(1, None, "1.00");
        let of = |condition: String| value(&condition, &row);
        let not = |condition: &str| format!("not ({condition})");
        prop_assert_eq!(of(format!("not ({p} and {q})")), of(format!("{} or {}", not(&p), not(&q))));
        prop_assert_eq!(of(format!("not ({p} or {q})")), of(format!("{} and {}", not(&p), not(&q))));
        prop_assert_eq!(of(format!("{p} xor {q}")), of(format!("({p} and {}) or ({} and {q})", not(&q), not(&p))));
        prop_assert_eq!(of(not(&not(&p))), of(p));
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-z0-9 '`()=<>!%_*+/.,-]{0,40}|(id|region|and|or|not|like|in|between|'x'|1|\\(|\\)|=|-|,| ){0,20}") {
        if let Ok(mut filter) = filter(&text) {
            let _ = filter.keeps(&schema(), &row(1, Some("x"), "1.00"));
            let _ = filter.pushdown(&schema());
        }
    }
}

#[test]
fn conditions_are_evaluated_as_in_mysql() {
    let row = row(7, Some("Eu"), "10.50");
    for (condition, expected) in [
        ("region = 'EU  '", Some(true)),
        ("region like 'e_'", Some(true)),
        ("region collate utf8mb4_bin = 'eu'", Some(false)),
        ("id in (1, 7, null)", Some(true)),
        ("id in (1, null)", None),
        ("id between 8 and null", Some(false)),
        ("total = 18446744073709551615", Some(true)),
        ("TOTAL > -1", Some(true)),
        ("amount / 2 = 5.25", Some(true)),
        ("id div 0 is null", Some(true)),
        ("`shop`.orders.id = 7", Some(true)),
        ("day = '2024-01-01'", None),
        ("at < '2024-01-01'", Some(true)),
        ("case when id > 5 then amount else 0 end > 10", Some(true)),
        ("length(concat(region, 'ü')) = 4 and char_length(concat(region, 'ü')) = 3", Some(true)),
        ("id = 1 xor id = 7", Some(true)),
        ("doc is null && !(id = 1)", Some(true)),
        ("region regexp '^e'", Some(true)),
    ] {
        assert_eq!(value(condition, &row), expected, "{condition}");
    }
    for (condition, expected) in [("raw <=> x'00'", false), ("id = 1 or (raw <=> null and id <=> 7)", true)] {
        assert_eq!(keeps(condition, &row).unwrap(), expected, "{condition}");
    }
    for refused in ["not (id <=> 1)", "(id <=> 1) is unknown", "id <=> 1 xor id = 2", "id in (1, 2.5)", "region <=> 1"] {
        assert!(keeps(refused, &row).is_err(), "{refused}");
    }
}

#[test]
fn what_servers_differ_in_is_refused_with_its_text() {
    let row = row(i64::MAX, Some("x"), "1.00");
    for (condition, part) in [
        ("id = 1 and regio = 'x'", "`regio`"),
        ("amount / 3 > 1", "`amount / 3`"),
        ("day = '2024-1-1'", "`day = '2024-1-1'`"),
        ("day = 20240101", "`day = 20240101`"),
        ("region = code", "collations utf8mb4_general_ci and latin1_bin"),
        ("code = '中'", "character set latin1"),
        ("doc = '1'", "a JSON document"),
        ("id = '7x'", "without quotes"),
        ("now() > at", "NOW"),
        ("id in (select 1)", "subquer"),
        ("region regexp 'a.b'", "`.`"),
        ("lower(region) = 'x'", "LOWER"),
        ("id = 1 = 1", "parentheses"),
        ("@x = 1", "variables"),
        ("day < 'abc'", "YYYY-MM-DD"),
        ("cast(id as char) = '1'", "conversions"),
        ("id & 1", "operator &"),
        ("other.id = 1", "shop.orders"),
    ] {
        let error = keeps(condition, &row).unwrap_err();
        assert_eq!(error.kind(), Kind::Config, "{condition}: {error}");
        assert!(error.to_string().to_lowercase().contains(&part.to_lowercase()), "{condition}: {error}");
    }
    let error = keeps("id + 1 > 0", &row).unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    assert!(!error.to_string().contains(&i64::MAX.to_string()));
}

#[test]
fn a_schema_change_is_seen_by_the_condition() {
    let mut filter = filter("amount > 10").unwrap();
    let mut narrower = TableSchema::clone(&schema());
    narrower.columns.retain(|column| column.name != "amount");
    let (id, mut change) = (narrower.id.clone(), SchemaChange::new(SchemaChangeKind::AlterTable, "shop", "ALTER TABLE …"));
    change.tables = vec![(id.clone(), Some(schema()))];
    let mut batch = Batch::new(vec![Event { body: Body::Schema(change.clone()), ..events(1, 1).remove(0) }], None, 0);
    filter.apply(&mut batch).unwrap();
    let Body::Schema(passed) = &batch.events[0].body else { panic!("no schema change") };
    assert_eq!(passed.tables[0].1.as_ref().map(|schema| schema.filter_columns.clone()), Some(vec![2]));

    change.tables = vec![(id, Some(Arc::new(narrower)))];
    let mut batch = Batch::new(vec![Event { body: Body::Schema(change), ..events(1, 1).remove(0) }], None, 0);
    assert_eq!(filter.apply(&mut batch).unwrap_err().kind(), Kind::Config);
}

#[test]
fn a_check_names_what_is_wrong() {
    let settings = serde_json::json!({"tables": ["shop.orders", "shop.gone", "crm.*"], "where": "regio = 'x'"});
    let mut filter = Filter::new(Settings::from(settings).parse("transform.filter").unwrap()).unwrap();
    let findings = filter.check(&[schema()]);
    let shown: Vec<_> =
        findings.iter().map(|finding| (finding.level, finding.what.contains("shop.gone"), finding.what.contains("`regio`"))).collect();
    assert_eq!(shown, [(Level::Failed, false, true)], "{findings:?}");
    assert_eq!(filter.table_patterns().len(), 3, "those that match nothing are told by their patterns");
}

#[test]
fn only_what_is_the_same_everywhere_is_handed_to_the_source() {
    for (condition, expected) in [
        ("id > 5 and region = 'eu'", "`id` > 5"),
        ("5 < id or day = '2024-01-01'", "(`id` > 5 OR `day` = '2024-01-01')"),
        ("id > 5 or region = 'eu'", "1 = 1"),
        ("id in (1, -2) and raw = 0x61", "(`id` IN (1, -2) AND `raw` = x'61')"),
        ("not (id > 5)", "1 = 1"),
        ("id = '5'", "1 = 1"),
        ("id between 1 and 2.5", "1 = 1"),
        ("id is not null", "`id` IS NOT NULL"),
    ] {
        assert_eq!(filter(condition).unwrap().pushdown(&schema()).unwrap().as_deref(), Some(expected), "{condition}");
    }
}
