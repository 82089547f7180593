use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::events;
use crate::{Column, ColumnKind, Event, Kind, Level, SchemaChangeKind, Seq, Settings};

fn rename(config: serde_json::Value) -> Result<Rename> {
    Rename::new(Settings::from(config).parse("transform.rename")?)
}

fn target(rename: &Rename, id: &str) -> String {
    rename.target(&id.parse().unwrap()).unwrap().to_string()
}

fn table(id: &str, columns: &[&str]) -> Arc<TableSchema> {
    let column = |name: &&str| Column { nullable: false, ..Column::new(*name, ColumnKind::Int { bytes: 4 }, "int") };
    let mut schema = TableSchema::new(id.parse().unwrap(), columns.iter().map(column).collect());
    schema.primary_key = vec![0];
    Arc::new(schema)
}

fn change(kind: SchemaChangeKind, tables: Vec<(&str, Option<Arc<TableSchema>>)>) -> Batch {
    let mut change = SchemaChange::new(kind, "shop", "…");
    change.tables = tables.into_iter().map(|(id, schema)| (id.parse().unwrap(), schema)).collect();
    Batch::new(vec![Event { body: Body::Schema(change), ..events(1, 1).remove(0) }], None, 0)
}

#[test]
fn exact_names_go_before_patterns_and_are_final() {
    let rename = rename(json!({
        "tables": {"shop.orders": "Sales.tmp_Orders"},
        "databases": {"crm": "Customers"},
        "patterns": [{"match": "shop_(\\d+)\\.(.*)", "to": "Shop.{2}_{1}"}, {"match": "shop_.*", "to": "never.reached"},
                     {"match": "crm\\.(?<what>.*)_old", "to": "ignored.{what}_Archive"}],
        "replace": [{"find": "tmp_", "with": "", "in": ["table"]}, {"find": "a.", "with": "b.", "in": ["database", "table"]}],
        "case": "lower",
    }))
    .unwrap();
    for (source, expected) in [
        ("shop.orders", "Sales.tmp_Orders"),
        ("shop_07.items", "shop.items_07"),
        ("CRM.tmp_Users", "crm.users"),
        ("crm.Users_old", "Customers.users_archive"),
        ("crm.Users", "Customers.users"),
        ("`a.b`.`tmp_a.c`", "`b.b`.`b.c`"),
        ("`É`.`É`", "É.É"),
    ] {
        assert_eq!(target(&rename, source), expected, "{source}");
    }
}

#[test]
fn a_group_may_hold_a_dot() {
    let rename = rename(json!({"patterns": [{"match": "shop\\.(.*)", "to": "`new.shop`.{1}"}]})).unwrap();
    assert_eq!(target(&rename, "shop.`a.b`"), "`new.shop`.`a.b`");
}

#[test]
fn the_case_of_names_that_the_settings_spell_out_stays() {
    let columns = json!({"tables": ["shop.*"], "exclude": ["secret"], "rename": {"Mail": "EMail"}});
    let mut columns = crate::transforms::Columns::new(Settings::from(columns).parse("transform.columns").unwrap()).unwrap();
    let mut schema = TableSchema::clone(&table("shop.t", &["Id", "secret", "Mail", "Origin"]));
    schema.added_columns = vec![3];
    let mut batch = change(SchemaChangeKind::Other, vec![("shop.t", Some(Arc::new(schema)))]);
    columns.apply(&mut batch).unwrap();
    rename(json!({"case": "lower"})).unwrap().apply(&mut batch).unwrap();
    let Body::Schema(change) = &batch.events[0].body else { panic!("a schema change") };
    let names = change.tables[0].1.as_ref().unwrap().columns.iter().map(|column| column.name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["id", "EMail", "Origin"]);
}

