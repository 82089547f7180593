//! Decides whether two Avro schemas are the same. The texts may differ, because registries may reorder keys and leave out what readers do
//! not need.
//!
//! Two schemas are the same if their *parsing canonical forms* are equal (Avro specification, "Transforming into Parsing Canonical Form").
//! This form has full names and only the parts of a schema that decide about the encoded bytes.

use ring::digest;
use serde_json::{Map, Value};

/// The longest canonical form, in bytes. The form of a schema of some kilobytes has some kilobytes too. But it repeats the namespace with every
/// name, so a text can be far shorter than its form.
const MAX_FORM: usize = 4 << 20;
/// The largest number of objects, lists and elements in a text, each of which takes up to about 700 bytes of memory when it is parsed.
const MAX_PARTS: usize = 20_000;

/// The name and the fingerprint of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The full name of the record; `None` for a schema that is not a record.
    pub(crate) name: Option<String>,
    /// The first 16 bytes of the SHA-256 of the canonical form, in hexadecimal digits.
    pub(crate) hash: String,
}

/// Parses the text of a schema and computes its identity. An error says what is wrong with the text.
pub(crate) fn identify(text: &str) -> Result<Identity, String> {
    let schema = parse(text.as_bytes())?;
    let mut form = Form { hash: digest::Context::new(&digest::SHA256), length: 0 };
    write(&schema, "", &mut form)?;
    let name = match &schema {
        Value::Object(schema) if matches!(schema.get("type").and_then(Value::as_str), Some("record" | "error")) => {
            Some(full_name(schema, "")?)
        }
        _ => None,
    };
    let digest = form.hash.finish();
    let hash = digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Ok(Identity { name, hash })
}

/// Parses JSON of a registry. Its memory is bounded. An error says what is wrong with the text.
pub(crate) fn parse(text: &[u8]) -> Result<Value, String> {
    // Those inside of strings count too, which does not matter: an answer with a schema holds it as a string.
    if text.iter().filter(|byte| matches!(byte, b'{' | b'[' | b',')).count() > MAX_PARTS {
        return Err(format!("it has more than {MAX_PARTS} parts"));
    }
    serde_json::from_slice(text).map_err(|error| format!("it is not JSON: {error}"))
}

/// A canonical form that is hashed as it is written.
struct Form {
    hash: digest::Context,
    length: usize,
}

impl Form {
    fn push_str(&mut self, text: &str) -> Result<(), String> {
        self.length = self.length.saturating_add(text.len());
        if self.length > MAX_FORM {
            return Err(format!("its canonical form is longer than {MAX_FORM} bytes"));
        }
        self.hash.update(text.as_bytes());
        Ok(())
    }
}

/// Appends the canonical form of a schema. The recursion is bounded, because serde_json refuses JSON nested deeper than 128 levels.
fn write(schema: &Value, space: &str, out: &mut Form) -> Result<(), String> {
    match schema {
        Value::String(name) if is_primitive(name) => quote(out, name)?,
        Value::String(name) => quote(out, &within(name, space))?,
        Value::Array(branches) => list(branches, out, |branch, out| write(branch, space, out))?,
        Value::Object(schema) => write_object(schema, space, out)?,
        _ => return Err("it holds something that is not a schema".into()),
    }
    Ok(())
}

fn write_object(schema: &Map<String, Value>, space: &str, out: &mut Form) -> Result<(), String> {
    let of = |key: &str| schema.get(key).ok_or_else(|| format!("a schema lacks `{key}`"));
    let kind = of("type")?;
    match kind.as_str() {
        Some(kind @ ("record" | "error")) => {
            let name = full_name(schema, space)?;
            let inner = name.rsplit_once('.').map_or("", |(space, _)| space);
            head(out, &name, kind)?;
            out.push_str(",\"fields\":")?;
            let fields = of("fields")?.as_array().ok_or("`fields` is not a list")?;
            list(fields, out, |field, out| {
                let part = |key: &str| field.get(key).ok_or_else(|| format!("a field lacks `{key}`"));
                out.push_str("{\"name\":")?;
                quote(out, part("name")?.as_str().ok_or("a field's name is not text")?)?;
                out.push_str(",\"type\":")?;
                write(part("type")?, inner, out)?;
                out.push_str("}")?;
                Ok(())
            })?;
            out.push_str("}")?;
        }
        Some("enum") => {
            head(out, &full_name(schema, space)?, "enum")?;
            out.push_str(",\"symbols\":")?;
            out.push_str(&of("symbols")?.to_string())?;
            out.push_str("}")?;
        }
        Some("fixed") => {
            head(out, &full_name(schema, space)?, "fixed")?;
            out.push_str(&format!(",\"size\":{}}}", of("size")?))?;
        }
        Some(kind @ ("array" | "map")) => {
            let key = if kind == "array" { "items" } else { "values" };
            out.push_str(&format!("{{\"type\":\"{kind}\",\"{key}\":"))?;
            write(of(key)?, space, out)?;
            out.push_str("}")?;
        }
        // The type of an object can also be a primitive type such as `{"type": "string"}`, a name, or another schema.
        _ => write(kind, space, out)?,
    }
    Ok(())
}

fn list(items: &[Value], out: &mut Form, mut each: impl FnMut(&Value, &mut Form) -> Result<(), String>) -> Result<(), String> {
    out.push_str("[")?;
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(",")?;
        }
        each(item, out)?;
    }
    out.push_str("]")?;
    Ok(())
}

fn head(out: &mut Form, name: &str, kind: &str) -> Result<(), String> {
    out.push_str("{\"name\":")?;
    quote(out, name)?;
    out.push_str(&format!(",\"type\":\"{kind}\""))
}

fn quote(out: &mut Form, text: &str) -> Result<(), String> {
    out.push_str(&Value::from(text).to_string())
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
    fn a_form_that_is_far_longer_than_its_text_is_refused() {
        let fields = vec![r#"{"name":"f","type":"X"}"#; 1_000].join(",");
        let text = format!(r#"{{"type":"record","name":"R","namespace":"{}","fields":[{fields}]}}"#, "n".repeat(100_000));
        let held = allocation_counter::measure(|| {
            let problem = identify(&text).unwrap_err();
            assert!(problem.contains("longer than 4194304 bytes"), "{problem}");
        });
        assert!(held.bytes_max < 3_000_000, "{held:?}");
    }

    #[test]
    fn a_text_that_takes_much_memory_is_refused() {
        let text = format!("[{}0]", r#"{"a":0},"#.repeat(100_000));
        let held = allocation_counter::measure(|| {
            let problem = identify(&text).unwrap_err();
            assert!(problem.contains("more than 20000 parts"), "{problem}");
        });
        assert!(held.bytes_max < 100_000, "{held:?}");
        let allowed = format!("[{}0]", r#"{"a":0},"#.repeat(9_999));
        assert!(allocation_counter::measure(|| drop(identify(&allowed))).bytes_max < 16 << 20);
        assert!(identify(&"[".repeat(1_000)).is_err());
    }

    #[test]
    fn invalid_schemas_are_refused() {
        for text in ["", "7", "{}", r#"{"type":"record"}"#, r#"{"type":"record","name":"a"}"#, r#"{"type":"array"}"#, r#"["int",3]"#] {
            assert!(identify(text).is_err(), "{text}");
        }
        assert_eq!(identify(r#""string""#).unwrap().name, None);
    }
}
