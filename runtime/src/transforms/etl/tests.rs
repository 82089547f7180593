//! The examples of the documentation, and what scripts do to rows and tables.

use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::json;

use super::compile::Compiler;
use super::evaluate::{Scene, evaluate};
use super::functions::{Callee, ENTRIES};
use super::parser::parse;
use super::value::{Scratch, Val, write_text};
use super::*;
use crate::{Column, ColumnKind, Date, DateTime, Event, Kind, Op, Origin, Position, Row, RowChange, Seq, Settings, TableId, Value, text};

mod rows;

const DOCUMENT: &str = include_str!("../../../../docs/etl.md");

/// The table of the documentation.
pub(super) fn orders() -> TableSchema {
    let column = |name: &str, kind, source_type: &str| Column::new(name, kind, source_type);
    let mut schema = TableSchema::new(
        TableId::new("shop", "orders"),
        vec![
            column("id", ColumnKind::Int { bytes: 8 }, "bigint"),
            column("name", ColumnKind::Varchar { length: 20 }, "varchar(20)"),
            column("phone", ColumnKind::Varchar { length: 20 }, "varchar(20)"),
            column("amount", ColumnKind::Decimal { precision: 10, scale: 2 }, "decimal(10,2)"),
            column("score", ColumnKind::Double, "double"),
            column("region", ColumnKind::Varchar { length: 10 }, "varchar(10)"),
            column("created", ColumnKind::DateTime { fsp: 0 }, "datetime"),
            column("note", ColumnKind::Text { prefix: 2 }, "text"),
        ],
    );
    schema.columns[0].nullable = false;
    schema.primary_key = vec![0];
    schema
}

fn at(year: u16, month: u8, day: u8, hour: u8, minute: u8, second: u8, micros: u32) -> DateTime {
    DateTime { date: Date { year, month, day }, hour, minute, second, micros }
}

/// The row of the documentation.
pub(super) fn row() -> Row {
    Row::from_values([
        Value::Int(15),
        Value::Text(b"Ann Lee"),
        Value::Text(b"18712341111"),
        Value::Decimal("12.50"),
        Value::Double(2.5),
        Value::Text(b"eu"),
        Value::DateTime(at(2024, 1, 31, 10, 20, 30, 0)),
        Value::Null,
    ])
}

/// The text of an expression's value; `None` for NULL.
fn value(script: &str) -> Result<Option<String>, String> {
    let node = parse(script).map_err(|fault| fault.into_error("x").to_string())?;
    validate(&node, Expected::Value).map_err(|fault| fault.into_error("x").to_string())?;
    let (schema, zone, row) = (orders(), Zone::Fixed(0), row());
    let compiler = Compiler { schema: &schema, zone: &zone, slots: Vec::new() };
    let expression = compiler.expression(&node).map_err(|fault| fault.into_error("x").to_string())?;
    let now = text::from_civil(at(2024, 5, 6, 7, 8, 9, 123_456));
    let commit_ms = text::from_civil(at(2024, 5, 6, 7, 0, 0, 500_000)) / 1000;
    let (row, zone, scratch) = (Some(&row), &zone, &Scratch::default());
    let scene = Scene {
        row,
        before: None,
        after: row,
        op: Op::Insert,
        commit_ms,
        position: "binlog.000014:4",
        now,
        zone,
        slots: &[],
        stored: &[],
        scratch,
    };
    let mut value = Val::Null;
    evaluate(&expression, &scene, &mut value).map_err(|failure| failure.into_error("x", None).to_string())?;
    if let Val::Null = value {
        return Ok(None);
    }
    Ok(Some(scratch.make(Default::default(), "", |out| write_text(&value, out)).unwrap().to_owned()))
}

/// The content of a code span.
fn code(cell: &str) -> Option<&str> {
    let cell = cell.trim();
    let ticks = cell.len() - cell.trim_start_matches('`').len();
    // A column at the beginning has a backtick of its own.
    let ticks = ticks.min(2);
    (ticks > 0).then(|| cell.get(ticks..cell.len().checked_sub(ticks)?))?
}

#[test]
fn the_documented_examples_are_true() {
    let functions = DOCUMENT.split("## Functions").nth(1).unwrap().split("## Masking by").next().unwrap();
    let mut checked = 0;
    for line in functions.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let [_, example, result] = cells.as_slice() else { continue };
        let Some(example) = code(example).filter(|_| example.trim().starts_with("``")) else { continue };
        let found = value(example);
        match result.trim().strip_prefix("fails: ") {
            Some(why) => {
                let error = found.expect_err(example);
                assert!(error.contains(code(why).unwrap()) && error.contains("line 1, column "), "{example}: {error}");
            }
            None if result.trim() == "NULL" => assert_eq!(found, Ok(None), "{example}"),
            None => assert_eq!(found.as_ref().map(|value| value.as_deref()), Ok(code(result)), "{example}"),
        }
        checked += 1;
    }
    assert!(checked > 70, "{checked}");
}