#[test]
fn columns_are_renamed_by_patterns_replacements_and_case() {
    let mut rename = rename(json!({
        "columns": [{"tables": ["shop.*"], "match": "c_(.*)", "to": "{1}"}, {"tables": ["shop.*"], "match": "c_.*", "to": "never"}],
        "replace": [{"find": "Mail", "with": "Email", "in": ["column"]}],
        "case": "upper",
    }))
    .unwrap();
    let names = |rename: &mut Rename, schema: &Arc<TableSchema>| {
        rename.schema(schema).unwrap().columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&mut rename, &table("shop.t", &["c_id", "Mail", "x"])), ["ID", "EMAIL", "X"]);
    assert_eq!(names(&mut rename, &table("crm.t", &["c_id"])), ["C_ID"]);
    let error = rename.schema(&table("shop.u", &["c_a", "a"])).unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("two columns of table shop.u the name `A`: `c_a` and `a`"), "{error}");
}

#[test]
fn dts_default_policy_changes_nothing_for_kafka() {
    for case in ["source", "default"] {
        let mut rename = rename(json!({"case": case})).unwrap();
        let schema = table("Shop.T", &["Id"]);
        assert!(Arc::ptr_eq(&rename.schema(&schema).unwrap(), &schema));
    }
}

#[test]
fn wrong_rules_are_refused() {
    for (config, key, said) in [
        (json!({"tables": {"orders": "x.y"}}), "tables", "database.table"),
        (json!({"tables": {"a.b": "x."}}), "tables", "database.table"),
        (json!({"tables": {"a.b": "x.y", "`a`.b": "x.z"}}), "tables", "a.b twice"),
        (json!({"databases": {"a": ""}}), "databases", "empty"),
        (json!({"patterns": [{"match": "(", "to": "a.b"}]}), "patterns", "not a regular expression"),
        (json!({"patterns": [{"match": "(.*)", "to": "a"}]}), "patterns", "database.table"),
        (json!({"patterns": [{"match": "(.*)", "to": "a.{5}"}]}), "patterns", "no group {5}"),
        (json!({"patterns": [{"match": "(.*)", "to": ".{1}"}]}), "patterns", "empty"),
        (json!({"columns": [{"tables": ["a"], "match": "x", "to": "y"}]}), "columns.tables", "\"a\""),
        (json!({"columns": [{"tables": ["a.*"], "match": "x", "to": "{1}"}]}), "columns", "no group {1}"),
        (json!({"columns": [{"tables": ["a.*"], "match": "x", "to": ""}]}), "columns", "empty"),
        (json!({"replace": [{"find": "", "with": "x", "in": ["table"]}]}), "replace", "empty"),
        (json!({"replace": [{"find": "x", "with": "x", "in": []}]}), "replace", "empty"),
        (json!({"case": "camel"}), "case", "lower"),
    ] {
        let error = rename(config).err().unwrap();
        let text = error.to_string();
        assert!(error.kind() == Kind::Config && text.contains(&format!("`transform.rename.{key}`")) && text.contains(said), "{text}");
    }
    let rename = rename(json!({"patterns": [{"match": "a\\.(x)?.*", "to": "b.{1}"}]})).unwrap();
    let error = rename.target(&"a.y".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("table a.y an empty name of its table"), "{error}");
}

