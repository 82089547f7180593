//! Shows a record as JSON for people.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use runtime::Charset;

use super::schema;

/// The record as a JSON text, with its fields in the order of the schema. Bytes with a character set are shown as text, and as
/// `{"hex": "<digits>"}` if they are not valid in it; other bytes as hexadecimal digits behind `0x`, whatever they hold. `None` if it is no
/// record of the schema.
pub(super) fn json(mut datum: &[u8]) -> Option<String> {
    let schema = Schema::parse_str(schema::text()?).ok()?;
    let reader = GenericDatumReader::builder(&schema).build().ok()?;
    let record = reader.read_value(&mut datum).ok()?;
    let mut out = String::new();
    write(&record, &mut out)?;
    Some(out)
}

fn write(value: &Value, out: &mut String) -> Option<()> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Long(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&serde_json::to_string(number).ok()?),
        Value::Double(number) => out.push_str(&serde_json::to_string(number).ok()?),
        Value::String(text) | Value::Enum(_, text) => write_text(text, out)?,
        Value::Bytes(bytes) => write_text(&format!("0x{}", hex(bytes)), out)?,
        Value::Union(_, inner) => write(inner, out)?,
        Value::Array(items) => write_list("[]", items.iter().map(|item| (None, item)), out)?,
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(name, _)| *name);
            write_list("{}", entries.into_iter().map(|(name, value)| (Some(name.as_str()), value)), out)?;
        }
        Value::Record(fields) => match fields.as_slice() {
            [(charset, Value::String(name)), (value, Value::Bytes(bytes))] if charset == "charset" => {
                write_text_of(bytes, name, value, out)?;
            }
            fields => write_list("{}", fields.iter().map(|(name, value)| (Some(name.as_str()), value)), out)?,
        },
        // The schema has no other types.
        _ => return None,
    }
    Some(())
}

/// Writes a Character {charset, value}.
fn write_text_of(bytes: &[u8], charset: &str, field: &str, out: &mut String) -> Option<()> {
    out.push_str("{\"charset\":");
    write_text(charset, out)?;
    out.push(',');
    write_text(field, out)?;
    out.push(':');
    match Charset::from_name(charset).and_then(|charset| charset.decode(bytes)) {
        Some(text) => write_text(&text, out)?,
        None => out.push_str(&format!("{{\"hex\":\"{}\"}}", hex(bytes))),
    }
    out.push('}');
    Some(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_list<'a>(brackets: &str, items: impl Iterator<Item = (Option<&'a str>, &'a Value)>, out: &mut String) -> Option<()> {
    let (open, close) = brackets.split_at(1);
    out.push_str(open);
    for (index, (name, value)) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        if let Some(name) = name {
            write_text(name, out)?;
            out.push(':');
        }
        write(value, out)?;
    }
    out.push_str(close);
    Some(())
}

fn write_text(text: &str, out: &mut String) -> Option<()> {
    out.push_str(&serde_json::to_string(text).ok()?);
    Some(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runtime::{
        Body, Collation, Column, ColumnKind, Encoder, Event, Message, Op, Origin, Row, RowChange, Seq, TableId, TableSchema, Value,
    };

    use super::super::{Config, DtsAvro, InvalidText, TextCharset};

    #[test]
    fn a_record_is_shown_as_json() {
        let text = |name: &str, collation: &str| {
            let mut column = Column::new(name, ColumnKind::Varchar { length: 9 }, "varchar(9)");
            column.collation = Some(Collation::new(collation));
            column
        };
        let columns = vec![
            Column::new("id", ColumnKind::Int { bytes: 4 }, "int(11)"),
            Column::new("raw", ColumnKind::Varbinary { length: 9 }, "varbinary(9)"),
            Column::new("none", ColumnKind::Int { bytes: 4 }, "int(11)"),
            // Bytes that could be text.
            Column::new("digits", ColumnKind::Varbinary { length: 9 }, "varbinary(9)"),
            text("latin", "latin1_bin"),
            text("wrong", "utf8mb4_bin"),
        ];
        let schema = Arc::new(TableSchema::new(TableId::new("shop", "orders"), columns));
        let row = Row::from_values([
            Value::Int(7),
            Value::Bytes(b"\x00\xff"),
            Value::Null,
            Value::Bytes(b"00"),
            Value::Text(b"\xe9"),
            Value::Text(b"\xff"),
        ]);
        let mut origin = Origin::default();
        (origin.offset, origin.safe_offset) = ("4@1".into(), "4@1".into());
        let body = Body::Row(RowChange::new(schema, Op::Read, None, Some(row)));
        let event = Event { seq: Seq(1), position: "p".into(), timestamp_ms: 1_000, txid: None, origin: Arc::new(origin), body };
        let mut encoder = DtsAvro::new(Config::default().charset(TextCharset::Source).invalid_text(InvalidText::Keep));
        let mut message = Message::default();
        encoder.encode(&event, &mut message).unwrap();
        let shown = encoder.readable(&message.value).unwrap();
        let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!((&json["operation"], &json["objectName"]), (&"INIT".into(), &"shop.orders".into()), "{shown}");
        assert_eq!(json["afterImages"][0]["value"], "7", "{shown}");
        assert_eq!(json["afterImages"][1]["value"], "0x00ff", "{shown}");
        assert!(json["afterImages"][2].is_null() && shown.find("\"version\"") < shown.find("\"afterImages\""), "{shown}");
        assert_eq!(json["afterImages"][3]["value"], "0x3030", "{shown}");
        assert_eq!(json["afterImages"][4], serde_json::json!({"charset": "latin1", "value": "é"}), "{shown}");
        assert_eq!(json["afterImages"][5], serde_json::json!({"charset": "utf8mb4", "value": {"hex": "ff"}}), "{shown}");
        assert!(encoder.readable(b"\xff").is_err());
    }
}
