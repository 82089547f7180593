//! Properties of all transforms together: what they make of random histories of rows.
//!
//! A history is folded as a reader does. The rows that are left must be those that meet the condition, in their new shape. The model of a
//! condition is written by hand; the shape of a row is the one that the same transforms give an insert of it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use runtime::{
    Batch, Body, Choice, Collation, Column, ColumnKind, Event, Op, Origin, Position, Registry, Row, RowChange, SchemaChange,
    SchemaChangeKind, Seq, TableId, TableSchema, Transform, Value,
};
use serde_json::json;

type Truth = Option<bool>;
type Condition = (&'static str, fn(Option<i64>, Option<&str>) -> Truth);

fn and(a: Truth, b: Truth) -> Truth {
    if a == Some(false) || b == Some(false) { Some(false) } else { Some(a? && b?) }
}

fn or(a: Truth, b: Truth) -> Truth {
    if a == Some(true) || b == Some(true) { Some(true) } else { Some(a? || b?) }
}

/// Every operator that a condition may have, on `n INT` and `s VARCHAR(20) COLLATE utf8mb4_bin`.
const CONDITIONS: &[Condition] = &[
    ("n = 1", |n, _| Some(n? == 1)),
    ("n <> 1", |n, _| Some(n? != 1)),
    ("n != 1", |n, _| Some(n? != 1)),
    ("n < 1", |n, _| Some(n? < 1)),
    ("n <= 1", |n, _| Some(n? <= 1)),
    ("n > 1", |n, _| Some(n? > 1)),
    ("n >= 1", |n, _| Some(n? >= 1)),
    ("n <=> 1", |n, _| Some(n == Some(1))),
    ("n <=> NULL", |n, _| Some(n.is_none())),
    ("n IN (0, 1)", |n, _| Some([0, 1].contains(&n?))),
    ("n NOT IN (0, 1)", |n, _| Some(![0, 1].contains(&n?))),
    ("n BETWEEN 0 AND 1", |n, _| Some((0..=1).contains(&n?))),
    ("n NOT BETWEEN 0 AND 1", |n, _| Some(!(0..=1).contains(&n?))),
    ("n IS NULL", |n, _| Some(n.is_none())),
    ("n IS NOT NULL", |n, _| Some(n.is_some())),
    ("NOT n = 1", |n, _| Some(n? != 1)),
    ("n + 1 = 2", |n, _| Some(n? == 1)),
    ("n * 2 - 1 > 0", |n, _| Some(n? * 2 - 1 > 0)),
    ("s = 'eu'", |_, s| Some(s? == "eu")),
    ("s <> 'eu'", |_, s| Some(s? != "eu")),
    ("s < 'b'", |_, s| Some(s? < "b")),
    ("s LIKE 'e%'", |_, s| Some(s?.starts_with('e'))),
    ("s NOT LIKE '_u'", |_, s| Some(!(s?.chars().count() == 2 && s?.ends_with('u')))),
    ("s IN ('a', 'eu')", |_, s| Some(["a", "eu"].contains(&s?))),
    ("n = 1 AND s = 'eu'", |n, s| and(n.map(|n| n == 1), s.map(|s| s == "eu"))),
    ("n = 1 OR s = 'eu'", |n, s| or(n.map(|n| n == 1), s.map(|s| s == "eu"))),
    ("n = 1 XOR s = 'eu'", |n, s| Some((n? == 1) != (s? == "eu"))),
    ("NOT (n = 1 AND s = 'eu')", |n, s| and(n.map(|n| n == 1), s.map(|s| s == "eu")).map(|truth| !truth)),
];

/// Which transforms there are beside the filter.
#[derive(Clone, Copy, Debug)]
struct Shape {
    adds_key: bool,
    drops: bool,
    masks_key: bool,
    merges: bool,
}

impl Shape {
    fn choices(self, condition: Option<&str>) -> Vec<Choice> {
        let mut choices = Vec::new();
        let mut add = |name: &str, settings: serde_json::Value| choices.push(serde_json::from_value(json!({name: settings})).unwrap());
        if let Some(condition) = condition {
            add("filter", json!({"tables": ["shop.*"], "where": condition}));
        }
        add("operations", json!({"tables": ["shop.*"], "keep": ["insert", "update", "delete"]}));
        if self.adds_key {
            let column = json!({"name": "origin", "type": "varchar(129)", "value": "op_add(__DB__, '.', __TB__)", "key": true});
            add("add_columns", json!({"tables": ["shop.*"], "columns": [column]}));
        }
        let drop = if self.drops { ", e_drop(op_eq(`note`, 'drop'))" } else { "" };
        add("etl", json!({"script": format!("e_compose(e_set(`double`, op_mul(`n`, 2)), e_set(`upper`, str_upper(`s`)){drop})")}));
        let mut columns = json!({"note": {"truncate": 2}});
        let mut keys = json!([]);
        if self.masks_key {
            columns["id"] = json!({"digits": {"salt": "pepper"}});
            keys = json!(["id"]);
        }
        add("mask", json!({"tables": ["shop.*"], "columns": columns, "keys": keys}));
        add("columns", json!({"tables": ["shop.*"], "exclude": ["s"], "rename": {"note": "remark"}, "order": ["double"]}));
        let to = if self.merges { "out.all" } else { "out.{1}" };
        add("rename", json!({"patterns": [{"match": "shop\\.(.*)", "to": to}], "case": "upper", "merge": self.merges}));
        choices
    }

    fn build(self, condition: Option<&str>) -> Vec<Box<dyn Transform>> {
        let mut registry = Registry::new();
        runtime::transforms::register(&mut registry);
        let factories = registry.build_transforms(&self.choices(condition)).unwrap();
        let mut transforms: Vec<_> = factories.iter().map(|named| named.make().unwrap()).collect();
        let known = [schema("a", false), schema("b", false)];
        let mut change = SchemaChange::new(SchemaChangeKind::Other, "shop", "");
        change.tables = known.iter().map(|schema| (schema.id.clone(), Some(schema.clone()))).collect();
        apply(&mut transforms, vec![event(1, Body::Schema(change))]);
        transforms
    }
}

fn schema(table: &str, wide: bool) -> Arc<TableSchema> {
    let text = |name: &str| {
        let mut column = Column::new(name, ColumnKind::Varchar { length: 20 }, "varchar(20)");
        column.collation = Some(Collation::new("utf8mb4_bin"));
        column
    };
    let mut id = Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint(20)");
    id.nullable = false;
    let int = |name: &str| Column::new(name, ColumnKind::Int { bytes: 4 }, "int(11)");
    let mut columns = vec![id, int("n"), text("s"), text("note")];
    columns.extend(wide.then(|| int("more")));
    let mut schema = TableSchema::new(TableId::new("shop", table), columns);
    schema.primary_key = vec![0];
    Arc::new(schema)
}

fn event(seq: u128, body: Body) -> Event {
    let position = Position::from(format!("at {seq}"));
    Event { seq: Seq(seq), position, timestamp_ms: 1_700_000_000_000, txid: None, origin: Arc::new(Origin::default()), body }
}

fn apply(transforms: &mut [Box<dyn Transform>], events: Vec<Event>) -> Vec<Event> {
    let mut batch = Batch::new(events, None, 0);
    for transform in transforms {
        transform.apply(&mut batch).unwrap();
        assert!(batch.take_rejected().is_empty());
    }
    batch.events
}

/// A row of the source without its key.
#[derive(Clone, Debug, PartialEq)]
struct Cells {
    n: Option<i64>,
    s: Option<&'static str>,
    note: Option<&'static str>,
}

impl Cells {
    fn row(&self, id: i64, wide: bool) -> Row {
        let text = |text: Option<&'static str>| text.map_or(Value::Null, |text| Value::Text(text.as_bytes()));
        let int = |number: Option<i64>| number.map_or(Value::Null, Value::Int);
        let mut values = vec![Value::Int(id), int(self.n), text(self.s), text(self.note)];
        values.extend(wide.then_some(Value::Int(7)));
        Row::from_values(values)
    }
}

fn cells() -> impl Strategy<Value = Cells> {
    let number = prop_oneof![Just(None), (-1_i64..4).prop_map(Some)];
    let text = prop_oneof![Just(None), prop::sample::select(vec!["a", "b", "eu", "EU", ""]).prop_map(Some)];
    let note = prop_oneof![Just(None), prop::sample::select(vec!["drop", "keep"]).prop_map(Some)];
    (number, text, note).prop_map(|(n, s, note)| Cells { n, s, note })
}

#[derive(Clone, Debug)]
enum Action {
    Insert(usize, i64, Cells),
    Update(usize, i64, i64, Cells),
    Delete(usize, i64),
    /// A statement that adds a column to both tables.
    Widen,
}

fn action() -> impl Strategy<Value = Action> {
    let (table, id) = (|| 0_usize..2, || 0_i64..5);
    prop_oneof![
        4 => (table(), id(), cells()).prop_map(|(table, id, cells)| Action::Insert(table, id, cells)),
        8 => (table(), id(), id(), any::<bool>(), cells()).prop_map(|(table, id, other, moves, cells)| {
            Action::Update(table, id, if moves { other } else { id }, cells)
        }),
        2 => (table(), id()).prop_map(|(table, id)| Action::Delete(table, id)),
        1 => Just(Action::Widen),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(adds_key, drops, masks_key, merges)| {
        // Merged rows would collide without a column that tells their tables apart.
        Shape { adds_key: adds_key || merges, drops, masks_key, merges }
    })
}

const TABLES: [&str; 2] = ["a", "b"];

type State = BTreeMap<(usize, i64), Cells>;

/// The events of those actions that are possible, in batches, and the rows in the end. A schema change is alone in its batch.
fn history(actions: &[(Action, bool)]) -> (Vec<Vec<Event>>, State, bool) {
    let (mut state, mut wide, mut seq) = (State::new(), false, 1);
    let mut batches: Vec<Vec<Event>> = vec![Vec::new()];
    let mut schemas = TABLES.map(|table| schema(table, false));
    for (action, ends_batch) in actions {
        seq += 3;
        let change = match action {
            Action::Insert(table, id, cells) if !state.contains_key(&(*table, *id)) => {
                state.insert((*table, *id), cells.clone());
                RowChange::new(schemas[*table].clone(), Op::Insert, None, Some(cells.row(*id, wide)))
            }
            Action::Update(table, id, to, cells)
                if state.contains_key(&(*table, *id)) && (id == to || !state.contains_key(&(*table, *to))) =>
            {
                let before = state.remove(&(*table, *id)).unwrap();
                state.insert((*table, *to), cells.clone());
                RowChange::new(schemas[*table].clone(), Op::Update, Some(before.row(*id, wide)), Some(cells.row(*to, wide)))
            }
            Action::Delete(table, id) if state.contains_key(&(*table, *id)) => {
                let before = state.remove(&(*table, *id)).unwrap();
                RowChange::new(schemas[*table].clone(), Op::Delete, Some(before.row(*id, wide)), None)
            }
            Action::Widen if !wide => {
                wide = true;
                schemas = TABLES.map(|table| schema(table, true));
                let mut change = SchemaChange::new(SchemaChangeKind::AlterTable, "shop", "ALTER TABLE …");
                change.tables = schemas.iter().map(|schema| (schema.id.clone(), Some(schema.clone()))).collect();
                batches.push(vec![event(seq, Body::Schema(change))]);
                batches.push(Vec::new());
                continue;
            }
            _ => continue,
        };
        batches.last_mut().unwrap().push(event(seq, Body::Row(change)));
        if *ends_batch {
            batches.push(Vec::new());
        }
    }
    (batches, state, wide)
}

/// A table and the key of a row in it.
type Key = (String, Vec<String>);
/// The cells of a row by their names.
type Shown = BTreeMap<String, String>;

/// A row as readers see it.
fn seen(schema: &TableSchema, row: &Row) -> (Key, Shown) {
    let cells: BTreeMap<_, _> =
        schema.columns.iter().zip(row.values()).map(|(column, value)| (column.name.clone(), format!("{value:?}"))).collect();
    assert_eq!(schema.columns.len(), row.columns());
    let key = schema.effective_key().into_iter().map(|column| cells[&schema.columns[column].name].clone()).collect();
    ((schema.id.to_string(), key), cells)
}

/// Folds as a reader does that believes every image.
fn fold(events: &[Event]) -> Result<BTreeMap<Key, Shown>, String> {
    let mut rows: BTreeMap<Key, Shown> = BTreeMap::new();
    for event in events {
        let Body::Row(change) = &event.body else { continue };
        let place = format!("{:?} at seq {}", change.op, event.seq.0);
        assert_eq!((change.before.is_some(), change.after.is_some()), (change.op != Op::Insert, change.op != Op::Delete), "{place}");
        if let Some(before) = &change.before {
            let (key, mut cells) = seen(&change.schema, before);
            let known = rows.remove(&key).ok_or_else(|| format!("{place}: no row {key:?}"))?;
            // A row from before the schema change lacks the new column.
            cells.retain(|name, _| name != "MORE" || known.contains_key(name));
            if known != cells {
                return Err(format!("{place}: {known:?} was {cells:?}"));
            }
        }
        if let Some(after) = &change.after {
            let (key, cells) = seen(&change.schema, after);
            if let Some(other) = rows.insert(key, cells) {
                return Err(format!("{place}: over {other:?}"));
            }
        }
    }
    Ok(rows)
}

/// The key in its new shape of every key in its old one.
fn keys(shape: Shape) -> BTreeMap<(usize, i64), Key> {
    let mut transforms = shape.build(None);
    let cells = Cells { n: None, s: None, note: None };
    let mut key = |table: usize, id: i64| {
        let change = RowChange::new(schema(TABLES[table], false), Op::Insert, None, Some(cells.row(id, false)));
        let events = apply(&mut transforms, vec![event(5, Body::Row(change))]);
        let Body::Row(change) = &events[0].body else { panic!("no row") };
        ((table, id), seen(&change.schema, change.after.as_ref().unwrap()).0)
    };
    (0..2).flat_map(|table| (0..5).map(move |id| (table, id))).map(|(table, id)| key(table, id)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn readers_have_the_rows_that_meet_the_condition(
        actions in prop::collection::vec((action(), prop::bool::weighted(0.3)), 1..60),
        shape in shape(),
        condition in prop::sample::select(CONDITIONS),
    ) {
        let (batches, state, wide) = history(&actions);
        let run = |condition: Option<&str>| {
            let mut transforms = shape.build(condition);
            batches.iter().flat_map(|batch| apply(&mut transforms, batch.clone())).collect::<Vec<_>>()
        };
        let (filtered, all) = (run(Some(condition.0)), run(None));

        // The seq of an event is the one that it came with, and the order stays.
        for events in [&filtered, &all] {
            prop_assert!(events.is_sorted_by_key(|event| event.seq));
            let keeps_seq = events.iter().all(|event| event.position == Position::from(format!("at {}", event.seq.0)));
            prop_assert!(keeps_seq);
        }
        let seqs = |events: &[Event]| events.iter().map(|event| event.seq).collect::<BTreeSet<_>>();
        prop_assert!(seqs(&filtered).is_subset(&seqs(&all)), "a filter adds nothing");

        // Each key has one new key, and no two have the same: rows of a key stay in one partition, in their order.
        let keys = keys(shape);
        prop_assert_eq!(keys.values().collect::<BTreeSet<_>>().len(), keys.len());

        // What is left are the rows that meet the condition, as the transforms show an insert of them.
        let meets = |cells: &Cells| (condition.1)(cells.n, cells.s) == Some(true) && !(shape.drops && cells.note == Some("drop"));
        let mut transforms = shape.build(None);
        let mut expected = BTreeMap::new();
        for ((table, id), cells) in state.iter().filter(|(_, cells)| meets(cells)) {
            let change = RowChange::new(schema(TABLES[*table], wide), Op::Insert, None, Some(cells.row(*id, wide)));
            let events = apply(&mut transforms, vec![event(5, Body::Row(change))]);
            let Body::Row(change) = &events[0].body else { panic!("no row") };
            let (key, cells) = seen(&change.schema, change.after.as_ref().unwrap());
            prop_assert_eq!(&key, &keys[&(*table, *id)]);
            expected.insert(key, cells);
        }
        let mut folded = fold(&filtered).map_err(TestCaseError::fail)?;
        if wide {
            // A row that was not touched since the schema change lacks the new column.
            for (key, cells) in &mut folded {
                if let (false, Some(with)) = (cells.contains_key("MORE"), expected.get(key)) {
                    cells.insert("MORE".into(), with["MORE"].clone());
                }
            }
        }
        prop_assert_eq!(folded, expected);
    }
}