#[test]
fn two_tables_with_one_name_are_refused_where_they_meet() {
    let config = json!({"patterns": [{"match": "shop_\\d\\.(.*)", "to": "shop.{1}"}]});
    let tables = [table("shop_1.t", &["id"]), table("shop_2.t", &["id"]), table("shop.u", &["id"])];
    let found = rename(config.clone()).unwrap().check(&tables);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].level, found[0].what.contains("the name shop.t: shop_1.t, shop_2.t")), (Level::Failed, true), "{found:?}");

    use SchemaChangeKind::{CreateTable, DropTable, Other, RenameTable};
    let mut rename = rename(config).unwrap();
    rename.apply(&mut change(Other, vec![("shop_1.t", Some(tables[0].clone())), ("shop.u", Some(tables[2].clone()))])).unwrap();
    for (id, said) in [("shop_2.t", "the name shop.t: shop_1.t, shop_2.t"), ("shop_3.u", "the name shop.u: shop.u, shop_3.u")] {
        let error = rename.apply(&mut change(CreateTable, vec![(id, Some(table(id, &["id"])))])).unwrap_err();
        assert!(error.kind() == Kind::Config && error.to_string().contains(said), "{error}");
    }
    // A table that takes the place of another one is no collision.
    rename.apply(&mut change(RenameTable, vec![("shop_5.t", Some(table("shop_5.t", &["id"]))), ("shop_1.t", None)])).unwrap();
    rename.apply(&mut change(DropTable, vec![("shop_5.t", None)])).unwrap();
    rename.apply(&mut change(CreateTable, vec![("shop_2.t", Some(tables[1].clone()))])).unwrap();
    // Rows say it, too, if no statement has.
    let mut rows = Batch::new(events(1, 1), None, 0);
    if let Body::Row(row) = &mut rows.events[0].body {
        row.schema = table("shop_4.t", &["id", "text"]);
    }
    assert_eq!(rename.apply(&mut rows).unwrap_err().kind(), Kind::Config);
}

#[test]
fn tables_may_be_merged_on_purpose() {
    let config = json!({"patterns": [{"match": "shop_\\d\\.(.*)", "to": "shop.{1}"}], "merge": true});
    let found = |tables: &[Arc<TableSchema>]| {
        let found = rename(config.clone()).unwrap().check(tables);
        assert!(found.iter().all(|finding| finding.level == Level::Warning), "{found:?}");
        found.into_iter().map(|finding| finding.what).collect::<Vec<_>>()
    };
    let [one, two] = [table("shop_1.t", &["id"]), table("shop_2.t", &["id"])];
    assert_eq!(
        found(&[one.clone(), two.clone()]),
        ["shop_1.t, shop_2.t become one table shop.t: rows of theirs with the same key are one row for readers"]
    );
    let marked = [one.clone(), two].map(|schema| Arc::new(TableSchema { added_columns: vec![0], ..TableSchema::clone(&schema) }));
    assert_eq!(found(&marked), Vec::<String>::new());
    let other = Arc::new(TableSchema { primary_key: Vec::new(), ..TableSchema::clone(&table("shop_3.t", &["id", "more"])) });
    assert_eq!(found(&[one.clone(), other.clone()]), ["shop_1.t and shop_3.t become one table shop.t, and do not have the same columns"]);
    let mut rename = rename(config.clone()).unwrap();
    let mut both = change(SchemaChangeKind::Other, vec![("shop_1.t", Some(one)), ("shop_3.t", Some(other))]);
    rename.apply(&mut both).unwrap();
}

#[test]
fn a_column_that_tells_merged_tables_apart_needs_no_warning() {
    let found = |key: bool| {
        let column = json!({"name": "origin", "type": "varchar(64)", "value": "__TB__", "key": key});
        let config = crate::Settings::from(json!({"tables": ["*.*"], "columns": [column]})).parse("add_columns").unwrap();
        let mut add = crate::transforms::AddColumns::new(config).unwrap();
        let tables = ["shop_1.t", "shop_2.t"].map(|name| (name, Some(table(name, &["id"])))).to_vec();
        let mut batch = change(SchemaChangeKind::Other, tables);
        add.apply(&mut batch).unwrap();
        let Body::Schema(change) = &batch.events[0].body else { panic!("a schema change") };
        let tables: Vec<_> = change.tables.iter().filter_map(|(_, schema)| schema.clone()).collect();
        let rule = json!({"match": "shop_\\d\\.(.*)", "to": "shop.{1}"});
        rename(json!({"patterns": [rule], "merge": true})).unwrap().check(&tables)
    };
    assert!(found(true).is_empty(), "{:?}", found(true));
    assert!(found(false)[0].what.contains("one row for readers"), "the column does not belong to the key");
}

