//! Decides whether two Avro schemas are the same. The texts may differ, because registries may reorder keys and leave out what readers do
//! not need.
//!
//! Two schemas are the same if their *parsing canonical forms* are equal (Avro specification, "Transforming into Parsing Canonical Form").
//! This form has full names and only the parts of a schema that decide about the encoded bytes.

use ring::digest;
use serde_json::{Map, Value};

/// The name and the fingerprint of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The full name of the record; `None` for a schema that is not a record.
    pub(super) name: Option<String>,
    /// The first 16 bytes of the SHA-256 of the canonical form, in hexadecimal digits.
    pub(super) hash: String,
}

/// Parses the text of a schema and computes its identity. An error says what is wrong with the text.
pub(super) fn identify(text: &str) -> Result<Identity, String> {
    let schema: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let mut form = String::new();
    write(&schema, "", &mut form)?;
    let name = match &schema {
        Value::Object(schema) if matches!(schema.get("type").and_then(Value::as_str), Some("record" | "error")) => {
            Some(full_name(schema, "")?)
        }
        _ => None,
    };
    let digest = digest::digest(&digest::SHA256, form.as_bytes());
    let hash = digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Ok(Identity { name, hash })
}

/// Appends the canonical form of a schema. The recursion is bounded, because serde_json refuses JSON nested deeper than 128 levels.
fn write(schema: &Value, space: &str, out: &mut String) -> Result<(), String> {
    match schema {
        Value::String(name) if is_primitive(name) => quote(out, name),
        Value::String(name) => quote(out, &within(name, space)),
        Value::Array(branches) => list(branches, out, |branch, out| write(branch, space, out))?,
        Value::Object(schema) => write_object(schema, space, out)?,
        _ => return Err("it holds something that is not a schema".into()),
    }
    Ok(())
}

fn write_object(schema: &Map<String, Value>, space: &str, out: &mut String) -> Result<(), String> {
    let of = |key: &str| schema.get(key).ok_or_else(|| format!("a schema lacks `{key}`"));
    let kind = of("type")?;
    match kind.as_str() {
        Some(kind @ ("record" | "error")) => {
            let name = full_name(schema, space)?;
            let inner = name.rsplit_once('.').map_or("", |(space, _)| space);
            head(out, &name, kind);
            out.push_str(",\"fields\":");
            let fields = of("fields")?.as_array().ok_or("`fields` is not a list")?;
            list(fields, out, |field, out| {
                let part = |key: &str| field.get(key).ok_or_else(|| format!("a field lacks `{key}`"));
                out.push_str("{\"name\":");
                quote(out, part("name")?.as_str().ok_or("a field's name is not text")?);
                out.push_str(",\"type\":");
                write(part("type")?, inner, out)?;
                out.push('}');
                Ok(())
            })?;
            out.push('}');
        }
        Some("enum") => {
            head(out, &full_name(schema, space)?, "enum");
            out.push_str(",\"symbols\":");
            out.push_str(&of("symbols")?.to_string());
            out.push('}');
        }
        Some("fixed") => {
            head(out, &full_name(schema, space)?, "fixed");
            out.push_str(&format!(",\"size\":{}}}", of("size")?));
        }
        Some(kind @ ("array" | "map")) => {
            let key = if kind == "array" { "items" } else { "values" };
            out.push_str(&format!("{{\"type\":\"{kind}\",\"{key}\":"));
            write(of(key)?, space, out)?;
            out.push('}');
        }
        // The type of an object can also be a primitive type such as `{"type": "string"}`, a name, or another schema.
        _ => write(kind, space, out)?,
    }
    Ok(())
}

fn list(items: &[Value], out: &mut String, mut each: impl FnMut(&Value, &mut String) -> Result<(), String>) -> Result<(), String> {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        each(item, out)?;
    }
    out.push(']');
    Ok(())
}

fn head(out: &mut String, name: &str, kind: &str) {
    out.push_str("{\"name\":");
    quote(out, name);
    out.push_str(&format!(",\"type\":\"{kind}\""));
}

fn quote(out: &mut String, text: &str) {
    out.push_str(&Value::from(text).to_string());
}

fn full_name(schema: &Map<String, Value>, space: &str) -> Result<String, String> {
    let name = schema.get("name").and_then(Value::as_str).ok_or("a named schema has no name")?;
    Ok(within(name, schema.get("namespace").and_then(Value::as_str).unwrap_or(space)))
}

fn within(name: &str, space: &str) -> String {
    if name.contains('.') || space.is_empty() { name.to_owned() } else { format!("{space}.{name}") }
}

fn is_primitive(name: &str) -> bool {
    matches!(name, "null" | "boolean" | "int" | "long" | "float" | "double" | "bytes" | "string")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"type":"record","name":"R","namespace":"a.b","doc":"x","fields":[
        {"name":"n","type":["null",{"type":"enum","name":"E","symbols":["X","Y"]}],"default":null},
        {"name":"again","type":"E"},
        {"name":"m","type":{"type":"map","values":{"type":"array","items":{"type":"long"}}}},
        {"name":"f","type":{"type":"fixed","name":"c.F","size":16}}]}"#;

    #[test]
    fn order_of_keys_defaults_and_short_names_do_not_matter() {
        let other = r#"{"fields":[
            {"type":["null",{"symbols":["X","Y"],"name":"a.b.E","type":"enum"}],"name":"n"},
            {"type":"a.b.E","name":"again"},
            {"name":"m","type":{"values":{"items":"long","type":"array"},"type":"map"}},
            {"name":"f","type":{"namespace":"c","name":"F","size":16,"type":"fixed"}}],"name":"a.b.R","type":"record"}"#;
        assert_eq!(identify(ONE).unwrap(), identify(other).unwrap());
        assert_eq!(identify(ONE).unwrap().name.as_deref(), Some("a.b.R"));
    }

    #[test]
    fn what_changes_the_bytes_changes_the_identity() {
        let hash = identify(ONE).unwrap().hash;
        for (from, to) in [("\"X\",\"Y\"", "\"Y\",\"X\""), ("\"long\"", "\"int\""), ("16", "8"), ("\"n\"", "\"o\""), ("\"null\",", "")] {
            assert_ne!(identify(&ONE.replacen(from, to, 1)).unwrap().hash, hash, "{from}");
        }
    }

    #[test]
    fn invalid_schemas_are_refused() {
        for text in ["", "7", "{}", r#"{"type":"record"}"#, r#"{"type":"record","name":"a"}"#, r#"{"type":"array"}"#, r#"["int",3]"#] {
            assert!(identify(text).is_err(), "{text}");
        }
        assert_eq!(identify(r#""string""#).unwrap().name, None);
    }
}