#[test]
fn every_function_is_documented() {
    for entry in ENTRIES {
        let is_example = !matches!(entry.callee, Callee::Value(_)) || DOCUMENT.contains(&format!("| `{}(", entry.name));
        assert!(DOCUMENT.contains(&format!("{}(", entry.name)) || entry.name == "bson_value", "{}", entry.name);
        assert!(is_example, "{} has no example", entry.name);
    }
}

fn etl(config: serde_json::Value) -> Result<Etl> {
    Etl::new(Settings::from(config).parse("transform.etl")?)
}

/// The error of a script for the table of the documentation.
fn mistake(script: &str) -> String {
    let error = match etl(json!({"script": script})) {
        Err(error) => error,
        Ok(etl) => etl.runner.script().compile(&Arc::new(orders())).map(|_| ()).expect_err(script),
    };
    assert_eq!(error.kind(), Kind::Config, "{script}");
    error.message().trim_start_matches("transform.etl.script: ").to_owned()
}

#[test]
fn mistakes_have_line_and_column() {
    for (script, expected) in [
        ("", "line 1, column 1: a value is expected here, found the end of the script"),
        ("e_drop(", "line 1, column 8: a value is expected here, found the end of the script"),
        ("e_drop() e_drop()", "line 1, column 10: the script ends before this"),
        ("script: e_drop(\n  tru)", "line 2, column 3: this word has no meaning here"),
        ("e_drop(op_eq(1, 'a)", "line 1, column 17: a quote is not closed"),
        ("e_drop(op_eq(1, `a))", "line 1, column 17: a backtick is not closed"),
        ("e_drop(;)", "line 1, column 8: `;` is not expected here"),
        ("e_drop(99999999999999999999 = 1)", "line 1, column 8: a whole number does not fit into 64 bits"),
        ("e_drop(9223372036854775808 = 1)", "line 1, column 8: a whole number does not fit into 64 bits"),
        ("e_drop(12ab = 1)", "line 1, column 8: a number is followed by something that does not belong to it"),
        ("e_set(`a`, str_masc('a', 1, 1, '*'))", "line 1, column 12: unknown function str_masc"),
        ("e_set(`a`, str_mask('a', 1))", "line 1, column 12: str_mask takes 4 arguments, found 2"),
        ("e_set(`a`, str_upper())", "line 1, column 12: str_upper takes 1 argument, found 0"),
        ("e_set(`a`, dt_add(dt_now(), weeks=1))", "line 1, column 35: dt_add takes no argument weeks"),
        ("str_upper('a')", "line 1, column 1: an action is expected here"),
        ("e_set(`a`, e_drop())", "line 1, column 12: e_drop is an action, and a value is expected here"),
        ("e_set(`a`,\n\n str_upper(`id`))", "line 3, column 12: str_upper: argument 1 must be a text, found an integer"),
        ("e_set(`a`, `missing`)", "line 1, column 12: table shop.orders has no column missing"),
        ("e_set(`Name`, 'a')", "line 1, column 1: e_set: column Name would differ from column name by case only"),
        ("e_set(`a`, op_sum(9223372036854775807, 1))", "line 1, column 12: op_sum: the result is too large (overflow)"),
        (
            "e_set(`a`, DATETIME('2021-02-30'))",
            "line 1, column 12: DATETIME: the text is no date of the calendar such as 2021-01-01 10:10:01",
        ),
        ("e_set(`a`, `created` > '2021-13-01')", "line 1, column 24: the text is no date of the calendar such as 2021-01-01 10:10:01"),
        ("e_set(`a`, `id` = 'x')", "line 1, column 19: op_eq: an integer cannot be compared with a text"),
        ("e_set(`a`, op_add(`id`, 1))", "line 1, column 12: op_add joins texts, and none of its arguments is one"),
        ("e_set(`a`, (`id` > 1 ? 1 : 'x'))", "line 1, column 28: the two values are of different types: an integer and a text"),
        ("e_if(`id`, e_drop())", "line 1, column 6: a condition is expected here, found an integer"),
        ("e_set(`a`, regex_match('a', '('))", "line 1, column 29: regex_match: the text is not a regular expression"),
        (
            "e_set(`a`, regex_match('a', `name`))",
            "line 1, column 29: regex_match: the regular expression must be a text that is written out",
        ),
        (
            "e_set(`a`, dt_str(`created`, 'YYYY'))",
            "line 1, column 30: dt_str: the pattern has letters other than yyyy, MM, dd, HH, hh, mm, ss and S to SSSSSS",
        ),
        ("e_set(`a`, dt_fromtimestamp(1, 'Moon/Sea'))", "line 1, column 32: dt_fromtimestamp: unknown time zone"),
        ("e_set(`a`, mask_hash(`name`, ''))", "line 1, column 30: mask_hash: the salt is empty"),
        ("e_set(`a`, null)", "line 1, column 1: e_set: the type of column a is not known, because it is only set to null"),
        (
            "e_if_else(`id` > 1, e_set(`a`, 1), e_set(`a`, 'x'))",
            "line 1, column 36: column a is set to a text here, and to an integer before",
        ),
        ("e_set(`created`, 1)", "line 1, column 18: e_set: an integer cannot be cast to column created, which is a datetime"),
        ("e_set(`id`, 1)", "line 1, column 1: e_set: column id belongs to the key of table shop.orders"),
        (
            "e_set(`a`, op_in(`id`, json_array('[1, {}]')))",
            "line 1, column 12: the second argument of op_in is json_array with a JSON array of texts and numbers",
        ),
        ("e_set(`a`, op_in(`id`, json_array('[\"x\"]')))", "line 1, column 12: op_in: an element of the list cannot be read as an integer"),
        ("e_set(`a`, bson_value('f'))", "line 1, column 12: bson_value reads documents of MongoDB, which this source does not have"),
        ("e_set(`a`, __ROW_ID__)", "line 1, column 12: __ROW_ID__ is of Oracle; this source has none"),
        ("e_set(`a`, str_format('{} {}', 1))", "line 1, column 12: str_format: the format does not have 1 times {}"),
        (
            "tail_replace_string_field('a', 'b', false)",
            "line 1, column 37: tail_replace_string_field: only true is supported: all hits are replaced",
        ),
    ] {
        assert_eq!(mistake(script), expected, "{script}");
    }
    let deep = format!("e_drop({}true{})", "(".repeat(200), ")".repeat(200));
    assert!(mistake(&deep).contains("nested more than 100 deep"));
    let long = format!("e_drop({}1 = 1)", "1 + ".repeat(200));
    assert!(mistake(&long).contains("nested more than 100 deep"));
    assert!(mistake(&" ".repeat(70_000)).contains("longer than 65536 bytes"));
}