#[test]
fn rules_that_rename_nothing_are_warned_of() {
    let mut rename = rename(json!({
        "tables": {"shop.a": "x.a", "shop.t": "x.t"},
        "databases": {"crm": "c", "shop": "s"},
        "patterns": [{"match": "shop.*", "to": "x.{0}"}, {"match": "log.*", "to": "x.{0}"}],
        "columns": [{"tables": ["shop.*"], "match": "id", "to": "key"}, {"tables": ["shop.*"], "match": "c_.*", "to": "y"}],
    }))
    .unwrap();
    let found = rename.check(&[table("shop.t", &["id"])]);
    assert!(found.iter().all(|finding| finding.level == Level::Warning));
    assert_eq!(
        found.into_iter().map(|finding| finding.what).collect::<Vec<_>>(),
        [
            "rename.tables: table shop.a is not selected",
            "rename.databases: no selected table is in database `crm`",
            "rename.patterns: pattern 2 matches no selected table",
            "rename.columns: pattern 2 matches no column of a selected table",
        ]
    );
}

#[test]
fn statements_carry_the_target_names() {
    let mut rename = rename(json!({"tables": {"shop.t": "sales.t"}, "databases": {"shop": "s"}})).unwrap();
    let of = |batch: &Batch| match &batch.events[0].body {
        Body::Schema(change) => (change.database.clone(), change.tables.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>()),
        _ => unreachable!(),
    };
    for (tables, database, names) in [
        (vec![("shop.t", Some(table("shop.t", &["id"])))], "sales", vec!["sales.t"]),
        (vec![("shop.u", None), ("shop.t", None)], "s", vec!["s.u", "sales.t"]),
        (vec![], "s", vec![]),
    ] {
        let mut batch = change(SchemaChangeKind::Database, tables);
        rename.apply(&mut batch).unwrap();
        assert_eq!(of(&batch), (database.to_owned(), names.into_iter().map(str::to_owned).collect()));
    }
}

#[test]
fn merging_does_not_change_the_fingerprint() {
    let of = |merge: bool, to: &str| rename(json!({"tables": {"a.b": to}, "merge": merge})).unwrap().fingerprint();
    assert_eq!(of(true, "c.d"), of(false, "c.d"));
    assert_ne!(of(true, "c.d"), of(true, "c.e"));
}

proptest! {
    /// Whatever the rules: the rows and their order stay, and two tables never get one name.
    #[test]
    fn rows_stay_and_names_stay_different(case in "source|lower|upper", find in "[ab]", with in "[ab]{0,2}", names in proptest::collection::vec("[abAB]{1,2}", 1..6)) {
        let Ok(mut rename) = rename(json!({"case": case, "replace": [{"find": find, "with": with, "in": ["table", "database"]}]})) else {
            return Err(TestCaseError::fail("the rules are valid"));
        };
        let mut owners = std::collections::BTreeMap::new();
        for name in names {
            let mut batch = Batch::new(events(1, 3), None, 0);
            let schema = table(&format!("d.{name}"), &["id", "text"]);
            for event in &mut batch.events {
                if let Body::Row(row) = &mut event.body {
                    row.schema = schema.clone();
                }
            }
            match rename.apply(&mut batch) {
                Err(error) => prop_assert_eq!(error.kind(), Kind::Config),
                Ok(()) => {
                    prop_assert!(batch.events.iter().map(|event| event.seq).eq([1, 2, 3].map(Seq)));
                    for event in &batch.events {
                        let Body::Row(row) = &event.body else { unreachable!() };
                        let owner = owners.entry(row.schema.id.clone()).or_insert_with(|| name.clone());
                        prop_assert_eq!(&*owner, &name);
                    }
                }
            }
        }
    }
}
