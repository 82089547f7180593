//! Runs random scripts of `etl` on random events.
//!
//! A script may be refused, and a row may be rejected. Nothing may panic, no error may show the value of a cell, the order of the events stays,
//! and every row that leaves has the columns of its schema.

use fastrand::Rng;
use runtime::transforms::{Etl, EtlConfig};
use runtime::{Batch, Body, Event, Settings, Transform};

use super::cells::SECRET;
use super::events::slice;
use super::mutation::mutate;
use crate::{Failure, Result};

const REFERENCE: &str = include_str!("../../../docs/etl.md");

/// Functions with the number of their arguments.
const FUNCTIONS: [(&str, usize); 47] = [
    ("op_sum", 2),
    ("op_sub", 2),
    ("op_mul", 2),
    ("op_div_true", 2),
    ("op_mod", 2),
    ("op_eq", 2),
    ("op_ne", 2),
    ("op_gt", 2),
    ("op_le", 2),
    ("op_and", 2),
    ("op_or", 3),
    ("op_not", 1),
    ("op_is_null", 1),
    ("op_is_not_null", 1),
    ("op_add", 2),
    ("op_add", 6),
    ("str_format", 3),
    ("str_replace", 4),
    ("str_strip", 2),
    ("str_lower", 1),
    ("str_upper", 1),
    ("cast_string_to_long", 1),
    ("cast_string_to_double", 1),
    ("cast_long_to_string", 1),
    ("str_count", 2),
    ("str_find", 2),
    ("str_isalpha", 1),
    ("str_isdigit", 1),
    ("regex_match", 2),
    ("str_mask", 4),
    ("substring_after", 2),
    ("substring_before", 2),
    ("substring_between", 3),
    ("is_string_value", 1),
    ("str_uuid", 0),
    ("dt_now", 0),
    ("dt_now_millis", 0),
    ("dt_fromtimestamp", 2),
    ("dt_fromtimestamp_millis", 1),
    ("dt_parsetimestamp", 1),
    ("dt_str", 2),
    ("dt_strptime", 2),
    ("dt_add", 1),
    ("mask_hash", 2),
    ("mask_partial", 4),
    ("mask_truncate", 2),
    ("mask_digits", 2),
];

const CONSTANTS: [&str; 25] = [
    "0",
    "1",
    "-1",
    "3",
    "9223372036854775807",
    "-9223372036854775808",
    "2.5",
    "''",
    "'a'",
    "'*'",
    "'{}'",
    "'[a-c]*'",
    "'yyyy-MM-dd HH:mm:ss.SSS'",
    "'2024-02-29'",
    "'Asia/Shanghai'",
    "'中😀'",
    "true",
    "false",
    "null",
    "__DB__",
    "__TB__",
    "__OPERATION__",
    "__COMMIT_TIMESTAMP__",
    "__SCN__",
    "DATETIME('9999-12-31 23:59:59')",
];

/// Runs one round.
pub(super) fn round(random: &mut Rng) -> Result<()> {
    // The cells of a source fit its schemas.
    let events = slice(random, false);
    let names: Vec<String> = events
        .iter()
        .find_map(|event| match &event.body {
            Body::Row(change) => Some(change.schema.columns.iter().map(|column| column.name.clone()).collect()),
            _ => None,
        })
        .unwrap_or_default();
    let names_of = |event: &Event| match &event.body {
        Body::Row(change) => format!("{} {:?}", change.schema.id, change.schema.columns),
        Body::Schema(change) => format!("{change:?}"),
        _ => String::new(),
    };
    let known_text: String = events.iter().map(names_of).collect();
    let script = script(random, &names);
    let zone = random.choice(["+00:00", "-03:30", "Europe/Berlin"]);
    let on_etl_error = if random.bool() { "null" } else { "error" };
    let settings = serde_json::json!({
        "script": script,
        "on_etl_error": on_etl_error,
        "keys": names.iter().filter(|_| random.bool()).collect::<Vec<_>>(),
        "time_zone": zone,
    });
    let config: EtlConfig = Settings::from(settings).parse("transform.etl")?;
    let Ok(mut etl) = Etl::new(config) else { return Ok(()) };
    let before: Vec<_> = events.iter().map(|event| event.seq).collect();
    let mut batch = Batch::new(events, None, 0);
    let applied = etl.apply(&mut batch);
    let rejected = batch.take_rejected();
    // Tables and columns have such names too, and an error may show a name.
    let is_name = known_text.contains(SECRET);
    for error in applied.as_ref().err().into_iter().chain(rejected.iter().map(|(_, error)| error)) {
        if !is_name && error.to_string().contains(SECRET) {
            return Failure::err(format!("an error shows the value of a cell: {error}; the script is {script}"));
        }
    }
    let mut seqs = before.into_iter();
    if !batch.events.iter().all(|event| seqs.any(|seq| seq == event.seq)) {
        return Failure::err(format!("the order of events has changed; the script is {script}"));
    }
    for event in &batch.events {
        if let (Body::Row(change), true) = (&event.body, applied.is_ok()) {
            let columns = change.schema.columns.len();
            if change.before.iter().chain(&change.after).any(|row| row.columns() != columns) {
                return Failure::err(format!("a row does not have the columns of its schema; the script is {script}"));
            }
        }
    }
    Ok(())
}