#[test]
fn settings_show_no_script() {
    let config = EtlConfig {
        tables: all_tables(),
        script: SecretString::from("e_set(`a`, mask_hash(`name`, 'hidden'))"),
        on_etl_error: OnEtlError::Error,
        keys: vec!["a".into()],
        time_zone: utc(),
    };
    assert!(!format!("{config:?}").contains("hidden"));
    assert!(!Etl::new(config).unwrap().fingerprint().contains("hidden"));
}

#[test]
fn only_keys_are_in_the_fingerprint() {
    let fingerprint = |script: &str, keys: &[&str]| etl(json!({"script": script, "keys": keys})).unwrap().fingerprint();
    assert_eq!(fingerprint("e_set(`a`, 1)", &[]), "");
    let one = fingerprint("e_compose(e_set(`id`, `id` + 1), e_set(`a`, 1))", &["id"]);
    assert_eq!(one, fingerprint("e_compose(e_set(`a`, 2),  e_set(`id`, (`id` + 1)))", &["id"]));
    assert_ne!(one, fingerprint("e_compose(e_set(`id`, `id` + 2), e_set(`a`, 1))", &["id"]));
}

/// Random scripts, most of which are wrong somewhere.
fn scripts() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("`id`".to_owned()),
        Just("`name`".to_owned()),
        Just("`amount`".to_owned()),
        Just("`score`".to_owned()),
        Just("`created`".to_owned()),
        Just("`note`".to_owned()),
        Just("__OPERATION__".to_owned()),
        Just("true".to_owned()),
        Just("null".to_owned()),
        (-300i64..300).prop_map(|number| number.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        (0u32..900).prop_map(|number| format!("{}.{}", number / 10, number % 10)),
        "[a-z{}* \\\\0-9]{0,4}".prop_map(|text| format!("'{}'", text.replace('\\', "\\\\"))),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let names: Vec<&'static str> = ENTRIES.iter().map(|entry| entry.name).collect();
        prop_oneof![
            4 => (proptest::sample::select(names), proptest::collection::vec(inner.clone(), 0..4))
                .prop_map(|(name, arguments)| format!("{name}({})", arguments.join(", "))),
            2 => (inner.clone(), proptest::sample::select(vec!["+", "-", "*", "/", "=", "!=", "<", ">="]), inner.clone())
                .prop_map(|(a, infix, b)| format!("({a} {infix} {b})")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            1 => inner.prop_map(|a| format!("-{a}")),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}|[e_setdrop(),`'\" =?:+0-9.\n-]{0,60}") {
        if let Ok(node) = parse(&text) {
            let _ = validate(&node, Expected::Action);
        }
    }

    #[test]
    fn what_is_printed_means_the_same(script in scripts()) {
        if let Ok(node) = parse(&script) {
            prop_assert_eq!(&parse(&node.to_string()).unwrap(), &node, "{}", node);
        }
    }

    #[test]
    fn no_expression_panics(script in scripts()) {
        let _ = value(&script);
    }
}
