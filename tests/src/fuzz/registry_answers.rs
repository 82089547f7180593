//! Reads whole and broken answers of a schema registry, and computes the identity of the schemas in them.

use fastrand::Rng;
use serde_json::{Value, json};
use sink_kafka::fuzzing::read_registry_answer;

use super::mutation::mutate;
use crate::{Failure, Result};

const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

pub(super) fn round(random: &mut Rng) -> Result<()> {
    let mut schema = schema(random, 0);
    let text = schema.to_string();
    let whole = json!({"id": random.u32(..), "subject": "shop-value", "version": 1, "schema": text}).to_string().into_bytes();
    let Some(hash) = read_registry_answer(&whole).map_err(|problem| Failure::new(format!("{problem}: {text}")))? else {
        return Failure::err(format!("no schema in {text}"));
    };
    // What readers do not need does not change the identity.
    if let Value::Object(object) = &mut schema {
        object.insert("doc".into(), "a text".into());
        let other = json!({"schema": schema.to_string()}).to_string();
        if read_registry_answer(other.as_bytes()) != Ok(Some(hash)) {
            return Failure::err(format!("another identity with a doc: {text}"));
        }
    }
    let mut broken_text = text.clone().into_bytes();
    mutate(random, &mut broken_text, text.as_bytes());
    let broken_text = String::from_utf8_lossy(&broken_text);
    let _ = read_registry_answer(json!({"schema": broken_text}).to_string().as_bytes());
    let mut broken = whole.clone();
    mutate(random, &mut broken, &whole);
    let _ = read_registry_answer(&broken);
    if random.u8(..100) == 0 {
        hostile(random)?;
    }
    Ok(())
}

fn name(random: &mut Rng) -> String {
    let name = ["R", "a", "_x9", "Long_Name"][random.usize(..4)];
    if random.u8(..4) == 0 { format!("n{}.m.{name}", random.u8(..3)) } else { name.to_owned() }
}

fn schema(random: &mut Rng, depth: usize) -> Value {
    match random.u8(..if depth > 4 { 2 } else { 8 }) {
        0 => PRIMITIVES[random.usize(..8)].into(),
        1 => name(random).into(),
        2 => json!({"type": "array", "items": schema(random, depth + 1)}),
        3 => json!({"type": "map", "values": schema(random, depth + 1)}),
        4 => json!({"type": "enum", "name": name(random), "symbols": ["A", "B"]}),
        5 => json!({"type": "fixed", "name": name(random), "size": random.u8(..)}),
        6 => (0..random.usize(..4)).map(|_| schema(random, depth + 1)).collect(),
        _ => {
            let field = |random: &mut Rng| json!({"name": name(random), "type": schema(random, depth + 1)});
            let fields: Value = (0..random.usize(..5)).map(|_| field(random)).collect();
            let mut record = json!({"type": "record", "name": name(random), "fields": fields});
            if random.bool() {
                record["namespace"] = "some.space".into();
            }
            record
        }
    }
}

/// Texts that say little and mean much: a namespace that is repeated with every name, and many small objects.
fn hostile(random: &mut Rng) -> Result<()> {
    let space = "n".repeat(random.usize(1..200_000));
    let fields = vec![r#"{"name":"f","type":"X"}"#; random.usize(..5_000)].join(",");
    let text = format!(r#"{{"type":"record","name":"R","namespace":"{space}","fields":[{fields}]}}"#);
    let _ = read_registry_answer(json!({"schema": text}).to_string().as_bytes());
    let object = [r#"{"a":0}"#, "[]", "0", r#"{"":{}}"#][random.usize(..4)];
    let answer = format!("[{}]", vec![object; random.usize(1..100_000)].join(","));
    let parts = answer.bytes().filter(|byte| b"{[,".contains(byte)).count();
    match read_registry_answer(answer.as_bytes()) {
        Ok(_) if parts > 20_000 => Failure::err(format!("an answer with {parts} parts is read")),
        _ => Ok(()),
    }
}