/// A random script, or one of the documentation that was changed at random.
fn script(random: &mut Rng, names: &[String]) -> String {
    let mut script = match random.u8(..8) {
        0 => {
            let examples: Vec<&str> = REFERENCE.lines().filter_map(|line| line.split("``").nth(1)).collect();
            format!("e_set(`x`, {})", random.choice(examples).unwrap_or("1"))
        }
        _ => action(random, names, 3),
    };
    if random.u8(..4) == 0 {
        let mut bytes = script.into_bytes();
        mutate(random, &mut bytes, b"e_set(`x`, str_mask('abc', 1, 1, \"*\"))");
        script = String::from_utf8_lossy(&bytes).into_owned();
    }
    script
}

fn action(random: &mut Rng, names: &[String], depth: u8) -> String {
    if depth == 0 || random.bool() {
        return match random.u8(..8) {
            0 => format!("e_drop({})", expression(random, names, 2)),
            1 => format!("e_keep({})", expression(random, names, 2)),
            2 => format!("tail_replace_string_field({}, {}, true)", expression(random, names, 1), expression(random, names, 1)),
            _ => {
                let new = if random.u8(..3) == 0 { ", NEW" } else { "" };
                format!("e_set({}, {}{new})", column(random, names), expression(random, names, 3))
            }
        };
    }
    let actions = [action(random, names, depth - 1), action(random, names, depth - 1)];
    let [a, b] = &actions;
    let condition = expression(random, names, 2);
    match random.u8(..4) {
        0 => format!("e_if({condition}, {a}, {}, {b})", expression(random, names, 1)),
        1 => format!("e_if_else({condition}, {a}, {b})"),
        2 => format!("e_switch({condition}, {a}, default={b})"),
        _ => format!("e_compose({a}, {b})"),
    }
}

fn column(random: &mut Rng, names: &[String]) -> String {
    match random.choice(names) {
        Some(name) if random.u8(..4) > 0 => format!("`{}`", name.replace('`', "``")),
        _ => format!("`new{}`", random.u8(..3)),
    }
}

fn expression(random: &mut Rng, names: &[String], depth: u8) -> String {
    if depth == 0 || random.u8(..4) == 0 {
        return match random.u8(..3) {
            0 => CONSTANTS[random.usize(..CONSTANTS.len())].to_owned(),
            _ => column(random, names),
        };
    }
    let inner = |random: &mut Rng| expression(random, names, depth - 1);
    match random.u8(..8) {
        0 => format!("({} ? {} : {})", inner(random), inner(random), inner(random)),
        1 => {
            let infix = ["+", "-", "*", "/", "=", "!=", "<", ">="][random.usize(..8)];
            format!("({} {infix} {})", inner(random), inner(random))
        }
        2 => format!("v({}, __BEFORE__)", column(random, names)),
        3 => format!("op_in({}, json_array('[\"a\", 1, 2.5]'))", inner(random)),
        4 => format!("dt_add({}, months={}, seconds={})", inner(random), inner(random), inner(random)),
        _ => {
            let (name, count) = FUNCTIONS[random.usize(..FUNCTIONS.len())];
            let arguments: Vec<String> = (0..count).map(|_| inner(random)).collect();
            format!("{name}({})", arguments.join(", "))
        }
    }
}
